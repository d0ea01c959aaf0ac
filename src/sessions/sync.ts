import { catalog } from "./catalog.ts";
import { type ChosenRemote, currentBranch, findRemote, noRemote, unreachable } from "./chosen-remote.ts";
import { fold } from "./fold.ts";
import { loadHeads } from "./heads.ts";
import { type Branch, type PublishResult, publish, type QueueReason } from "./publish.ts";
import { adoptBranches, describePending, remoteQueue, updateQueue } from "./queue.ts";
import { openWithHeads } from "./remote.ts";
import { publishSettled } from "./replica.ts";
import { type Context, withCloneLock } from "./repository.ts";
import { dueSessions, retentionRule } from "./retention.ts";
import { buryDeleted } from "./tombstones.ts";
import { findVault, type OpenVault } from "./vault.ts";

export interface SyncResult {
  readonly remote: ChosenRemote;
  /** What reached the remote: session ids and branches. */
  readonly pushed: readonly string[];
  /** Sessions that are new here or moved on. */
  readonly fetched: readonly string[];
  /** What still waits. */
  readonly queued: readonly string[];
  readonly publish: PublishResult;
  /** Sessions that retention would have `gc` look at. */
  readonly due: number;
}

/** Sends what waits, fetches what other devices saved. Exit 8 when the remote cannot be reached. */
export async function sync(
  context: Context,
  options: { noCode?: boolean; restore?: boolean },
): Promise<SyncResult> {
  const remote = await findRemote(context, await currentBranch(context));
  return withCloneLock(context, async () => {
    if (!remote) {
      await findVault(context);
      throw noRemote();
    }
    await adoptBranches(context, remote.key);
    const fetched = await openWithHeads(context, remote, { restore: options.restore === true });
    if (fetched.status !== "ok") throw unreachable(remote, fetched.text);
    const { vault } = fetched;
    await buryDeleted(context, vault, fetched.heads, remote.key);
    await repackInPassing(context, vault);
    await fold(context, vault, await loadHeads(context, vault), remote.key);
    const waiting = await describePending(context, vault, await loadHeads(context, vault), remote);
    const gone = new Set<string>();
    const outcome = await publishSettled(context, vault, fetched.heads.replica, remote, (now, as) =>
      publishBranches(context, now, as, remote, options, (name) => gone.add(`branch ${name}`)),
    );
    const still = await describePending(context, vault, await loadHeads(context, vault), remote);
    const moved = new Set(fetched.changed);
    const sessions = catalog(fetched.heads, vault).filter((one) =>
      one.copies.some((copy) => moved.has(copy.replica)),
    );
    return {
      remote,
      pushed: waiting.filter((one) => !still.includes(one) && !gone.has(one)),
      fetched: sessions.map((one) => one.id),
      queued: still,
      publish: outcome,
      due: dueSessions(catalog(fetched.heads, vault), retentionRule(context.settings), context.world.now())
        .length,
    };
  });
}

/**
 * What is packed anew without anybody having asked for it: after eight times as many saves as `gc` waits for, so that what
 * is sent again is an eighth of what was saved, and no more of it than goes out in a second or two.
 */
const inPassing = { above: 512, bytes: 16 << 20 };

/** Sessions of very many saves are packed anew, so that one more goes on costing what it does. */
async function repackInPassing(context: Context, vault: OpenVault): Promise<void> {
  const heads = await loadHeads(context, vault);
  if (!heads.own?.entries.some((entry) => !entry.a && entry.k > inPassing.above)) return;
  await (await import("./compact.ts")).compact(context, vault, heads, inPassing);
}

/** Why a branch waits, when it is the branch's own fault. */
const branchReasons: ReadonlySet<QueueReason> = new Set([
  "branch-rejected",
  "branch-refused",
  "submodules-missing",
  "hook-declined",
]);

/**
 * Pushes everything that waits, with each branch that was to travel along at its tip of now. One that the remote refuses is
 * in no other's way.
 */
async function publishBranches(
  context: Context,
  vault: OpenVault,
  replica: string | null,
  remote: ChosenRemote,
  options: { noCode?: boolean },
  gone: (branch: string) => void,
): Promise<PublishResult> {
  const queue = await remoteQueue(context, remote.key);
  const branches: Branch[] = [];
  for (const name of options.noCode ? [] : Object.keys(queue.branches)) {
    const args = ["rev-parse", "--verify", "--quiet", `refs/heads/${name}`];
    const tip = await context.git.run(args, { okCodes: [0, 1] });
    if (tip.code === 0) branches.push({ name, commit: tip.stdout.toString().trim() });
    else {
      // Nothing of it can be sent any more.
      gone(name);
      await updateQueue(context, remote.key, (entry) => void delete entry.branches[name]);
    }
  }
  let last: PublishResult = { status: "unchanged" };
  let refused: PublishResult | null = null;
  for (const branch of branches.length > 0 ? branches : [null]) {
    const result = await publish(context, vault, replica, remote, branch);
    if (result.status === "queued") {
      if (!branchReasons.has(result.reason)) return result;
      refused ??= result;
    } else if (result.status === "pushed") last = result;
  }
  return refused ?? last;
}
