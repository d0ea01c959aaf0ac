import { ConvosyncError, Exit } from "../errors.ts";
import type { Snapshot } from "../packing/manifest.ts";
import type { Oid } from "../refs/object-database.ts";
import { fetch } from "../refs/transport.ts";
import { checkBranchName, checkoutDetached, fastForward, relation, switchTo } from "../worktree/branches.ts";
import { type CodeState, inspectCode } from "../worktree/code-state.ts";
import { rootCommits } from "../worktree/remotes.ts";
import { checkResume } from "../worktree/safety.ts";
import type { ChosenRemote } from "./chosen-remote.ts";
import type { Context } from "./repository.ts";
import type { RepoRecord } from "./vault.ts";

export interface CodeOptions {
  /** Leave the branch as it is, even when the session is on another. */
  readonly stayOnBranch?: boolean;
  /** Do not bring in commits beyond the session's own. */
  readonly noPull?: boolean;
  /** Check out the session's very commit, detached. */
  readonly exact?: boolean;
  readonly force?: boolean;
}

export type CodeEvent =
  | {
      readonly step: "switched";
      readonly branch: string;
      readonly from: string | null;
      readonly created: boolean;
    }
  | { readonly step: "forwarded"; readonly branch: string; readonly commit: Oid }
  | { readonly step: "detached"; readonly commit: Oid }
  | { readonly step: "code"; readonly commit: Oid; readonly ahead: boolean }
  | { readonly step: "stayed"; readonly branch: string | null; readonly wanted: string | null };

/** What has to happen to the work tree; decided before anything is touched. */
export type CodePlan =
  | { readonly kind: "nothing"; readonly commit: Oid | null; readonly ahead: boolean }
  | { readonly kind: "stay"; readonly branch: string | null; readonly wanted: string | null }
  | { readonly kind: "exact"; readonly commit: Oid }
  | {
      readonly kind: "branch";
      readonly from: string | null;
      readonly branch: string;
      /** Make the branch here, at this commit. */
      readonly create: Oid | null;
      readonly track: string | null;
      /** Fast-forward to this commit. */
      readonly forward: Oid | null;
      readonly commit: Oid;
      readonly ahead: boolean;
    };

const fetchTimeoutMs = 10 * 60_000;

/**
 * Decides how the work tree comes to the commit a conversation belongs to. Whatever is not plain stops here, with
 * the command that mends it: exit 4, or 5 when the code diverged.
 */
export async function planCode(
  context: Context,
  snapshot: Snapshot | null,
  remote: ChosenRemote | null,
  { online, fetched }: { online: boolean; fetched: string | null },
  options: CodeOptions,
): Promise<CodePlan> {
  const state = await inspectCode(context.git, context.repo);
  const commit = snapshot?.commit ?? null;
  const branch = snapshot?.branch ?? null;
  if (!commit) return { kind: "nothing", commit: null, ahead: false };
  if (options.stayOnBranch) return { kind: "stay", branch: state.branch, wanted: branch };
  const stop = checkResume(state, { movesCode: false, headIsKept: true });
  if (stop) throw stop;
  if (online && remote && branch && branch !== fetched) await fetchBranch(context, remote, branch);
  const upstream = branch && remote ? await resolveCommit(context, trackingRef(remote, branch)) : null;
  await requireCommit(context, commit, branch, remote, online);
  if (options.exact || !branch) return planExact(context, state, commit, options);
  return state.branch === branch
    ? planHere(context, state, branch, commit, upstream, options)
    : planSwitch(context, state, branch, commit, upstream, remote, options);
}

/**
 * Stops when this is another repository than the one the vault was made in: neither the remote nor any root commit
 * is the same. Where either is, it has only been moved.
 */
