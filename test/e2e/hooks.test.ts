// Git hooks: what they note, and what the worker makes of it. Whatever happens in them, git does not feel it.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { withBlock } from "../../src/sessions/hook-files.ts";
import {
  cloneDir,
  configuredHooks,
  installQuietHooks,
  migratesRefs,
  noted,
  shown,
  untilIdle,
  work,
} from "./automatic.ts";
import { done, lines, type Machine, one, pair, sandbox, two } from "./harness.ts";

const hookNames = ["post-commit", "post-rewrite", "post-merge", "pre-push", "post-checkout"];

async function desktop(): Promise<Machine> {
  const box = sandbox();
  await box.desktop.begin();
  return box.desktop;
}

async function hooked(): Promise<Machine> {
  const machine = await desktop();
  await installQuietHooks(machine);
  return machine;
}

const hookFile = (machine: Machine, name: string): string => join(machine.path, ".git/hooks", name);

/** The git that the tests use. */
const gitPath = (): string =>
  (process.env["PATH"] ?? "")
    .split(delimiter)
    .map((folder) => join(folder, "git"))
    .find((path) => existsSync(path))!;

function script(path: string, content: string, mode = 0o755): void {
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, content);
  chmodSync(path, mode);
}

/** Names, kinds, modes and contents of a folder. */
function picture(folder: string): string[] {
  const all = existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: "utf8" }).sort() : [];
  return all.map((name) => {
    const path = join(folder, name);
    const { mode } = lstatSync(path);
    if (lstatSync(path).isSymbolicLink()) return `${name} -> ${readlinkSync(path)}`;
    return `${name} ${mode.toString(8)} ${lstatSync(path).isFile() ? readFileSync(path, "latin1") : ""}`;
  });
}

test("a commit is captured and pushed by itself, and the other machine can go on", async () => {
  const box = await pair();
  done(await box.desktop.run("hooks", "install"));
  box.desktop.say(0, 3);
  box.desktop.write("a.txt", "a\n");
  const commit = box.desktop.commit("By hand");
  await untilIdle(box.desktop);
  const { snapshots, links } = await shown(box.desktop, one);
  expect(snapshots).toMatchObject([{ via: "hook", commit, branch: "main", message: "By hand" }]);
  expect(links).toMatchObject([{ commit, upto: lines(3), modified: ["a.txt"] }]);
  expect((await box.desktop.json("status")).document["queue"]).toEqual([]);
  // The code is the user's to push.
  expect(box.remoteGit("rev-parse", "main")).not.toBe(commit);
  box.desktop.git("push", "-q");
  done(await box.laptop.run("resume"));
  box.laptop.hears(3);
  // A second one, sooner than a host would like another push.
  box.desktop.say(3, 4);
  box.desktop.write("b.txt", "b\n");
  box.desktop.commit("By hand again");
  await expect
    .poll(async () => (await box.desktop.run("status")).stdout, { timeout: 20_000, interval: 200 })
    .toMatch(/Queue +index, .*\n +sent by itself within half a minute; at once: git convosync sync/);
  process.kill(Number(readFileSync(join(cloneDir(box.desktop), "worker.pid"), "utf8")));
});

test("each commit has its link, in order, at the line the conversation had come to", async () => {
  const machine = await hooked();
  machine.write("0.txt", "0\n");
  const first = machine.commit("nothing said yet");
  machine.say(0, 2);
  machine.write("a.txt", "a\n");
  const second = machine.commit("two turns");
  expect(noted(machine)).toEqual([
    `commit ${first} main - ${machine.path}`,
    `commit ${second} main - ${machine.path}`,
  ]);
  await work(machine);
  machine.write("b.txt", "b\n");
  const third = machine.commit("nothing new said");
  await work(machine);
  const { links, snapshots } = await shown(machine, one);
  expect(links.map((link: { commit: string }) => link.commit)).toEqual([first, second, third]);
  expect(links.at(-1).upto).toBe(lines(2));
  expect(snapshots.map((one: { message: string }) => one.message)).toEqual(["two turns", "nothing new said"]);
});

