import { existsSync } from "node:fs";
import { equalBytes } from "../crypto/encoding.ts";
import { acceptHeads, type ReplicaHead, readHead } from "../domains/replica-heads.ts";
import { type ConvosyncError, integrityError } from "../errors.ts";
import { formatRef, incomingRef, outgoingRef, parseRef, vaultPrefix } from "../refs/names.ts";
import type { Oid, RefUpdate } from "../refs/object-database.ts";
import { type FetchResult, fetch } from "../refs/transport.ts";
import { type Heads, splitOwn } from "./catalog.ts";
import type { ChosenRemote } from "./chosen-remote.ts";
import { rememberReplicaHead } from "./head-cache.ts";
import { deviceName, loadHeads, marksOf } from "./heads.ts";
import { openVaultAt, readKeyringTree } from "./keyring-tree.ts";
import {
  forgetCopied,
  forgetReplica,
  keyringRef,
  type RemoteQueue,
  remoteQueue,
  updateQueue,
} from "./queue.ts";
import type { Context } from "./repository.ts";
import { unsentOfOthers } from "./unsent.ts";
import { findVault, type OpenVault, openVault } from "./vault.ts";
import { noteWaiting } from "./waiting.ts";

export interface Fetched {
  readonly status: "ok" | "unreachable";
  readonly text: string;
  /** The vault and heads as they are now, also when the remote did not answer. */
  readonly vault: OpenVault;
  readonly heads: Heads;
  /** Replicas whose head is new or moved. */
  readonly changed: readonly string[];
  /**
   * Other replicas of which the remote shows less than is here, and that this clone is to put there; and their head there.
   * With `restore` these are all such, else what was written in this clone, or in one that it is a copy of and that is no more.
   */
  readonly lost: ReadonlyMap<string, Oid | undefined>;
  /**
   * The remote shows an index under this clone's name that this clone has not written, as a copy of its disk has, or the
   * system before it was set back: what that names is not known here before the clone goes by another name.
   */
  readonly displaced: boolean;
}

export interface FetchOptions {
  /** The user says that the remote was reset: put back what it lost instead of taking it for a rollback. */
  readonly restore?: boolean;
}

const fetchTimeoutMs = 120_000;

/**
 * Fetches the keyring and all heads into quarantine, proves them, and only then lets them take the place of
 * the ones known so far. Exit 6 leaves everything as it was.
 */
export async function fetchHeads(
  context: Context,
  opened: OpenVault,
  remote: ChosenRemote,
  options: FetchOptions = {},
): Promise<Fetched> {
  return fetchWhile(context, opened.ref, async () => opened, remote, options);
}

/** The same of a vault that is still to be opened: this device does that while the remote answers. */
export async function openWithHeads(
  context: Context,
  remote: ChosenRemote,
  options: FetchOptions = {},
): Promise<Fetched> {
  const found = await findVault(context);
  return fetchWhile(context, found.ref, () => openVault(context, found), remote, options);
}

async function fetchWhile(
  context: Context,
  vaultRef: string,
  open: () => Promise<OpenVault>,
  remote: ChosenRemote,
  options: FetchOptions,
): Promise<Fetched> {
  const prefix = vaultPrefix(vaultRef);
  const incoming = incomingRef(prefix);
  await dropIncoming(context, incoming);
  const refspecs = [`+${prefix}head/*:${incoming}head/*`, `+${prefix}key*:${incoming}key*`];
  const opening = open().then(async (opened) => ({ opened, before: await loadHeads(context, opened) }));
  // Nothing is thrown while git still writes refs.
  const [received, known] = await Promise.allSettled([
    receive(context, remote, refspecs, fetchTimeoutMs),
    opening,
  ]);
  context.db.forgetRefs("incoming");
  try {
    if (known.status === "rejected") throw known.reason;
    if (received.status === "rejected") throw received.reason;
    const { opened, before } = known.value;
    const result = received.value;
    if (result.status !== "ok") {
      const text = result.status === "unreachable" ? result.text : "no such ref";
      return {
        status: "unreachable",
        text,
        vault: opened,
        heads: before,
        changed: [],
        lost: new Map(),
        displaced: false,
      };
    }
    return await acceptIncoming(context, opened, before, remote, options);
  } finally {
    await dropIncoming(context, incoming);
  }
}

