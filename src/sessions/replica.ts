import { type Entry, tombstonesIn } from "../domains/head.ts";
import { sealManifest } from "../domains/writer.ts";
import { formatRef, incomingRef, outgoingRef, vaultPrefix } from "../refs/names.ts";
import type { NewCommit, Oid, RefUpdate } from "../refs/object-database.ts";
import { type Heads, refOf } from "./catalog.ts";
import type { ChosenRemote } from "./chosen-remote.ts";
import { loadHeads } from "./heads.ts";
import { writeIndex } from "./index-writer.ts";
import { isHead, type PublishResult, publish } from "./publish.ts";
import { allQueues, forgetReplica, isOf, updateQueue } from "./queue.ts";
import { dropIncoming, type FetchOptions, fetchHeads, isAncestor, receive } from "./remote.ts";
import type { Context } from "./repository.ts";
import { localCopy } from "./session-fetch.ts";
import { buryDeleted } from "./tombstones.ts";
import { type OpenVault, openVault, ownReplica } from "./vault.ts";

/** Refusals of a push that {@link settleReplica} may find the reason of. */
export const isMendable = (outcome: PublishResult): boolean =>
  outcome.status === "queued" && (outcome.reason === "replica-taken" || outcome.reason === "keyring-moved");

type Send = (vault: OpenVault, replica: string | null) => Promise<PublishResult>;

export interface PublishOptions extends FetchOptions {
  /** Told what is known before everything is sent once more; may throw to leave it at that. */
  readonly settled?: (heads: Heads) => void;
}

/** Publishes, and once more when the remote turned out to hold something else under our name than we had thought. */
export async function publishSettled(
  context: Context,
  vault: OpenVault,
  replica: string | null,
  remote: ChosenRemote,
  send: Send = (now, as) => publish(context, now, as, remote, null),
  { settled, ...options }: PublishOptions = {},
): Promise<PublishResult> {
  const outcome = await send(vault, replica);
  if (!isMendable(outcome) || !replica) return outcome;
  const now = await settleReplica(context, vault, replica, remote, options);
  settled?.(now.heads);
  return send(now.vault, now.replica);
}

/**
 * After the remote refused our lease: finds out why, and mends it. Either the queue had forgotten what the
 * remote confirmed, or somebody reset the remote, or another copy of this clone (a restored backup, a copied
 * disk) writes under the same replica id. Then this clone takes a new id and keeps everything, both versions.
 */
export async function settleReplica(
  context: Context,
  vault: OpenVault,
  replica: string,
  remote: ChosenRemote,
  options: FetchOptions = {},
): Promise<{ vault: OpenVault; heads: Heads; replica: string }> {
  const prefix = vaultPrefix(vault.ref);
  const incoming = incomingRef(prefix);
  await dropIncoming(context, incoming);
  const refspecs = [
    `+${prefix}head/${replica}*:${incoming}head/${replica}*`,
    `+${prefix}session/*/${replica}:${incoming}session/*/${replica}`,
    `+${prefix}archive/${replica}/*:${incoming}archive/${replica}/*`,
  ];
  const result = await receive(context, remote, refspecs, 120_000);
  if (result.status !== "ok") return { vault, heads: await loadHeads(context, vault), replica };
  const served = new Map([...(await context.db.refs(incoming))].map(([ref, oid]) => [outgoingRef(ref), oid]));
  const local = await context.db.refs(prefix);
  // To whatever remote: this one may have been known under another URL.
  const queues = await allQueues(context);
  const isSent = (ref: string, oid: Oid): boolean =>
    queues.some(({ confirmed, sent, sentBefore, sentHeads }) => {
      const values = [confirmed[ref], sent?.[ref], sentBefore?.[ref]];
      return values.includes(oid) || sentHeads?.includes(oid);
    });
  const strange: string[] = [];
  for (const [ref, oid] of served) {
    const mine = local.get(ref);
    const isOurs = (one: Oid): boolean => mine === one || isSent(ref, one);
    if (isOurs(oid) || (mine && (await isAncestor(context, oid, mine)))) continue;
    const original = isHead(ref) ? await standsFor(context, oid) : null;
    if (!original || !isOurs(original)) strange.push(ref);
  }
  if (strange.length === 0) {
    await dropIncoming(context, incoming);
    const fetched = await fetchHeads(context, vault, remote, options);
    await buryDeleted(context, fetched.vault, fetched.heads, remote.key);
    // Last: what is on the remote in spite of a deletion elsewhere is known by now, not only feared for.
    await updateQueue(context, remote.key, (queue) => {
      for (const ref of Object.keys(queue.confirmed)) {
        if (ref.startsWith(prefix) && isOf(ref, replica) && !served.has(ref)) delete queue.confirmed[ref];
      }
      for (const [ref, oid] of served) queue.confirmed[ref] = oid;
    });
    return { vault: fetched.vault, heads: fetched.heads, replica };
  }
  await dropIncoming(context, incoming);
  const renewed = await renewReplica(context, vault, replica);
  await updateQueue(context, remote.key, (queue) => forgetReplica(queue, prefix, replica));
  const fetched = await fetchHeads(context, await openVault(context), remote, options);
  await buryDeleted(context, fetched.vault, fetched.heads, remote.key);
  return { vault: fetched.vault, heads: fetched.heads, replica: renewed };
}

