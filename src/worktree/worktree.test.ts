import { execFileSync } from "node:child_process";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { discover, type Git, type Repository, readConfig, repositoryGit } from "../git/git.ts";
import { checkBranchName, checkoutDetached, fastForward, relation, switchTo } from "./branches.ts";
import { inspectCode, inspectHead } from "./code-state.ts";
import { commitAll, planCommit, untrackedSizes } from "./commit.ts";
import { defaultExcludes } from "./exclude.ts";
import { chooseRemote, fetchingOurs, remoteSettings, rootCommits } from "./remotes.ts";
import { checkResume, checkSave } from "./safety.ts";

let base: string;
let work: string;
beforeEach(() => {
  base = realpathSync(mkdtempSync(join(tmpdir(), "convosync-worktree-")));
  work = join(base, "work");
  sh(base, "init", "--quiet", "--initial-branch=main", "work");
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

const sh = (cwd: string, ...args: string[]): string =>
  execFileSync("git", args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim();

function put(name: string, content = `${name}\n`, folder = work): string {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  return path;
}

function commit(name: string, content?: string, folder = work): string {
  put(name, content, folder);
  sh(folder, "add", "--all");
  sh(folder, "commit", "--quiet", "--message", name);
  return sh(folder, "rev-parse", "HEAD");
}

function hook(name: string, script: string, folder = join(work, ".git", "hooks")): void {
  chmodSync(put(name, `#!/bin/sh\n${script}\n`, folder), 0o755);
}

async function open(folder = work): Promise<{ git: Git; repository: Repository }> {
  const repository = await discover(folder, process.env);
  return { git: repositoryGit(repository), repository };
}

async function inspect(folder = work) {
  const { git, repository } = await open(folder);
  return inspectCode(git, repository);
}

async function save(
  message = "work [ConvoSync]",
  more: { force?: boolean; exclude?: string[] } = {},
  folder = work,
) {
  const { git, repository } = await open(folder);
  const state = await inspectCode(git, repository);
  const sizes = await untrackedSizes(repository.root!, state);
  const rules = {
    exclude: more.exclude ?? defaultExcludes,
    private: new Set<string>(),
    maxUntrackedBytes: 10_000_000,
    sizes,
    force: more.force ?? false,
  };
  const plan = planCommit(state, rules);
  return { plan, result: await commitAll(git, repository, plan, message) };
}

test("HEAD alone tells branch and commit as a look at the files does", async () => {
  const agree = async () => {
    const { git, repository } = await open();
    const { branch, head } = await inspectCode(git, repository);
    expect(await inspectHead(git, repository)).toEqual({ branch, head });
    return { branch, head };
  };
  expect(await agree()).toEqual({ branch: "main", head: null });
  // A file of that name is not what is meant.
  put("HEAD");
  const first = commit("a");
  expect(await agree()).toEqual({ branch: "main", head: first });
  sh(work, "switch", "--quiet", "--create", "feature/é");
  sh(work, "tag", "feature/é");
  expect(await agree()).toEqual({ branch: "feature/é", head: first });
  sh(work, "switch", "--quiet", "--detach");
  expect(await agree()).toEqual({ branch: null, head: first });
  const bare = join(base, "bare.git");
  sh(base, "init", "--quiet", "--bare", "bare.git");
  const { git, repository } = await open(bare);
  await expect(inspectHead(git, repository)).rejects.toMatchObject({ code: "no-work-tree" });
});

describe("inspectCode", () => {
  test("an unborn branch", async () => {
    put("new");
    expect(await inspect()).toEqual({
      branch: "main",
      head: null,
      detached: false,
      unborn: true,
      operation: null,
      changes: [{ path: "new", kind: "untracked", tracked: false, unstaged: true }],
      dirtySubmodules: [],
      shallow: false,
    });
  });

  test("every kind of change, and names nobody expects", async () => {
    for (const name of ["edit", "drop", "staged-drop", "old name", "ä\nö", "tab\t"])
      put(name, `${name}\n`.repeat(9));
    const head = commit("base");
    put("edit", "x");
    put("ä\nö", "x");
    rmSync(join(work, "drop"));
    sh(work, "rm", "--quiet", "staged-drop");
    sh(work, "mv", "old name", "new name");
    put("added");
    sh(work, "add", "added");
    put("dir/ untracked ");
    const state = await inspect(join(work, "dir"));
    expect(state).toMatchObject({ branch: "main", head, detached: false, unborn: false });
    const kinds = Object.fromEntries(state.changes.map(({ path, kind }) => [path, kind]));
    expect(kinds).toEqual({
      added: "added",
      drop: "deleted",
      edit: "modified",
      "new name": "renamed",
      "staged-drop": "deleted",
      "ä\nö": "modified",
      "dir/ untracked ": "untracked",
    });
    expect(state.changes.filter((change) => !change.tracked)).toHaveLength(1);
  });

  test("merge with conflicts, rebase, cherry-pick, revert, am, bisect; none of it is for save or resume", async () => {
    commit("f", "base\n");
    sh(work, "switch", "--quiet", "--create", "side");
    const side = commit("f", "side\n");
    sh(work, "switch", "--quiet", "main");
    const main = commit("f", "main\n");
    const patch = put("../p.patch", `${sh(work, "format-patch", "--stdout", "-1", side)}\n`);
    const begin: [string, string[], string[]][] = [
      ["merge", ["merge", "side"], ["merge", "--abort"]],
      ["rebase", ["rebase", "side"], ["rebase", "--abort"]],
      ["cherry-pick", ["cherry-pick", side], ["cherry-pick", "--abort"]],
      ["revert", ["revert", "--no-edit", `${main}~`], ["revert", "--abort"]],
      ["am", ["am", patch], ["am", "--abort"]],
    ];
    commit("f", "later\n");
    for (const [operation, start, abort] of begin) {
      expect(() => sh(work, ...start)).toThrow();
      const state = await inspect();
      expect(state.operation).toBe(operation);
      for (const problem of [checkSave(state), checkResume(state, { movesCode: false, headIsKept: true })]) {
        expect(problem).toMatchObject({ exit: 4 });
        const conflicted = state.changes.some((change) => change.kind === "conflicted");
        expect(problem?.code).toBe(conflicted ? "merge-conflicts" : "operation-in-progress");
        if (conflicted) expect(problem?.hints).toContain("f");
      }
      sh(work, ...abort);
    }
    sh(work, "bisect", "start");
    expect(checkSave(await inspect())).toMatchObject({
      code: "operation-in-progress",
      message: "git bisect is in progress",
    });
    sh(work, "bisect", "reset");
    expect(checkSave(await inspect())).toBeNull();
  });

  test("detached HEAD, uncommitted changes", async () => {
    const head = commit("f");
    sh(work, "checkout", "--quiet", "--detach");
    const detached = await inspect();
    expect(detached).toMatchObject({ branch: null, head, detached: true });
    expect(checkSave(detached)).toMatchObject({ code: "detached-head", exit: 4 });
    expect(checkResume(detached, { movesCode: true, headIsKept: true })).toBeNull();
    expect(checkResume(detached, { movesCode: true, headIsKept: false })?.code).toBe("detached-head");
    expect(checkResume(detached, { movesCode: false, headIsKept: false })).toBeNull();
    sh(work, "switch", "--quiet", "main");
    put("f", "changed");
    put("untracked");
    const dirty = await inspect();
    expect(checkSave(dirty)).toBeNull();
    const problem = checkResume(dirty, { movesCode: true, headIsKept: true });
    expect(problem).toMatchObject({ code: "uncommitted-changes", exit: 4 });
    expect(problem?.message).toContain("uncommitted changes in 1 file");
    expect(problem?.hints.at(-1)).toBe("f");
    expect(checkResume(dirty, { movesCode: false, headIsKept: true })).toBeNull();
  });

  test("bare repository, shallow clone, linked worktree of a bare repository", async () => {
    commit("f");
    commit("g");
    sh(base, "clone", "--quiet", "--bare", work, "bare.git");
    await expect(inspect(join(base, "bare.git"))).rejects.toMatchObject({ code: "no-work-tree", exit: 4 });
    sh(join(base, "bare.git"), "worktree", "add", "--quiet", "../linked", "-b", "topic");
    put("new", "x", join(base, "linked"));
    const { result } = await save("in the worktree", {}, join(base, "linked"));
    expect(sh(join(base, "bare.git"), "rev-parse", "topic")).toBe(result?.commit);
    sh(base, "clone", "--quiet", "--depth=1", `file://${work}`, "shallow");
    expect((await inspect(join(base, "shallow"))).shallow).toBe(true);
    expect(await rootCommits((await open(join(base, "shallow"))).git)).toEqual([]);
  });

  test("a submodule: its own dirt is told apart from a new commit of it", async () => {
    sh(base, "init", "--quiet", "lib");
    commit("l", "1", join(base, "lib"));
    sh(work, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", join(base, "lib"), "lib");
    commit("f");
    put("lib/l", "dirty");
    const dirty = await inspect();
    expect(dirty).toMatchObject({ changes: [], dirtySubmodules: ["lib"] });
    commit("l", "2", join(work, "lib"));
    expect((await inspect()).changes).toEqual([
      { path: "lib", kind: "modified", tracked: true, unstaged: true },
    ]);
    await save();
    expect((await inspect()).changes).toEqual([]);
  });
});

describe("commitAll", () => {
  test("the first commit, with what is excluded and what is too large left out", async () => {
    for (const name of ["a", "sp ace", "ü\n", "*", "dir/b", ".env", "deep/.env.local", "id_rsa", "x.PEM"])
      put(name);
    put(".env.example");
    truncateSync(put("big"), 10_000_001);
    sh(base, "init", "--quiet", join(work, "nested"));
    commit("inner", "x", join(work, "nested"));
    const { plan, result } = await save("first\n\n# not a comment\n");
    expect([...plan.excluded].sort()).toEqual([".env", "deep/.env.local", "id_rsa", "x.PEM"]);
    expect(plan).toMatchObject({ repositories: ["nested/"], tooLarge: ["big"] });
    expect(sh(work, "rev-parse", "main")).toBe(result?.commit);
    expect(sh(work, "log", "-1", "--format=%B")).toBe("first\n\n# not a comment");
    const files = sh(work, "ls-tree", "-rz", "--name-only", "HEAD").split("\0").filter(Boolean);
    expect(files.sort()).toEqual(["*", ".env.example", "a", "dir/b", "sp ace", "ü\n"].sort());
    expect((await save("again", { force: true })).plan).toMatchObject({ add: ["big"], tooLarge: [] });
  });

  test("tracked changes go in whatever their name; staged and unstaged, added and deleted", async () => {
    put(".env", "1");
    put("gone");
    commit("f");
    put(".env", "2");
    rmSync(join(work, "gone"));
    put("staged");
    sh(work, "add", "staged");
    put("f", "changed after being staged");
    const { result } = await save();
    expect(sh(work, "show", "--name-status", "--format=", result!.commit).split("\n").sort()).toEqual([
      "A\tstaged",
      "D\tgone",
      "M\t.env",
      "M\tf",
    ]);
    expect((await inspect()).changes).toEqual([]);
  });

  test("files that go by two names, and more of them than are named one by one", async () => {
    for (const name of ["moved", "found", "a dir/x", "plain"]) put(name, name.repeat(20));
    commit("f");
    sh(work, "mv", "moved", "a dir/moved");
    put("a dir/moved", `${"moved".repeat(20)} and changed`);
    renameSync(join(work, "found"), join(work, "found here"));
    sh(work, "add", "--intent-to-add", "found here");
    const { plan, result } = await save();
    expect(plan).toMatchObject({ tracked: true, unstaged: null });
    const changed = () =>
      sh(work, "show", "--name-status", "--no-renames", "--format=", "HEAD").split("\n").sort();
    expect(changed()).toEqual(["A\ta dir/moved", "A\tfound here", "D\tfound", "D\tmoved"]);
    expect(result?.commit).toBe(sh(work, "rev-parse", "HEAD"));

    const many = Array.from({ length: 150 }, (_, i) => `many/${i}`);
    for (const name of many) put(name);
    await save();
    for (const name of many) put(name, "changed");
    expect((await save()).plan).toMatchObject({ unstaged: null });
    expect(changed()).toHaveLength(150);
    expect((await inspect()).changes).toEqual([]);
  });

  test("a file that has become a folder takes along nothing of what is excluded", async () => {
    put("conf", "x");
    put("*", "x");
    put("other", "x");
    commit("f");
    rmSync(join(work, "conf"));
    put("conf/.env");
    put("conf/a");
    put("*", "changed");
    rmSync(join(work, "other"));
    const { plan } = await save();
    expect(plan).toMatchObject({ excluded: ["conf/.env"], add: ["conf/a"] });
    expect([...plan.unstaged!].sort()).toEqual(["*", "conf", "other"]);
    expect((await inspect()).changes).toMatchObject([{ path: "conf/.env", kind: "untracked" }]);
  });

  test("from a subdirectory everything is committed", async () => {
    put("sub/x");
    commit("f");
    put("f", "changed");
    put("other/new");
    await save("m", {}, join(work, "sub"));
    expect((await inspect()).changes).toEqual([]);
  });

  test.runIf(process.platform === "linux")("a name that is not UTF-8 (needs Linux) is left out", async () => {
    put("a");
    writeFileSync(Buffer.from([...Buffer.from(`${work}/`), 0xff]), "x");
    const { plan } = await save("first");
    expect(plan).toMatchObject({ add: ["a"], unnamable: ["\ufffd"], excluded: [] });
  });

  test("when it comes to nothing there is no commit", async () => {
    const head = commit("f", "x\n");
    sh(work, "config", "core.autocrlf", "input");
    const { git, repository } = await open();
    const plan = { tracked: true, unstaged: null, add: [] };
    expect(await commitAll(git, repository, plan, "m")).toBeNull();
    expect(sh(work, "rev-parse", "HEAD")).toBe(head);
  });

  const index = (folder = join(work, ".git")) => readFileSync(join(folder, "index"));
  const litter = () => readdirSync(join(work, ".git")).filter((name) => name.startsWith("index."));

  async function expectUntouched(words: RegExp): Promise<void> {
    put("f", "unstaged");
    put("staged");
    sh(work, "add", "staged");
    put("untracked");
    const before = index();
    const error = await save().then(
      () => null,
      (reason) => reason,
    );
    expect(error).toMatchObject({ code: "commit-failed", exit: 1 });
    expect(error.hints.join("\n")).toMatch(words);
    expect(index().equals(before)).toBe(true);
    expect(litter()).toEqual([]);
  }

  test("a hook that says no: its words are passed on, the index is as it was", async () => {
    commit("f");
    hook("pre-commit", "git add --all; echo 'lint: 3 problems'; exit 1");
    await expectUntouched(/lint: 3 problems/);
  });

  test("a hook in core.hooksPath, as husky has it", async () => {
    sh(work, "config", "core.hooksPath", ".husky");
    hook("pre-commit", "true", join(work, ".husky"));
    commit("f");
    hook("pre-commit", "echo husky says no >&2; exit 7", join(work, ".husky"));
    await expectUntouched(/husky says no/);
  });

  test("a commit-msg hook, a signing key that is not there, no identity", async () => {
    commit("f");
    hook("commit-msg", "grep -q Ticket $1 || { echo 'no ticket'; exit 1; }");
    await expectUntouched(/no ticket/);
    rmSync(join(work, ".git/hooks/commit-msg"));
    sh(work, "config", "commit.gpgSign", "true");
    sh(work, "config", "gpg.program", "false");
    await expectUntouched(/gpg failed/);
    sh(work, "config", "commit.gpgSign", "false");
    const { GIT_COMMITTER_NAME, GIT_COMMITTER_EMAIL, EMAIL } = process.env;
    try {
      sh(work, "config", "user.useConfigOnly", "true");
      delete process.env["GIT_COMMITTER_NAME"];
      delete process.env["GIT_COMMITTER_EMAIL"];
      delete process.env["EMAIL"];
      await expectUntouched(/git config --global user.email/);
    } finally {
      Object.assign(process.env, { GIT_COMMITTER_NAME, GIT_COMMITTER_EMAIL });
      if (EMAIL !== undefined) process.env["EMAIL"] = EMAIL;
    }
  });

  test("hooks that change what is committed do so, on an unborn branch and in a linked worktree", async () => {
    put("f");
    hook("pre-commit", "echo formatted > generated; git add generated");
    await save();
    expect(sh(work, "show", "HEAD:generated")).toBe("formatted");
    sh(work, "worktree", "add", "--quiet", join(base, "linked"), "-b", "topic");
    hook("pre-commit", "exit 1");
    const gitDir = join(work, ".git", "worktrees", "linked");
    put("new", "x", join(base, "linked"));
    const before = [index(), index(gitDir)];
    await expect(save("m", {}, join(base, "linked"))).rejects.toMatchObject({ code: "commit-failed" });
    expect([index(), index(gitDir)]).toEqual(before);
  });

  test("a failed first commit leaves no index where there was none", async () => {
    put("f");
    hook("pre-commit", "exit 1");
    await expect(save()).rejects.toMatchObject({ code: "commit-failed" });
    expect(readdirSync(join(work, ".git"))).not.toContain("index");
    expect(litter()).toEqual([]);
  });

  test("an index that another git holds is nothing to be forced", async () => {
    commit("f");
    put("f", "x");
    put("../work/.git/index.lock", "");
    await expect(save()).rejects.toMatchObject({
      code: "commit-failed",
      hints: expect.arrayContaining([expect.stringMatching(/index\.lock': File exists/)]),
    });
    expect(litter()).toEqual(["index.lock"]);
    expect(readFileSync(join(work, ".git", "index.lock"), "utf8")).toBe("");
  });

  test("sparse checkout: files outside stay as they are, new ones are taken", async () => {
    put("in/a");
    put("out/b");
    commit("f");
    sh(work, "sparse-checkout", "set", "in");
    put("in/a", "changed");
    put("out/new");
    await save();
    put("out/new", "changed");
    expect((await save()).result).not.toBeNull();
    expect((await inspect()).changes).toEqual([]);
    expect(sh(work, "ls-tree", "-r", "--name-only", "HEAD").split("\n")).toEqual([
      "f",
      "in/a",
      "out/b",
      "out/new",
    ]);
  });

  test("SHA-256 repositories and untracked symlinks", async () => {
    sh(base, "init", "--quiet", "--object-format=sha256", "work256");
    symlinkSync("/nowhere", join(base, "work256", "link"));
    const { result } = await save("m", {}, join(base, "work256"));
    expect(result?.commit).toMatch(/^[0-9a-f]{64}$/);
    expect(sh(join(base, "work256"), "ls-tree", "HEAD", "link")).toMatch(/^120000/);
  });
});

describe("remotes", () => {
  async function chosenRemote(branch: string | null, configured?: string) {
    const { git } = await open();
    const config = await readConfig(git, `^(convosync\\.|${remoteSettings})`);
    return chooseRemote(git, config, branch, configured ?? config.get("convosync.remote")?.at(-1));
  }

  test("the order in which a remote is chosen", async () => {
    const chosen = async (branch: string | null = "a.b") => (await chosenRemote(branch))?.name ?? null;
    expect(await chosen()).toBeNull();
    sh(work, "remote", "add", "only", "/r/only");
    expect(await chosen()).toBe("only");
    sh(work, "remote", "add", "other", "/r/other");
    expect(await chosen()).toBeNull();
    sh(work, "remote", "add", "origin", "https://u:p@h/r");
    expect(await chosen()).toBe("origin");
    sh(work, "config", "branch.a.b.remote", "other");
    expect(await chosen()).toBe("other");
    expect(await chosen(null)).toBe("origin");
    sh(work, "config", "remote.pushDefault", "only");
    expect(await chosen()).toBe("only");
    sh(work, "config", "branch.a.b.pushRemote", "origin");
    expect(await chosen()).toBe("origin");
    sh(work, "config", "convosync.remote", "other");
    expect(await chosen()).toBe("other");
    expect((await chosenRemote("a.b", "only"))?.name).toBe("only");
    await expect(chosenRemote(null, "nope")).rejects.toMatchObject({ code: "unknown-remote", exit: 4 });
  });

  test("URLs as git sees them, and settings that hold one", async () => {
    sh(work, "remote", "add", "origin", "gh:me/shop");
    sh(work, "config", "url.https://github.com/.insteadOf", "gh:");
    sh(work, "remote", "set-url", "--push", "origin", "git@github.com:me/shop.git");
    sh(work, "remote", "add", "both", "/r/one");
    sh(work, "remote", "set-url", "--add", "both", "/r/two");
    const origin = {
      name: "origin",
      url: "https://github.com/me/shop",
      pushUrl: "git@github.com:me/shop.git",
    };
    expect(await chosenRemote("main")).toEqual(origin);
    sh(work, "config", "branch.main.remote", ".");
    expect(await chosenRemote("main")).toEqual(origin);
    sh(work, "config", "branch.main.pushRemote", "ssh://h/x");
    expect(await chosenRemote("main")).toEqual({
      name: "ssh://h/x",
      url: "ssh://h/x",
      pushUrl: "ssh://h/x",
    });
    const both = await chosenRemote("main", "both");
    expect(both).toEqual({ name: "both", url: "/r/one", pushUrl: "/r/one" });
    sh(work, "config", "--unset", "url.https://github.com/.insteadOf");
    expect(await chosenRemote("main", "both")).toEqual(both);
  });

  test("root commits", async () => {
    const { git } = await open();
    expect(await rootCommits(git)).toEqual([]);
    const first = commit("f");
    sh(work, "switch", "--quiet", "--orphan", "other");
    const second = commit("g");
    sh(work, "merge", "--quiet", "--allow-unrelated-histories", "--no-edit", "main");
    expect(await rootCommits(git)).toEqual([first, second].sort());
  });
});

describe("branches", () => {
  test("relations", async () => {
    const { git } = await open();
    const first = commit("f");
    const second = commit("g");
    sh(work, "switch", "--quiet", "--create", "side", first);
    const side = commit("h");
    expect(await relation(git, first, first)).toBe("equal");
    expect(await relation(git, first, second)).toBe("behind");
    expect(await relation(git, second, first)).toBe("ahead");
    expect(await relation(git, side, second)).toBe("diverged");
    expect(await relation(git, "0".repeat(40), second)).toBe("unknown");
    await expect(relation(git, "HEAD", second)).rejects.toMatchObject({ code: "bad-commit", exit: 6 });
    sh(base, "clone", "--quiet", "--depth=1", "--no-single-branch", `file://${work}`, "shallow");
    expect(await relation((await open(join(base, "shallow"))).git, side, second)).toBe("unknown");
  });

  test.each(["-f", "@{-1}", "a..b", "", "a b", "HEAD", "x\ny", "refs/heads/x.lock", "--end-of-options"])(
    "no branch is named %j",
    async (name) => {
      commit("f");
      sh(work, "switch", "--quiet", "--create", "other");
      sh(work, "switch", "--quiet", "main");
      const { git } = await open();
      await expect(checkBranchName(git, name)).rejects.toMatchObject({ code: "bad-branch-name", exit: 6 });
      await expect(switchTo(git, name)).rejects.toMatchObject({ code: "bad-branch-name" });
    },
  );

  test("switching to a branch, making one that follows a remote, checking out a commit", async () => {
    const { git } = await open();
    const first = commit("f");
    commit("g");
    sh(work, "remote", "add", "origin", "/r");
    await expect(switchTo(git, "topic")).rejects.toMatchObject({ code: "no-such-branch", exit: 4 });
    await switchTo(git, "topic", { createFrom: first, track: "origin" });
    expect(sh(work, "symbolic-ref", "HEAD")).toBe("refs/heads/topic");
    expect(sh(work, "rev-parse", "HEAD")).toBe(first);
    expect(sh(work, "config", "branch.topic.merge")).toBe("refs/heads/topic");
    hook("post-checkout", "exit 3");
    await switchTo(git, "main");
    expect(sh(work, "symbolic-ref", "HEAD")).toBe("refs/heads/main");
    await checkoutDetached(git, first);
    expect((await inspect()).head).toBe(first);
    expect((await inspect()).detached).toBe(true);
  });

  test("a switch that would overwrite local changes, or take another worktree's branch, is refused", async () => {
    const { git } = await open();
    const first = commit("f", "1");
    commit("f", "2");
    put("f", "mine");
    const error = await switchTo(git, "old", { createFrom: first }).catch((reason) => reason);
    expect(error).toMatchObject({ code: "local-changes", exit: 4 });
    expect(error.hints).toContain("f");
    expect(readFileSync(join(work, "f"), "utf8")).toBe("mine");
    sh(work, "worktree", "add", "--quiet", join(base, "linked"), "-b", "topic");
    await expect(switchTo(git, "topic")).rejects.toMatchObject({ code: "switch-refused", exit: 4 });
  });

  test("fast-forward carries unrelated changes, refuses the rest", async () => {
    const { git } = await open();
    sh(work, "config", "merge.autoStash", "true");
    put("mine", "1");
    const first = commit("f", "1");
    const second = commit("f", "2");
    sh(work, "reset", "--quiet", "--hard", first);
    put("mine", "changed");
    await fastForward(git, "main", second);
    expect(sh(work, "rev-parse", "main")).toBe(second);
    expect(readFileSync(join(work, "mine"), "utf8")).toBe("changed");
    sh(work, "reset", "--quiet", "--hard", first);
    put("f", "mine");
    await expect(fastForward(git, "main", second)).rejects.toMatchObject({ code: "local-changes", exit: 4 });
    expect(readFileSync(join(work, "f"), "utf8")).toBe("mine");
    sh(work, "reset", "--quiet", "--hard", first);
    commit("h");
    await expect(fastForward(git, "main", second)).rejects.toMatchObject({
      code: "branches-diverged",
      exit: 5,
    });
    await expect(fastForward(git, "other", second)).rejects.toMatchObject({ code: "not-on-branch", exit: 4 });
  });
});

test.each([
  [["+refs/heads/*:refs/remotes/origin/*"], false],
  [["+refs/*:refs/*"], true],
  [["+refs/heads/*:refs/heads/*", "refs/convosync/*:refs/convosync/*"], true],
  [["+refs/convosync/abc/head/*:refs/convosync/abc/head/*"], true],
  [["+refs/*:refs/*", "^refs/convosync/*"], false],
  [["+refs/*:refs/*", "^refs/convosync/abc/*"], true],
  [["+refs/convosync/*:refs/remotes/convosync/*"], false],
  [["refs/heads/main"], false],
])("whether a fetch with %j writes our refs: %s", (refspecs, does) => {
  const settings = new Map([["remote.a.b.fetch", refspecs]]);
  expect(fetchingOurs(settings)).toEqual(does ? ["a.b"] : []);
});
