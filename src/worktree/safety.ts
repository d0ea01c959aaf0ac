import { ConvosyncError, Exit } from "../errors.ts";
import type { CodeState, Operation } from "./code-state.ts";

/** The first reason not to commit the code now; null when there is none. An unborn branch is fine. */
export function checkSave(state: CodeState): ConvosyncError | null {
  const alone = "or save the conversation alone: git convosync save --no-code";
  return (
    conflicts(state, [alone]) ??
    unfinished(state, [alone]) ??
    (state.detached
      ? stopped("detached-head", "HEAD is detached: a commit made now would belong to no branch", [
          "git switch --create <branch>",
          alone,
        ])
      : null)
  );
}

export interface ResumePlan {
  /** The work tree will be switched, fast-forwarded or checked out. */
  readonly movesCode: boolean;
  /** A detached HEAD is on some branch too, so that leaving it loses nothing. */
  readonly headIsKept: boolean;
}

/** The first reason not to resume here now; null when there is none. */
export function checkResume(state: CodeState, { movesCode, headIsKept }: ResumePlan): ConvosyncError | null {
  const problem = conflicts(state, []) ?? unfinished(state, []);
  if (problem || !movesCode) return problem;
  if (state.detached && !headIsKept) {
    return stopped("detached-head", "HEAD is detached: leaving it could lose commits that are on no branch", [
      "git switch --create <branch>",
      "or bring the conversation back alone: git convosync resume --stay-on-branch",
    ]);
  }
  const changed = state.changes.filter((change) => change.tracked).map((change) => change.path);
  if (changed.length > 0) {
    const what = `uncommitted changes in ${count(changed.length, "file")}, and the conversation belongs to other code`;
    return stopped("uncommitted-changes", what, [
      "put them aside: git stash --include-untracked",
      "or commit them: git commit -a",
      "or have it done: git convosync resume --stash, or --commit",
      "or bring the conversation back alone: git convosync resume --stay-on-branch",
      ...listed(changed),
    ]);
  }
  return null;
}

function conflicts(state: CodeState, hints: readonly string[]): ConvosyncError | null {
  const paths = state.changes.filter((change) => change.kind === "conflicted").map((change) => change.path);
  if (paths.length === 0) return null;
  const message = `merge conflicts in ${count(paths.length, "file")}; the conversation is untouched`;
  return stopped("merge-conflicts", message, [
    "resolve them, then: git add <file>",
    ...hints,
    ...listed(paths),
  ]);
}

const commands: Record<Operation, readonly string[]> = {
  merge: ["git merge --continue", "or give it up: git merge --abort"],
  rebase: ["git rebase --continue", "or give it up: git rebase --abort"],
  am: ["git am --continue", "or give it up: git am --abort"],
  "cherry-pick": ["git cherry-pick --continue", "or give it up: git cherry-pick --abort"],
  revert: ["git revert --continue", "or give it up: git revert --abort"],
  bisect: ["git bisect reset"],
};

function unfinished({ operation }: CodeState, hints: readonly string[]): ConvosyncError | null {
  if (operation === null) return null;
  return stopped("operation-in-progress", `git ${operation} is in progress`, [
    ...commands[operation],
    ...hints,
  ]);
}

const stopped = (code: string, message: string, hints: readonly string[]): ConvosyncError =>
  new ConvosyncError(code, Exit.stopped, message, hints);

const count = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? "" : "s"}`;

/** At most ten, then how many more. */
export function listed(paths: readonly string[]): string[] {
  const rest = paths.length - 10;
  return rest > 0 ? [...paths.slice(0, 10), `and ${rest} more`] : [...paths];
}