/** The commit that this one stands in for, put there by another device: its only parent, with the same files. */
export async function standsFor(context: Context, commit: Oid): Promise<Oid | null> {
  const [parent, ...more] = await context.db.parents(commit);
  if (parent === undefined || more.length > 0) return null;
  const [files, before] = [await context.db.files(commit), await context.db.files(parent)];
  const isSame = before.size === files.size && [...files].every(([path, blob]) => before.get(path) === blob);
  return isSame ? parent : null;
}

/** Moves everything this clone has under its old replica id to a new one; the old id is the other copy's now. */
async function renewReplica(context: Context, vault: OpenVault, old: string): Promise<string> {
  const heads = await loadHeads(context, vault);
  const local = await context.db.refs(vaultPrefix(vault.ref));
  const replica = await ownReplica(context, vault, { renew: true });
  const when = context.world.now();
  const commits: NewCommit[] = [];
  const refs: { ref: string; from: null }[] = [];
  const updates: RefUpdate[] = [];
  const entries: Entry[] = [];
  for (const entry of heads.own?.entries ?? []) {
    const oldRef = refOf(vault.ref, old, entry);
    const stored = await localCopy(
      vault,
      { replica: old, device: vault.device.id, entry, ref: oldRef },
      local,
    );
    if (!stored) continue;
    const sealed = await sealManifest(vault, { ...stored.manifest, replica }, stored);
    const anew = new Set(sealed.files.map(({ path }) => path));
    const kept = [...stored.files]
      .filter(([path]) => !anew.has(path))
      .map(([path, content]) => ({ path, content }));
    const files = [...kept, ...sealed.files];
    commits.push({ parents: stored.commit ? [stored.commit] : [], files, when });
    refs.push({ ref: formatRef({ kind: "session", vault: vault.ref, dir: entry.d, replica }), from: null });
    const { a: _folded, ...hot } = entry;
    entries.push({ ...hot, m: sealed.m });
  }
  for (const [ref, from] of local) {
    if (isOf(ref, old)) updates.push({ ref, from, to: null });
  }
  const alive = new Set(entries.map((one) => one.s));
  const own = heads.own?.head;
  const gone = [...tombstonesIn(own ? [own] : [])];
  const change = () => ({
    put: entries,
    bury: new Map(gone.filter(([session]) => !alive.has(session))),
    overridden: new Map(gone.filter(([session]) => alive.has(session))),
    pins: own?.pins ?? {},
    domains: own?.domains ?? {},
  });
  const tree = heads.own ? await context.db.files(heads.own.commit) : new Map<string, string>();
  const domainFiles = [...tree]
    .filter(([path]) => path.startsWith("domain/"))
    .map(([path, content]) => ({ path, content }));
  await context.keys.update((state) => {
    // What was remembered is our own version; the remote's, by the same device, is another line of history.
    delete state.repos[vault.repo]?.heads[old];
  });
  await writeIndex(context, vault, {
    heads: { ...heads, own: null },
    replica,
    when,
    change,
    commits,
    refs,
    updates,
    domainFiles,
  });
  return replica;
}
