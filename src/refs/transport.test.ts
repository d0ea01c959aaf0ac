import { existsSync } from "node:fs";
import { chmod, mkdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Git, openGit, repositoryGit } from "../git/git.ts";
import { openGitDatabase } from "./git-database.ts";
import type { ObjectDatabase, Oid } from "./object-database.ts";
import { makeRepository, type TestRepository } from "./repositories.fixture.ts";
import { fetch, type PushRequest, push, pushInOrder, remoteRefs, unreachable } from "./transport.ts";

const head = "refs/convosync/abcdefghijk23/head/zyxwvutsrqp76";
const session = "refs/convosync/abcdefghijk23/session/aaaabbbbccccdddd/zyxwvutsrqp76";
const main = "refs/heads/main";

let made: TestRepository;
let git: Git;
let server: Git;
let db: ObjectDatabase;
let url: string;
let one: Oid;
let two: Oid;
let code: Oid;

beforeEach(async () => {
  made = await makeRepository("normal");
  git = made.git;
  const bare = join(made.folder, "remote.git");
  await openGit(made.folder).run([
    "-c",
    "init.templateDir=",
    "clone",
    "--quiet",
    "--bare",
    made.repository.gitDir,
    bare,
  ]);
  server = openGit(bare);
  url = `file://${bare}`;
  await git.run(["remote", "add", "origin", url]);
  await git.run(["commit", "--quiet", "--allow-empty", "-m", "new code"]);
  code = await git.text(["rev-parse", "HEAD"]);
  db = openGitDatabase(git, made.repository);
  const content = (n: number) => [{ path: "head.age", content: new Uint8Array([n]) }];
  one = await db.commit({ parents: [], files: content(1), when: new Date() });
  two = await db.commit({ parents: [one], files: content(2), when: new Date() });
});

afterEach(async () => {
  await db.close();
  await made.remove();
});

const both = (): PushRequest => ({
  remote: "origin",
  branch: { commit: "HEAD", to: main },
  updates: [
    { ref: session, oid: one, lease: null },
    { ref: head, oid: one, lease: null },
  ],
  verifyHooks: false,
});

async function onServer(): Promise<Record<string, string>> {
  const lines = await server.text(["for-each-ref", "--format=%(refname) %(objectname)"]);
  return Object.fromEntries(lines.split("\n").map((line) => line.split(" ")));
}

async function hook(folder: string, name: string, script: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, name), `#!/bin/sh\n${script}\n`);
  await chmod(join(folder, name), 0o755);
}

const serverHook = (name: string, script: string) =>
  hook(join(made.folder, "remote.git", "hooks"), name, script);

/** The push is refused and the remote is as it was; answers why, by ref. */
async function refused(request: PushRequest): Promise<Record<string, string>> {
  const before = await onServer();
  const result = await push(git, request);
  expect(await onServer()).toEqual(before);
  if (result.status !== "rejected") throw new Error(`the push ended as ${JSON.stringify(result)}`);
  return Object.fromEntries(
    [...result.refs].map(([ref, { ok, reason }]) => [ref, ok ? "ok" : (reason ?? "")]),
  );
}