test("a save by hand keeps its words, though all of it was captured already", async () => {
  const machine = await hooked();
  machine.say(0, 2);
  machine.write("a.txt", "a\n");
  machine.commit("by hand");
  await work(machine);
  expect(done(await machine.run("save", "Before the refactoring")).stderr).not.toContain("Nothing new");
  const words = async (): Promise<unknown> => {
    const { snapshots } = await shown(machine, one);
    return snapshots.map(({ via, message }: { via: string; message: string }) => `${via}: ${message}`);
  };
  expect(await words()).toEqual(["hook: by hand", "save: Before the refactoring"]);
  for (const message of ["Before the refactoring", " "])
    expect(done(await machine.run("save", message)).stderr).toContain("Nothing new since the last save");
  expect(await words()).toHaveLength(2);
});

test.skipIf(!migratesRefs)(
  "with refs in a reftable, too, on a branch and on none (skipped before git 2.46)",
  async () => {
    const machine = await hooked();
    machine.git("refs", "migrate", "--ref-format=reftable");
    machine.git("checkout", "-q", "-b", "topic/deep");
    machine.say(0, 2);
    machine.write("a.txt", "a\n");
    const first = machine.commit("on a branch");
    machine.git("checkout", "-q", "--detach");
    machine.write("b.txt", "b\n");
    const second = machine.commit("on none");
    expect(noted(machine)).toEqual([
      `commit ${first} topic/deep - ${machine.path}`,
      `commit ${second} - - ${machine.path}`,
    ]);
    await work(machine);
    const { links, snapshots } = await shown(machine, one);
    expect(links.map((link: { commit: string }) => link.commit)).toEqual([first, second]);
    expect(snapshots.map((one: { message: string }) => one.message)).toEqual(["on none"]);
  },
);

test("lines written after a commit are not taken for those that led to it", async () => {
  const machine = await hooked();
  const line = (time: number, text: string): string =>
    `${JSON.stringify({ type: "user", cwd: machine.path, timestamp: new Date(time).toISOString(), message: { role: "user", content: text } })}\n`;
  mkdirSync(machine.project, { recursive: true });
  const before = Date.now();
  machine.write("a.txt", "a\n");
  const commit = machine.commit("between");
  const text = [
    line(before - 9000, "before"),
    "{}\n",
    line(before - 8000, "before"),
    line(before + 9000, "after"),
    line(before - 5000, "late"),
  ];
  writeFileSync(machine.transcript(), text.join(""));
  await work(machine);
  const { links, snapshots } = await shown(machine, one);
  expect(links).toMatchObject([{ commit, upto: 3 }]);
  expect(snapshots[0].upto.main[0]).toBe(5);
});

test("amend and rebase give the links their new names, also of sessions that were not going on", async () => {
  const machine = await hooked();
  machine.say(0, 1, two);
  machine.say(0, 1);
  machine.write("a.txt", "a\n");
  const old = machine.commit("first");
  // Whoever saves by hand deals with what was noted as well.
  done(await machine.run("save", "--session", two, "--no-push"));
  expect(noted(machine)).toEqual([]);
  machine.git("commit", "-q", "--amend", "-m", "amended");
  const amended = machine.head();
  await work(machine);
  expect((await shown(machine, one))["links"]).toMatchObject([
    { commit: old, rewritten: [amended] },
    { commit: amended, rewritten: [] },
  ]);
  expect((await shown(machine, two))["links"]).toMatchObject([{ commit: old, rewritten: [amended] }]);

  machine.git("switch", "-q", "-c", "base", "HEAD~1");
  machine.write("base.txt", "b\n");
  machine.commit("base");
  machine.git("switch", "-q", "main");
  await work(machine);
  machine.git("rebase", "-q", "base");
  const rebased = machine.head();
  expect(noted(machine)).toEqual([
    `rewrite ${amended} ${rebased} - ${machine.path}`,
    `commit - - - ${machine.path}`,
  ]);
  await work(machine);
  expect((await shown(machine, two))["links"]).toMatchObject([
    { commit: old, rewritten: [amended, rebased] },
  ]);
  const { links } = await shown(machine, one);
  expect(links.at(-1)).toMatchObject({ commit: rebased, branch: "main" });
  done(await machine.run("verify", "--local"));
});

