import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { utf8 } from "../../src/crypto/encoding.ts";
import { sealFor } from "../../src/crypto/keyring.ts";
import { signLine } from "../../src/crypto/signed-line.ts";
import { type Entry, type Head, headPath, type Page } from "../../src/domains/head.ts";
import { readSession, type StoredSession } from "../../src/domains/reader.ts";
import { sealHead, sealManifest } from "../../src/domains/writer.ts";
import type { Manifest } from "../../src/packing/manifest.ts";
import { formatRef } from "../../src/refs/names.ts";
import type { NewFile, ObjectDatabase, Oid } from "../../src/refs/object-database.ts";
import type { Heads } from "../../src/sessions/catalog.ts";
import { loadHeads } from "../../src/sessions/heads.ts";
import { writeIndex } from "../../src/sessions/index-writer.ts";
import { type Context, withRepository } from "../../src/sessions/repository.ts";
import { type OpenVault, openVault } from "../../src/sessions/vault.ts";
import { type Machine, type Sandbox, sessionId } from "../faults/sandbox.ts";

/** What the host of the remote can do, and what a member device can do that runs another program than ours. */

const now = (): Date => new Date();

/** Works on the remote's own objects and refs. */
export function onRemote<T>(sandbox: Sandbox, work: (db: ObjectDatabase) => Promise<T>): Promise<T> {
  return withRepository({ cwd: sandbox.remote, env: process.env, now }, ({ db }) => work(db));
}

export type Tree = Map<string, Uint8Array>;

export function readTree(db: ObjectDatabase, commit: Oid): Promise<Tree> {
  return db
    .files(commit)
    .then(
      async (files) =>
        new Map(
          await Promise.all(
            [...files].map(async ([path, oid]) => [path, await db.read(oid, 1 << 30)] as const),
          ),
        ),
    );
}

/** Changes the files under a ref of the remote. */
export function tamper(sandbox: Sandbox, ref: string, change: (tree: Tree) => void): Promise<void> {
  return onRemote(sandbox, async (db) => {
    const commit = sandbox.git("rev-parse", ref);
    const tree = await readTree(db, commit);
    change(tree);
    const files = [...tree].map(([path, content]): NewFile => ({ path, content }));
    sandbox.git("update-ref", ref, await db.commit({ parents: [commit], files, when: now() }));
  });
}

/** Flips one bit in the middle of a file. */
export function flip(tree: Tree, path: string): void {
  const bytes = Uint8Array.from(tree.get(path)!);
  const at = bytes.length - 20;
  bytes[at] = bytes[at]! ^ 1;
  tree.set(path, bytes);
}

export interface Member {
  readonly context: Context;
  readonly vault: OpenVault;
  readonly heads: Heads;
}

/** Works with everything a machine's device knows. */
export function asMember<T>(machine: Machine, work: (member: Member) => Promise<T>): Promise<T> {
  return withRepository({ cwd: machine.work, env: machine.env, now }, async (context) => {
    const vault = await openVault(context);
    return work({ context, vault, heads: await loadHeads(context, vault) });
  });
}

export function pushTo(machine: Machine, oid: Oid, ref: string): void {
  machine.git("push", "--quiet", "--force", "origin", `${oid}:${ref}`);
}

/** Signs a head as the machine's device and puts it under a ref of the remote, by default its own. */
export function forgeHead(
  machine: Machine,
  change: (head: Head) => Head,
  to?: (own: { vault: string; replica: string }) => string,
  pages: readonly Page[] = [],
): Promise<void> {
  return asMember(machine, async ({ context, vault, heads }) => {
    const own = heads.own!;
    const sealed = await sealHead(vault, vault.signer, { head: own.head, pages });
    const next = change({ ...sealed.head, seq: own.head.seq + 1, prev: own.hash });
    const line = await signLine("head", JSON.stringify(next), vault.signer);
    const { file } = await sealFor(vault.keyring, vault.codec.pack(utf8(`${line}\n`)));
    const oid = await context.db.commit({
      parents: [own.commit],
      files: [...new Map(sealed.files).set(headPath, file)].map(
        ([path, content]): NewFile => ({ path, content }),
      ),
      when: now(),
    });
    const place = { vault: vault.ref, replica: own.replica };
    pushTo(machine, oid, to?.(place) ?? formatRef({ kind: "head", ...place }));
  });
}