describe("push", () => {
  test("takes branch and refs along, and is harmless when repeated", async () => {
    expect(await push(git, both())).toEqual({ status: "pushed" });
    expect(await onServer()).toMatchObject({ [main]: code, [session]: one, [head]: one });
    expect(await push(git, both())).toEqual({ status: "pushed" });
  });

  test("moves on, re-roots and deletes under leases", async () => {
    await push(git, both());
    const request = { remote: url, verifyHooks: false };
    const updates = [
      { ref: head, oid: two, lease: one },
      { ref: session, oid: null, lease: one },
    ];
    expect(await push(git, { ...request, updates })).toEqual({ status: "pushed" });
    expect(await onServer()).toMatchObject({ [head]: two });
    expect(await onServer()).not.toHaveProperty([session]);
    const reroot = [{ ref: head, oid: one, lease: two }];
    expect(await push(git, { ...request, updates: reroot })).toEqual({ status: "pushed" });
    expect(await onServer()).toMatchObject({ [head]: one });
  });

  test("without a lease goes forward only", async () => {
    await push(git, { ...both(), updates: [{ ref: head, oid: two, lease: undefined }] });
    expect(await onServer()).toMatchObject({ [head]: two });
    expect(await refused({ ...both(), updates: [{ ref: head, oid: one, lease: undefined }] })).toMatchObject({
      [head]: "not-fast-forward",
    });
  });

  test("leaves out what the user's settings add", async () => {
    await git.run(["config", "push.followTags", "true"]);
    await git.run(["config", "remote.origin.mirror", "true"]);
    await git.run(["tag", "-a", "-m", "v1", "v1"]);
    expect(await push(git, both())).toEqual({ status: "pushed" });
    expect(Object.keys(await onServer()).sort()).toEqual([head, session, main].sort());
  });

  test("is nothing at all when the branch is not fast-forward", async () => {
    await git.run(["push", "--quiet", "origin", `${code}:refs/heads/elsewhere`]);
    await server.run(["update-ref", main, code]);
    await git.run(["reset", "--quiet", "--hard", "HEAD~2"]);
    const known = { [main]: "not-fast-forward", [head]: "atomic", [session]: "atomic" };
    expect(await refused(both())).toEqual(known);
    const tree = `${code}^{tree}`;
    const foreign = await server.text(["commit-tree", "-p", code, "-m", "from another clone", tree]);
    await server.run(["update-ref", main, foreign]);
    expect(await refused(both())).toEqual({ ...known, [main]: "fetch-first" });
  });

  test("is nothing at all when one lease is stale", async () => {
    await push(git, { ...both(), updates: [{ ref: head, oid: two, lease: null }] });
    await git.run(["commit", "--quiet", "--allow-empty", "-m", "more"]);
    expect(await refused(both())).toEqual({ [main]: "atomic", [session]: "atomic", [head]: "stale-lease" });
  });

  test("is nothing at all when a hook declines our refs", async () => {
    await serverHook("update", 'case "$1" in refs/convosync/*/head/*) exit 1;; esac');
    expect(await refused(both())).toEqual({ [main]: "atomic", [session]: "atomic", [head]: "declined" });
    await serverHook("pre-receive", "exit 1");
    expect(await refused(both())).toEqual({ [main]: "declined", [session]: "declined", [head]: "declined" });
  });

  test("loses only our refs when the server hides the namespace: git does not count those as part of the whole", async () => {
    await server.run(["config", "receive.hideRefs", "refs/convosync"]);
    expect(await push(git, both())).toMatchObject({ status: "rejected" });
    expect(await onServer()).toEqual({ [main]: code });
    const again = { [main]: "ok", [session]: "hidden", [head]: "hidden" };
    expect(await refused(both())).toEqual(again);
  });

  test("is nothing at all when a ref is locked there", async () => {
    const lock = join(made.folder, "remote.git", `${head}.lock`);
    await mkdir(join(lock, ".."), { recursive: true });
    await writeFile(lock, "");
    expect(await refused(both())).toEqual({ [main]: "locked", [session]: "locked", [head]: "locked" });
  });

  test("runs the user's pre-push hook only when asked", async () => {
    const script = "echo linting; echo; echo fatal: no >&2; exit 1";
    await hook(join(made.repository.gitDir, "hooks"), "pre-push", script);
    const declined = { [main]: "pre-push", [session]: "pre-push", [head]: "pre-push" };
    expect(await refused({ ...both(), verifyHooks: true })).toEqual(declined);
    const result = await push(git, { ...both(), verifyHooks: true });
    expect(result).toMatchObject({ words: ["linting", "fatal: no"] });
    expect(result.status === "rejected" && result.refs.get(main)?.text).toBe("declined by the pre-push hook");
    expect(await push(git, both())).toEqual({ status: "pushed" });
  });

  test("passes on what the server says to it, without progress and credentials", async () => {
    const lines = [
      "",
      "error: GH013: no",
      "see https://me:secret@example.org/x",
      "Counting objects: 100% (3/3)",
    ];
    const said = [...lines.map((line) => `echo '${line}'`), ...Array(20).fill("echo more"), "exit 1"];
    await serverHook("pre-receive", said.slice(0, 4).concat("exit 1").join("\n"));
    const result = await push(git, both());
    const words = ["remote: error: GH013: no", "remote: see https://example.org/x"];
    expect(result).toMatchObject({ status: "rejected", words });
    await serverHook("pre-receive", said.join("\n"));
    expect(await push(git, both())).toMatchObject({ words: Array(20).fill("remote: more") });
  });

  test("without atomic pushes can go in order, code first", async () => {
    await server.run(["config", "receive.advertiseAtomic", "false"]);
    expect(await push(git, both())).toEqual({ status: "not-atomic-capable" });
    expect(await onServer()).not.toHaveProperty([head]);
    await serverHook("update", 'case "$1" in refs/convosync/*/head/*) exit 1;; esac');
    const half = await pushInOrder(git, both());
    expect(half).toMatchObject({ code: { status: "pushed" }, refs: { status: "rejected" } });
    expect(await onServer()).toMatchObject({ [main]: code, [session]: one });
    await serverHook("update", "exit 0");
    expect(await pushInOrder(git, both())).toEqual({
      code: { status: "pushed" },
      refs: { status: "pushed" },
    });
    await serverHook("update", "exit 1");
    await git.run(["commit", "--quiet", "--allow-empty", "-m", "more"]);
    const none = await pushInOrder(git, { ...both(), updates: [{ ref: head, oid: two, lease: one }] });
    expect(none).toMatchObject({ code: { status: "rejected" }, refs: null });
    expect(await onServer()).toMatchObject({ [head]: one });
  });

  test("to several URLs counts only when all took it", async () => {
    await git.run(["remote", "set-url", "--add", "--push", "origin", url]);
    await git.run(["remote", "set-url", "--add", "--push", "origin", `${url}-gone`]);
    expect(await push(git, both())).toMatchObject({ status: "unreachable" });
    const second = join(made.folder, "second.git");
    await openGit(made.folder).run(["init", "--quiet", "--bare", second]);
    await hook(join(second, "hooks"), "pre-receive", "exit 1");
    await git.run(["config", "--replace-all", "remote.origin.pushurl", second, "gone"]);
    expect(await push(git, both())).toMatchObject({ status: "rejected" });
  });

  test("is nothing at all when one of our objects is missing", async () => {
    const updates = [{ ref: head, oid: "1".repeat(40), lease: null }];
    expect(await refused({ ...both(), updates })).toEqual({ [main]: "other", [head]: "other" });
  });

  test("does not blame the remote when there is no commit yet", async () => {
    await openGit(made.folder).run(["init", "--quiet", "unborn"]);
    const unborn = openGit(join(made.folder, "unborn"));
    const request = { ...both(), remote: url, updates: [] };
    await expect(push(unborn, request)).rejects.toMatchObject({ code: "git-failed", exit: 1 });
  });
});

