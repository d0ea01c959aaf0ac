import { ConvosyncError, Exit } from "../errors.ts";
import type { Manifest } from "../packing/manifest.ts";
import type { Oid } from "../refs/object-database.ts";
import type { CodeState } from "../worktree/code-state.ts";
import { checkResume } from "../worktree/safety.ts";
import type { ChosenRemote } from "./chosen-remote.ts";
import {
  type CodeSurvey,
  type FoundCommit,
  fetchBranch,
  findCode,
  findCommit,
  type RemoteKnown,
  renamed,
  resolveCommit,
  standing,
} from "./code-survey.ts";
import type { Decide } from "./decide.ts";
import type { Context } from "./repository.ts";

// How the work tree comes to the commit of a conversation: decided before anything is touched.

export interface CodeOptions {
  /** Leave the branch as it is, even when the session is on another. */
  readonly stayOnBranch?: boolean;
  /** Do not bring in commits beyond the session's own. */
  readonly noPull?: boolean;
  /** Check out the session's very commit, detached. */
  readonly exact?: boolean;
  readonly force?: boolean;
  /** A person can be asked: then it is worth finding out whether a switch goes without saying. */
  readonly asks?: boolean;
  readonly decide: Decide;
}

/** What has to happen to the work tree; decided before anything is touched. */
export type CodePlan = CodeChange & {
  /** The name the session's commit had when it was saved, where that is another one now. */
  readonly was?: Oid;
};

