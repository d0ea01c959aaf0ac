// Several clones on one machine, and clones whose refs somebody else has moved: the device goes on, and nothing is lost.

import { cpSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { installQuietHooks, work } from "./automatic.ts";
import {
  done,
  expectTranscript,
  lines,
  type Machine,
  one,
  pair,
  type Sandbox,
  sandbox,
  two,
} from "./harness.ts";

const messages = async (machine: Machine): Promise<Record<string, number>> => {
  const { document } = await machine.json("list", "--fetch", "--all");
  return Object.fromEntries(
    document["sessions"].map((each: { id: string; messages: number }) => [each.id, each.messages]),
  );
};

/** Runs `work` while the remote cannot be reached. */
async function offline(box: Sandbox, work: () => Promise<void>): Promise<void> {
  renameSync(box.remote, `${box.remote}.away`);
  await work();
  renameSync(`${box.remote}.away`, box.remote);
}

describe("two clones on one machine", () => {
  test("take turns with each other and with another device, for as long as they like", async () => {
    const box = await pair();
    const { desktop, laptop } = box;
    const second = desktop.with({ path: join(desktop.home, "code/shop-2") });
    second.clone();
    await second.init();
    const turns = [
      [desktop, one],
      [second, two],
      [laptop, "33333333-3333-4333-8333-333333333333"],
    ] as const;
    for (let turn = 0; turn < 4; turn++) {
      for (const [machine, session] of turns) {
        // What another clone of this machine has fetched since is not known in this one.
        done(await machine.run("status"));
        done(await machine.run("list"));
        machine.say(turn, turn + 1, session);
        done(await machine.run("save", "--session", session));
        done(await machine.run("sync"));
      }
    }
    const all = Object.fromEntries(turns.map(([, session]) => [session, lines(4)]));
    for (const [machine] of turns) {
      done(await machine.run("verify"));
      expect(await messages(machine)).toEqual(all);
    }
  });

  test("a save in one that has missed what the other has fetched is kept, too, while the remote is away", async () => {
    const box = await pair();
    const { desktop, laptop } = box;
    const second = desktop.with({ path: join(desktop.home, "code/shop-2") });
    second.clone();
    await second.init();
    laptop.say(0, 1);
    done(await laptop.run("save"));
    done(await second.run("sync"));
    laptop.say(1, 2);
    done(await laptop.run("save"));
    done(await desktop.run("sync"));
    await offline(box, async () => {
      second.say(0, 1, two);
      expect((await second.run("save")).exit).toBe(3);
    });
    done(await second.run("sync"));
    expect(await messages(laptop)).toEqual({ [one]: lines(2), [two]: lines(1) });
  });
});

describe("one clone, two homes, as of a container and the machine it runs on", () => {
  /** The laptop stands for the container: it works in the desktop's clone. */
  async function shared(): Promise<Sandbox & { readonly container: Machine }> {
    const box = sandbox();
    await box.desktop.begin();
    const container = box.laptop.with({ path: box.desktop.path });
    await container.init("--join", "--recovery-file", box.code);
    return { ...box, container };
  }

  test("take turns", async () => {
    const { desktop, container } = await shared();
    desktop.say(0, 1);
    done(await desktop.run("save"));
    for (let turn = 1; turn < 5; turn++) {
      const [here, there] = turn % 2 === 1 ? [container, desktop] : [desktop, container];
      done(await here.run("resume"));
      here.hears(turn);
      here.say(turn, turn + 1);
      const { stderr } = done(await here.run("save"));
      expect(stderr).not.toContain("rewritten");
      expect((await there.json("status")).document["waiting"]).toHaveLength(1);
    }
  });

  test("what went on in both is asked about", async () => {
    const { desktop, container } = await shared();
    desktop.say(0, 2);
    done(await desktop.run("save"));
    done(await container.run("resume"));
    desktop.say(2, 3, one, "desktop");
    done(await desktop.run("save"));
    container.say(2, 4, one, "container");
    const { stderr } = done(await container.run("save"));
    expect(stderr).not.toContain("rewritten");
    for (const here of [desktop, container]) expect((await here.run("resume")).exit).toBe(5);
    done(await desktop.run("resume", "--merge"));
    for (const voice of ["desktop", "container"]) expect(desktop.heard()).toContain(voice);
    done(await container.run("resume"));
    expect(container.heard().split("\n")).toHaveLength(desktop.heard().split("\n").length);
  });

  test("what one has still to send is sent by it, and seen by the other", async () => {
    const box = await shared();
    const { desktop, container } = box;
    await offline(box, async () => {
      container.say(0, 2);
      expect((await container.run("save")).exit).toBe(3);
    });
    expect(await messages(desktop)).toEqual({ [one]: lines(2) });
    done(await desktop.run("resume"));
    desktop.hears(2);
    done(await desktop.run("verify"));
    done(await container.run("sync"));
    done(await desktop.run("verify"));
  });

  test("what one that is no more has still to send, the other sends", async () => {
    const box = await shared();
    const { desktop, container, tablet } = box;
    await tablet.join();
    await offline(box, async () => {
      container.say(0, 2);
      expect((await container.run("save")).exit).toBe(3);
    });
    rmSync(container.home, { recursive: true });
    expect(done(await desktop.run("sync")).stderr).toMatch(/Sent to origin what \w+ had not sent from here/);
    expect(done(await desktop.run("sync")).stderr).toContain("Everything is up to date");
    done(await tablet.run("resume"));
    tablet.hears(2);
    for (const machine of [desktop, tablet]) done(await machine.run("verify"));
  });
});

describe("a clone that was copied, with what it has still to send", () => {
  /** Both are there. */
  async function copied(): Promise<Sandbox & { readonly copy: Machine }> {
    const box = await pair();
    const { desktop } = box;
    desktop.say(0, 1);
    done(await desktop.run("save"));
    desktop.say(1, 2);
    await offline(box, async () => expect((await desktop.run("save")).exit).toBe(3));
    const copy = desktop.with({ path: join(desktop.home, "copy/shop") });
    cpSync(desktop.path, copy.path, { recursive: true });
    return { ...box, copy };
  }

  test("sends it where the original is no more, as on another disk", async () => {
    const box = await copied();
    const { desktop, laptop, copy } = box;
    rmSync(desktop.path, { recursive: true });
    const hook = join(box.remote, "hooks/pre-receive");
    writeFileSync(hook, "#!/bin/sh\nexit 1\n", { mode: 0o755 });
    expect((await copy.run("sync")).exit).toBe(3);
    rmSync(hook);
    const { stderr } = done(await copy.run("sync"));
    expect(stderr).toContain("Sent to origin what Desktop had not sent from here");
    expect(done(await copy.run("sync")).stderr).toContain("Everything is up to date");
    done(await laptop.run("resume"));
    laptop.hears(2);
    laptop.say(2, 3);
    done(await laptop.run("save"));
    done(await copy.run("resume"));
    copy.hears(3);
    for (const machine of [copy, laptop]) done(await machine.run("verify"));
  });

  test("and where it lies in its place, as a copy that was put back", async () => {
    const { desktop, laptop, copy } = await copied();
    rmSync(desktop.path, { recursive: true });
    renameSync(copy.path, desktop.path);
    done(await desktop.run("sync"));
    done(await laptop.run("resume"));
    laptop.hears(2);
    for (const machine of [desktop, laptop]) done(await machine.run("verify"));
  });

  test("is another one beside the original, which sends what it has", async () => {
    const { desktop, laptop, copy } = await copied();
    done(await copy.run("sync"));
    done(await copy.run("resume"));
    copy.hears(2);
    copy.say(2, 3);
    done(await copy.run("save"));
    done(await laptop.run("resume"));
    laptop.hears(3);
    done(await desktop.run("sync"));
    done(await copy.run("sync"));
    for (const machine of [copy, desktop, laptop]) done(await machine.run("verify"));
    expect(await messages(laptop)).toEqual({ [one]: lines(3) });
  });

  test("sees that a remote was put back from a copy, once the original has sent it", async () => {
    const box = await copied();
    const { desktop, copy } = box;
    const backup = `${box.remote}.backup`;
    cpSync(box.remote, backup, { recursive: true });
    done(await copy.run("sync"));
    copy.say(0, 1, two);
    done(await copy.run("save", "--session", two));
    done(await desktop.run("sync"));
    done(await copy.run("sync"));
    rmSync(box.remote, { recursive: true });
    renameSync(backup, box.remote);
    expect(await copy.run("sync")).toMatchObject({ exit: 6 });
    done(await copy.run("sync", "--retry"));
    done(await desktop.run("sync", "--retry"));
    for (const machine of [copy, desktop]) done(await machine.run("verify"));
  });
});

describe("a machine that was set back, as with a snapshot of its disk", () => {
  const kept = (machine: Machine, name: string) =>
    [
      [join(machine.path, ".git"), `${machine.home}.${name}.git`],
      [join(machine.home, ".config"), `${machine.home}.${name}.config`],
      [join(machine.home, ".claude"), `${machine.home}.${name}.claude`],
    ] as const;

  function keep(machine: Machine, name: string): void {
    for (const [from, to] of kept(machine, name)) cpSync(from, to, { recursive: true });
  }

  /** Its directories are the same ones, unlike a copy's. */
  function setBack(machine: Machine, name: string): void {
    for (const [to, from] of kept(machine, name)) {
      for (const one of readdirSync(to)) rmSync(join(to, one), { recursive: true });
      cpSync(from, to, { recursive: true });
    }
  }

  test.each([["resume"], ["list", "--fetch"], ["sync"]])(
    "sees what it had saved since: %s",
    async (...command) => {
      const { desktop, laptop } = await pair();
      desktop.say(0, 1);
      done(await desktop.run("save"));
      done(await laptop.run("sync"));
      keep(desktop, "before");
      desktop.say(1, 3);
      done(await desktop.run("save"));
      // What others have seen it write is no reason to refuse them.
      laptop.say(0, 1, two);
      done(await laptop.run("sync"));
      done(await laptop.run("save", "--session", two));
      setBack(desktop, "before");
      done(await desktop.run(...command));
      expect(await messages(desktop)).toEqual({ [one]: lines(3), [two]: lines(1) });
      done(await desktop.run("resume", one));
      desktop.hears(3);
      desktop.say(3, 4);
      done(await desktop.run("save", "--session", one));
      done(await laptop.run("resume", one));
      laptop.hears(4);
      for (const machine of [desktop, laptop]) done(await machine.run("verify"));
    },
  );

  test.each([["resume", "three"], ["list", "--fetch"], ["sync"]])(
    "and has what it had not sent: %s",
    async (...command) => {
      const box = await pair();
      const { desktop, laptop } = box;
      const three = "33333333-3333-4333-8333-333333333333";
      desktop.say(0, 1);
      done(await desktop.run("save"));
      keep(desktop, "first");
      desktop.say(0, 2, two);
      await offline(box, async () => expect((await desktop.run("save", "--session", two)).exit).toBe(3));
      keep(desktop, "second");
      setBack(desktop, "first");
      desktop.say(0, 3, three);
      done(await desktop.run("save", "--session", three));
      done(await laptop.run("sync"));
      setBack(desktop, "second");
      done(await desktop.run(...command.map((word) => (word === "three" ? three : word))));
      const all = { [one]: lines(1), [two]: lines(2), [three]: lines(3) };
      expect(await messages(desktop)).toEqual(all);
      done(await desktop.run("sync"));
      expect(await messages(laptop)).toEqual(all);
      for (const machine of [desktop, laptop]) done(await machine.run("verify"));
    },
  );
});

describe("a project cloned anew, of which the agent has the conversation still", () => {
  /** Saved twice, with a line the agent has taken back in between, and gone on with on the laptop. */
  async function clonedAnew(): Promise<Sandbox> {
    const box = await pair();
    const { desktop, laptop } = box;
    desktop.say(0, 40);
    done(await desktop.run("save", "First"));
    writeFileSync(desktop.transcript(), desktop.heard().split("\n").toSpliced(3, 1).join("\n"));
    done(await desktop.run("save", "Second"));
    done(await laptop.run("resume"));
    laptop.say(40, 41);
    done(await laptop.run("save", "Third"));
    done(await desktop.run("resume"));
    rmSync(desktop.path, { recursive: true });
    desktop.clone();
    const { stderr } = await desktop.init();
    expect(stderr).toMatch(/Found 1 session: git convosync list/);
    expect(stderr).toMatch(/Go on where you left off with: git convosync resume/);
    desktop.say(41, 42);
    return box;
  }

  const snapshots = async (machine: Machine): Promise<string[]> =>
    (await machine.json("log", one)).document["snapshots"].map((each: { message: string }) => each.message);

  test("save goes on from what was saved: its snapshots stay, and only what is new is sent", async () => {
    const { desktop, laptop } = await clonedAnew();
    const { stderr } = done(await desktop.run("save", "Fourth"));
    expect(stderr).toMatch(new RegExp(`${lines(1)} new`));
    expect(await snapshots(desktop)).toEqual(["Fourth", "Third", "Second", "First"]);
    const heard = desktop.heard().split("\n").length;
    done(await laptop.run("resume"));
    expect(laptop.heard().split("\n")).toHaveLength(heard);
    expect(await snapshots(laptop)).toEqual(["Fourth", "Third", "Second", "First"]);
    done(await laptop.run("verify"));
  });

  test("so does what a hook captures", async () => {
    const { desktop } = await clonedAnew();
    await installQuietHooks(desktop);
    desktop.write("a.txt", "a");
    desktop.commit("Fourth");
    await work(desktop);
    expect(await snapshots(desktop)).toEqual(["Fourth", "Third", "Second", "First"]);
  });

  test("with a list that others have made out of date since", async () => {
    const { desktop, laptop } = await clonedAnew();
    laptop.say(41, 42);
    done(await laptop.run("save", "Fourth"));
    desktop.say(42, 43);
    done(await desktop.run("save", "Fifth"));
    expect(await snapshots(desktop)).toEqual(["Fifth", "Fourth", "Third", "Second", "First"]);
  });

  test("is not said to have gone on in a clone that is no more, once a save has found nothing new", async () => {
    const { desktop } = await pair();
    desktop.say(0, 2);
    done(await desktop.run("save"));
    rmSync(desktop.path, { recursive: true });
    desktop.clone();
    await desktop.init();
    const elsewhere = async (): Promise<string> =>
      (await desktop.run("status")).stdout.split("\n").find((line) => line.startsWith("Elsewhere")) ?? "";
    expect(await elsewhere()).toMatch(/went on in another clone here$/);
    expect(done(await desktop.run("save")).stderr).toMatch(/Nothing new since the last save/);
    expect(await elsewhere()).toBe("");
    // What was compared once is remembered.
    desktop.say(2, 3);
    expect((await desktop.json("save")).document).toMatchObject({ newMessages: lines(1) });
  });

  test("while the remote is away it is saved all the same", async () => {
    const box = await clonedAnew();
    await offline(box, async () => {
      expect((await box.desktop.run("save", "Fourth")).exit).toBe(3);
    });
    done(await box.desktop.run("sync"));
    done(await box.desktop.run("verify"));
    done(await box.laptop.run("resume", "--theirs"));
    expect(box.laptop.heard().split("\n")).toHaveLength(box.desktop.heard().split("\n").length);
  });
});

test("one clone with two HOMEs, as on a host and in its container: neither is in the other's way", async () => {
  const box = await pair();
  const { desktop, laptop, tablet } = box;
  const { home } = tablet;
  const container = desktop.with({ env: { HOME: home, CLAUDE_CONFIG_DIR: join(home, ".claude") } });
  desktop.say(0, 1);
  done(await desktop.run("save"));
  done(
    await container.run("init", "--join", "--yes", "--device-name", "Container", "--recovery-file", box.code),
  );
  container.say(0, 1, two);
  done(await container.run("save", "--no-code"));
  done(await desktop.run("sync"));
  await offline(box, async () => {
    container.say(1, 2, two);
    expect((await container.run("save", "--no-code")).exit).toBe(3);
    desktop.say(1, 2);
    expect((await desktop.run("save", "--no-code")).exit).toBe(3);
  });
  done(await desktop.run("save", "--no-code"));
  // The other's, which has not been sent, is seen here, and is nothing that a third device could miss.
  expect(await messages(desktop)).toEqual({ [one]: lines(2), [two]: lines(2) });
  expect(await messages(laptop)).toEqual({ [one]: lines(2), [two]: lines(1) });
  // What waits in a clone is sent by whoever says so in it.
  done(await desktop.run("sync"));
  expect(await messages(laptop)).toEqual({ [one]: lines(2), [two]: lines(2) });
  container.say(2, 3, two);
  done(await container.run("save", "--no-code"));
  container.say(3, 4, two);
  done(await container.run("save", "--no-code"));
  for (const machine of [laptop, desktop, container]) {
    expect(await messages(machine)).toEqual({ [one]: lines(2), [two]: lines(4) });
    done(await machine.run("verify"));
  }
});

test("a conversation of one work tree goes on from another, in its place and with its own paths", async () => {
  const box = await pair();
  const { desktop, laptop } = box;
  desktop.git("worktree", "add", "-q", "-b", "side", "../side");
  const side = desktop.with({ path: join(desktop.path, "../side") });
  desktop.say(0, 1);
  desktop.write("work.txt", "1\n");
  done(await desktop.run("save"));
  done(await laptop.run("resume"));
  laptop.say(1, 2);
  done(await laptop.run("save"));
  const refused = await side.run("resume");
  expect(refused.exit).toBe(4);
  expect(refused.stderr).toContain(
    `hint: go on there: cd '${desktop.path}'\nhint: or leave the code here as it is`,
  );
  const { document } = await side.json("resume", "--stay-on-branch");
  expect(document).toMatchObject({ workingDirectory: desktop.path });
  expect(side.branch()).toBe("side");
  desktop.hears(2);
  desktop.say(2, 3);
  done(await side.run("save", "--session", one));
  done(await laptop.run("resume", "--stay-on-branch"));
  laptop.hears(3);
});

describe("a conversation of a work tree within the checkout, which is removed", () => {
  let box: Sandbox;
  let desktop: Machine;
  let laptop: Machine;
  let within: Machine;

  /** Saved from there, and gone on with on the laptop. */
  beforeEach(async () => {
    box = await pair();
    ({ desktop, laptop } = box);
    desktop.write(".gitignore", ".worktrees\n");
    desktop.commit("Ignore");
    desktop.git("worktree", "add", "-q", "-b", "side", ".worktrees/side");
    within = desktop.with({ path: join(desktop.path, ".worktrees/side") });
    within.write("work.txt", "1\n");
    within.say(0, 2);
    done(await within.run("save"));
    done(await laptop.run("resume"));
    laptop.say(2, 3);
    done(await laptop.run("save"));
  });

  const remove = (): string => {
    const left = within.heard();
    desktop.git("worktree", "remove", "--force", ".worktrees/side");
    return left;
  };

  test("goes on in the checkout, where the agent looks for it, without a question", async () => {
    remove();
    const { document } = await desktop.json("resume");
    expect(document).toMatchObject({ restored: [desktop.transcript()], workingDirectory: desktop.path });
    desktop.hears(3);
    expect(desktop.branch()).toBe("side");
    expect((await desktop.json("status")).document["current"]).toMatchObject({ unsaved: false });
    desktop.say(3, 4);
    expect((await desktop.json("save")).document).toMatchObject({ newMessages: lines(1) });
    done(await laptop.run("resume"));
    laptop.hears(4);
  });

  test("is saved as what it was, from the checkout", async () => {
    done(await within.run("resume"));
    within.say(3, 4);
    remove();
    const { stderr } = done(await desktop.run("save"));
    expect(stderr).toContain(`${lines(1)} new`);
    expect(stderr).not.toContain("rewritten");
    done(await laptop.run("resume"));
    laptop.hears(4);
  });

  test.each([
    ["--theirs", () => desktop.told(3)],
    ["--mine", () => desktop.told(2) + desktop.told(3, one, " (side)", 2)],
    ["--merge", () => desktop.told(2) + desktop.told(3, one, " (side)", 2) + desktop.told(3, one, "", 2)],
  ])("with lines that were not saved: %s", async (how, result) => {
    within.say(2, 3, one, " (side)");
    const left = remove();
    expect((await desktop.run("resume")).exit).toBe(5);
    done(await desktop.run("resume", how));
    expectTranscript(desktop.heard(), result());
    expect(within.heard()).toBe(left);
    expect((await desktop.json("status")).document["current"]).toMatchObject({ unsaved: false });
    const { document } = await desktop.json("log", one);
    const shown = await Promise.all(
      document["snapshots"].map(({ n }: { n: number }) => desktop.run("show", `${one}@${n}`)),
    );
    expect(shown.some(({ stdout }) => stdout.includes("(side)"))).toBe(true);
    done(await desktop.run("save"));
    done(await desktop.run("verify"));
    done(await laptop.run("resume"));
    expect(laptop.heard().split("\n")).toHaveLength(result().split("\n").length);
  });
});

describe("refs that were put back", () => {
  const refspec = "+refs/convosync/*:refs/convosync/*";

  /** Desktop with one session sent and more of it, and another one, waiting. */
  async function waiting(): Promise<Sandbox> {
    const box = await pair();
    const { desktop } = box;
    desktop.say(0, 1);
    done(await desktop.run("save"));
    await offline(box, async () => {
      desktop.say(1, 2);
      expect((await desktop.run("save")).exit).toBe(3);
      desktop.say(0, 1, two);
      expect((await desktop.run("save", "--session", two)).exit).toBe(3);
    });
    return box;
  }

  async function arrives({ desktop, laptop }: Sandbox): Promise<void> {
    done(await desktop.run("verify"));
    expect(await messages(laptop)).toEqual({ [one]: lines(2), [two]: lines(1) });
    done(await laptop.run("resume", two));
    laptop.hears(1, two);
    done(await laptop.run("verify"));
  }

  test("by a fetch with a refspec that covers them: what waited is sent all the same", async () => {
    const box = await waiting();
    const { desktop } = box;
    desktop.git("config", "--add", "remote.origin.fetch", refspec);
    desktop.git("config", "fetch.prune", "true");
    desktop.git("fetch", "-q");
    done(await desktop.run("sync"));
    expect((await desktop.json("status")).document["queue"]).toEqual([]);
    const heads = box.remoteGit("for-each-ref", "--format=%(refname)", "refs/convosync").split("\n");
    expect(heads.filter((ref) => ref.includes("/head/"))).toHaveLength(1);
    await arrives(box);
  });

  test("and with git's objects gone, the next save takes it from the agent once more", async () => {
    const box = await waiting();
    const { desktop } = box;
    desktop.git("config", "--add", "remote.origin.fetch", refspec);
    desktop.git("fetch", "-q", "--prune");
    desktop.git("reflog", "expire", "--expire=now", "--all");
    desktop.git("gc", "-q", "--prune=now");
    done(await desktop.run("sync"));
    done(await desktop.run("save", "--session", one));
    done(await desktop.run("save", "--session", two));
    await arrives(box);
  });

  test("all removed by hand", async () => {
    const box = await waiting();
    const { desktop } = box;
    for (const ref of desktop.git("for-each-ref", "--format=%(refname)", "refs/convosync").split("\n"))
      if (!ref.endsWith("/keyring")) desktop.git("update-ref", "-d", ref);
    done(await desktop.run("sync"));
    await arrives(box);
  });

  test("a clone that joins with such a refspec, and what doctor says to it", async () => {
    const box = await pair();
    const { desktop, tablet } = box;
    desktop.say(0, 1);
    done(await desktop.run("save"));
    tablet.clone("-c", `remote.origin.fetch=${refspec}`);
    await tablet.init("--join", "--recovery-file", box.code);
    done(await tablet.run("resume"));
    tablet.hears(1);
    const rows = async () =>
      (await tablet.json("doctor")).document["checks"].filter(
        (row: { name: string }) => row.name === "refspec",
      );
    const command = "git config --add remote.origin.fetch '^refs/convosync/*'";
    expect(await rows()).toMatchObject([{ status: "warning", hint: command }]);
    tablet.git("config", "--add", "remote.origin.fetch", "^refs/convosync/*");
    expect(await rows()).toEqual([]);
    await offline(box, async () => {
      tablet.say(1, 2);
      expect((await tablet.run("save")).exit).toBe(3);
    });
    tablet.git("fetch", "-q", "--prune");
    done(await tablet.run("sync"));
    done(await desktop.run("resume"));
    desktop.hears(2);
  });
});
