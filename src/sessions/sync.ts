import { otherUpstream } from "../worktree/remotes.ts";
import { catalog } from "./catalog.ts";
import {
  type ChosenRemote,
  currentBranch,
  findCodeRemote,
  findRemote,
  noRemote,
  unreachable,
} from "./chosen-remote.ts";
import { pendingEvents } from "./events.ts";
import { fold } from "./fold.ts";
import { deviceName, loadHeads } from "./heads.ts";
import { type Branch, type PublishResult, publish, publishBranch, type QueueReason } from "./publish.ts";
import { adoptBranches, describePending, updateQueue, waitingBranches } from "./queue.ts";
import { openWithHeads } from "./remote.ts";
import { publishSettled } from "./replica.ts";
import { type Context, withCloneLock } from "./repository.ts";
import { dueSessions, retentionRule } from "./retention.ts";
import { buryDeleted } from "./tombstones.ts";
import { findVault, type OpenVault } from "./vault.ts";
import { reportWork, workerReport } from "./worker-report.ts";

export interface SyncResult {
  readonly remote: ChosenRemote;
  /** What reached the remote: session ids and branches. */
  readonly pushed: readonly string[];
  /** Of these, the branches that went to another remote → its name. */
  readonly elsewhere: ReadonlyMap<string, string>;
  /** Sessions that are new here or moved on. */
  readonly fetched: readonly string[];
  /** What still waits. */
  readonly queued: readonly string[];
  readonly publish: PublishResult;
  /** Devices of which the remote had lost something that is there again. */
  readonly restored: readonly string[];
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
    const { replica } = fetched.heads;
    const isShort = options.restore || fetched.lost.size > 0;
    const back = isShort ? await import("./put-back.ts") : null;
    const there = back && (await back.remoteRefsOf(context, vault, remote));
    if (options.restore && there) await back.recheckOwn(context, replica, remote, there);
    await buryDeleted(context, vault, fetched.heads, remote.key);
    await repackInPassing(context, vault);
    await fold(context, vault, await loadHeads(context, vault), remote.key);
    const waiting = await describePending(context, vault, await loadHeads(context, vault), remote);
    const gone = new Set<string>();
    const elsewhere = new Map<string, string>();
    const send = (now: OpenVault, as: string | null) =>
      publishBranches(context, now, as, remote, options, {
        gone: (name) => gone.add(`branch ${name}`),
        sent: (name, to) => elsewhere.set(`branch ${name}`, to),
      });
    const restore = options.restore === true;
    const sent = await publishSettled(context, vault, replica, remote, send, { restore });
    const { heads, lost } = fetched;
    const others = there && (await back.putBack(context, vault, heads, remote, { lost, there }));
    if (options.restore && others) await back.goOnWithout(context, vault, others);
    const outcome = sent.status === "queued" ? sent : (others?.refused ?? sent);
    if (outcome.status !== "queued") await forgetFailure(context);
    const still = await describePending(context, vault, await loadHeads(context, vault), remote);
    const moved = new Set(fetched.changed);
    const sessions = catalog(fetched.heads, vault).filter((one) =>
      one.copies.some((copy) => moved.has(copy.replica)),
    );
    return {
      remote,
      pushed: waiting.filter((one) => !still.includes(one) && !gone.has(one)),
      elsewhere,
      fetched: sessions.map((one) => one.id),
      queued: still,
      publish: outcome,
      restored: fetched.heads.others
        .filter((one) => others?.restored.includes(one.replica))
        .map((one) => deviceName(vault, one.head.device)),
      due: dueSessions(catalog(fetched.heads, vault), retentionRule(context.settings), context.world.now())
        .length,
    };
  });
}

/** Whatever the worker last failed at has been done, where nothing is left of what hooks noted. */
async function forgetFailure({ cloneDir, world }: Context): Promise<void> {
  const failed = (await workerReport(cloneDir))?.failures;
  if (failed && (await pendingEvents(cloneDir)).length === 0) await reportWork(cloneDir, world.now());
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

/** What is told of branches while they are sent. */
interface BranchEvents {
  /** It is not there any more. */
  gone(branch: string): void;
  /** It went to another remote than conversations do. */
  sent(branch: string, remote: string): void;
}

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
  events: BranchEvents,
): Promise<PublishResult> {
  const along: Branch[] = [];
  let last: PublishResult = { status: "unchanged" };
  let refused: PublishResult | null = null;
  for (const [key, names] of options.noCode ? [] : await waitingBranches(context)) {
    for (const name of names) {
      const waitsNoMore = () => updateQueue(context, key, (entry) => void delete entry.branches[name]);
      const branch = await branchNamed(context, name);
      if (!branch) {
        events.gone(name);
        await waitsNoMore();
        continue;
      }
      const its = await findCodeRemote(context, name, remote);
      const leftToUser = its.key !== remote.key && otherUpstream(context.config, name) !== null;
      // By now it goes to another remote than it waits for, or nowhere by itself.
      if (its.key !== key || leftToUser) await waitsNoMore();
      if (leftToUser) continue;
      if (its.key === remote.key) {
        along.push(branch);
        continue;
      }
      const result = await publishBranch(context, its, branch);
      if (result.status === "queued") refused ??= result;
      else events.sent(name, its.title);
    }
  }
  for (const branch of along.length > 0 ? along : [null]) {
    const result = await publish(context, vault, replica, remote, branch);
    if (result.status === "queued") {
      if (!branchReasons.has(result.reason)) return result;
      refused ??= result;
    } else if (result.status === "pushed") last = result;
  }
  return refused ?? last;
}

/** A branch at its tip of now; null when it is not there any more. */
async function branchNamed(context: Context, name: string): Promise<Branch | null> {
  const args = ["rev-parse", "--verify", "--quiet", `refs/heads/${name}`];
  const { code, stdout } = await context.git.run(args, { okCodes: [0, 1] });
  return code === 0 ? { name, commit: stdout.toString().trim() } : null;
}
