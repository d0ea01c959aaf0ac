import { ConvosyncError, Exit } from "../errors.ts";
import type { Link, Manifest } from "../packing/manifest.ts";
import type { Oid } from "../refs/object-database.ts";
import { fetch } from "../refs/transport.ts";
import {
  checkBranchName,
  checkoutDetached,
  fastForward,
  type Relation,
  relation,
  switchTo,
} from "../worktree/branches.ts";
import { type CodeState, inspectCode } from "../worktree/code-state.ts";
import { rootCommits } from "../worktree/remotes.ts";
import { checkResume, listed } from "../worktree/safety.ts";
import type { ChosenRemote } from "./chosen-remote.ts";
import { cancelled, type Decide } from "./decide.ts";
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
  /** A person can be asked: then it is worth finding out whether a switch goes without saying. */
  readonly asks?: boolean;
  readonly decide: Decide;
}

export type CodeEvent =
  | { readonly step: "put-aside" }
  | { readonly step: "left-aside"; readonly branch: string | null }
  | { readonly step: "taken-back" }
  | { readonly step: "committed-first"; readonly commit: Oid }
  | { readonly step: "merged"; readonly branch: string; readonly commit: Oid }
  | { readonly step: "replaced"; readonly branch: string; readonly commit: Oid; readonly backup: string }
  | {
      readonly step: "switched";
      readonly branch: string;
      readonly from: string | null;
      readonly created: boolean;
    }
  | { readonly step: "forwarded"; readonly branch: string; readonly commit: Oid }
  | { readonly step: "detached"; readonly commit: Oid }
  /** An amend, a rebase or a squash gave the session's commit another name. */
  | { readonly step: "renamed"; readonly was: Oid; readonly commit: Oid }
  | { readonly step: "code"; readonly commit: Oid; readonly ahead: boolean }
  | { readonly step: "stayed"; readonly branch: string | null; readonly wanted: string | null };

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
type Changes = "none" | "stash" | "commit";

/** How the code stands to the conversation once a plan is carried out. */
export type CodeAfter = "same" | "newer" | "other";

export function codeAfter(plan: CodePlan): CodeAfter {
  if (plan.kind === "stay") return "other";
  if (plan.kind === "exact") return "same";
  if (plan.kind === "nothing") return plan.commit === null ? "other" : plan.ahead ? "newer" : "same";
  return plan.ahead || plan.apart === "merge" || plan.changes === "commit" ? "newer" : "same";
}

const fetchTimeoutMs = 10 * 60_000;

/** What git says of where the code is, and of where it is to be: null where that has to be fetched first. */
export interface CodeSurvey {
  readonly state: CodeState;
  readonly found: readonly [upstream: Oid | null, commit: Oid | null] | null;
}

/** What {@link planCode} is to know of the remote: whether it can be reached, and the branch fetched from it already. */
export interface RemoteKnown {
  readonly online: boolean;
  readonly fetched: string | null;
}

/** Asks git all that can be asked at once. */
export async function surveyCode(
  context: Context,
  { snapshots }: Pick<Manifest, "snapshots">,
  remote: ChosenRemote | null,
  { online, fetched }: RemoteKnown,
  options: CodeOptions,
): Promise<CodeSurvey> {
  const { commit = null, branch = null } = snapshots.at(-1) ?? {};
  const late = online && branch !== fetched;
  const [state, found] = await Promise.all([
    inspectCode(context.git, context.repo),
    late || options.stayOnBranch ? null : findCode(context, commit, branch, remote),
  ]);
  return { state, found };
}

