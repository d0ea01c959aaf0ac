import { ConvosyncError, Exit } from "../errors.ts";
import type { Oid } from "../refs/object-database.ts";
import { checkoutDetached, fastForward, switchTo } from "../worktree/branches.ts";
import { listed } from "../worktree/safety.ts";
import type { Changes, CodeOptions, CodePlan } from "./code-plan.ts";
import { cancelled } from "./decide.ts";
import type { Context } from "./repository.ts";

// Carries out what was decided about the code of a conversation.

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
  /** What was to be brought to the branch did not fit there. */
  | { readonly step: "switched-back"; readonly branch: string }
  | { readonly step: "forwarded"; readonly branch: string; readonly commit: Oid }
  | { readonly step: "detached"; readonly commit: Oid }
  /** An amend, a rebase or a squash gave the session's commit another name. */
  | { readonly step: "renamed"; readonly was: Oid; readonly commit: Oid }
  | { readonly step: "code"; readonly commit: Oid; readonly ahead: boolean }
  | { readonly step: "stayed"; readonly branch: string | null; readonly wanted: string | null };

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
    }).catch(orStay);
    tell({ step: "switched", branch, from: plan.from, created: plan.create !== null });
  }
  if (!forward || apart === "theirs") return;
  await bringForward(context, plan, forward, options, tell).catch(async (error) => {
    // git has changed nothing since: neither the code nor what was put aside is left on a branch that it was not on before.
    const refused = error instanceof ConvosyncError && error.code === "local-changes";
    if (!refused || plan.from === null || plan.from === branch) throw error;
    const back = { step: "switched-back", branch: plan.from } as const;
    await switchTo(context.git, back.branch).then(
      () => tell(back),
      () => undefined,
    );
    throw error;
  });
}

async function bringForward(
  context: Context,
  { branch, from, apart, changes }: Extract<CodePlan, { kind: "branch" }>,
  forward: Oid,
  options: Pick<CodeOptions, "asks" | "decide">,
  tell: (event: CodeEvent) => void,
): Promise<void> {
  // The commit that was just made for the changes stands beside what is to be brought in.
  if (apart === "merge" || (changes === "commit" && branch === from)) {
    await mergeCode(context, branch, forward, options);
    tell({ step: "merged", branch, commit: forward });
    return;
  }
  await fastForward(context.git, branch, forward);
  tell({ step: "forwarded", branch, commit: forward });
}

/** Above all where another work tree has the branch. */
function orStay(error: unknown): never {
  if (!(error instanceof ConvosyncError) || error.code !== "switch-refused") throw error;
  const hints = [...error.hints, "or leave the code here as it is: git convosync resume --stay-on-branch"];
  throw new ConvosyncError(error.code, error.exit, error.message, hints, error);
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
