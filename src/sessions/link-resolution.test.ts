import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Git, openGit } from "../git/git.ts";
import type { Link } from "../packing/manifest.ts";
import { openCommitFinder, resolveCommit, rewritesOf } from "./link-resolution.ts";
import { describeCommit } from "./links.ts";

// Each rewrite is made by git itself; what a link of before then leads to is looked at.

let folder: string;
let git: Git;
let clock = 0;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "convosync-links-"));
  clock = Date.parse("2026-11-20T09:00:00Z") / 1000;
  run("init", "-q", "-b", "main");
  git = openGit(folder, env());
  commit("base", { base: "0" });
  run("switch", "-q", "-c", "work");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const env = (): NodeJS.ProcessEnv => ({
  PATH: process.env["PATH"],
  HOME: folder,
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_AUTHOR_NAME: "A",
  GIT_AUTHOR_EMAIL: "a@example.com",
  GIT_COMMITTER_NAME: "C",
  GIT_COMMITTER_EMAIL: "c@example.com",
  GIT_COMMITTER_DATE: `${clock} +0000`,
  GIT_EDITOR: "true",
});

function run(...args: string[]): string {
  return execFileSync("git", args, {
    cwd: folder,
    env: env(),
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  }).trim();
}

function put(files: Record<string, string>): void {
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  run("add", "--all");
}

/** Commits, a minute after the one before. */
function commit(message: string, files: Record<string, string>, date?: number): string {
  clock += 60;
  put(files);
  run("commit", "-q", "--allow-empty", "-m", message, `--date=${date ?? clock} +0000`);
  return head();
}

/** Runs a git command that makes commits anew, a minute after the commits. */
function later(...args: string[]): void {
  clock += 60;
  run(...args);
}

const head = (name = "HEAD"): string => run("rev-parse", name);

async function link(name: string, upto = 0): Promise<Link> {
  return { upto, ...(await describeCommit(git, head(name), "work")) };
}

/** What is no longer reachable is gone, as it is in another clone. */
function forget(): void {
  run("reflog", "expire", "--expire=now", "--all");
  run("prune", "--expire=now");
}