function findCode(
  context: Context,
  commit: Oid | null,
  branch: string | null,
  remote: ChosenRemote | null,
): Promise<[upstream: Oid | null, commit: Oid | null]> {
  return Promise.all([
    branch && remote ? resolveCommit(context, trackingRef(remote, branch)) : null,
    commit ? resolveCommit(context, commit) : null,
  ]);
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
  const [upstream, there] = early ?? (await findCode(context, commit, branch, remote));
  const now = there ?? (await findCommit(context, commit, branch, links, remote, online));
  if (options.exact || !branch)
    return { ...(await planExact(context, state, now, options)), ...was(commit, now) };
  // Where the branch was rewritten since, the session's commit is in it under another name.
  const tip = upstream ?? (await resolveCommit(context, `refs/heads/${branch}`));
  const apart = now === commit && tip !== null && (await standing(context, now, tip)) === "diverged";
  const found = (apart && (await renamed(context, commit, links, tip))) || now;
  // Merged and deleted: where HEAD has what the branch became, that is the place to go on.
  const merged = found !== commit && tip === null && state.head !== null;
  if (merged && ["equal", "behind"].includes(await standing(context, found, state.head!)))
    return { kind: "nothing", commit: found, ahead: found !== state.head, ...was(commit, found) };
  const plan =
    state.branch === branch
      ? await planHere(context, state, branch, found, upstream, options)
      : await planSwitch(context, state, branch, found, upstream, remote, options);
  return { ...plan, ...was(commit, found) };
}

const was = (commit: Oid, now: Oid): { was?: Oid } => (commit === now ? {} : { was: commit });

