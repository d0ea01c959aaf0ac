import { join } from "node:path";
import * as v from "valibot";
import { formatRef, parseRef, vaultPrefix } from "../refs/names.ts";
import type { Oid } from "../refs/object-database.ts";
import type { Heads } from "./catalog.ts";
import type { ChosenRemote } from "./chosen-remote.ts";
import { readState, withLock, writeAtomic } from "./files.ts";
import type { Context } from "./repository.ts";

/**
 * What has still to reach a remote. It is not a list that could be lost: it is the difference between this
 * replica's refs and the values the remote has confirmed. Only what refs cannot say is written down: the
 * deletions and the branches that were to travel along. Losing the file costs a few bytes on the wire.
 */
const remoteSchema = v.object({
  /** Ref → the value the remote is known to have. */
  confirmed: v.record(v.string(), v.string()),
  /** Ref → the value that was last sent, whether or not the answer came: by it we know our own on the remote. */
  sent: v.optional(v.record(v.string(), v.string())),
  /** Refs to delete on the remote → since when. */
  deletions: v.record(v.string(), v.string()),
  /** Refs of this replica's that deletions elsewhere may have taken from the remote and that were sent again → by whom, when. */
  outlived: v.optional(v.record(v.string(), v.string())),
  /** Branches to push → since when. */
  branches: v.record(v.string(), v.string()),
  /** Since when something waits, and why. */
  since: v.nullable(v.string()),
  reason: v.nullable(v.string()),
  /** Last time the remote confirmed anything or answered a fetch. */
  contact: v.nullable(v.string()),
  /** Ref → the value that was sent before the last one, which may arrive only now. */
  sentBefore: v.optional(v.record(v.string(), v.string())),
  /** Commits of heads that were sent, the newest first: of these the remote may show one again, put back from a backup. */
  sentHeads: v.optional(v.array(v.string())),
  /** The last push that nobody asked for, how many have failed in a row, and when the next may be tried. */
  background: v.optional(v.object({ at: v.string(), failures: v.number(), next: v.nullable(v.string()) })),
});
const queueSchema = v.object({ v: v.literal(1), remotes: v.record(v.string(), remoteSchema) });

export type RemoteQueue = v.InferOutput<typeof remoteSchema>;
type Queue = v.InferOutput<typeof queueSchema>;

const path = (context: Context): string => join(context.cloneDir, "queue.json");

const emptyRemote = (): RemoteQueue => ({
  confirmed: {},
  deletions: {},
  branches: {},
  since: null,
  reason: null,
  contact: null,
});

async function readQueue(context: Context): Promise<Queue> {
  return (await readState(path(context), queueSchema)) ?? { v: 1, remotes: {} };
}

/** The queue of one remote, by its normalised URL. */
export async function remoteQueue(context: Context, remote: string): Promise<RemoteQueue> {
  return (await readQueue(context)).remotes[remote] ?? emptyRemote();
}

/** The remotes, by their keys, that have a vault's keyring, as far as was seen. */
export async function remotesHolding(context: Context): Promise<string[]> {
  const { remotes } = await readQueue(context);
  const holds = ({ confirmed }: RemoteQueue) =>
    Object.keys(confirmed).some((ref) => parseRef(ref)?.kind === "keyring");
  return Object.keys(remotes).filter((key) => holds(remotes[key]!));
}

/** The branches that wait, by the remotes they wait for. */
export async function waitingBranches(context: Context): Promise<Map<string, string[]>> {
  const queues = Object.entries((await readQueue(context)).remotes).filter(([key]) => key !== noRemoteYet);
  return new Map(queues.map(([key, { branches }]) => [key, Object.keys(branches)]));
}

/** Those of all remotes. */
export async function allQueues(context: Context): Promise<RemoteQueue[]> {
  return Object.values((await readQueue(context)).remotes);
}

export async function updateQueue(
  context: Context,
  remote: string,
  change: (queue: RemoteQueue) => void,
): Promise<void> {
  await withLock(join(context.cloneDir, "queue.lock"), 10_000, async () => {
    const queue = await readQueue(context);
    queue.remotes[remote] ??= emptyRemote();
    const before = JSON.stringify(queue.remotes[remote]);
    change(queue.remotes[remote]);
    if (JSON.stringify(queue.remotes[remote]) !== before)
      await writeAtomic(path(context), JSON.stringify(queue));
  });
}

/** Whether a push that failed may be tried again by now, to whatever remote; asks no git. */
export async function isRetryDue(cloneDir: string, now: Date): Promise<boolean> {
  const queue = await readState(join(cloneDir, "queue.json"), queueSchema);
  return Object.values(queue?.remotes ?? {}).some(({ background }) => {
    return typeof background?.next === "string" && new Date(background.next) <= now;
  });
}