describe("nothing is captured, and what was noted waits for its end, in the middle of", () => {
  const operations: [string, string, boolean][] = [
    ["a merge", "merge", false],
    ["a cherry-pick", "cherry-pick", false],
    ["a cherry-pick with refs in a reftable (skipped before git 2.46)", "cherry-pick", true],
  ];
  for (const [name, operation, reftable] of operations) {
    test.skipIf(reftable && !migratesRefs)(name, async () => {
      const machine = await hooked();
      if (reftable) machine.git("refs", "migrate", "--ref-format=reftable");
      machine.write("a.txt", "a\n");
      machine.commit("ours");
      machine.git("switch", "-q", "-c", "other", "HEAD~1");
      machine.write("a.txt", "b\n");
      machine.commit("theirs");
      await work(machine);
      machine.say(0, 1);
      machine.write("c.txt", "c\n");
      machine.commit("before it");
      expect(machine.gitFails(operation, "main")).toBe(true);
      await work(machine);
      expect((await machine.run("show", one)).exit).toBe(1);
      machine.write("a.txt", "both\n");
      const last = machine.commit("both");
      await work(machine);
      const { links, snapshots } = await shown(machine, one);
      expect(links.map((link: { commit: string }) => link.commit)).toContain(last);
      expect(snapshots).toMatchObject([{ commit: last }]);
    });
  }
});

test("linked worktrees: the conversation that is going on there, and its own branch", async () => {
  const machine = await hooked();
  machine.say(0, 1);
  machine.git("worktree", "add", "-q", "../my shop 2", "-b", "side");
  const side = machine.with({ path: join(machine.path, "../my shop 2") });
  side.say(0, 2, two);
  side.write("s.txt", "s\n");
  const commit = side.commit("in the worktree");
  expect(noted(machine)).toEqual([`commit ${commit} side - ${side.path}`]);
  await work(machine);
  expect((await shown(machine, two))["links"]).toMatchObject([{ commit, branch: "side", upto: lines(2) }]);
  expect((await machine.run("show", one)).exit).toBe(1);
});

test("a conversation that has moved on to another work tree is captured with the code there", async () => {
  const machine = await hooked();
  const path = join(machine.path, ".claude/worktrees/feat");
  machine.git("worktree", "add", "-q", path, "-b", "feat");
  const inside = machine.with({ path });
  inside.say(0, 1);
  const note = (event: string): void =>
    appendFileSync(join(cloneDir(machine), "events"), `agent claude ${event} ${one} ${machine.path}\n`);
  const last = async (): Promise<unknown> => {
    const [{ branch, messages }] = (await machine.json("list", "--all")).document["sessions"];
    return { branch, messages };
  };
  note("watch");
  await work(machine);
  expect(await last()).toEqual({ branch: "feat", messages: lines(1) });
  inside.say(1, 2);
  note("stop");
  done(await machine.run("sync"));
  expect(await last()).toEqual({ branch: "feat", messages: lines(2) });
  machine.git("worktree", "remove", "--force", path);
  writeFileSync(inside.transcript(), inside.told(3));
  note("stop");
  await work(machine);
  expect(await last()).toEqual({ branch: "main", messages: lines(3) });
});

test("a commit where the project was moved to belongs to the conversation that nobody saved before", async () => {
  const machine = await hooked();
  machine.say(0, 1);
  done(await machine.run("save"));
  machine.say(1, 2);
  const there = machine.movedTo("work/shop");
  there.write("a.txt", "a\n");
  const commit = there.commit("after the move");
  await work(there);
  expect((await shown(there, one))["links"].at(-1)).toMatchObject({ commit, upto: lines(2) });
});