async function acceptIncoming(
  context: Context,
  opened: OpenVault,
  before: Heads,
  remote: ChosenRemote,
  options: FetchOptions,
): Promise<Fetched> {
  const prefix = vaultPrefix(opened.ref);
  const refs = await context.db.refs(incomingRef(prefix));
  const local = await context.db.refs(prefix);
  const queue = await remoteQueue(context, remote.key);
  const updates: RefUpdate[] = [];

  let vault = opened;
  const ring = keyringRef(opened);
  const served = refs.get(incomingRef(ring));
  let confirmedRing = served;
  if (served && served !== opened.keyringCommit && served !== queue.confirmed[ring]) {
    const shown = queue.confirmed[ring];
    if (await isAncestor(context, served, opened.keyringCommit)) {
      // It has shown more. One that never has is merely behind, and ours goes on top of it with the next push.
      if (!options.restore && shown && (await isAncestor(context, served, shown))) throw olderKeyring();
    } else {
      const { device, keyring } = opened;
      let settled = false;
      const theirs = await openVaultAt(context, device, keyring.vault, served).catch(async (error) => {
        const { settleKeyring } = await import("./settle-keyring.ts");
        const both = await settleKeyring(context, device, keyring.vault, served, error, shown);
        if (!both) throw error;
        settled = true;
        return both;
      });
      if (theirs.repo !== opened.repo)
        throw integrityError("wrong-repository", "the remote shows another repository's keyring");
      // The log does not vouch for this file, and no entry of it can change it.
      if (!equalBytes(theirs.keyring.recovery, opened.keyring.recovery))
        throw integrityError("substituted-recovery", "the remote shows another recovery file for this vault");
      // Of equal keyrings in different commits the remote's stays, so that devices do not push theirs in turns.
      if (settled || theirs.keyring.seq > opened.keyring.seq || theirs.keyring.hash === opened.keyring.hash) {
        vault = theirs;
        updates.push({ ref: ring, to: theirs.keyringCommit, from: opened.keyringCommit });
      }
    }
  } else if (!served && queue.confirmed[ring]) {
    confirmedRing = undefined;
  }

  const state = await context.keys.state();
  const { heads: remembered = {}, clones = [] } = state.repos[vault.repo] ?? {};
  const known = new Map(before.all.map((one) => [one.replica, one]));
  const unsent = await unsentOfOthers(context, vault, before);
  const heads = new Map([...known].filter(([replica]) => !unsent.has(replica)));
  const changed: string[] = [];
  const lost = new Map<string, Oid | undefined>();
  // Another clone of this device that is there still sends its own.
  const { commonDir } = context.repo;
  const isThere = ({ dir }: { readonly dir: string }) => dir !== commonDir && existsSync(dir);
  const alive = new Set(clones.filter(isThere).map(({ replica }) => replica));
  for (const replica of known.keys())
    if (options.restore || (unsent.has(replica) && !alive.has(replica))) lost.set(replica, undefined);
  if (before.replica !== null) lost.delete(before.replica);
  for (const [ref, commit] of refs) {
    const name = parseRef(outgoingRef(ref));
    if (name?.kind !== "head" || name.replica === before.replica) continue;
    if (known.get(name.replica)?.commit === commit) {
      heads.set(name.replica, known.get(name.replica)!);
      unsent.delete(name.replica);
      lost.delete(name.replica);
      continue;
    }
    const shown = await readHead(vault, name.replica, commit);
    if (lost.has(name.replica)) lost.set(name.replica, commit);
    // The user says that it was reset: what is here of that replica goes back there, and is not taken for forged.
    if (lost.has(name.replica) && shown.head.seq < (heads.get(name.replica)?.head.seq ?? 0)) continue;
    heads.set(name.replica, shown);
    if (shown.head.seq < (unsent.get(name.replica)?.head.seq ?? 0)) continue;
    unsent.delete(name.replica);
    lost.delete(name.replica);
    if (shown.hash !== known.get(name.replica)?.hash) changed.push(name.replica);
    context.chores.later(() => rememberReplicaHead(context, vault.repo, shown));
    updates.push({ ref: outgoingRef(ref), to: commit, from: local.get(outgoingRef(ref)) ?? null });
  }
  for (const replica of unsent.keys()) known.delete(replica);
  // What another copy of this clone has written does not go on from what this one has.
  const displacing = await displacingHead(vault, before, refs, queue);
  if (displacing) known.delete(displacing.replica);
  const own = displacing ? {} : ownMark(before);
  const all = [...heads.values()].map((one) => (one.replica === displacing?.replica ? displacing : one));
  // Another clone of this device may have written what it has not pushed yet: of it counts what this one has seen.
  const siblings = new Set(clones.map((one) => one.replica));
  const others = Object.fromEntries(
    Object.entries(remembered).filter(([replica]) => replica !== before.replica && !siblings.has(replica)),
  );
  const seen = marksOf(before.others.filter(({ replica }) => siblings.has(replica) && !unsent.has(replica)));
  const marks = acceptHeads(vault.keyring, all, { ...others, ...seen, ...own }, known);
  const isNew = vault.keyring.seq > (state.vaults[vault.keyring.vault]?.kr[0] ?? 0);
  // Another device that works in this very clone has brought it here.
  if (vault !== opened || isNew) {
    // Before it is remembered, as the copy must never be older than what is; and before the refs move, as whoever
    // finds them moved after a kill takes the copy for made.
    const { files } = await readKeyringTree(context, vault.keyringCommit);
    await context.keys.saveKeyringCopy(vault.ref, files);
  }
  if (updates.length > 0) await context.db.update([...updates, ...dropping(refs)]);
  await context.keys.rememberKeyring(vault.keyring.vault, vault.keyring.genesis, [
    vault.keyring.seq,
    vault.keyring.hash,
  ]);
  const { [displacing?.replica ?? ""]: _, ...remembering } = marks;
  await context.keys.rememberHeads(vault.repo, vault.keyring.vault, remembering);
  await updateQueue(context, remote.key, (entry) => {
    entry.contact = context.world.now().toISOString();
    if (confirmedRing) entry.confirmed[ring] = confirmedRing;
    else delete entry.confirmed[ring];
    if (before.replica && remote.key === remote.origin && !holdsOurs(entry, refs, prefix, before.replica))
      forgetReplica(entry, prefix, before.replica);
  });
  // Another device that works in this very clone, with another HOME, has its own in the same queue.
  const sent = before.others.filter(({ replica }) => siblings.has(replica) && !unsent.has(replica));
  await forgetCopied(context, prefix, sent);
  const accepted = splitOwn([...new Map([...heads, ...unsent]).values()], before.replica);
  context.chores.later(() => noteWaiting(context, vault, accepted, (device) => deviceName(vault, device)));
  const displaced = displacing !== null;
  return { status: "ok", text: "", vault, heads: accepted, changed, lost, displaced };
}

