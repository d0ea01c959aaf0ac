import { ConvosyncError } from "../errors.ts";
import type { Heads } from "./catalog.ts";
import { type ChosenRemote, currentBranch, findRemote } from "./chosen-remote.ts";
import { loadHeads } from "./heads.ts";
import { type Fetched, openWithHeads } from "./remote.ts";
import { type Context, withCloneLock } from "./repository.ts";
import { type OpenVault, openVault } from "./vault.ts";

/** The vault and everybody's heads, as new as they are to be had. */
export interface FreshHeads {
  readonly vault: OpenVault;
  readonly heads: Heads;
  readonly remote: ChosenRemote | null;
  /** Why the remote, if there is one, could not be asked: others may have written what is not known here. */
  readonly offline: string | null;
}

/** What the remote shows; without one, or where it cannot be reached, what is known here. The clone must be locked. */
export async function freshHeads(context: Context, remote: ChosenRemote | null): Promise<FreshHeads> {
  if (!remote) {
    const vault = await openVault(context);
    return { vault, heads: await loadHeads(context, vault), remote, offline: null };
  }
  const { status, text, vault, heads } = await openSettled(context, remote);
  return { vault, heads, remote, offline: status === "ok" ? null : text };
}

/** Opens the vault with everybody's heads, also those that were written under this clone's name. The clone must be locked. */
export async function openSettled(context: Context, remote: ChosenRemote): Promise<Fetched> {
  const fetched = await openWithHeads(context, remote);
  const { vault, heads, displaced } = fetched;
  if (!displaced || heads.replica === null) return fetched;
  const { settleReplica } = await import("./replica.ts");
  return { ...fetched, ...(await settleReplica(context, vault, heads.replica, remote)) };
}

/** Runs `work` with the clone locked, on the newest heads: for a change of the index, which can wait in the queue. */
export async function withFreshHeads<Result>(
  context: Context,
  work: (fresh: FreshHeads) => Promise<Result>,
): Promise<Result> {
  const remote = await findRemote(context, await currentBranch(context));
  return withCloneLock(context, async () => work(await freshHeads(context, remote)));
}

/** What is known here, without asking anybody. */
export async function knownHeads(context: Context): Promise<FreshHeads> {
  const vault = await openVault(context);
  const remote = await findRemote(context, await currentBranch(context));
  return { vault, heads: await loadHeads(context, vault), remote, offline: null };
}

/**
 * Runs `work`, which fetches sessions, on the index as it is known; and once more on what the remote shows where they
 * turn out to have been saved again or deleted since. What is forged is so the second time, too. The clone must be
 * locked.
 */
export async function onNewestHeads<Result>(
  context: Context,
  known: FreshHeads,
  work: (now: FreshHeads) => Promise<Result>,
): Promise<Result> {
  try {
    return await work(known);
  } catch (error) {
    const isOutdated =
      error instanceof ConvosyncError && ["manifest-mismatch", "session-missing"].includes(error.code);
    if (!isOutdated || !known.remote || known.offline !== null) throw error;
    const fresh = await freshHeads(context, known.remote);
    if (fresh.offline !== null) throw error;
    return work(fresh);
  }
}