test("a commit made from an agent's shell belongs to the conversation that made it", async () => {
  const machine = await hooked();
  machine.say(0, 1, two);
  machine.say(0, 1);
  const inside = machine.with({ env: { CLAUDE_CODE_SESSION_ID: two } });
  inside.write("a.txt", "a\n");
  const commit = inside.commit("by the agent");
  expect(noted(machine)).toEqual([`commit ${commit} main claude:${two} ${machine.path}`]);
  await work(machine);
  expect((await shown(machine, two))["links"]).toMatchObject([{ commit }]);
  expect((await machine.run("show", one)).exit).toBe(1);
});

test("other ways to reach a commit: detached, packed refs, cherry-pick, GIT_INDEX_FILE, a bare PATH", async () => {
  const machine = await hooked();
  machine.write("a.txt", "a\n");
  const first = machine.commit("first");
  machine.git("pack-refs", "--all");
  machine.git("switch", "-q", "--detach");
  machine.write("b.txt", "b\n");
  const second = machine.commit("second");
  machine.git("switch", "-q", "main");
  machine.git("cherry-pick", second);
  const bare = machine.with({
    env: { PATH: `${dirname(gitPath())}:/usr/bin:/bin`, GIT_INDEX_FILE: join(machine.path, ".git/other") },
  });
  bare.git("read-tree", "HEAD");
  bare.git("commit", "-q", "--allow-empty", "-m", "third");
  expect(noted(machine).filter((line) => line.startsWith("commit"))).toEqual([
    `commit ${first} main - ${machine.path}`,
    `commit ${second} - - ${machine.path}`,
    `commit ${machine.git("rev-parse", "main~1")} main - ${machine.path}`,
    `commit ${machine.head()} main - ${machine.path}`,
  ]);
});

test("save's own commit and push start no hook of ours", async () => {
  const machine = await hooked();
  machine.say(0, 1);
  machine.write("a.txt", "a\n");
  done(await machine.run("save", "Mine"));
  expect(noted(machine)).toEqual([]);
});

test("deleted on purpose stays deleted", async () => {
  const machine = await hooked();
  machine.say(0, 1);
  done(await machine.run("save"));
  done(await machine.run("delete", one, "--yes"));
  machine.say(1, 2);
  machine.write("a.txt", "a\n");
  machine.commit("later");
  await work(machine);
  expect((await machine.run("show", one)).exit).toBe(1);
});

test("a worker that is killed leaves its work to the next one", async () => {
  const machine = await desktop();
  done(await machine.run("hooks", "install"));
  machine.say(0, 2);
  machine.write("a.txt", "a\n");
  const first = machine.commit("first");
  const pid = Number(readFileSync(join(cloneDir(machine), "worker.pid"), "utf8"));
  process.kill(pid, "SIGKILL");
  machine.write("b.txt", "b\n");
  const second = machine.commit("second");
  await untilIdle(machine);
  const { links } = await shown(machine, one);
  expect(links.map((link: { commit: string }) => link.commit)).toEqual([first, second]);
});

test("events that were taken and not settled are dealt with once more, and that changes nothing", async () => {
  const machine = await hooked();
  machine.say(0, 1);
  machine.write("a.txt", "a\n");
  machine.commit("first");
  const events = `${(await work(machine)).join("\n")}\n`;
  const before = await shown(machine, one);
  writeFileSync(join(cloneDir(machine), "events.taken"), events);
  await work(machine);
  expect(await shown(machine, one)).toEqual(before);
  expect(existsSync(join(cloneDir(machine), "events.taken"))).toBe(false);
});

test("where convosync is not set up, hooks and worker do nothing and say nothing", async () => {
  const machine = await hooked();
  for (const ref of machine.git("for-each-ref", "--format=%(refname)", "refs/convosync").split("\n"))
    machine.git("update-ref", "-d", ref);
  machine.say(0, 1);
  machine.write("a.txt", "a\n");
  machine.commit("alone");
  expect(await machine.run("hook", "worker", join(machine.path, ".git"))).toEqual({
    exit: 0,
    stdout: "",
    stderr: "",
  });
  machine.git("config", "core.hooksPath", "/nonexistent");
  machine.write("x", "x");
  machine.commit("no hooks at all");
});

