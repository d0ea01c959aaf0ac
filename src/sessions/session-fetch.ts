import { proveSession, readSession, type StoredSession } from "../domains/reader.ts";
import type { ReplicaHead } from "../domains/replica-heads.ts";
import { ConvosyncError, Exit, integrityError } from "../errors.ts";
import { incomingRef, outgoingRef, vaultPrefix } from "../refs/names.ts";
import type { Oid, RefUpdate } from "../refs/object-database.ts";
import { type CatalogEntry, type Copy, type Heads, tombstonesOf } from "./catalog.ts";
import type { ChosenRemote } from "./chosen-remote.ts";
import { dropIncoming, dropping, receive } from "./remote.ts";
import type { Context } from "./repository.ts";
import type { OpenVault } from "./vault.ts";

const fetchTimeoutMs = 30 * 60_000;

/**
 * All replicas' copies of a session that this clone can have: what is here already, and for the rest what the
 * remote serves. Each is proved against the index entry that names it before its ref is taken over.
 */
export async function fetchSession(
  context: Context,
  vault: OpenVault,
  heads: Heads,
  session: CatalogEntry,
  remote: ChosenRemote | null,
  timeoutMs = fetchTimeoutMs,
): Promise<StoredSession[]> {
  const refs = await context.db.refs(vaultPrefix(vault.ref));
  const found: StoredSession[] = [];
  const missing: Copy[] = [];
  for (const copy of session.copies) {
    const stored = await localCopy(vault, copy, refs);
    if (stored) found.push(stored);
    else missing.push(copy);
  }
  if (missing.length === 0) return found;
  if (!remote) {
    if (found.length > 0) return found;
    throw new ConvosyncError(
      "session-not-here",
      Exit.remote,
      "the conversation is not on this device yet, and the remote cannot be reached",
      ["try again when it can: git convosync resume"],
    );
  }
  const archived = missing.filter((copy) => copy.entry.a);
  const hot = missing.filter((copy) => !copy.entry.a);
  const isLost = await lostCopies(context, vault, heads);
  for (const copy of archived) {
    const fetched = fetchFolder(context, vault, copy, remote, timeoutMs);
    const one = await fetched.catch((error) => unlessLost(error, isLost(copy)));
    if (one) found.push(one);
  }
  if (hot.length > 0)
    found.push(...(await fetchHot(context, vault, heads, hot, refs, remote, timeoutMs, isLost)));
  if (found.length === 0) throw missing.every(isLost) ? lostForGood(session) : missingCopy(missing[0]!);
  return found;
}

/**
 * The copy as this clone has it: by its own ref, or as a folder of an archive. Null when it is not here, or when
 * the index has moved on from what is here.
 */
export async function localCopy(
  vault: OpenVault,
  copy: Copy,
  refs: ReadonlyMap<string, Oid>,
): Promise<StoredSession | null> {
  // A folder of an archive stands for itself: what continues it must not keep the whole archive alive.
  const commit = copy.entry.a ? null : (refs.get(copy.ref) ?? null);
  if (!copy.entry.a && !commit) return null;
  try {
    const files = copy.entry.a ? await vault.db.filesOfTree(copy.entry.a.t) : await vault.db.files(commit!);
    return await readSession(vault, copy.replica, copy.entry, { commit, files });
  } catch (error) {
    const stale =
      error instanceof ConvosyncError && ["manifest-mismatch", "missing-object"].includes(error.code);
    if (stale) return null;
    throw error;
  }
}

/**
 * Which copies may be missing: those of replicas whose sessions were not all to be found when the user of this device said
 * that the remote was reset (`sync --retry`). They count again as soon as somebody who has them sends them.
 */
export async function lostCopies(
  context: Context,
  vault: OpenVault,
  { all }: Heads,
): Promise<(copy: Copy) => boolean> {
  const { incomplete = {} } = (await context.keys.state()).repos[vault.repo] ?? {};
  const isLost = ({ replica, head }: ReplicaHead): boolean => head.seq <= (incomplete[replica] ?? -1);
  const replicas = new Set(all.filter(isLost).map((one) => one.replica));
  return ({ replica }) => replicas.has(replica);
}