export async function isAncestor(context: Context, older: string, newer: string): Promise<boolean> {
  return (await context.git.code(["merge-base", "--is-ancestor", older, newer])) === 0;
}

const olderKeyring = (): ConvosyncError =>
  integrityError("keyring-rollback", "the remote shows an older keyring than this device knows", [
    "if it was reset, or is another one than before, put there what it lacks: git convosync sync --retry",
    "if it was not, somebody is serving you old data: do not trust it",
  ]);

/** Whether the remote still shows the head of ours that it once confirmed; somebody may have wiped or reset it. */
function holdsOurs(
  entry: RemoteQueue,
  served: ReadonlyMap<string, string>,
  prefix: string,
  replica: string,
): boolean {
  const head = `${prefix}head/${replica}`;
  return entry.confirmed[head] === undefined || served.get(incomingRef(head)) === entry.confirmed[head];
}

/** The remote's index of this replica, where that is neither an older one of its own nor what it has; others have seen it. */
async function displacingHead(
  vault: OpenVault,
  { own }: Heads,
  refs: ReadonlyMap<string, Oid>,
  { confirmed }: RemoteQueue,
): Promise<ReplicaHead | null> {
  const ref = own && formatRef({ kind: "head", vault: vault.ref, replica: own.replica });
  const served = ref && refs.get(incomingRef(ref));
  if (!served || served === own.commit || served === confirmed[ref]) return null;
  const shown = await readHead(vault, own.replica, served);
  return shown.head.seq >= own.head.seq && shown.hash !== own.hash ? shown : null;
}

function ownMark(heads: Heads): ReturnType<typeof marksOf> {
  return heads.own ? marksOf([heads.own]) : {};
}

/** Fetches refs of ours into quarantine. */
export async function receive(
  context: Context,
  remote: { readonly name: string },
  refspecs: readonly string[],
  timeoutMs: number,
  { prompt = true }: { readonly prompt?: boolean } = {},
): Promise<FetchResult> {
  const result = await fetch(context.git, {
    remote: remote.name,
    refspecs,
    timeoutMs,
    prompt,
    sealed: true,
  });
  context.db.forgetRefs("incoming");
  return result;
}

/** Quarantined refs live only while a fetch is examined; what a crash left behind goes with the next one. */
export async function dropIncoming(context: Context, prefix: string): Promise<void> {
  const left = await context.db.refs(prefix);
  if (left.size > 0) await context.db.update(dropping(left));
}

/** The updates that remove refs. */
export const dropping = (refs: ReadonlyMap<string, Oid>): RefUpdate[] =>
  [...refs].map(([ref, from]) => ({ ref, to: null, from }));