export interface Forgery {
  /** Changes the manifest before it is sealed and signed for. */
  readonly manifest?: (manifest: Manifest) => unknown;
  readonly entry?: (entry: Entry) => unknown;
  /** Adds to, or changes, the session's tree. */
  readonly files?: (files: Map<string, Uint8Array | Oid>, member: Member) => Promise<void>;
}

/** Publishes the machine's copy of the session with a manifest of the forger's choice, signed as its device may. */
export function forgeSession(machine: Machine, { manifest, entry, files }: Forgery): Promise<void> {
  return asMember(machine, async (member) => {
    const { context, vault, heads } = member;
    const own = heads.own!;
    const known = own.entries.find((one) => one.s === `claude:${sessionId}`)!;
    const ref = formatRef({ kind: "session", vault: vault.ref, dir: known.d, replica: own.replica });
    const commit = (await context.db.refs(ref)).get(ref)!;
    const tree = await vault.db.files(commit);
    const stored: StoredSession = await readSession(vault, own.replica, known, { commit, files: tree });
    const content = new Map<string, Uint8Array | Oid>(
      [...tree].filter(([path]) => path !== "manifest.age" && !path.startsWith("page/")),
    );
    await files?.(content, member);
    const forged = (manifest?.(structuredClone(stored.manifest)) ?? stored.manifest) as Manifest;
    const sealed = await sealManifest(vault, forged, null);
    const listed = { ...known, q: known.q + 1, m: sealed.m, u: now().toISOString() };
    const put = (entry?.(listed) ?? listed) as Entry;
    const all = [...[...content].map(([path, one]): NewFile => ({ path, content: one })), ...sealed.files];
    await writeIndex(context, vault, {
      heads,
      replica: own.replica,
      when: now(),
      change: () => ({ put: [put] }),
      commits: [{ parents: [commit], files: all, when: now() }],
      refs: [{ ref, from: commit }],
    });
    const head = formatRef({ kind: "head", vault: vault.ref, replica: own.replica });
    machine.git("push", "--quiet", "--force", "origin", `${head}:${head}`, `${ref}:${ref}`);
  });
}

/** Everything an attack could change on a machine: refs, HEAD, work tree, the agent's store, keys and marks. */
export function traces(machine: Machine): Record<string, unknown> {
  const own = join(machine.home, ".config", "convosync");
  const read = (name: string): string => readFileSync(join(own, name), "utf8");
  return {
    refs: machine.git("for-each-ref"),
    head: machine.git("symbolic-ref", "HEAD"),
    status: machine.git("status", "--porcelain"),
    store: machine.store(),
    state: read("state.json"),
    device: read("device.txt"),
  };
}

/** The same without the indexes and the remote's branches, which may be news when what the indexes name is refused. */
export function tracesBelowHeads(machine: Machine): unknown {
  const { refs, state: _, ...rest } = traces(machine);
  return { ...rest, refs: String(refs).replace(/^.*(?:\/head\/|\trefs\/remotes\/).*\n?/gm, "") };
}

/** The user's own things alone: a member may sign for whatever it likes below its own name. */
export function tracesOfUser(machine: Machine): unknown {
  const { refs, state: _, ...rest } = traces(machine);
  return { ...rest, refs: String(refs).replace(/^.*\trefs\/convosync\/.*\n?/gm, "") };
}

export interface Refusal {
  /** The exit statuses it may end with; 6 alone when absent. */
  readonly codes?: readonly number[];
  /** What must be as before. */
  readonly look?: (machine: Machine) => unknown;
  /** The error's code, where it is looked for: then the command is asked for JSON. */
  readonly code?: string;
}

/** The command ends with one of the statuses, says why, and has changed nothing. */
export function refused(
  machine: Machine,
  args: readonly string[],
  why: RegExp,
  { codes = [6], look = traces, code }: Refusal = {},
): void {
  const before = look(machine);
  const { stdout, stderr } = machine.convosync(code ? [...args, "--json"] : args, codes);
  if (code) expect(JSON.parse(stdout)).toMatchObject({ convosync: 1, error: { code, exit: codes[0] } });
  expect(stdout + stderr).toMatch(why);
  expect(stdout + stderr).not.toMatch(/unexpected|bug in convosync/);
  expect(look(machine)).toEqual(before);
}