/** What is said of a copy that is not there as its index names it, unless that is known to be lost. */
function unlessLost(error: unknown, isLost: boolean): null {
  const isMissing =
    error instanceof ConvosyncError && ["session-missing", "manifest-mismatch"].includes(error.code);
  if (isMissing && isLost) return null;
  throw error;
}

/** Fetches one session out of an archive: its folder alone by name, or where a remote refuses that, the archive. */
async function fetchFolder(
  context: Context,
  vault: OpenVault,
  copy: Copy,
  remote: ChosenRemote,
  timeoutMs: number,
): Promise<StoredSession> {
  const tree = copy.entry.a!.t;
  const alone = await receive(context, remote, [tree], timeoutMs);
  if (alone.status !== "ok") {
    const refspecs = [`+${copy.ref}:${incomingRef(copy.ref)}`];
    const whole = await receive(context, remote, refspecs, timeoutMs);
    if (whole.status === "missing") throw missingCopy(copy);
    if (whole.status !== "ok") throw notFetched(remote, whole.text);
  }
  try {
    const stored = await localCopy(vault, copy, new Map());
    if (!stored) throw missingCopy(copy);
    return stored;
  } finally {
    await dropIncoming(context, incomingRef(copy.ref));
  }
}

async function fetchHot(
  context: Context,
  vault: OpenVault,
  heads: Heads,
  missing: readonly Copy[],
  refs: ReadonlyMap<string, Oid>,
  remote: ChosenRemote,
  timeoutMs: number,
  isLost: (copy: Copy) => boolean,
): Promise<StoredSession[]> {
  const tombstones = tombstonesOf(heads.all);
  const prefix = `${vaultPrefix(vault.ref)}session/${missing[0]!.entry.d}/`;
  await dropIncoming(context, incomingRef(prefix));
  const own = heads.replica ? [`^${prefix}${heads.replica}`] : [];
  const refspecs = [`+${prefix}*:${incomingRef(prefix)}*`, ...own];
  const result = await receive(context, remote, refspecs, timeoutMs);
  try {
    if (result.status !== "ok") throw notFetched(remote, result.status === "unreachable" ? result.text : "");
    const incoming = await context.db.refs(incomingRef(prefix));
    const served = new Map([...incoming].map(([ref, commit]) => [outgoingRef(ref), commit]));
    const accepted: StoredSession[] = [];
    const updates: RefUpdate[] = [];
    for (const copy of missing) {
      const commit = served.get(copy.ref);
      // A deletion takes the refs of all replicas; one that has outlived it is sent again by whoever has it.
      if (!commit && tombstones.has(copy.entry.s)) continue;
      if (!commit && isLost(copy)) continue;
      if (!commit) throw missingCopy(copy);
      const files = await vault.db.files(commit);
      const from = refs.get(copy.ref) ?? null;
      const reading = readSession(vault, copy.replica, copy.entry, { commit, files });
      const stored = await reading.catch((error) => unlessLost(error, isLost(copy)));
      if (!stored) continue;
      await proveSession(vault, stored, new Set(from ? (await vault.db.files(from)).values() : []));
      accepted.push(stored);
      updates.push({ ref: copy.ref, to: commit, from });
    }
    await context.db.update([...updates, ...dropping(incoming)]);
    return accepted;
  } finally {
    await dropIncoming(context, incomingRef(prefix));
  }
}

const missingCopy = (copy: Copy): ConvosyncError =>
  integrityError(
    "session-missing",
    `the remote's index names a copy of ${copy.entry.s} that it does not have`,
    [
      "the device that saved it may still be pushing; try again in a moment",
      "if the remote was reset, that device has it still; there: git convosync sync --retry",
      "if it is no more, read the conversation without that; here: git convosync sync --retry",
    ],
  );

const lostForGood = ({ id }: CatalogEntry): ConvosyncError =>
  integrityError("session-missing", `the remote, which was reset, has the conversation ${id} no more`, [
    "if a device has it still, there: git convosync sync --retry",
    `if none has it, take it off the list: git convosync delete ${id.slice(0, 8)}`,
  ]);

const notFetched = (remote: ChosenRemote, text: string): ConvosyncError =>
  new ConvosyncError(
    "remote-unreachable",
    Exit.remote,
    `cannot fetch the conversation from '${remote.title}'`,
    [text || "the remote does not have it"],
  );