/** Stands for the remote of a repository that has none yet. */
const noRemoteYet = "";

/** Has a branch wait for the next sync: with this remote, or with the first that the repository is given. */
export function holdBranch(
  context: Context,
  remote: string | null,
  branch: string,
  since: string,
): Promise<void> {
  return updateQueue(context, remote ?? noRemoteYet, (entry) => {
    entry.branches[branch] ??= since;
    entry.since ??= since;
  });
}

/** What waited for a remote waits for this one. */
export async function adoptBranches(context: Context, remote: string): Promise<void> {
  const { branches } = await remoteQueue(context, noRemoteYet);
  if (Object.keys(branches).length === 0) return;
  await updateQueue(context, remote, (entry) => {
    entry.branches = { ...branches, ...entry.branches };
    entry.since ??= Object.values(branches).sort()[0]!;
  });
  await updateQueue(context, noRemoteYet, (entry) => {
    entry.branches = {};
    entry.since = null;
  });
}

/** Notes that the remote has `oid` at `ref`. */
export function confirmRef(context: Context, remote: string, ref: string, oid: Oid): Promise<void> {
  return updateQueue(context, remote, (queue) => {
    queue.confirmed[ref] = oid;
  });
}

/** Forgets what a remote confirmed of a replica: the next push finds out, or sends it again. */
export function forgetReplica(entry: RemoteQueue, prefix: string, replica: string): void {
  for (const ref of Object.keys(entry.confirmed)) {
    if (ref.startsWith(prefix) && isOf(ref, replica)) delete entry.confirmed[ref];
  }
}

/** Forgets, in a copy of another clone, what that one's remotes had of it before it was copied. */
export async function forgetCopied(
  context: Context,
  prefix: string,
  others: readonly { readonly replica: string }[],
): Promise<void> {
  const { remotes } = await readQueue(context);
  const isCopied = (ref: string): boolean =>
    ref.startsWith(prefix) && others.some(({ replica }) => isOf(ref, replica));
  for (const [key, { confirmed, sent }] of Object.entries(remotes)) {
    const copied = Object.keys({ ...confirmed, ...sent }).filter(isCopied);
    if (copied.length > 0)
      await updateQueue(context, key, (entry) => {
        for (const ref of copied) {
          delete entry.confirmed[ref];
          delete entry.sent?.[ref];
        }
      });
  }
}

/** Whether a ref is one that this replica writes. */
export function isOf(ref: string, replica: string | null): boolean {
  const name = parseRef(ref);
  return name !== null && "replica" in name && name.replica === replica;
}

export interface PendingUpdate {
  readonly ref: string;
  readonly oid: Oid | null;
  /** The value the remote must still have, null for none. A deletion takes whatever is there: tombstones win. */
  readonly lease: Oid | null | undefined;
}

/** Everything of this replica that the remote has not confirmed. */
export async function pendingUpdates(
  context: Context,
  vault: { readonly ref: string },
  replica: string | null,
  queue: RemoteQueue,
): Promise<PendingUpdate[]> {
  const local = await context.db.refs(vaultPrefix(vault.ref));
  const updates: PendingUpdate[] = [];
  for (const [ref, oid] of local) {
    const name = parseRef(ref);
    const mine = name?.kind === "keyring" || (name !== null && "replica" in name && name.replica === replica);
    if (mine && queue.confirmed[ref] !== oid) updates.push({ ref, oid, lease: queue.confirmed[ref] ?? null });
  }
  for (const ref of Object.keys(queue.deletions)) {
    if (!local.has(ref)) updates.push({ ref, oid: null, lease: undefined });
  }
  return updates;
}

export const keyringRef = (vault: { readonly ref: string }): string =>
  formatRef({ kind: "keyring", vault: vault.ref });

/** What waits for a remote, as a person would name it. */
export async function describePending(
  context: Context,
  vault: { readonly ref: string },
  heads: Heads,
  remote: ChosenRemote,
): Promise<string[]> {
  const queue = await remoteQueue(context, remote.key);
  const pending = await pendingUpdates(context, vault, heads.replica, queue);
  const entries = new Map((heads.own?.entries ?? []).map((one) => [one.d, one]));
  const names = pending.map(({ ref, oid }) => {
    const dir = /\/session\/([^/]+)\//.exec(ref)?.[1];
    const entry = dir === undefined ? undefined : entries.get(dir);
    if (entry?.a || ref.includes("/archive/")) return "archive";
    if (dir) {
      const id = entry ? entry.s.slice(entry.s.indexOf(":") + 1) : dir;
      return oid ? id : `deletion of ${id}`;
    }
    return ref.endsWith("/keyring") ? "keyring" : "index";
  });
  const branches = [...(await waitingBranches(context)).values()].flat();
  return [...new Set([...names, ...branches.map((name) => `branch ${name}`)])];
}