type CodeChange =
  | { readonly kind: "nothing"; readonly commit: Oid | null; readonly ahead: boolean }
  | { readonly kind: "stay"; readonly branch: string | null; readonly wanted: string | null }
  | { readonly kind: "exact"; readonly commit: Oid; readonly changes: Changes }
  | {
      readonly kind: "branch";
      readonly changes: Changes;
      /** The branch has commits of its own that `forward` lacks: join both, or put it where `forward` is. */
      readonly apart: "merge" | "theirs" | null;
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

/** What happens to uncommitted changes before code moves. */
export type Changes = "none" | "stash" | "commit";

/** How the code stands to the conversation once a plan is carried out. */
export type CodeAfter = "same" | "newer" | "other";

export function codeAfter(plan: CodePlan): CodeAfter {
  if (plan.kind === "stay") return "other";
  if (plan.kind === "exact") return "same";
  if (plan.kind === "nothing") return plan.commit === null ? "other" : plan.ahead ? "newer" : "same";
  return plan.ahead || plan.apart === "merge" || plan.changes === "commit" ? "newer" : "same";
}

/** Where that is: not by the name that the commit had when it was saved, if it was rewritten. Null where the code stays. */
export function placeAfter(
  plan: CodePlan,
  branch: string | null,
): { readonly branch: string | null; readonly commit: Oid } | null {
  if (plan.kind === "stay" || plan.commit === null) return null;
  return { branch: plan.kind === "exact" ? null : branch, commit: plan.commit };
}

/**
 * Decides how the work tree comes to the commit a conversation belongs to. Whatever is not plain stops here, with
 * the command that mends it: exit 4, or 5 when the code diverged.
 */
export async function planCode(
  context: Context,
  { snapshots, links }: Pick<Manifest, "snapshots" | "links">,
  remote: ChosenRemote | null,
  { online }: RemoteKnown,
  options: CodeOptions,
  { state, found: early }: CodeSurvey,
): Promise<CodePlan> {
  const { commit = null, branch = null } = snapshots.at(-1) ?? {};
  if (!commit) return { kind: "nothing", commit: null, ahead: false };
  if (options.stayOnBranch) return { kind: "stay", branch: state.branch, wanted: branch };
  const stop = checkResume(state, { movesCode: false, headIsKept: true });
  if (stop?.code === "merge-conflicts" && options.asks) await offerConflicts(context, state, stop, options);
  if (stop) throw stop;
  if (!early && remote && branch) await fetchBranch(context, remote, branch);
  const [fetched, there] = early ?? (await findCode(context, commit, branch, remote));
  const { commit: now, elsewhere }: FoundCommit = there
    ? { commit: there }
    : await findCommit(context, commit, branch, links, remote, online);
  const { remote: from, upstream } = elsewhere ?? { remote, upstream: fetched };
  if (options.exact || !branch)
    return { ...(await planExact(context, state, now, options)), ...was(commit, now) };
  // Where the branch was rewritten since, the session's commit is in it under another name.
  const tip = upstream ?? (await resolveCommit(context, `refs/heads/${branch}`));
  const apart = now === commit && tip !== null && (await standing(context, now, tip)) === "diverged";
  const found = (apart && (await renamed(context, commit, links, tip))) || now;
  // Merged and deleted: where HEAD has what the branch became, or has gone on from it, that is the place to go on.
  if (tip === null && state.head !== null && (found !== commit || online)) {
    const there = await standing(context, found, state.head);
    if (there === "behind" || (there === "equal" && found !== commit))
      return { kind: "nothing", commit: found, ahead: found !== state.head, ...was(commit, found) };
  }
  const plan =
    state.branch === branch
      ? await planHere(context, state, branch, found, upstream, options)
      : await planSwitch(context, state, branch, found, upstream, from, options);
  return { ...plan, ...was(commit, found) };
}

const was = (commit: Oid, now: Oid): { was?: Oid } => (commit === now ? {} : { was: commit });

async function planExact(
  context: Context,
  state: CodeState,
  commit: Oid,
  options: CodeOptions,
): Promise<CodePlan> {
  if (state.head === commit && (state.detached || !options.exact))
    return { kind: "nothing", commit, ahead: false };
  const changes = await requireMovable(context, state, null, options);
  return { kind: "exact", commit, changes };
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
  const here = state.head ? await standing(context, state.head, target) : "behind";
  if (here === "equal") return { kind: "nothing", commit, ahead: target !== commit };
  if (here === "ahead") return { kind: "nothing", commit, ahead: true };
  if (here === "unknown") throw hiddenHistory(branch, commit);
  const apart =
    here === "diverged" ? await decideApart(context, state.head!, branch, commit, target, options) : null;
  if (apart === "mine") return { kind: "stay", branch, wanted: branch };
  const changes = await requireMovable(context, state, branch, options);
  const base = { kind: "branch", from: branch, branch, create: null, track: null } as const;
  return { ...base, changes, apart, forward: target, commit, ahead: target !== commit };
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
  if (options.asks && (await decideSwitch(context, state, branch, options)) === "stay")
    return { kind: "stay", branch: state.branch, wanted: branch };
  const changes = await requireMovable(context, state, branch, options);
  const target = await newest(context, commit, upstream, options);
  const local = await resolveCommit(context, `refs/heads/${branch}`);
  const base = { kind: "branch", from: state.branch, branch, commit, changes } as const;
  if (!local) {
    const track = upstream && remote ? remote.name : null;
    return { ...base, apart: null, create: target, track, forward: null, ahead: target !== commit };
  }
  const there = await standing(context, local, target);
  if (there === "unknown") throw hiddenHistory(branch, commit);
  const apart =
    there === "diverged" ? await decideApart(context, local, branch, commit, target, options) : null;
  const forward = there === "behind" || apart === "merge" || apart === "theirs" ? target : null;
  const ahead = there === "ahead" || target !== commit;
  return {
    ...base,
    apart: forward && apart !== "mine" ? apart : null,
    create: null,
    track: null,
    forward,
    ahead,
  };
}

/** The remote's branch when it holds the session's commit and pulling is wanted; else that commit itself. */
async function newest(
  context: Context,
  commit: Oid,
  upstream: Oid | null,
  options: CodeOptions,
): Promise<Oid> {
  if (!upstream || options.noPull) return commit;
  return (await standing(context, commit, upstream)) === "behind" ? upstream : commit;
}

/** Stops before code would move over something that is not safe elsewhere; changes may be put where they are. */
async function requireMovable(
  context: Context,
  state: CodeState,
  wanted: string | null,
  options: CodeOptions,
): Promise<Changes> {
  const headIsKept = state.detached && state.head !== null && (await onSomeBranch(context, state.head));
  const stop = checkResume(state, { movesCode: true, headIsKept });
  if (!stop) return "none";
  if (stop.code !== "uncommitted-changes") {
    if (options.force) return "none";
    throw stop;
  }
  // A commit needs a branch to stand on.
  const choices = state.branch === null ? (["stash"] as const) : (["stash", "commit"] as const);
  const changes = state.changes.filter((change) => change.tracked);
  return options.decide<Changes>({
    about: { kind: "changes", changes, branch: state.branch, wanted },
    choices,
    otherwise: options.force ? "none" : stop,
  });
}

/**
 * Switching back is one command, so it goes without saying, unless the person is in the middle of something: commits
 * that are nowhere else yet.
 */
async function decideSwitch(
  context: Context,
  state: CodeState,
  wanted: string,
  { decide }: CodeOptions,
): Promise<"switch" | "stay"> {
  const { countUnpushed } = await import("../worktree/branches.ts");
  const unpushed = state.head && state.branch ? await countUnpushed(context.git) : 0;
  if (unpushed === 0) return "switch";
  const about = { kind: "branch", branch: state.branch, wanted, unpushed } as const;
  return decide({ about, choices: ["switch", "stay"], otherwise: "switch" });
}

async function decideApart(
  context: Context,
  ours: Oid,
  branch: string,
  commit: Oid,
  target: Oid,
  { decide }: CodeOptions,
): Promise<"merge" | "theirs" | "mine"> {
  const { countApart } = await import("../worktree/branches.ts");
  const [left, right] = await countApart(context.git, ours, target);
  return decide({
    about: { kind: "code", branch, ours: left, theirs: right },
    choices: ["merge", "theirs", "mine"],
    otherwise: codeDiverged(branch, commit),
  });
}

/** Someone in front of a half-done merge may want to see to it now. Never returns. */
async function offerConflicts(
  context: Context,
  state: CodeState,
  stop: ConvosyncError,
  options: CodeOptions,
): Promise<never> {
  const paths = state.changes.filter((change) => change.kind === "conflicted").map((change) => change.path);
  const about = { kind: "conflicts", paths, begun: false } as const;
  const answer = await options.decide({ about, choices: ["open", "leave"], otherwise: stop });
  if (answer === "open") {
    const { openConflicts } = await import("../worktree/conflicts.ts");
    await openConflicts(context.git, paths);
  }
  throw stop;
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
      "or have it done: git convosync resume --merge, or --code merge for the code alone",
      "take the conversation's code, and keep yours under another branch: git convosync resume --code theirs",
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
