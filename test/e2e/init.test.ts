// Setting up: one vault, several devices, several repositories, several people.

import { chmodSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { done, git, type Machine, one, pair, type Sandbox, sandbox, two } from "./harness.ts";

/** A second project of the same people: its remote, and the machines' clones of it. */
function secondProject({ base, desktop, laptop }: Sandbox) {
  const remote = join(base, "second.git");
  git(base, desktop.env, "init", "-q", "--bare", "-b", "main", remote);
  const clone = (machine: Machine): Machine => {
    const there = machine.with({ path: join(machine.home, "second") });
    git(machine.home, machine.env, "clone", "-q", `file://${remote}`, there.path);
    return there;
  };
  const here = clone(desktop);
  here.write("README.md", "# Second\n");
  here.commit("first");
  here.git("push", "-q", "-u", "origin", "HEAD:main");
  return { remote, here, there: (machine = laptop) => clone(machine) };
}

const config = (machine: Machine): string => join(machine.home, ".config/convosync");

test("a device that joined is told how to go on, and knows what others have", async () => {
  const { desktop, laptop, tablet, code } = sandbox();
  await desktop.begin();
  laptop.clone();
  const early = await laptop.init("--join", "--recovery-file", code);
  expect(early.stderr).toMatch(/Save your first session with: git convosync save/);
  expect(done(await laptop.run("list")).stderr).toMatch(/known here.*\n.*git convosync list --fetch/);
  desktop.say(0, 2);
  done(await desktop.run("save"));
  tablet.clone();
  const joined = await tablet.init("--join", "--recovery-file", code);
  expect(joined.stderr).toMatch(/Found 1 session: git convosync list\n/);
  expect(joined.stderr).toMatch(/Go on where you left off with: git convosync resume/);
  expect(done(await tablet.run("list")).stdout).toContain(one.slice(0, 8));
  expect(done(await tablet.run("list", "--agent", "codex")).stderr).toBe("No session is like that.\n");
  expect(done(await laptop.run("list", "--fetch")).stdout).toContain(one.slice(0, 8));
});

describe("a first device", () => {
  test("needs a place for the recovery code, and names the flag; nothing is set up", async () => {
    const { desktop, remote, remoteGit } = sandbox();
    git(desktop.home, desktop.env, "init", "-q", desktop.path);
    desktop.git("remote", "add", "origin", remote);
    const { exit, stdout, stderr } = await desktop.run("init", "--yes");
    expect({ exit, stdout }).toEqual({ exit: 4, stdout: "" });
    expect(stderr).toMatch(/hint: .*--recovery-file <path>/);
    expect(existsSync(join(config(desktop), "device.txt"))).toBe(false);
    expect(remoteGit("for-each-ref")).toBe("");
    expect(desktop.git("for-each-ref")).toBe("");
  });

  test("keeps keys and code readable for their owner alone, and out of every repository", async () => {
    const { desktop, code } = await pair();
    const recovery = readFileSync(code, "utf8");
    expect(recovery).toMatch(/^[A-Z0-9-]{25,}\n$/);
    expect(statSync(code).mode & 0o777).toBe(0o600);
    expect(statSync(config(desktop)).mode & 0o777).toBe(0o700);
    expect(statSync(join(config(desktop), "device.txt")).mode & 0o777).toBe(0o600);
    expect(readFileSync(join(config(desktop), "device.txt"), "utf8")).toMatch(/^AGE-SECRET-KEY-1/m);
    expect(desktop.git("grep", "-l", "--untracked", "--no-exclude-standard", "-e", "#")).not.toMatch(
      /device|code/,
    );
  });

  test("says when the recovery code lies where a commit could take it along", async () => {
    const { desktop, remote } = sandbox();
    git(desktop.home, desktop.env, "init", "-q", desktop.path);
    desktop.git("remote", "add", "origin", remote);
    const { stderr } = await desktop.init("--recovery-file", join(desktop.path, "code.txt"));
    expect(stderr).toMatch(/warning: it lies in this repository's work tree/);
    desktop.say(0, 1);
    desktop.write("README.md", "x\n");
    done(await desktop.run("save"));
    expect(desktop.git("ls-files")).toBe("README.md");
  });

  test("never overwrites a file with the recovery code", async () => {
    const { desktop, remote, code } = sandbox();
    git(desktop.home, desktop.env, "init", "-q", desktop.path);
    desktop.git("remote", "add", "origin", remote);
    writeFileSync(code, "precious\n");
    const { exit, stderr } = await desktop.run("init", "--yes", "--recovery-file", code);
    expect(exit).toBe(2);
    expect(stderr).toMatch(/exists already/);
    expect(readFileSync(code, "utf8")).toBe("precious\n");
    expect(existsSync(join(config(desktop), "device.txt"))).toBe(false);
  });

  test("a second init says so and changes nothing", async () => {
    const { desktop, code, remoteGit } = await pair();
    done(await desktop.run("sync"));
    const before = {
      refs: remoteGit("for-each-ref"),
      device: readFileSync(join(config(desktop), "device.txt"), "utf8"),
    };
    const { exit, stderr } = await desktop.run("init", "--yes", "--recovery-file", `${code}2`);
    expect(exit).toBe(0);
    expect(stderr).toMatch(/This repository was set up already/);
    expect(existsSync(`${code}2`)).toBe(false);
    expect(remoteGit("for-each-ref")).toBe(before.refs);
    expect(readFileSync(join(config(desktop), "device.txt"), "utf8")).toBe(before.device);
  });

  test("offline, the vault is made here and its keyring sent later", async () => {
    const { desktop, laptop, remote, code } = sandbox();
    git(desktop.home, desktop.env, "init", "-q", desktop.path);
    desktop.git("remote", "add", "origin", `${remote}.moved`);
    const { exit } = await desktop.run("init", "--yes", "--recovery-file", code);
    expect(exit).toBe(3);
    desktop.git("remote", "set-url", "origin", remote);
    desktop.write("a.txt", "a\n");
    desktop.say(0, 1);
    done(await desktop.run("save"));
    await laptop.join();
    done(await laptop.run("resume"));
    laptop.hears(1);
  });
});

describe("joining", () => {
  test("with a wrong, mistyped or missing code: refused, nothing changed", async () => {
    const { desktop, laptop, base, code, remoteGit } = sandbox();
    await desktop.begin();
    laptop.clone();
    const right = readFileSync(code, "utf8").trim();
    const swapped = [...right.replace(/-/g, "")];
    const at = swapped.findIndex((letter, index) => letter !== swapped[index + 1]);
    [swapped[at], swapped[at + 1]] = [swapped[at + 1] as string, swapped[at] as string];
    const other = sandbox();
    await other.desktop.begin();
    const cases = {
      "of another vault": [readFileSync(other.code, "utf8"), 7],
      mistyped: [swapped.join(""), 7],
      "too short": [right.slice(0, -3), 7],
      nonsense: ["hello\n", 7],
      empty: ["", 7],
    } as const;
    const before = remoteGit("for-each-ref");
    const local = laptop.git("for-each-ref");
    for (const [name, [text, wanted]] of Object.entries(cases)) {
      const file = join(base, "try");
      writeFileSync(file, text);
      const { exit, stderr } = await laptop.run("init", "--yes", "--join", "--recovery-file", file);
      expect({ name, exit }).toEqual({ name, exit: wanted });
      expect(stderr).toMatch(/^error: /m);
    }
    const missing = await laptop.run("init", "--yes", "--join", "--recovery-file", join(base, "nowhere"));
    expect(missing.exit).not.toBe(0);
    expect(missing.stderr).not.toMatch(/bug in convosync/);
    const asked = await laptop.run("init", "--yes", "--join");
    expect(asked.exit).toBe(4);
    expect(asked.stderr).toMatch(/--recovery-file <path>/);
    expect(remoteGit("for-each-ref")).toBe(before);
    expect(laptop.git("for-each-ref")).toBe(local);
    expect(existsSync(join(config(laptop), "device.txt"))).toBe(false);
  });

  test("machines whose hosts are called the same can be told apart", async () => {
    const { desktop, laptop, tablet, code } = sandbox();
    const machines = [desktop, laptop, tablet];
    for (const machine of machines) {
      machine.clone();
      const join = machine === desktop ? [] : ["--join"];
      done(await machine.run("init", "--yes", ...join, "--recovery-file", code));
    }
    const { document } = await tablet.json("status");
    const names = (document["devices"] as { name: string }[]).map((one) => one.name);
    expect(names).toEqual([names[0], `${names[0]} 2`, `${names[0]} 3`]);
  });

  test("the code is forgiving about case, spaces and dashes", async () => {
    const { desktop, laptop, code } = sandbox();
    await desktop.begin();
    laptop.clone();
    const text = readFileSync(code, "utf8").trim().toLowerCase().replaceAll("-", " ");
    writeFileSync(code, `  ${text} \r\n`);
    await laptop.init("--join", "--recovery-file", code);
  });

  test("what needs a vault says so where there is none or no key for it", async () => {
    const { desktop, laptop } = sandbox();
    await desktop.begin();
    laptop.clone();
    laptop.say(0, 1);
    for (const argv of [
      ["save"],
      ["resume"],
      ["list"],
      ["status"],
      ["sync"],
      ["verify"],
      ["show", "x"],
      ["delete", "x", "-y"],
    ]) {
      const { exit, stderr } = await laptop.run(...argv);
      expect({ argv, exit }).toEqual({ argv, exit: 7 });
      expect(stderr).toMatch(/hint: .*git convosync init --join/);
    }
    const { exit, stderr } = await laptop.run("init", "--yes");
    expect(exit).toBe(4);
    expect(stderr).toMatch(/git convosync init --join/);
  });

  test("there is nothing to join in a repository without a vault, or without a remote", async () => {
    const { laptop, remote, code } = sandbox();
    writeFileSync(code, "x\n");
    git(laptop.home, laptop.env, "init", "-q", laptop.path);
    expect((await laptop.run("init", "--yes", "--join", "--recovery-file", code)).exit).toBe(8);
    laptop.git("remote", "add", "origin", remote);
    const { exit, stderr } = await laptop.run("init", "--yes", "--join", "--recovery-file", code);
    expect(exit).toBe(1);
    expect(stderr).toMatch(/'origin' has no vault to join/);
    const { document } = await laptop.json("init", "--yes", "--join", "--recovery-file", code);
    expect(document["error"]).toMatchObject({ code: "no-vault", exit: 1 });
  });

  test("a key file that others can read is refused with the command that mends it", async () => {
    const { desktop } = await pair();
    const file = join(config(desktop), "device.txt");
    chmodSync(file, 0o644);
    const { exit, stderr } = await desktop.run("list");
    expect(exit).toBe(7);
    expect(stderr).toMatch(/hint: .*chmod 600/);
  });

  test("the device's keys may come from the environment", async () => {
    const { laptop } = await pair();
    const file = join(config(laptop), "device.txt");
    const text = readFileSync(file, "utf8");
    const moved = join(laptop.home, "keys.txt");
    writeFileSync(moved, text, { mode: 0o600 });
    const identities = [
      { CONVOSYNC_IDENTITY: text },
      { CONVOSYNC_IDENTITY_FILE: moved },
      { CONVOSYNC_IDENTITY_CMD: `cat '${moved}'` },
    ];
    writeFileSync(file, "# gone\n");
    for (const env of identities) done(await laptop.with({ env }).run("list"));
    expect((await laptop.run("sync")).exit).not.toBe(0);
  });
});

describe("several repositories and people", () => {
  test("a second repository of the same device uses the same vault, without a new code", async () => {
    const box = await pair();
    const { here, there } = secondProject(box);
    done(await box.desktop.run("sync"));
    const first = (await box.desktop.json("init", "--yes")).document;
    const { document } = await here.json("init", "--yes");
    expect(document).toMatchObject({
      created: false,
      joined: false,
      recoveryFile: null,
      vault: first["vault"],
    });
    expect(document["repo"]).not.toBe(first["repo"]);
    here.say(0, 2);
    done(await here.run("save"));
    const laptop = there();
    const known = await laptop.json("init", "--yes");
    expect(known.document).toMatchObject({ created: false, vault: first["vault"], repo: document["repo"] });
    done(await laptop.run("resume"));
    laptop.hears(2);
    expect((await box.desktop.json("list")).document["sessions"]).toEqual([]);
  });

  test("a device that joined in one repository is known in the vault's others as soon as one of them is used", async () => {
    const box = sandbox();
    await box.desktop.begin();
    const { here, there } = secondProject(box);
    await here.init();
    here.say(0, 2);
    done(await here.run("save"));
    await box.laptop.join();
    done(await box.desktop.run("sync"));
    // The first repository's keyring has moved on; the second's has not, and still opens.
    done(await here.run("status"));
    done(await here.run("sync"));
    const laptop = there();
    await laptop.init();
    done(await laptop.run("resume"));
    laptop.hears(2);
    laptop.say(2, 3);
    done(await laptop.run("save"));
    done(await here.run("resume"));
    here.hears(3);
    for (const machine of [here, laptop, box.desktop, box.laptop]) {
      done(await machine.run("sync"));
      expect((await machine.json("sync")).document).toEqual({
        convosync: 1,
        pushed: [],
        fetched: [],
        queued: [],
        restored: [],
        due: 0,
      });
    }
  });

  /** Everything is known to everybody, and nothing is left to be sent. */
  async function settled(...machines: Machine[]): Promise<void> {
    for (let round = 0; round < 2; round++) for (const machine of machines) done(await machine.run("sync"));
    for (const machine of machines) {
      expect((await machine.json("sync")).document).toMatchObject({ pushed: [], fetched: [], queued: [] });
      done(await machine.run("verify"));
    }
  }

  const devices = async (machine: Machine): Promise<string[]> =>
    (await machine.json("status")).document["devices"].map((each: { name: string }) => each.name).sort();

  test("a device that has joined in one repository is at home in another that has not heard of it", async () => {
    const box = sandbox();
    await box.desktop.begin();
    const { here, there } = secondProject(box);
    await box.laptop.join();
    await here.init();
    here.say(0, 1);
    done(await here.run("save"));
    const laptop = there();
    expect((await laptop.json("init", "--yes")).document).toMatchObject({ joined: false, sessions: 1 });
    done(await laptop.run("resume"));
    laptop.hears(1);
    laptop.say(1, 2);
    done(await laptop.run("save"));
    await settled(box.desktop, here, box.laptop, laptop);
    expect(await devices(here)).toEqual(["Desktop", "Laptop"]);
  });

  test("devices that join in different repositories before anybody has heard of either find each other", async () => {
    const box = sandbox();
    await box.desktop.begin();
    const { here, there } = secondProject(box);
    await here.init();
    here.say(0, 1);
    done(await here.run("save"));
    await box.laptop.join();
    const tablet = there(box.tablet);
    await tablet.init("--join", "--recovery-file", box.code);
    box.laptop.say(0, 1, two);
    done(await box.laptop.run("save"));
    done(await tablet.run("resume"));
    tablet.say(1, 2);
    done(await tablet.run("save"));
    // The one is in the first project's keyring alone, the other in the second's.
    const laptop = there();
    await laptop.init();
    done(await laptop.run("resume"));
    laptop.hears(2);
    laptop.say(2, 3);
    done(await laptop.run("save"));
    done(await tablet.run("resume"));
    tablet.hears(3);
    const all = [box.desktop, here, box.laptop, laptop, tablet];
    await settled(...all);
    for (const machine of all) expect(await devices(machine)).toEqual(["Desktop", "Laptop", "Tablet"]);
    box.tablet.clone();
    await box.tablet.init();
    done(await box.tablet.run("resume"));
    box.tablet.hears(1, two);
    await settled(...all, box.tablet);
  });

  test("and so do those who hear of both at once, in two places", async () => {
    const box = sandbox();
    await box.desktop.begin();
    const { here, there } = secondProject(box);
    await here.init();
    await box.laptop.join();
    const tablet = there(box.tablet);
    await tablet.init("--join", "--recovery-file", box.code);
    // The laptop brings both together in the second project, the tablet in the first.
    const laptop = there();
    box.tablet.clone();
    await Promise.all([laptop.init(), box.tablet.init()]);
    await settled(box.desktop, here, box.laptop, laptop, tablet, box.tablet);
    for (const machine of [here, laptop, tablet])
      expect(await devices(machine)).toEqual(["Desktop", "Laptop", "Tablet"]);
  });

  test("a device that has lost its keys joins anew in the clone it had, whatever has been enrolled since", async () => {
    const box = await pair();
    const { desktop, laptop, tablet } = box;
    desktop.say(0, 1);
    done(await desktop.run("save"));
    await tablet.join();
    for (const folder of [".config/convosync", ".cache", ".local"])
      rmSync(join(desktop.home, folder), { recursive: true, force: true });
    expect((await desktop.run("save")).exit).toBe(7);
    await desktop.init("--join", "--recovery-file", box.code);
    done(await desktop.run("sync"));
    desktop.say(1, 2);
    done(await desktop.run("save"));
    for (const machine of [laptop, tablet]) {
      done(await machine.run("resume"));
      machine.hears(2);
    }
    tablet.say(2, 3);
    done(await tablet.run("save"));
    done(await desktop.run("resume"));
    desktop.hears(3);
    done(await desktop.run("verify"));
  });

  test("what such a device had not sent by then is sent by what it is now, with the next save, though nothing is new", async () => {
    const { desktop, laptop, code } = await pair();
    desktop.say(0, 2);
    done(await desktop.run("save", "--no-push"));
    for (const folder of [".config/convosync", ".cache", ".local"])
      rmSync(join(desktop.home, folder), { recursive: true, force: true });
    await desktop.init("--join", "--recovery-file", code);
    done(await desktop.run("save"));
    done(await laptop.run("resume"));
    laptop.hears(2);
    for (const machine of [desktop, laptop]) done(await machine.run("verify"));
    expect((await desktop.run("save")).stderr).toMatch(/Nothing new/);
  });

  test("two clones of one repository on one device: each is a replica of its own", async () => {
    const box = await pair();
    const { desktop, laptop } = box;
    const second = desktop.with({ path: join(desktop.home, "second-clone") });
    second.clone();
    await second.init();
    desktop.say(0, 2, one);
    second.say(0, 3, two);
    done(await desktop.run("save"));
    done(await second.run("save"));
    done(await desktop.run("sync"));
    done(await laptop.run("sync"));
    for (const machine of [desktop, second, laptop]) {
      done(await machine.run("sync"));
      expect((await machine.json("list")).document["sessions"]).toHaveLength(2);
    }
  });

  test("--new-vault gives a repository a vault of its own", async () => {
    const box = await pair();
    const { here } = secondProject(box);
    const first = (await box.desktop.json("init", "--yes")).document;
    const fresh = join(box.base, "second-code.txt");
    const { document } = await here.json("init", "--yes", "--new-vault", "--recovery-file", fresh);
    expect(document).toMatchObject({ created: true, recoveryFile: fresh });
    expect(document["vault"]).not.toBe(first["vault"]);
    here.say(0, 1);
    done(await here.run("save"));
    done(await box.desktop.run("sync"));
    // Where there is one it would never be used.
    const before = here.footprint();
    const again = await here.run("init", "--yes", "--new-vault", "--recovery-file", `${fresh}-2`);
    expect(again.exit).toBe(4);
    expect(again.stderr).toMatch(/error: this repository has a vault of this device already/);
    expect(here.footprint()).toEqual(before);
    expect(existsSync(`${fresh}-2`)).toBe(false);
  });

  test("new keys for a repository whose old ones have been given away", async () => {
    const { desktop } = await pair();
    desktop.say(0, 1);
    done(await desktop.run("save"));
    const old = (await desktop.json("init", "--yes")).document;
    rmSync(config(desktop), { recursive: true });
    const code = join(desktop.home, "new-code.txt");
    const { document } = await desktop.json("init", "--yes", "--new-vault", "--recovery-file", code);
    expect(document["vault"]).not.toBe(old["vault"]);
    expect(document["device"]["id"]).not.toBe(old["device"]["id"]);
    done(await desktop.run("save"));
    expect((await desktop.json("list")).document["sessions"]).toMatchObject([{ id: one }]);
    done(await desktop.run("verify"));
  });

  test("--own-vault puts the vault that a device has beside somebody else's", async () => {
    const box = await pair();
    const { here, there } = secondProject(box);
    const first = (await box.desktop.json("init", "--yes")).document;
    await there(box.tablet).init("--recovery-file", join(box.base, "mate-code.txt"));
    const refused = await here.run("init", "--yes");
    expect(refused.exit).toBe(4);
    expect(refused.stderr).toMatch(/hint: .*git convosync init --own-vault/);
    const { document } = await here.json("init", "--yes", "--own-vault");
    expect(document).toMatchObject({ created: false, joined: false, vault: first["vault"] });
    here.say(0, 1);
    done(await here.run("save"));
    // Another device of that vault needs no word of it.
    const laptop = there();
    expect((await laptop.json("init", "--yes")).document).toMatchObject({ joined: false, sessions: 1 });
    done(await laptop.run("resume"));
    laptop.hears(1);
  });
});