describe("a remote that does not answer", () => {
  test.each(["https://name:secret@localhost:1/x.git", "/nowhere/at all.git", "nobody"])(
    "%s",
    async (remote) => {
      const result = await push(git, { ...both(), remote });
      expect(result).toMatchObject({ status: "unreachable", text: expect.not.stringContaining("secret") });
      expect(await fetch(git, { remote, refspecs: ["refs/x/*:refs/x/*"] })).toMatchObject({
        status: "unreachable",
      });
      expect(await remoteRefs(git, { remote, prefix: "refs/convosync/" })).toMatchObject({
        status: "unreachable",
      });
    },
  );

  test("is left after the timeout, with the ssh that was started for it", async () => {
    const note = join(made.folder, "note");
    const ssh = `echo started >'${note}'; trap "echo ended >'${note}'; exit" TERM; sleep 60 & wait #`;
    const slow = repositoryGit(made.repository, {
      ...process.env,
      GIT_SSH_COMMAND: ssh,
      GIT_SSH_VARIANT: "simple",
    });
    const result = await push(slow, { ...both(), remote: "ssh://localhost/x.git", timeoutMs: 1000 });
    expect(result).toEqual({ status: "unreachable", text: "no answer within 1 s" });
    await expect.poll(() => readFile(note, "utf8"), { timeout: 5000 }).toBe("ended\n");
  });

  test("can be cancelled", async () => {
    const env = { ...process.env, GIT_SSH_COMMAND: "sleep 60 #", GIT_SSH_VARIANT: "simple" };
    const request = { ...both(), remote: "ssh://localhost/x.git", signal: AbortSignal.timeout(200) };
    await expect(push(repositoryGit(made.repository, env), request)).rejects.toMatchObject({ exit: 130 });
  });

  test("is an exit 8 with a hint", () => {
    expect(unreachable("https://u:p@host/x", "no route")).toMatchObject({
      exit: 8,
      message: "cannot reach https://host/x: no route",
      hints: ["check that this works: git ls-remote https://host/x"],
    });
  });
});