export async function checkSameRepository(
  context: Context,
  record: RepoRecord,
  remote: ChosenRemote | null,
): Promise<void> {
  if (!remote || record.roots.length === 0 || record.origins.includes(remote.origin) || context.repo.shallow)
    return;
  const roots = await rootCommits(context.git);
  if (roots.length === 0 || roots.some((root) => record.roots.includes(root))) return;
  throw new ConvosyncError(
    "other-repository",
    Exit.stopped,
    `these conversations belong to another repository (${record.origins.join(", ") || "without a remote"})`,
    [
      "resume them in a clone of that one",
      "or bring back the conversation alone: git convosync resume --stay-on-branch --force",
    ],
  );
}

const trackingRef = (remote: ChosenRemote, branch: string): string => `refs/remotes/${remote.name}/${branch}`;

/** Brings the remote-tracking branch up to date. The name comes from another device. */
export async function fetchBranch(context: Context, remote: ChosenRemote, branch: string): Promise<void> {
  await checkBranchName(context.git, branch);
  await fetch(context.git, {
    remote: remote.name,
    refspecs: [`+refs/heads/${branch}:${trackingRef(remote, branch)}`],
    timeoutMs: fetchTimeoutMs,
    prompt: true,
  });
}

async function resolveCommit(context: Context, name: string): Promise<Oid | null> {
  const { code, stdout } = await context.git.run(["rev-parse", "--verify", "--quiet", `${name}^{commit}`], {
    okCodes: [0, 1, 128],
  });
  return code === 0 ? stdout.toString().trim() : null;
}

async function requireCommit(
  context: Context,
  commit: Oid,
  branch: string | null,
  remote: ChosenRemote | null,
  online: boolean,
): Promise<void> {
  if (await resolveCommit(context, commit)) return;
  if (online && remote) {
    // Protocol v2 serves any commit by its name, also one that no branch holds any more.
    await fetch(context.git, {
      remote: remote.name,
      refspecs: [commit],
      timeoutMs: fetchTimeoutMs,
      prompt: true,
    });
    if (await resolveCommit(context, commit)) return;
  }
  const where = branch
    ? `commit ${commit.slice(0, 10)} of branch '${branch}'`
    : `commit ${commit.slice(0, 10)}`;
  throw new ConvosyncError(
    "commit-missing",
    Exit.stopped,
    `the conversation belongs to ${where}, which is neither here nor on the remote`,
    [
      "push it from the machine that saved it: git convosync sync",
      ...(context.repo.shallow ? ["this clone is shallow: git fetch --unshallow"] : []),
      "bring back the conversation alone: git convosync resume --stay-on-branch",
    ],
  );
}

async function planExact(
  context: Context,
  state: CodeState,
  commit: Oid,
  options: CodeOptions,
): Promise<CodePlan> {
  if (state.head === commit && (state.detached || !options.exact))
    return { kind: "nothing", commit, ahead: false };
  await requireMovable(context, state, options);
  return { kind: "exact", commit };
}

async function planHere(
  context: Context,
  state: CodeState,
  branch: string,
  commit: Oid,
  upstream: Oid | null,
  options: CodeOptions,
): Promise<CodePlan> {
  const target = await newest(context, commit, upstream, options);
  const here = state.head ? await relation(context.git, state.head, target) : "behind";
  if (here === "equal") return { kind: "nothing", commit, ahead: target !== commit };
  if (here === "ahead") return { kind: "nothing", commit, ahead: true };
  if (here === "behind") {
    await requireMovable(context, state, options);
    return {
      kind: "branch",
      from: branch,
      branch,
      create: null,
      track: null,
      forward: target,
      commit,
      ahead: target !== commit,
    };
  }
  throw here === "unknown" ? hiddenHistory(branch, commit) : codeDiverged(branch, commit);
}

