// Uncommitted work that travels inside a session, and saving onto another branch.

import { execFileSync } from "node:child_process";
import { readFileSync, statSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { done, type Machine, one, pair, type Sandbox } from "./harness.ts";

const status = (machine: Machine): string => machine.git("status", "--porcelain");

describe.for(["sha1", "sha256"] as const)("save --stash (%s)", (objectFormat) => {
  let box: Sandbox;
  let desktop: Machine;
  let laptop: Machine;
  beforeAll(async () => {
    box = await pair({ objectFormat });
    ({ desktop, laptop } = box);
    desktop.git("switch", "-q", "-c", "feature");
    desktop.write("staged.txt", "1\n2\n3\n");
    desktop.write("gone.txt", "gone\n");
    desktop.write(".gitignore", "ignored.txt\n");
    desktop.commit("base");
    desktop.write("staged.txt", "1\nstaged\n3\n");
    desktop.git("add", "staged.txt");
    desktop.write("staged.txt", "1\nstaged\nand more\n");
    desktop.git("rm", "-q", "--cached", "gone.txt");
    desktop.write("README.md", "# Changed\n");
    desktop.write("new folder/größe.bin", new Uint8Array([0, 1, 2, 255]));
    desktop.write(".env", "SECRET=hunter2\n");
    desktop.write("ignored.txt", "ignored\n");
    desktop.say(0, 2);
  });

  test("branch, index, work tree and stash stay exactly as they are; the commit it stands on is pushed", async () => {
    const before = { all: desktop.footprint(), objects: desktop.git("count-objects", "-v") };
    // As an editor has it that runs git so (`git --literal-pathspecs`).
    const edited = desktop.with({ env: { GIT_LITERAL_PATHSPECS: "1" } });
    const { stderr } = done(await edited.run("save", "--stash", "Experimental work"));
    // It was the first to push the branch, which follows the one it was pushed to since.
    expect(desktop.footprint()).toEqual({
      ...before.all,
      config: expect.stringMatching(/^\[branch "feature"\]$/m),
    });
    expect(stderr).toMatch(/left out, as it looks like a secret: \.env/);
    expect(stderr).toMatch(/Sealed uncommitted work .* branch and work tree are as they were/);
    expect(box.remoteGit("rev-parse", "feature")).toBe(desktop.head());
    const objects = box.remoteGit("rev-list", "--objects", "--all").split("\n");
    for (const line of objects)
      expect(box.remoteGit("cat-file", "-p", line.split(" ")[0]!)).not.toMatch(/and more|# Changed/);
  });

  test("resume brings it: what was staged is staged, what was not tracked is not", async () => {
    const { stderr } = done(await laptop.run("resume"));
    expect(stderr).toMatch(/Brought the uncommitted work from Desktop/);
    expect(laptop.head()).toBe(desktop.head());
    const without = (text: string): string => text.replace("?? .env\n", "");
    expect(status(laptop)).toBe(without(status(desktop)));
    expect(laptop.git("diff", "--cached")).toBe(desktop.git("diff", "--cached"));
    expect(laptop.read("staged.txt")).toBe("1\nstaged\nand more\n");
    expect(readFileSync(join(laptop.path, "new folder/größe.bin"))).toEqual(Buffer.from([0, 1, 2, 255]));
    expect(laptop.has(".env") || laptop.has("ignored.txt")).toBe(false);
    expect(laptop.git("stash", "list")).toBe("");
    laptop.git("fsck", "--strict");
  });

  test("it is brought once: resuming again touches nothing, here and there", async () => {
    for (const machine of [laptop, desktop]) {
      const before = machine.footprint();
      done(await machine.run("resume"));
      expect(machine.footprint()).toEqual(before);
    }
  });

  test("where it does not fit it waits in the stash, and the work tree is as it was", async () => {
    desktop.write("README.md", "# Changed again\n");
    desktop.say(2, 3);
    done(await desktop.run("save", "--stash"));
    const before = { status: status(laptop), readme: laptop.read("README.md") };
    const { exit, stderr } = await laptop.run("resume");
    expect(exit).toBe(0);
    expect(stderr).toMatch(/the uncommitted work from Desktop does not fit here; it is in the stash/);
    expect({ status: status(laptop), readme: laptop.read("README.md") }).toEqual(before);
    expect(laptop.git("stash", "list")).toMatch(/convosync: work in progress from Desktop/);
    expect(laptop.git("show", "stash@{0}:README.md")).toBe("# Changed again");
    expect((await laptop.json("resume")).document).toMatchObject({ work: null });
  });

  test("once it is committed, nobody is given it any more", async () => {
    desktop.git("rm", "-qf", "--cached", "--ignore-unmatch", "gone.txt");
    desktop.say(3, 4);
    done(await desktop.run("save", "Finished"));
    box.tablet.clone();
    await box.tablet.init("--join", "--recovery-file", box.code);
    expect((await box.tablet.json("resume")).document).toMatchObject({ work: null });
    expect(status(box.tablet)).toBe("");
    for (const machine of [desktop, box.tablet]) done(await machine.run("verify"));
  });
});

test("save --stash keeps the index as it was: white space that git is told to mend, files that are only meant to be added", async () => {
  const { desktop, laptop } = await pair();
  desktop.write("staged.txt", "one\n");
  desktop.commit("base");
  for (const staged of [true, false]) {
    if (staged) {
      desktop.write("staged.txt", "one \n two\t\n\n\n");
      desktop.git("add", "staged.txt");
    } else desktop.git("reset", "-q", "--hard");
    desktop.write("meant.txt", "meant\n");
    desktop.write("empty.txt", "");
    desktop.git("add", "-N", "meant.txt", "empty.txt");
    desktop.say(staged ? 0 : 1, staged ? 1 : 2);
    done(await desktop.run("save", "--stash"));
    laptop.git("reset", "-q", "--hard");
    laptop.git("clean", "-q", "-f");
    laptop.git("config", "apply.whitespace", "fix");
    done(await laptop.run("resume"));
    expect(status(laptop)).toBe(status(desktop));
    expect(status(laptop)).toContain(" A meant.txt");
    expect(laptop.git("diff", "--cached")).toBe(desktop.git("diff", "--cached"));
    expect(laptop.git("diff")).toBe(desktop.git("diff"));
  }
});

test("save --stash on a commit that is rewritten before anybody has it: all but the work comes, and it is said where that is", async () => {
  const { desktop, laptop } = await pair();
  desktop.write("auth.js", "one\n");
  desktop.say(0, 2);
  desktop.commit("Add auth");
  const base = desktop.head().slice(0, 7);
  desktop.write("auth.js", "two\n");
  done(await desktop.run("save", "--stash", "--no-push"));
  done(await desktop.run("sync", "--no-code"));
  desktop.git("commit", "-q", "--amend", "-m", "Add auth, properly");
  desktop.git("push", "-q", "origin", "main");
  const { exit, stderr } = await laptop.run("resume");
  expect({ exit, stderr }).toMatchObject({ exit: 0 });
  expect(stderr).toContain(`the uncommitted work from Desktop stands on commit ${base}, which is not here`);
  laptop.hears(2);
  expect((await laptop.json("resume")).document).toMatchObject({ work: "baseless" });
  desktop.git("push", "-q", "origin", `${base}:refs/heads/base`);
  laptop.git("fetch", "-q", "origin", "base");
  expect((await laptop.json("resume", "--exact")).document).toMatchObject({ work: "applied" });
  expect(laptop.read("auth.js")).toBe("two\n");
});

test.for([
  ["that knew nothing of it", false],
  ["that had fetched it", true],
] as const)(
  "work is brought into a conversation that had gone on here before, on a clone %s; once",
  async ([, fetched]) => {
    const { desktop, laptop, tablet, code } = await pair();
    desktop.write("auth.js", "one\n");
    desktop.say(0, 2);
    done(await desktop.run("save", "Add auth"));
    done(await laptop.run("resume"));
    desktop.write("auth.js", "two\n");
    desktop.write("new.js", "new\n");
    done(await desktop.run("save", "--stash"));
    if (fetched) done(await laptop.run("sync"));
    laptop.say(2, 3);
    done(await laptop.run("save", "--no-code"));
    expect(done(await laptop.run("resume")).stderr).toContain("Brought the uncommitted work from Desktop");
    expect(laptop.read("auth.js")).toBe("two\n");
    laptop.hears(3);
    expect((await laptop.json("resume")).document).toMatchObject({ work: null });
    const beside = laptop.with({ path: join(laptop.path, "../side") });
    laptop.git("worktree", "add", "-q", "--detach", beside.path);
    expect((await beside.json("resume", "--exact")).document).toMatchObject({ work: null });
    done(await laptop.run("save", "Finished"));
    tablet.clone();
    await tablet.init("--join", "--recovery-file", code);
    expect((await tablet.json("resume")).document).toMatchObject({ work: null });
    expect({ status: status(tablet), stash: tablet.git("stash", "list") }).toEqual({ status: "", stash: "" });
  },
);

test("work that was parted with in a divergence is not brought later", async () => {
  const { desktop, laptop } = await pair();
  desktop.write("auth.js", "one\n");
  desktop.say(0, 2);
  done(await desktop.run("save", "Add auth"));
  done(await laptop.run("resume"));
  desktop.write("auth.js", "two\n");
  desktop.say(2, 3);
  done(await desktop.run("save", "--stash"));
  laptop.say(5, 6);
  done(await laptop.run("save", "--no-code"));
  for (const option of [["--mine"], []])
    expect((await laptop.json("resume", ...option)).document).toMatchObject({ work: null });
  expect(status(laptop)).toBe("");
});

test("save --stash takes what was changed within the second in which it was committed, though it has kept its size", async () => {
  const { desktop, laptop } = await pair();
  // Whether the second is over by the time of the save is left to nobody.
  desktop.git("config", "core.trustctime", "false");
  const [file, then] = [join(desktop.path, "auth.js"), new Date(Date.now() - 60_000)];
  desktop.write("auth.js", "one\n");
  utimesSync(file, then, then);
  desktop.commit("Add auth");
  desktop.write("auth.js", "two\n");
  for (const path of [file, join(desktop.path, ".git/index")]) utimesSync(path, then, then);
  desktop.say(0, 1);
  done(await desktop.run("save", "--stash"));
  done(await laptop.run("resume"));
  expect(laptop.read("auth.js")).toBe("two\n");
});

describe("save --include-env", () => {
  let box: Sandbox;
  beforeAll(async () => {
    box = await pair();
    box.desktop.say(0, 1);
  });

  test("names that decide what runs are never taken, nor what is not set; nothing is saved then", async () => {
    const { desktop } = box;
    desktop.write("new.txt", "new\n");
    const before = desktop.footprint();
    for (const name of [
      "PATH",
      "LD_PRELOAD",
      "NODE_OPTIONS",
      "GIT_DIR",
      "https_proxy",
      "BASH_ENV",
      "NOT_SET",
      "A B",
    ]) {
      const { exit, stderr } = await desktop.run("save", "--include-env", name);
      expect({ name, exit }).toEqual({ name, exit: 2 });
      expect(stderr).toMatch(/error: the variable '.+' is (never synced|not set here)/);
    }
    expect(desktop.footprint()).toEqual(before);
  });

  test("the named ones travel, and lie where a shell can read them", async () => {
    const desktop = box.desktop.with({
      env: { API_URL: "https://x/?a='b c'\n$HOME", STAGE: "test", OTHER: "no" },
    });
    const { stderr } = done(await desktop.run("save", "--include-env", "API_URL,STAGE"));
    expect(stderr).toMatch(/Sealed 2 variables: API_URL, STAGE/);
    const resumed = done(await box.laptop.run("resume"));
    const [, file = ""] = /load them with: \. '(.+)'/.exec(resumed.stderr) ?? [];
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const loaded = execFileSync("sh", ["-c", '. "$1"; printf %s "$API_URL|$STAGE|$OTHER"', "sh", file], {
      encoding: "utf8",
    });
    expect(loaded).toBe("https://x/?a='b c'\n$HOME|test|");
    expect(resumed.stdout + resumed.stderr).not.toContain("https://x/");
    // A save that names none keeps them.
    box.laptop.say(1, 2);
    done(await box.laptop.run("save"));
    expect((await box.desktop.json("resume")).document["variables"]).toEqual(["API_URL", "STAGE"]);
  });
});

test.for([
  ["ahead of it here", 0, []],
  ["apart from it here", 1, ["--mine"]],
] as const)(
  "variables are brought into a conversation that is %s, and go on from there",
  async ([, said, how]) => {
    const { desktop, laptop, tablet, code } = await pair();
    desktop.say(0, 2);
    done(await desktop.run("save"));
    done(await laptop.run("resume"));
    desktop.say(2, 2 + said);
    done(await desktop.with({ env: { STAGE: "test" } }).run("save", "--include-env", "STAGE"));
    laptop.say(5, 6);
    done(await laptop.run("save"));
    expect((await laptop.json("resume", ...how)).document).toMatchObject({ variables: ["STAGE"] });
    done(await laptop.run("sync"));
    tablet.clone();
    await tablet.init("--join", "--recovery-file", code);
    expect((await tablet.json("resume")).document).toMatchObject({ variables: ["STAGE"] });
  },
);

describe("save --branch, --retry", () => {
  let desktop: Machine;
  let box: Sandbox;
  beforeAll(async () => {
    box = await pair();
    ({ desktop } = box);
    desktop.say(0, 1);
    desktop.write("idea.txt", "idea\n");
  });

  test("a new branch takes the changes with it; the old one stays where it was", async () => {
    const main = desktop.head();
    const { stderr } = done(await desktop.run("save", "--branch", "feature/idea", "WIP: idea"));
    expect(stderr).toMatch(/Made and switched to branch 'feature\/idea'/);
    expect(desktop.branch()).toBe("feature/idea");
    expect(desktop.git("rev-parse", "main")).toBe(main);
    expect(box.remoteGit("log", "-1", "--format=%s", "feature/idea")).toBe("WIP: idea [ConvoSync]");
  });

  test("changes that another branch would overwrite stop it, untouched", async () => {
    desktop.git("switch", "-q", "-c", "other", "main");
    desktop.write("idea.txt", "another idea\n");
    const before = desktop.footprint();
    const { exit, stderr } = await desktop.run("save", "-b", "feature/idea");
    expect(exit).toBe(4);
    expect(stderr).toMatch(/local changes stand in the way/);
    expect(desktop.footprint()).toEqual(before);
    expect((await desktop.run("save", "--branch=-f")).exit).toBe(6);
    expect((await desktop.run("save", "--branch", "x", "--no-code")).exit).toBe(2);
    expect(desktop.footprint()).toEqual(before);
  });

  test("--retry sends what waited, and then saves", async () => {
    desktop.git("remote", "set-url", "origin", join(box.base, "gone.git"));
    desktop.say(1, 2);
    expect((await desktop.run("save", "offline")).exit).toBe(3);
    expect((await desktop.run("save", "--retry", "still offline")).exit).toBe(3);
    desktop.git("remote", "set-url", "origin", box.remote);
    desktop.say(2, 3);
    const { stderr } = done(await desktop.run("save", "--retry", "online"));
    expect(stderr).toMatch(new RegExp(`Sent what was waiting: .*${one}`));
  });
});