test("push, checkout and merge go on whatever our folder looks like", async () => {
  const machine = await hooked();
  chmodSync(cloneDir(machine), 0o000);
  try {
    machine.write("a.txt", "a\n");
    machine.commit("a");
    machine.git("push", "-q");
    machine.git("switch", "-q", "-c", "b");
  } finally {
    chmodSync(cloneDir(machine), 0o700);
  }
});

test("what is installed is said, and taken out byte for byte", async () => {
  const machine = await desktop();
  const folder = join(machine.path, ".git/hooks");
  const marker = (name: string): string => `echo ${name} "$@" >> "$PWD/.git/ran"`;
  script(hookFile(machine, "post-commit"), `#!/bin/bash -e\n${marker("mine")}\nexit 0`, 0o755);
  script(hookFile(machine, "post-merge"), `${marker("bare")}\n`, 0o700);
  script(
    hookFile(machine, "pre-push"),
    `#!/usr/bin/env node\nrequire("fs").appendFileSync(".git/ran", require("path").basename(process.argv[1]) + " " + require("fs").readFileSync(0) + "\\n"); process.exit(3)\n`,
    0o755,
  );
  script(
    join(machine.path, ".git/elsewhere.sh"),
    `#!/bin/sh\nwhile read -r l; do ${marker("linked $l")}; done\n`,
  );
  symlinkSync("../elsewhere.sh", hookFile(machine, "post-rewrite"));
  script(hookFile(machine, "post-checkout"), `#!/bin/sh\n${marker("disabled")}\n`, 0o644);
  const before = picture(folder);

  const installed = await machine.json("hooks", "install");
  expect(installed.document["hooks"].map((one: { ours: string }) => one.ours)).toEqual(
    hookNames.map(() => "current"),
  );
  await installQuietHooks(machine);
  const after = picture(folder);
  machine.write("a.txt", "a\n");
  machine.commit("one");
  machine.git("commit", "-q", "--amend", "-m", "two");
  expect(machine.gitFails("push", "-q", "origin", "HEAD:refs/heads/other")).toBe(true);
  machine.git("switch", "-q", "-c", "side");
  const ran = readFileSync(join(machine.path, ".git/ran"), "utf8");
  expect(ran).toMatch(
    /^mine\nmine\nlinked [0-9a-f]{40} [0-9a-f]{40} amend\npre-push HEAD [0-9a-f]{40} refs\/heads\/other 0+\n\n$/,
  );
  expect(noted(machine).map((line) => line.split(" ")[0])).toEqual([
    "commit",
    "commit",
    "rewrite",
    "commit",
    "push",
  ]);

  // Once more changes nothing.
  await installQuietHooks(machine);
  expect(picture(folder)).toEqual(after);
  const { document } = await machine.json("hooks", "uninstall");
  expect(document["removed"].sort()).toEqual([...hookNames].sort());
  expect(picture(folder)).toEqual(before);
  expect(noted(machine)).not.toEqual([]);
});

const files = test.skipIf(configuredHooks);

