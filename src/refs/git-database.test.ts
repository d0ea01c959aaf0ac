import * as fs from "node:fs";
import { chmod, mkdir, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { openGitDatabase } from "./git-database.ts";
import { openIsoDatabase } from "./iso-database.ts";
import type { NewFile, ObjectDatabase, Oid } from "./object-database.ts";
import {
  allShapes,
  makeRepository,
  type Shape,
  type TestRepository,
  temporaryFolder,
} from "./repositories.fixture.ts";

const ref = "refs/convosync/abcdefghijk23/head/zyxwvutsrqp76";
const when = new Date("2025-03-04T05:06:07Z");
const files: NewFile[] = [
  { path: "README.md", content: new TextEncoder().encode("about\n") },
  { path: "segment/00/00.age", content: crypto.getRandomValues(new Uint8Array(40_960)) },
  { path: "segment/00/01.age", content: new Uint8Array() },
  { path: "segment-x", content: new Uint8Array([10]) },
];

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

async function make(shape: Shape): Promise<TestRepository & { db: ObjectDatabase }> {
  const made = await makeRepository(shape);
  const db = openGitDatabase(made.git, made.repository);
  cleanups.push(made.remove, () => db.close());
  return { ...made, db };
}

/** The files of a commit with their bytes, as comparable text. */
async function contents(db: ObjectDatabase, commit: Oid): Promise<Map<string, string>> {
  const found = [...(await db.files(commit))].sort();
  const bytes = await Promise.all(found.map(([, blob]) => db.read(blob, 1_000_000)));
  return new Map(found.map(([path], i) => [path, Buffer.from(bytes[i] ?? []).toString("hex")]));
}

const expected = new Map(
  [...files]
    .sort((a, b) => (a.path < b.path ? -1 : 1))
    .map(({ path, content }) => [path, Buffer.from(content).toString("hex")]),
);

describe.each(allShapes)("in a repository of the shape: %s", (shape) => {
  test("commits are kept, clean, and add nothing but themselves", async () => {
    const { git, db, repository } = await make(shape);
    const before = await git.text(["for-each-ref"]);
    const status = repository.root === null ? "" : await git.text(["status", "--porcelain=v2", "--branch"]);
    const top = await readdir(repository.gitDir);
    const first = await db.commit({ parents: [], files, when });
    const second = await db.commit({ parents: [first], files, when });
    await db.update([{ ref, from: null, to: second }]);
    expect(await contents(db, second)).toEqual(expected);
    expect(await git.text(["fsck", "--strict", "--no-dangling"])).toBe("");
    expect(
      (await git.text(["for-each-ref"]))
        .split("\n")
        .filter((line) => !line.endsWith(ref))
        .join("\n"),
    ).toBe(before);
    if (repository.root !== null)
      expect(await git.text(["status", "--porcelain=v2", "--branch"])).toBe(status);
    expect(await readdir(repository.gitDir)).toEqual(top);
    await git.run(["gc", "--quiet", "--prune=now"]);
    expect(await contents(db, second)).toEqual(expected);
  });
});

describe("git and isomorphic-git", () => {
  test("read each other and name the same commit alike", async () => {
    const { db, repository, git } = await make("normal");
    const folder = await temporaryFolder();
    cleanups.push(() => rm(folder, { recursive: true, force: true }));
    const iso = await openIsoDatabase(fs, join(folder, "iso.git"));
    const byGit = await db.commit({ parents: [], files, when });
    const byIso = await iso.commit({ parents: [], files, when });
    expect(byIso).toBe(byGit);
    expect(await git.text(["log", "-1", "--format=%an|%ae|%ad|%cn|%ce|%cd|%B", "--date=raw", byGit])).toBe(
      "convosync|convosync@invalid|1741068000 +0000|convosync|convosync@invalid|1741068000 +0000|convosync\n",
    );
    await db.update([{ ref, from: null, to: byGit }]);
    await iso.update([{ ref, from: null, to: byIso }]);
    const reader = await openIsoDatabase(fs, repository.gitDir);
    expect(await contents(reader, byGit)).toEqual(expected);
    expect(await reader.refs("refs/convosync/")).toEqual(new Map([[ref, byGit]]));
    const isoGit = { ...repository, root: null, gitDir: join(folder, "iso.git"), explicit: true };
    const { repositoryGit } = await import("../git/git.ts");
    const other = openGitDatabase(repositoryGit(isoGit), isoGit);
    cleanups.push(() => other.close());
    expect(await contents(other, byIso)).toEqual(expected);
    expect(await other.refs("refs/convosync/")).toEqual(new Map([[ref, byIso]]));
    expect(await repositoryGit(isoGit).text(["fsck", "--strict"])).toBe("");
  });

  test("agree on trees with ls-tree", async () => {
    const { db, git } = await make("normal");
    const many = Array.from({ length: 130 }, (_, n) => ({
      path: `segment/${n >> 6}/${n & 63}.age`,
      content: new Uint8Array([n]),
    }));
    const commit = await db.commit({ parents: [], files: many, when });
    const lines = await git.lines0(["ls-tree", "-r", "-z", "--full-tree", commit]);
    const listed = lines.map((line) => [line.split("\t")[1], line.split(/[ \t]/)[2]]);
    expect([...(await db.files(commit))].sort()).toEqual(listed.sort());
  });
});

describe("the user's settings", () => {
  test("change nothing: small unpack limits, object checks, reflogs everywhere, no identity", async () => {
    const { db, git, repository } = await make("normal");
    for (const [name, value] of [
      ["fastimport.unpackLimit", "1"],
      ["transfer.fsckObjects", "true"],
      ["core.logAllRefUpdates", "always"],
      ["user.useConfigOnly", "true"],
      ["core.compression", "9"],
      ["commit.gpgSign", "true"],
    ] as const) {
      await git.run(["config", name, value]);
    }
    const commit = await db.commit({ parents: [], files, when });
    await db.update([{ ref, from: null, to: commit }]);
    expect(await contents(db, commit)).toEqual(expected);
    await expect(stat(join(repository.gitDir, "logs", ref))).rejects.toThrow("ENOENT");
    expect(await git.text(["cat-file", "commit", commit])).not.toContain("gpgsig");
  });

  test("hooks and replacement refs have no say", async () => {
    const { db, git, repository, folder } = await make("normal");
    const hooks = join(folder, "hooks");
    await mkdir(hooks);
    await writeFile(join(hooks, "reference-transaction"), "#!/bin/sh\nexit 1\n");
    await chmod(join(hooks, "reference-transaction"), 0o755);
    const [a, b] = await db.commits([
      { parents: [], files, when },
      { parents: [], files: [], when },
    ]);
    await git.run(["update-ref", `refs/replace/${a}`, b!]);
    await git.run(["config", "core.hooksPath", hooks]);
    await db.update([{ ref, from: null, to: a! }]);
    expect((await db.files(a!)).size).toBe(4);
    expect(await readFile(join(repository.gitDir, ref), "utf8")).toBe(`${a}\n`);
  });
});

describe("trouble", () => {
  test("a failed import leaves no report behind", async () => {
    const { db, repository } = await make("linked worktree");
    await expect(db.commit({ parents: ["1".repeat(40)], files, when })).rejects.toMatchObject({
      code: "git-failed",
    });
    expect((await readdir(repository.gitDir)).filter((name) => name.startsWith("fast_import"))).toEqual([]);
  });

  test("a lock that stays is named, and is not a lost race", async () => {
    const { db, repository } = await make("normal");
    const commit = await db.commit({ parents: [], files, when });
    await mkdir(join(repository.gitDir, ref, ".."), { recursive: true });
    const lock = join(repository.gitDir, `${ref}.lock`);
    await writeFile(lock, "");
    await expect(db.update([{ ref, from: null, to: commit }])).rejects.toMatchObject({
      code: "ref-locked",
      hints: expect.arrayContaining([expect.stringContaining(".lock")]),
    });
    const old = new Date(Date.now() - 3_600_000);
    await utimes(lock, old, old);
    await db.update([{ ref, from: null, to: commit }]);
    // git takes this one to remove a ref.
    const packed = join(repository.gitDir, "packed-refs.lock");
    await writeFile(packed, "");
    await expect(db.update([{ ref, from: commit, to: null }])).rejects.toMatchObject({ code: "ref-locked" });
    await utimes(packed, old, old);
    await db.update([{ ref, from: commit, to: null }]);
    await db.update([{ ref, from: null, to: commit }]);
    expect(await db.refs("refs/convosync/")).toEqual(new Map([[ref, commit]]));
  });

  test("a ref left empty by a crash is no ref", async () => {
    const { db, repository } = await make("normal");
    await mkdir(join(repository.gitDir, ref, ".."), { recursive: true });
    await writeFile(join(repository.gitDir, ref), "");
    expect(await db.refs("refs/convosync/")).toEqual(new Map());
  });

  test("a partial clone is not made to fetch what is missing", async () => {
    const { db, git, folder } = await make("partial");
    const [old] = await git.lines0(["rev-list", "-z", "HEAD~2"], { okCodes: "any" });
    const blob = await git.text(["rev-parse", "HEAD~2:code.txt"]);
    expect(old).toBeDefined();
    await writeFile(join(folder, "called"), "");
    await git.run(["config", "remote.origin.uploadpack", `touch '${folder}/fetched'; git-upload-pack`]);
    await expect(db.read(blob, 100)).rejects.toMatchObject({ code: "missing-object" });
    await expect(stat(join(folder, "fetched"))).rejects.toThrow("ENOENT");
    const commit = await db.commit({ parents: [], files, when });
    expect(await contents(db, commit)).toEqual(expected);
  });

  test("a reader that dies fails its reads, and the next read starts another", async () => {
    const { db, repository, git } = await make("normal");
    const commit = await db.commit({ parents: [], files, when });
    const blob = (await db.files(commit)).get("README.md")!;
    const path = join(repository.gitDir, "objects", blob.slice(0, 2), blob.slice(2));
    const bytes = await readFile(path);
    await chmod(path, 0o600);
    await writeFile(path, "not zlib");
    const reads = await Promise.allSettled([db.read(blob, 100), db.read(commit, 100)]);
    expect(reads.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    await writeFile(path, bytes);
    expect(await db.read(blob, 100)).toEqual(files[0]!.content);
    expect(await git.code(["fsck"])).toBe(0);
  });
});

describe("hostile trees", () => {
  test("with something else than files and folders are refused", async () => {
    const { db, git } = await make("normal");
    const blob = await git.text(["hash-object", "-w", "--stdin"], { input: "x" });
    const tree = await git.text(["mktree"], { input: `120000 blob ${blob}\tREADME.md\n` });
    const commit = await git.text(["commit-tree", "-m", "x", tree]);
    await expect(db.files(commit)).rejects.toMatchObject({ code: "bad-tree", exit: 6 });
  });

  test("that are one object many times are refused early", async () => {
    const { db, git } = await make("normal");
    const blob = await git.text(["hash-object", "-w", "--stdin"], { input: "x" });
    let line = `100644 blob ${blob}\t`;
    let tree = "";
    for (let depth = 0; depth < 7; depth++) {
      const names = Array.from({ length: 64 }, (_, n) => `${line}n${String(n).padStart(2, "0")}\n`);
      tree = await git.text(["mktree"], { input: names.join("") });
      line = `040000 tree ${tree}\t`;
    }
    const commit = await git.text(["commit-tree", "-m", "bomb", tree]);
    await expect(db.files(commit)).rejects.toMatchObject({ code: "bad-tree" });
  });
});
