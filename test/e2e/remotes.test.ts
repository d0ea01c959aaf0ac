// More than one remote: conversations stay on one of them, and code goes where git would push it.

import { cpSync, renameSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { beforeEach, describe, expect, test } from "vitest";
import { done, git, type Machine, one, pair, type Sandbox, sandbox } from "./harness.ts";

let box: Sandbox;
let desktop: Machine;
let laptop: Machine;
let fork: string;
let forkUrl: string;
beforeEach(async () => {
  box = await pair();
  ({ desktop, laptop } = box);
  fork = join(box.base, "fork.git");
  forkUrl = pathToFileURL(fork).href;
  makeFork();
});

/** A copy of the remote's code, as somebody's fork has it. */
function makeFork(): void {
  git(box.base, desktop.env, "init", "-q", "--bare", "-b", "main", fork);
  desktop.git("push", "-q", forkUrl, "main");
}

const refsOf = (path: string): string[] =>
  git(path, desktop.env, "for-each-ref", "--format=%(refname)").split("\n");
const oursIn = (path: string): string[] => refsOf(path).filter((ref) => ref.startsWith("refs/convosync/"));
const tipIn = (path: string, branch: string): string =>
  git(path, desktop.env, "rev-parse", `refs/heads/${branch}`).trim();

const waiting = async (machine: Machine): Promise<string[]> => {
  const { document } = await machine.json("status");
  return document["queue"].map((item: { what: string }) => item.what);
};

/** The desktop is on a branch that goes to the fork. */
function onForksBranch(remote = "fork"): void {
  if (remote === "fork") desktop.git("remote", "add", "fork", forkUrl);
  desktop.git("switch", "-q", "-c", "feature");
  desktop.git("config", "branch.feature.remote", remote);
  desktop.git("config", "branch.feature.merge", "refs/heads/feature");
}

test("of several remotes without an origin the one that has the vault is taken on every branch", async () => {
  desktop.git("remote", "rename", "origin", "upstream");
  desktop.git("remote", "add", "fork", forkUrl);
  desktop.git("switch", "-q", "-c", "lone");
  desktop.write("a.txt", "a\n");
  desktop.say(0, 2);
  expect(done(await desktop.run("save", "Renamed")).stderr).toContain(
    "✓ Pushed upstream/lone and the conversation together\n",
  );
  expect(oursIn(fork)).toEqual([]);
  // What is of no use is passed over.
  laptop.git("remote", "add", "broken", "nonsense::x");
  desktop.git("remote", "set-url", "--push", "upstream", box.remote);
  desktop.git("config", "branch.lone.pushRemote", "fork");
  desktop.write("a.txt", "b\n");
  done(await desktop.run("save", "Fork"));
  laptop.git("remote", "add", "theirs", forkUrl);
  done(await laptop.run("resume"));
  expect(laptop.head()).toBe(desktop.head());
});

describe("a branch that goes to another remote", () => {
  test("is pushed there, and the conversation where all of them are: every branch of every device finds it", async () => {
    desktop.say(0, 2);
    done(await desktop.run("save", "On main"));
    onForksBranch();
    desktop.write("a.txt", "a\n");
    desktop.say(2, 3);
    const saved = done(await desktop.run("save", "On the fork"));
    expect(saved.stderr).toContain("✓ Pushed feature to fork, and the conversation to origin\n");
    expect(tipIn(fork, "feature")).toBe(desktop.head());
    expect(oursIn(fork)).toEqual([]);
    expect(refsOf(box.remote)).not.toContain("refs/heads/feature");
    expect(await waiting(desktop)).toEqual([]);
    expect(done(await desktop.run("save")).stderr).toContain("Nothing new since the last save");

    laptop.git("remote", "add", "theirs", forkUrl);
    done(await laptop.run("resume"));
    laptop.hears(3);
    expect([laptop.branch(), laptop.head()]).toEqual(["feature", desktop.head()]);
    expect(laptop.git("rev-parse", "--abbrev-ref", "@{upstream}")).toBe("theirs/feature");
    laptop.write("b.txt", "b\n");
    laptop.say(3, 4);
    done(await laptop.run("save", "Back to the fork"));
    expect(tipIn(fork, "feature")).toBe(laptop.head());
    expect(oursIn(fork)).toEqual([]);

    done(await desktop.run("resume"));
    desktop.hears(4);
    expect(desktop.head()).toBe(laptop.head());
    for (const branch of ["main", "feature"]) {
      desktop.git("switch", "-q", branch);
      done(await desktop.run("sync"));
      done(await desktop.run("verify"));
    }
  });

  test("by URL, as of somebody's pull request: nothing of a conversation goes there, from the very first on", async () => {
    const lone = sandbox();
    const { desktop: alone } = lone;
    const url = pathToFileURL(join(lone.base, "stranger.git")).href;
    git(lone.base, alone.env, "init", "-q", "--bare", "-b", "main", join(lone.base, "stranger.git"));
    await alone.begin();
    alone.git("switch", "-q", "-c", "pr");
    alone.git("config", "branch.pr.remote", url);
    alone.write("a.txt", "a\n");
    alone.say(0, 1);
    const saved = done(await alone.run("save", "Their pull request"));
    expect(saved.stderr).toContain(`✓ Pushed pr to ${url}, and the conversation to origin\n`);
    expect(refsOf(join(lone.base, "stranger.git"))).toEqual(["refs/heads/pr"]);
    expect(saved.stderr).toContain("Ready to resume on any device that knows that remote.\n");
    expect(oursIn(lone.remote)).toHaveLength(3);

    await lone.laptop.join();
    const missing = await lone.laptop.run("resume");
    expect(missing.exit).toBe(4);
    expect(missing.stderr).toMatch(/of branch 'pr', which is neither here nor on the remote\n/);
    expect(missing.stderr).toMatch(/hint: where it is on a remote that this clone does not know, fetch it/);
    lone.laptop.git("fetch", "-q", url, "pr");
    done(await lone.laptop.run("resume"));
    lone.laptop.hears(1);
    expect([lone.laptop.branch(), lone.laptop.head()]).toEqual(["pr", alone.head()]);
  });

  test("under another name is left to the user, as git leaves it", async () => {
    desktop.git("switch", "-q", "-c", "anna/main");
    desktop.git("config", "branch.anna/main.remote", forkUrl);
    desktop.git("config", "branch.anna/main.merge", "refs/heads/main");
    desktop.write("a.txt", "a\n");
    desktop.say(0, 2);
    const before = refsOf(fork);
    const saved = done(await desktop.run("save", "Theirs"));
    expect(saved.stderr).toContain("✓ Pushed the conversation to origin\n");
    expect(saved.stderr).toContain(
      `warning: not pushed, as git has 'anna/main' follow another branch, 'main' of ${forkUrl}\n` +
        `hint: push it there yourself: git push ${forkUrl} anna/main:main\n`,
    );
    expect(saved.stderr).not.toContain("Ready to resume");
    expect(refsOf(fork)).toEqual(before);
    expect(await waiting(desktop)).toEqual([]);
    desktop.git("push", "-q", forkUrl, "anna/main:main");
    expect(done(await desktop.run("save")).stderr).not.toContain("warning");
    // Where it pushes elsewhere than it pulls from, the name is its own.
    desktop.git("config", "branch.anna/main.pushRemote", forkUrl);
    desktop.write("a.txt", "b\n");
    desktop.say(2, 3);
    done(await desktop.run("save", "Mine"));
    expect(tipIn(fork, "anna/main")).toBe(desktop.head());
  });

  test("by a URL with a password: what is said of it holds none", async () => {
    desktop.git("switch", "-q", "-c", "pr");
    desktop.git("config", "branch.pr.remote", "https://anna:secret@127.0.0.1:9/shop.git");
    desktop.write("a.txt", "a\n");
    desktop.say(0, 2);
    const saved = await desktop.run("save", "Away");
    expect(saved.exit).toBe(3);
    expect(saved.stderr).toContain("'https://127.0.0.1:9/shop.git' cannot be reached, so the branch waits");
    for (const said of [saved, await desktop.run("sync"), await desktop.run("status")])
      expect(said.stdout + said.stderr).not.toContain("secret");
  });

  test("init on such a branch sets up the project's own remote", async () => {
    const lone = sandbox();
    const { desktop: alone } = lone;
    git(lone.base, alone.env, "init", "-q", "--bare", "-b", "main", join(lone.base, "stranger.git"));
    git(lone.base, alone.env, "clone", "-q", lone.remote, alone.path);
    alone.write("README.md", "# Shop\n");
    alone.commit("first");
    alone.git("push", "-q", "origin", "main");
    alone.git("switch", "-q", "-c", "pr");
    alone.git("config", "branch.pr.remote", pathToFileURL(join(lone.base, "stranger.git")).href);
    await alone.init("--recovery-file", lone.code);
    expect(oursIn(lone.remote)).toHaveLength(1);
    expect(refsOf(join(lone.base, "stranger.git"))).toEqual([""]);
  });

  test("where that remote is away the branch waits, the conversation does not; sync sends it once it is back", async () => {
    onForksBranch();
    renameSync(fork, `${fork}.away`);
    desktop.write("a.txt", "a\n");
    desktop.say(0, 2);
    const saved = await desktop.run("save", "Away");
    expect(saved.exit).toBe(3);
    expect(saved.stderr).toMatch(
      /error: saved here; 'fork' cannot be reached, so the branch waits in the queue/,
    );
    expect(saved.stderr).toContain("hint: the conversation is on 'origin' already\n");
    expect(await waiting(desktop)).toEqual(["branch feature"]);
    expect(oursIn(box.remote)).toHaveLength(3);
    const early = await desktop.run("sync");
    expect([early.exit, await waiting(desktop)]).toEqual([3, ["branch feature"]]);

    renameSync(`${fork}.away`, fork);
    // From another branch, too.
    desktop.git("switch", "-q", "main");
    expect(done(await desktop.run("sync")).stderr).toContain("✓ Sent to fork: branch feature\n");
    expect(tipIn(fork, "feature")).toBe(desktop.git("rev-parse", "feature"));
    expect(await waiting(desktop)).toEqual([]);
  });

  test("that is given back to the first remote meanwhile is sent there", async () => {
    onForksBranch();
    desktop.write("a.txt", "a\n");
    desktop.say(0, 2);
    expect((await desktop.run("save", "Later", "--no-push")).exit).toBe(0);
    expect(await waiting(desktop)).toEqual(expect.arrayContaining(["branch feature"]));
    desktop.git("config", "branch.feature.remote", "origin");
    done(await desktop.run("sync"));
    expect(tipIn(box.remote, "feature")).toBe(desktop.head());
    expect(refsOf(fork)).not.toContain("refs/heads/feature");
    expect(await waiting(desktop)).toEqual([]);
  });

  test("with convosync.remote set, both go there, as one push", async () => {
    onForksBranch();
    cpSync(box.remote, join(box.base, "third.git"), { recursive: true });
    desktop.git("remote", "add", "third", join(box.base, "third.git"));
    desktop.git("config", "convosync.remote", "third");
    desktop.write("a.txt", "a\n");
    desktop.say(0, 2, one);
    expect(done(await desktop.run("save", "Third")).stderr).toContain(
      "✓ Pushed third/feature and the conversation together\n",
    );
    expect(refsOf(fork)).not.toContain("refs/heads/feature");
  });
});

describe("a vault on the fork alone", () => {
  /** The desktop's conversations go to the fork; the laptop's clone is of what it was forked from. */
  async function onTheFork(): Promise<Sandbox> {
    const apart = sandbox();
    await apart.desktop.begin();
    const there = join(apart.base, "fork.git");
    cpSync(apart.remote, there, { recursive: true });
    for (const ref of apart.remoteGit("for-each-ref", "--format=%(refname)", "refs/convosync").split("\n"))
      if (ref) apart.remoteGit("update-ref", "-d", ref);
    apart.desktop.git("remote", "rename", "origin", "upstream");
    apart.desktop.git("remote", "add", "origin", pathToFileURL(there).href);
    apart.desktop.git("config", "convosync.remote", "origin");
    apart.desktop.say(0, 2);
    done(await apart.desktop.run("save"));
    apart.laptop.clone();
    apart.laptop.git("remote", "add", "mine", pathToFileURL(there).href);
    return apart;
  }

  test("is found by --join, and by a device that knows it, and nothing goes elsewhere", async () => {
    const apart = await onTheFork();
    const joined = await apart.laptop.init("--join", "--recovery-file", apart.code);
    expect(joined.stderr).toContain("Found the vault on mine; conversations go there");
    done(await apart.laptop.run("resume"));
    apart.laptop.hears(2);
    const again = apart.laptop.with({ path: join(apart.laptop.home, "again") });
    again.clone();
    again.git("remote", "add", "mine", pathToFileURL(join(apart.base, "fork.git")).href);
    expect((await again.init()).stderr).toContain("Found the vault on mine");
    done(await again.run("resume"));
    expect(apart.remoteGit("for-each-ref", "refs/convosync")).toBe("");
  });

  test("of somebody else is no reason not to make one's own", async () => {
    const apart = await onTheFork();
    const made = await apart.laptop.init("--recovery-file", join(apart.base, "other.txt"));
    expect(made.stderr).toContain("Made a vault");
    expect(apart.remoteGit("for-each-ref", "refs/convosync")).not.toBe("");
  });

  test("is not looked for where a remote is set", async () => {
    const apart = await onTheFork();
    apart.laptop.git("config", "convosync.remote", "origin");
    const { exit, stderr } = await apart.laptop.run(
      ...["init", "--yes", "--no-hooks", "--no-agent-hooks", "--join", "--recovery-file", apart.code],
    );
    expect({ exit, stderr }).toMatchObject({
      exit: 1,
      stderr: expect.stringContaining("has no vault to join"),
    });
  });
});