/** What the commit of a session was rewritten to, if `tip` leads to it. */
async function renamed(
  context: Context,
  commit: Oid,
  links: readonly Link[],
  tip: Oid | null,
): Promise<Oid | null> {
  const link = links.findLast((one) => one.commit === commit);
  if (!link) return null;
  const { resolveCommit: find } = await import("./link-resolution.ts");
  const found = await find(context.git, link, links);
  if (!found || found.how === "ancestor" || found.commit === commit) return null;
  const inside = tip === null || ["equal", "behind"].includes(await standing(context, found.commit, tip));
  return inside ? found.commit : null;
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

/** How one commit that is here stands to another; git need not be asked about the same one. */
const standing = (context: Context, one: Oid, other: Oid): Promise<Relation> | Relation =>
  one === other ? "equal" : relation(context.git, one, other);

async function resolveCommit(context: Context, name: string): Promise<Oid | null> {
  const { code, stdout } = await context.git.run(["rev-parse", "--verify", "--quiet", `${name}^{commit}`], {
    okCodes: [0, 1, 128],
  });
  return code === 0 ? stdout.toString().trim() : null;
}

/** A commit that is not here: fetched by its name, or under the one it was rewritten to. Exit 4 when neither is to be had. */
async function findCommit(
  context: Context,
  commit: Oid,
  branch: string | null,
  links: readonly Link[],
  remote: ChosenRemote | null,
  online: boolean,
): Promise<Oid> {
  const rewritten = await renamed(context, commit, links, null);
  if (rewritten) return rewritten;
  if (online && remote) {
    // Protocol v2 serves any commit by its name, also one that no branch holds any more.
    await fetch(context.git, {
      remote: remote.name,
      refspecs: [commit],
      timeoutMs: fetchTimeoutMs,
      prompt: true,
    });
    if (await resolveCommit(context, commit)) return commit;
  }
  const where = branch
    ? `commit ${commit.slice(0, 10)} of branch '${branch}'`
    : `commit ${commit.slice(0, 10)}`;
  throw new ConvosyncError(
    "commit-missing",
    Exit.stopped,
    `the conversation belongs to ${where}, which is neither here nor on the remote`,
    [
      "push it from the machine that saved it: git convosync save",
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

/**
 * Carries a plan out. git itself refuses to overwrite anything that is not committed; what was put aside comes back when
 * the code could not be moved.
 */
export async function bringCode(
  context: Context,
  plan: CodePlan,
  options: Pick<CodeOptions, "asks" | "decide">,
  tell: (event: CodeEvent) => void,
): Promise<void> {
  if (plan.was && "commit" in plan && plan.commit)
    tell({ step: "renamed", was: plan.was, commit: plan.commit });
  switch (plan.kind) {
    case "nothing":
      if (plan.commit) tell({ step: "code", commit: plan.commit, ahead: plan.ahead });
      return;
    case "stay":
      tell({ step: "stayed", branch: plan.branch, wanted: plan.wanted });
      return;
    case "exact":
      await withoutChanges(context, plan.changes, { from: null, to: null }, tell, async () => {
        await checkoutDetached(context.git, plan.commit);
        tell({ step: "detached", commit: plan.commit });
      });
      return;
    case "branch":
      await withoutChanges(context, plan.changes, { from: plan.from, to: plan.branch }, tell, () =>
        bringBranch(context, plan, options, tell),
      );
      tell({ step: "code", commit: plan.commit, ahead: plan.ahead });
  }
}

async function bringBranch(
  context: Context,
  plan: Extract<CodePlan, { kind: "branch" }>,
  options: Pick<CodeOptions, "asks" | "decide">,
  tell: (event: CodeEvent) => void,
): Promise<void> {
  const { branch, forward, apart } = plan;
  if (apart === "theirs" && forward) {
    const { replaceBranch } = await import("../worktree/branches.ts");
    const backup = await replaceBranch(context.git, branch, forward);
    tell({ step: "replaced", branch, commit: forward, backup });
  }
  if (branch !== plan.from) {
    await switchTo(context.git, branch, {
      ...(plan.create && { createFrom: plan.create }),
      ...(plan.track && { track: plan.track }),
    });
    tell({ step: "switched", branch, from: plan.from, created: plan.create !== null });
  }
  if (!forward || apart === "theirs") return;
  // The commit that was just made for the changes stands beside what is to be brought in.
  if (apart === "merge" || (plan.changes === "commit" && branch === plan.from)) {
    await mergeCode(context, branch, forward, options);
    tell({ step: "merged", branch, commit: forward });
    return;
  }
  await fastForward(context.git, branch, forward);
  tell({ step: "forwarded", branch, commit: forward });
}

async function mergeCode(
  context: Context,
  branch: string,
  commit: Oid,
  options: Pick<CodeOptions, "asks" | "decide">,
): Promise<void> {
  const { mergeInto } = await import("../worktree/branches.ts");
  const message = `Merge the code of a resumed conversation into ${branch} [ConvoSync]`;
  const paths = await mergeInto(context.git, commit, message);
  if (paths.length === 0) return;
  const stop = new ConvosyncError(
    "code-conflicts",
    Exit.conflict,
    `merging has conflicts in ${paths.length === 1 ? "1 file" : `${paths.length} files`}; the conversation is untouched`,
    [
      "resolve them, git add them, git commit, and run the same again",
      "or give it up: git merge --abort",
      ...listed(paths),
    ],
  );
  const about = { kind: "conflicts", paths, begun: true } as const;
  const answer = await options.decide({ about, choices: ["open", "leave", "abort"], otherwise: stop });
  if (answer === "abort") {
    await context.git.run(["merge", "--abort"]);
    throw cancelled("the merge was given up");
  }
  if (answer === "open") {
    const { openConflicts } = await import("../worktree/conflicts.ts");
    await openConflicts(context.git, paths);
  }
  throw stop;
}

/** Moves code with the changes out of the way. They come back where that is sure to be clean; it is said where they are. */
async function withoutChanges(
  context: Context,
  changes: Changes,
  way: { readonly from: string | null; readonly to: string | null },
  tell: (event: CodeEvent) => void,
  move: () => Promise<void>,
): Promise<void> {
  if (changes === "none") return move();
  if (changes === "commit") {
    const { commitTracked } = await import("../worktree/commit.ts");
    const commit = await commitTracked(
      context.git,
      context.repo,
      "Work in progress before resuming [ConvoSync]",
    );
    if (commit) tell({ step: "committed-first", commit });
    return move();
  }
  const { putAside, takeBack } = await import("../worktree/stash.ts");
  const aside = await putAside(
    context.git,
    `convosync: before resuming, on ${way.from ?? "a detached HEAD"}`,
  );
  if (!aside) return move();
  tell({ step: "put-aside" });
  let moved = false;
  try {
    await move();
    moved = true;
  } finally {
    // On another branch they may mean nothing: there they wait until they are asked for.
    const back = !moved || (way.from !== null && way.from === way.to);
    if (back && (await takeBack(context.git, aside))) tell({ step: "taken-back" });
    else tell({ step: "left-aside", branch: way.from });
  }
}
