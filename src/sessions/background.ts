import { currentBranch, findRemote } from "./chosen-remote.ts";
import { loadHeads } from "./heads.ts";
import { publish, type QueueReason } from "./publish.ts";
import { pendingUpdates, type RemoteQueue, remoteQueue, updateQueue } from "./queue.ts";
import { isMendable, settleReplica } from "./replica.ts";
import { type Context, withCloneLock } from "./repository.ts";
import { type OpenVault, openVault } from "./vault.ts";

/** Hosts count pushes (GitHub: six a minute and repository), and what comes close together travels together. */
const betweenPushesMs = 30_000;
const longestWaitMs = 60 * 60_000;
/** A remote that answers no will hardly say yes a minute later. */
const refusedWaitMs = 10 * 60_000;
const longestRefusedWaitMs = 6 * 60 * 60_000;

/** When a push that nobody asked for may be made; null for at once. Pure. */
export function nextPush(queue: RemoteQueue, now: Date): Date | null {
  const { at, next } = queue.background ?? {};
  const times = [at ? new Date(at).getTime() + betweenPushesMs : 0, next ? new Date(next).getTime() : 0];
  const due = Math.max(...times);
  // A clock that was set back must not stop us for years.
  if (due <= now.getTime() || due > now.getTime() + longestRefusedWaitMs + betweenPushesMs) return null;
  return new Date(due);
}

/** How long to wait after so many failures in a row. Pure but for `chance`, a number from 0 to 1. */
export function backOff(failures: number, reason: QueueReason, chance: number): number {
  const offline = reason === "offline";
  const first = offline ? betweenPushesMs : refusedWaitMs;
  const most = offline ? longestWaitMs : longestRefusedWaitMs;
  const wait = Math.min(most, first * 2 ** Math.min(failures - 1, 16));
  // Many clones behind one network that comes back must not all call in the same second.
  return Math.round(wait * (0.8 + 0.2 * chance));
}

export type BackgroundPush =
  /** Nothing waits, or there is nobody to send it to. */
  | { readonly status: "nothing" }
  /** `failing`: because the last attempt failed. */
  | { readonly status: "later"; readonly at: Date; readonly failing: boolean }
  | { readonly status: "pushed" }
  /** `at`: when it may be tried again. */
  | { readonly status: "failed"; readonly text: string; readonly at: Date };

/**
 * Sends what waits of this replica's refs, never the user's branch, unless it is too soon. The clone is not locked
 * while git talks to the remote: whoever saves by hand in the meantime pushes too, and the leases sort it out.
 */
export async function pushInBackground(
  context: Context,
  { eager = false, random = Math.random }: { eager?: boolean; random?: () => number } = {},
): Promise<BackgroundPush> {
  if (!context.settings.flag("autoPush", true)) return { status: "nothing" };
  const remote = await findRemote(context, await currentBranch(context));
  if (!remote) return { status: "nothing" };
  context.db.forgetRefs();
  const vault = await openVault(context);
  const { replica } = await loadHeads(context, vault);
  const queue = await remoteQueue(context, remote.key);
  const pending = await pendingUpdates(context, vault, replica, queue);
  if (pending.length === 0) return { status: "nothing" };
  // The user has just pushed: whatever was wrong with the remote is over, or will be said again.
  const known =
    eager && queue.background ? { ...queue, background: { ...queue.background, next: null } } : queue;
  const due = nextPush(known, context.world.now());
  if (due) return { status: "later", at: due, failing: Boolean(known.background?.next) };
  let outcome = await publish(context, vault, replica, remote, null);
  if (isMendable(outcome) && replica) {
    const settled = await withCloneLock(context, async () => {
      const fresh: OpenVault = await openVault(context);
      return settleReplica(context, fresh, replica, remote);
    });
    outcome = await publish(context, settled.vault, settled.replica, remote, null);
  }
  const now = context.world.now();
  let at: Date | null = null;
  await updateQueue(context, remote.key, (entry) => {
    const failures = outcome.status === "queued" ? (entry.background?.failures ?? 0) + 1 : 0;
    at =
      outcome.status === "queued"
        ? new Date(now.getTime() + backOff(failures, outcome.reason, random()))
        : null;
    entry.background = { at: now.toISOString(), failures, next: at?.toISOString() ?? null };
  });
  if (outcome.status !== "queued") return { status: "pushed" };
  return { status: "failed", text: outcome.text, at: at ?? now };
}