describe("fetch", () => {
  const refspecs = ["+refs/convosync/*:refs/convosync-incoming/*"];
  const local = (prefix: string) => db.refs(prefix);

  test("brings what is asked for and touches nothing else", async () => {
    await push(git, both());
    await server.run(["tag", "v9", main]);
    for (const name of ["fetch.prune", "fetch.pruneTags", "remote.origin.prune"])
      await git.run(["config", name, "true"]);
    await git.run(["config", "remote.origin.tagOpt", "--tags"]);
    await git.run(["config", "remote.origin.fetch", "+refs/*:refs/mirrored/*"]);
    await db.update([
      { ref: head, from: null, to: two },
      { ref: "refs/convosync-incoming/abcdefghijk23/keyring", from: null, to: two },
    ]);
    await hook(
      join(made.repository.gitDir, "hooks"),
      "reference-transaction",
      `echo x >>'${made.folder}/called'`,
    );
    const before = await git.text(["for-each-ref"]);
    expect(await fetch(git, { remote: "origin", refspecs })).toEqual({ status: "ok" });
    const incoming = (ref: string) => ref.replace("refs/convosync/", "refs/convosync-incoming/");
    expect(await local("refs/convosync-incoming/")).toEqual(
      new Map([
        [incoming(head), one],
        ["refs/convosync-incoming/abcdefghijk23/keyring", two],
        [incoming(session), one],
      ]),
    );
    const after = (await git.text(["for-each-ref"])).split("\n");
    expect(after.filter((line) => !/incoming.*(?:head|session)/.test(line)).join("\n")).toBe(before);
    await expect(readFile(join(made.repository.gitDir, "FETCH_HEAD"))).rejects.toThrow("ENOENT");
    await expect(readFile(join(made.folder, "called"))).rejects.toThrow("ENOENT");
  });

  test("lets another fetch of the same ref finish first, and says so when that lasts", async () => {
    await push(git, both());
    const request = { remote: "origin", refspecs: [`+${head}:refs/convosync-incoming/head`] };
    const lock = join(made.repository.gitDir, "refs/convosync-incoming/head.lock");
    await mkdir(dirname(lock), { recursive: true });
    await writeFile(lock, "");
    const unlocked = sleep(250).then(() => rm(lock));
    expect(await fetch(git, request)).toEqual({ status: "ok" });
    await unlocked;
    expect(await local("refs/convosync-incoming/")).toEqual(new Map([["refs/convosync-incoming/head", one]]));
    await push(git, { remote: "origin", updates: [{ ref: head, oid: two, lease: one }], verifyHooks: false });
    await writeFile(lock, "");
    await expect(fetch(git, request)).rejects.toMatchObject({ code: "ref-locked", hints: expect.any(Array) });
    // One that a killed git has left is removed, and those beside it.
    const other = join(dirname(lock), "sub", "other.lock");
    await mkdir(dirname(other));
    await writeFile(other, "");
    const old = new Date(Date.now() - 10_000);
    for (const path of [lock, other]) await utimes(path, old, old);
    expect(await fetch(git, request)).toEqual({ status: "ok" });
    expect(existsSync(other)).toBe(false);
  });

  test("asks again when a ref is moved between what the remote tells and what is asked for", async () => {
    await push(git, both());
    const [said, tries] = [`ERR upload-pack: not our ref ${one}`, join(made.folder, "tries")];
    const length = (said.length + 4).toString(16).padStart(4, "0");
    const server = join(made.folder, "overtaken");
    const script = `echo x >>'${tries}'\n[ "$(wc -l <'${tries}')" -gt 2 ] && exec git-upload-pack "$@"\nprintf '${length}${said}'`;
    await writeFile(server, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    await git.run(["config", "remote.origin.uploadpack", `'${server}'`]);
    expect(await fetch(git, { remote: "origin", refspecs })).toEqual({ status: "ok" });
    expect(await readFile(tries, "utf8")).toBe("x\nx\nx\n");
    await rm(tries);
    // Of what is asked for by its own name nothing else is to be expected.
    const named = await fetch(git, { remote: "origin", refspecs: [one.replace(/./g, "1")] });
    expect(named).toMatchObject({ status: "unreachable", text: expect.stringContaining("not our ref") });
    expect(await readFile(tries, "utf8")).toBe("x\n");
  });

  test("takes patterns that match nothing, negative ones, and names a missing ref", async () => {
    await push(git, both());
    const pattern = "+refs/convosync/abcdefghijk23/archive/*:refs/convosync-incoming/abcdefghijk23/archive/*";
    const request = { remote: "origin", refspecs: [...refspecs, pattern, `^${head}`] };
    expect(await fetch(git, request)).toEqual({ status: "ok" });
    expect([...(await local("refs/convosync-incoming/")).values()]).toEqual([one]);
    const exact = `+refs/convosync/abcdefghijk23/keyring:refs/convosync-incoming/abcdefghijk23/keyring`;
    expect(await fetch(git, { remote: "origin", refspecs: [exact] })).toEqual({
      status: "missing",
      ref: "refs/convosync/abcdefghijk23/keyring",
    });
  });

  test("follows a re-root, and brings whole objects into a partial clone", async () => {
    await push(git, both());
    await server.run(["config", "uploadpack.allowFilter", "true"]);
    const partial = await makeRepository("partial");
    try {
      await partial.git.run(["remote", "set-url", "origin", url]);
      expect(await fetch(partial.git, { remote: "origin", refspecs })).toEqual({ status: "ok" });
      const other = openGitDatabase(partial.git, partial.repository);
      const blob = (await other.files(one)).get("head.age");
      expect(await other.read(blob ?? "", 1)).toEqual(new Uint8Array([1]));
      await other.close();
    } finally {
      await partial.remove();
    }
    const root = await db.commit({ parents: [], files: [], when: new Date() });
    await push(git, { ...both(), updates: [{ ref: head, oid: root, lease: one }] });
    expect(await fetch(git, { remote: "origin", refspecs })).toEqual({ status: "ok" });
    expect((await local("refs/convosync-incoming/")).get(head.replace("sync/", "sync-incoming/"))).toBe(root);
  });
});

test("remote refs are those below the prefix", async () => {
  await push(git, both());
  await server.run(["update-ref", `refs/heads/${head}`, code]);
  const prefix = "refs/convosync/abcdefghijk23/";
  const found = await remoteRefs(git, { remote: "origin", prefix });
  expect(found).toEqual({ status: "ok", refs: new Map([head, session].map((ref) => [ref, one])) });
  expect(await remoteRefs(git, { remote: url, prefix: head })).toEqual({
    status: "ok",
    refs: new Map([[head, one]]),
  });
  expect(await remoteRefs(git, { remote: url, prefix: "refs/none/" })).toEqual({
    status: "ok",
    refs: new Map(),
  });
});