files("hooks in the project's own files are left alone, and the line to add is shown and works", async () => {
  const machine = await desktop();
  mkdirSync(join(machine.path, ".husky/_"), { recursive: true });
  machine.git("config", "core.hooksPath", ".husky/_");
  for (const name of hookNames)
    script(
      join(machine.path, ".husky/_", name),
      `#!/bin/sh\nh=$PWD/.husky/${name}; [ ! -f "$h" ] || sh -e "$h" "$@"\n`,
    );
  const before = picture(join(machine.path, ".husky"));
  const refused = await machine.run("hooks", "install");
  expect(refused.exit).toBe(4);
  expect(picture(join(machine.path, ".husky"))).toEqual(before);
  const lines = [...refused.stderr.matchAll(/add to the project's (\S+) hook: (.*)/g)];
  expect(lines.map((one) => one[1])).toEqual(hookNames);
  for (const [, name, line] of lines) script(join(machine.path, ".husky", name!), `${line}\n`, 0o644);
  const { document } = await machine.json("hooks", "status");
  expect(document["hooks"].map((one: { ours: string }) => one.ours)).toEqual(hookNames.map(() => "current"));
  const path = join(cloneDir(machine), "hook.sh");
  writeFileSync(path, readFileSync(path, "utf8").replace(/^cli=.*$/m, "cli=/nonexistent"));
  machine.write("a.txt", "a\n");
  machine.commit("husky");
  machine.git("commit", "-q", "--amend", "-m", "husky too");
  expect(noted(machine).map((line) => line.split(" ")[0])).toEqual(["commit", "commit", "rewrite", "commit"]);
  // On a colleague's machine, without convosync, it is silent and harmless.
  done(await machine.run("hooks", "uninstall"));
  machine.write("b", "b");
  machine.commit("colleague");
});

test("a hooks folder that all repositories share does nothing in the others", async () => {
  const machine = await desktop();
  const folder = join(machine.home, "my hooks");
  machine.git("config", "--global", "core.hooksPath", folder);
  const installed = await machine.run("hooks", "install");
  expect(installed.stderr).toMatch(/other repositories use .*my hooks too/);
  await installQuietHooks(machine);
  machine.write("a.txt", "a\n");
  machine.commit("here");
  expect(noted(machine)).toHaveLength(1);
  const other = machine.with({ path: join(machine.home, "other") });
  mkdirSync(other.path, { recursive: true });
  other.git("init", "-q");
  other.write("a", "a");
  other.commit("there");
  expect(existsSync(join(other.path, ".git/convosync"))).toBe(false);
});

files("hooks that are turned off keep nobody from setting up", async () => {
  const machine = await desktop();
  machine.git("config", "--global", "core.hooksPath", "/dev/null");
  const again = done(await machine.with({ env: { CONVOSYNC_HOOKS: "true" } }).run("init", "--yes"));
  expect(again.stderr).toMatch(
    /git looks for hooks in \/dev\/null, and nothing can be put there\nhint: .*git config --show-origin core\.hooksPath/,
  );
  expect(await machine.json("hooks", "install")).toMatchObject({
    exit: 1,
    document: { error: { code: "hooks-folder" } },
  });
});

files("status tells what git really runs", async () => {
  const machine = await desktop();
  const states = async () => {
    const { document } = await machine.json("hooks", "status");
    return [document["script"], ...document["hooks"].map((one: { ours: string }) => one.ours)];
  };
  expect(await states()).toEqual(["absent", ...hookNames.map(() => "absent")]);
  done(await machine.run("hooks", "install"));
  expect(await states()).toEqual(["current", ...hookNames.map(() => "current")]);
  chmodSync(hookFile(machine, "post-commit"), 0o644);
  const merge = hookFile(machine, "post-merge");
  writeFileSync(merge, readFileSync(merge, "utf8").replace("commondir", "commondir2"));
  writeFileSync(hookFile(machine, "pre-push"), "#!/bin/sh\n");
  expect(await states()).toEqual(["current", "ignored", "current", "outdated", "absent", "current"]);
  machine.git("config", "core.hooksPath", "/nonexistent");
  expect(await states()).toEqual(["current", ...hookNames.map(() => "absent")]);
  const shownText = (await machine.run("hooks", "status")).stdout;
  expect(shownText).toContain("git looks for hooks in /nonexistent (core.hooksPath = /nonexistent)");
});

describe.skipIf(!configuredHooks)("hooks in git's configuration (skipped before git 2.54)", () => {
  test("run beside those in files, which stay as they are, also in a worktree and in a project's own folder", async () => {
    const machine = await desktop();
    script(join(machine.path, ".husky/_/post-commit"), '#!/bin/sh\necho husky >> "$PWD/.git/ran"\n');
    machine.git("config", "core.hooksPath", ".husky/_");
    const before = [picture(join(machine.path, ".husky")), picture(join(machine.path, ".git/hooks"))];
    const settings = readFileSync(join(machine.path, ".git/config"), "utf8");
    const { document } = await machine.json("hooks", "install");
    expect(document["hooks"]).toMatchObject(
      hookNames.map((event) => ({
        event,
        runs: `hook.convosync-${event}.command`,
        ours: "current",
      })),
    );
    await installQuietHooks(machine);
    expect([picture(join(machine.path, ".husky")), picture(join(machine.path, ".git/hooks"))]).toEqual(
      before,
    );
    machine.write("a.txt", "a\n");
    machine.commit("one");
    machine.git("commit", "-q", "--amend", "-m", "two");
    expect(readFileSync(join(machine.path, ".git/ran"), "utf8")).toBe("husky\nhusky\n");
    machine.git("push", "-q", "origin", "HEAD:refs/heads/other");
    machine.git("worktree", "add", "-q", "../side", "-b", "side");
    const side = machine.with({ path: join(machine.path, "../side") });
    side.write("b.txt", "b\n");
    side.commit("there");
    expect(noted(machine).map((line) => line.split(" ")[0])).toEqual([
      "commit",
      "commit",
      "rewrite",
      "commit",
      "push",
      "commit",
    ]);
    expect(noted(machine).at(-1)).toBe(`commit ${side.head()} side - ${side.path}`);
    done(await machine.run("hooks", "uninstall"));
    machine.git("config", "--unset", "convosync.autoPush");
    expect(readFileSync(join(machine.path, ".git/config"), "utf8").replace("[convosync]\n", "")).toBe(
      settings.replace("[convosync]\n", ""),
    );
  });

  test("go on in a clone that was moved", async () => {
    const machine = await hooked();
    const moved = machine.with({ path: join(machine.home, 'elsewhere, "moved"') });
    renameSync(machine.path, moved.path);
    moved.git("worktree", "add", "-q", "../side", "-b", "side");
    const side = moved.with({ path: join(moved.path, "../side") });
    for (const place of [moved, side]) {
      place.write("a.txt", "a\n");
      place.commit("there");
    }
    expect(noted(moved).map((line) => line.split(" ")[2])).toEqual(["main", "side"]);
    expect((await moved.json("hooks", "status")).document["hooks"]).toMatchObject(
      hookNames.map(() => ({ ours: "current" })),
    );
  });

  test("take the place of what an older git was given, and another's command is told from ours", async () => {
    const machine = await desktop();
    script(hookFile(machine, "post-commit"), "#!/bin/sh\n:\n");
    const before = picture(join(machine.path, ".git/hooks"));
    const older = (await machine.json("hooks", "status")).document;
    expect(older["hooks"].map((one: { ours: string }) => one.ours)).toEqual(hookNames.map(() => "absent"));
    const block = withBlock("post-commit", "#!/bin/sh\n:\n");
    writeFileSync(hookFile(machine, "post-commit"), block);
    done(await machine.run("hooks", "install"));
    expect(picture(join(machine.path, ".git/hooks"))).toEqual(before);
    machine.git("config", "hook.convosync-post-commit.command", "echo mine");
    const states = (await machine.json("hooks", "status")).document["hooks"];
    expect(states.map((one: { ours: string }) => one.ours)).toEqual([
      "outdated",
      ...hookNames.slice(1).map(() => "current"),
    ]);
  });
});

test("whoever reads git's output does not wait for the worker", async () => {
  const machine = await desktop();
  done(await machine.run("hooks", "install"));
  machine.write("a", "a");
  machine.git("add", "a");
  // The worker lives two seconds at least; it is still there when git's output has ended.
  const child = spawn("git", ["commit", "-m", "piped"], { cwd: machine.path, env: machine.env });
  await once(child, "close");
  expect(existsSync(join(cloneDir(machine), "worker.pid"))).toBe(true);
  execFileSync("git", ["commit", "--allow-empty", "-m", "more"], { cwd: machine.path, env: machine.env });
  await untilIdle(machine);
});