describe("a commit is found again", () => {
  test("under its own name, on another branch too", async () => {
    commit("one", { a: "1" });
    const before = await link("HEAD");
    run("switch", "-q", "main");
    expect(await resolveCommit(git, before)).toEqual({ commit: before.commit, how: "itself" });
  });

  test("after its message was amended", async () => {
    commit("one", { a: "1" });
    const before = await link("HEAD");
    later("commit", "-q", "--amend", "-m", "better");
    expect(head()).not.toBe(before.commit);
    expect(await resolveCommit(git, before)).toEqual({ commit: head(), how: "author" });
  });

  test("after its content was amended, its author date kept", async () => {
    commit("one", { a: "1" });
    const before = await link("HEAD");
    put({ a: "2" });
    later("commit", "-q", "--amend", "--no-edit");
    forget();
    expect(await resolveCommit(git, before)).toEqual({ commit: head(), how: "author" });
  });

  test("after only its author was reset", async () => {
    commit("one", { a: "1" });
    const before = await link("HEAD");
    run("commit", "-q", "--amend", "--no-edit", "--date=2026-11-25T00:00:00Z");
    expect(await resolveCommit(git, before)).toEqual({ commit: head(), how: "tree" });
  });

  test("after a rebase, each commit by itself", async () => {
    commit("one", { a: "1" });
    commit("two", { b: "1" });
    const before = [await link("HEAD~1"), await link("HEAD")];
    run("switch", "-q", "main");
    commit("other", { c: "1" });
    later("rebase", "-q", "main", "work");
    forget();
    const finder = await openCommitFinder(git, before);
    expect(await finder.resolve(before[0]!)).toEqual({ commit: head("work~1"), how: "author" });
    expect(await finder.resolve(before[1]!)).toEqual({ commit: head("work"), how: "author" });
  });

  test("after a rebase of commits that were made in the same second", async () => {
    const now = clock + 60;
    commit("one", { a: "1" }, now);
    commit("two", { b: "1" }, now);
    const before = [await link("HEAD~1"), await link("HEAD")];
    run("switch", "-q", "main");
    commit("other", { c: "1" });
    later("rebase", "-q", "main", "work");
    forget();
    expect(await resolveCommit(git, before[0]!, before)).toEqual({ commit: head("work~1"), how: "patch" });
    expect(await resolveCommit(git, before[1]!, before)).toEqual({ commit: head("work"), how: "patch" });
  });

  test("after a rebase with a conflict", async () => {
    commit("one", { base: "mine" });
    const before = await link("HEAD");
    run("switch", "-q", "main");
    commit("other", { base: "theirs" });
    expect(() => run("rebase", "-q", "main", "work")).toThrow();
    put({ base: "both" });
    later("rebase", "--continue");
    forget();
    expect(await resolveCommit(git, before)).toEqual({ commit: head("work"), how: "author" });
  });

  test("after commits changed places", async () => {
    commit("one", { a: "1" });
    commit("two", { b: "1" });
    const before = [await link("HEAD~1"), await link("HEAD")];
    run("reset", "-q", "--hard", "main");
    later("cherry-pick", before[1]!.commit, before[0]!.commit);
    expect(await resolveCommit(git, before[0]!)).toEqual({ commit: head(), how: "author" });
    expect(await resolveCommit(git, before[1]!)).toEqual({ commit: head("HEAD~1"), how: "author" });
  });

  test("after a squash, by what the hook recorded, over several steps", async () => {
    commit("one", { a: "1" });
    commit("two", { b: "1" });
    const one = await link("HEAD~1", 10);
    const two = await link("HEAD", 20);
    run("reset", "-q", "--soft", "main");
    run("commit", "-q", "-m", "squashed");
    const squashed = head();
    run("commit", "-q", "--amend", "-m", "squashed better");
    const links = [
      { ...one, rewritten: [squashed] },
      { ...two, rewritten: [squashed] },
      { ...two, commit: squashed, rewritten: [head()] },
    ];
    expect(await resolveCommit(git, links[0]!, links)).toEqual({ commit: head(), how: "rewritten" });
  });

  test("after a squash merge on the server, though main has moved on; earlier commits of the branch too", async () => {
    commit("one", { a: "1\n" });
    const one = await link("HEAD", 10);
    commit("two", { a: "1\n2\n", b: "1" });
    const two = await link("HEAD", 20);
    run("switch", "-q", "main");
    commit("other", { c: "1" });
    run("merge", "-q", "--squash", "work");
    clock += 60;
    run("commit", "-q", "-m", "work (#1)", "--author=Server <s@example.com>");
    commit("later", { d: "1" });
    run("branch", "-q", "-D", "work");
    forget();
    const links = [one, two];
    expect(await resolveCommit(git, two, links)).toEqual({ commit: head("HEAD~1"), how: "squash" });
    expect(await resolveCommit(git, one, links)).toEqual({ commit: head("HEAD~1"), how: "squash" });
  });

  test("by its change, when it was picked elsewhere with another author", async () => {
    commit("one", { a: "1" });
    const before = await link("HEAD");
    run("switch", "-q", "main");
    commit("other", { c: "1" });
    run("cherry-pick", before.commit);
    run("commit", "-q", "--amend", "--no-edit", "--date=2026-11-25T00:00:00Z", "--author=B <b@example.com>");
    run("branch", "-q", "-D", "work");
    forget();
    expect(await resolveCommit(git, before)).toEqual({ commit: head(), how: "patch" });
  });

  test("however this user likes diffs shown", async () => {
    commit("one", { a: "1" });
    const before = await link("HEAD");
    for (const [name, value] of [
      ["diff.noprefix", "true"],
      ["diff.context", "0"],
      ["diff.algorithm", "patience"],
      ["diff.external", "false"],
      ["color.ui", "always"],
      ["log.showSignature", "true"],
      ["log.follow", "true"],
    ] as const)
      run("config", name, value);
    run("switch", "-q", "main");
    commit("other", { c: "1" });
    run("cherry-pick", before.commit);
    run("commit", "-q", "--amend", "--no-edit", "--date=2026-11-25T00:00:00Z");
    run("branch", "-q", "-D", "work");
    forget();
    expect(await resolveCommit(git, before)).toEqual({ commit: head(), how: "patch" });
  });

  test("not in another commit of the same second, before it, after it or on another branch", async () => {
    const now = clock + 600;
    commit("one", { a: "1" }, now);
    clock = now - 60;
    commit("two", { b: "1" }, now);
    const before = await link("HEAD");
    run("reset", "-q", "--hard", "HEAD~1");
    forget();
    expect(await resolveCommit(git, before)).toEqual({ commit: head(), how: "ancestor" });
    run("switch", "-q", "main");
    clock = now - 60;
    commit("three", { c: "1" }, now);
    run("branch", "-q", "-D", "work");
    expect(await resolveCommit(git, before)).toBeNull();
  });

  test("not in a commit before it that has the same content, or was rewritten itself", async () => {
    const now = clock + 60;
    commit("one", { a: "1" }, now);
    later("commit", "-q", "--amend", "-m", "better");
    commit("empty", {}, now);
    const before = await link("HEAD");
    run("reset", "-q", "--hard", "HEAD~1");
    forget();
    expect(await resolveCommit(git, before)).toEqual({ commit: head(), how: "ancestor" });
  });

  test("by its nearest ancestor when it is gone, with its objects or without", async () => {
    const kept = commit("one", { a: "1" });
    commit("two", { b: "1" });
    const two = await link("HEAD", 10);
    commit("three", { c: "1" });
    const three = await link("HEAD", 20);
    run("reset", "-q", "--hard", kept);
    expect(await resolveCommit(git, three, [two, three])).toEqual({ commit: kept, how: "ancestor" });
    forget();
    expect(await resolveCommit(git, three, [two, three])).toEqual({ commit: kept, how: "ancestor" });
    expect(await resolveCommit(git, three)).toBeNull();
  });

  test("with a detached HEAD, and not at all in a repository without commits of ours", async () => {
    commit("one", { a: "1" });
    run("switch", "-q", "--detach");
    run("branch", "-q", "-D", "work");
    const before = await link("HEAD");
    expect(await resolveCommit(git, before)).toEqual({ commit: before.commit, how: "itself" });
    run("switch", "-q", "--orphan", "empty");
    run("branch", "-q", "-D", "main");
    expect(await resolveCommit(git, before)).toBeNull();
  });
});

describe("rewritesOf", () => {
  const known = (commit: string, ...rewritten: string[]) =>
    ({
      commit,
      rewritten,
      tree: "",
      parent: null,
      authorDate: "",
      authorEmail: "",
      patchId: null,
      branch: null,
    }) as const;

  test("follows names in the order they were given, and no circle for ever", () => {
    const links = [known("a", "b"), known("b", "c", "a"), known("c", "d", "b")].map((one) => ({
      ...one,
      rewritten: [...one.rewritten],
    }));
    expect(rewritesOf(links[0]!, links)).toEqual(["b", "c", "d"]);
  });
});