async function planSwitch(
  context: Context,
  state: CodeState,
  branch: string,
  commit: Oid,
  upstream: Oid | null,
  remote: ChosenRemote | null,
  options: CodeOptions,
): Promise<CodePlan> {
  await requireMovable(context, state, options);
  const target = await newest(context, commit, upstream, options);
  const local = await resolveCommit(context, `refs/heads/${branch}`);
  const base = { kind: "branch", from: state.branch, branch, commit } as const;
  if (!local) {
    const track = upstream && remote ? remote.name : null;
    return { ...base, create: target, track, forward: null, ahead: target !== commit };
  }
  const there = await relation(context.git, local, target);
  if (there === "diverged") throw codeDiverged(branch, commit);
  if (there === "unknown") throw hiddenHistory(branch, commit);
  const forward = there === "behind" ? target : null;
  return { ...base, create: null, track: null, forward, ahead: there === "ahead" || target !== commit };
}

/** The remote's branch when it holds the session's commit and pulling is wanted; else that commit itself. */
async function newest(
  context: Context,
  commit: Oid,
  upstream: Oid | null,
  options: CodeOptions,
): Promise<Oid> {
  if (!upstream || options.noPull) return commit;
  return (await relation(context.git, commit, upstream)) === "behind" ? upstream : commit;
}

/** Stops before code would move over something that is not safe elsewhere. */
async function requireMovable(context: Context, state: CodeState, options: CodeOptions): Promise<void> {
  if (options.force) return;
  const headIsKept = state.detached && state.head !== null && (await onSomeBranch(context, state.head));
  const stop = checkResume(state, { movesCode: true, headIsKept });
  if (stop) throw stop;
}

async function onSomeBranch(context: Context, commit: Oid): Promise<boolean> {
  const refs = [
    "for-each-ref",
    "--count=1",
    "--contains",
    commit,
    "--format=x",
    "refs/heads",
    "refs/remotes",
  ];
  return (await context.git.text(refs)) !== "";
}

function codeDiverged(branch: string, commit: Oid): ConvosyncError {
  return new ConvosyncError(
    "code-diverged",
    Exit.conflict,
    `your branch '${branch}' and the conversation's commit ${commit.slice(0, 10)} went on separately`,
    [
      `bring them together: git merge ${commit.slice(0, 10)}`,
      "look at the conversation's code on its own: git convosync resume --exact",
      "bring back the conversation alone: git convosync resume --stay-on-branch",
    ],
  );
}

function hiddenHistory(branch: string, commit: Oid): ConvosyncError {
  return new ConvosyncError(
    "shallow-clone",
    Exit.stopped,
    `this clone is shallow: it cannot tell how '${branch}' and the conversation's commit ${commit.slice(0, 10)} belong together`,
    [
      "fetch the rest of the history, then resume: git fetch --unshallow",
      "look at the conversation's code on its own: git convosync resume --exact",
      "bring back the conversation alone: git convosync resume --stay-on-branch",
    ],
  );
}

/** Carries a plan out. git itself refuses to overwrite anything that is not committed. */
export async function bringCode(
  context: Context,
  plan: CodePlan,
  tell: (event: CodeEvent) => void,
): Promise<void> {
  switch (plan.kind) {
    case "nothing":
      if (plan.commit) tell({ step: "code", commit: plan.commit, ahead: plan.ahead });
      return;
    case "stay":
      tell({ step: "stayed", branch: plan.branch, wanted: plan.wanted });
      return;
    case "exact":
      await checkoutDetached(context.git, plan.commit);
      tell({ step: "detached", commit: plan.commit });
      return;
    case "branch":
      if (plan.branch !== plan.from) {
        await switchTo(context.git, plan.branch, {
          ...(plan.create && { createFrom: plan.create }),
          ...(plan.track && { track: plan.track }),
        });
        tell({ step: "switched", branch: plan.branch, from: plan.from, created: plan.create !== null });
      }
      if (plan.forward) {
        await fastForward(context.git, plan.branch, plan.forward);
        tell({ step: "forwarded", branch: plan.branch, commit: plan.forward });
      }
      tell({ step: "code", commit: plan.commit, ahead: plan.ahead });
  }
}
