import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ConvosyncError, Exit } from "../errors.ts";
import type { Git, Repository } from "../git/git.ts";

export type Operation = "merge" | "rebase" | "am" | "cherry-pick" | "revert" | "bisect";

export type ChangeKind = "modified" | "added" | "deleted" | "renamed" | "untracked" | "conflicted";

/** One path that differs from HEAD, relative to the work tree's root, with slashes. */
export interface Change {
  /** Ends in a slash for an untracked folder that is a repository of its own. */
  readonly path: string;
  readonly kind: ChangeKind;
  readonly tracked: boolean;
  /** The work tree has what the index has not. */
  readonly unstaged: boolean;
}

/** Where the user's code stands. */
export interface CodeState {
  /** Short name; null when HEAD is detached. */
  readonly branch: string | null;
  /** null on an unborn branch. */
  readonly head: string | null;
  readonly detached: boolean;
  readonly unborn: boolean;
  readonly operation: Operation | null;
  readonly changes: readonly Change[];
  /** Submodules with changes of their own, which no commit out here can carry. */
  readonly dirtySubmodules: readonly string[];
  readonly shallow: boolean;
}

/** What HEAD is, where no file matters. */
export type HeadState = Pick<CodeState, "branch" | "head">;

/** Looks at HEAD alone: a look at the files of a large tree takes longer than all the rest of a command. */
export async function inspectHead(git: Git, repository: Repository): Promise<HeadState> {
  requireWorkTree(repository);
  const both = await git.run(["rev-parse", "HEAD", "--symbolic-full-name", "HEAD"], { okCodes: [0, 128] });
  // Without a commit there is only the branch it would be on.
  const [head, name] =
    both.code === 0
      ? both.stdout.toString().split("\n")
      : [null, await git.text(["symbolic-ref", "--quiet", "HEAD"], { okCodes: [0, 1] })];
  const branch = name?.startsWith(branchPrefix) ? name.slice(branchPrefix.length) : null;
  return { branch, head: head ?? null };
}

const branchPrefix = "refs/heads/";

function requireWorkTree({ root }: Repository): void {
  if (root !== null) return;
  throw new ConvosyncError("no-work-tree", Exit.stopped, "this repository has no work tree here", [
    "run this in a work tree, or make one with: git worktree add <path>",
  ]);
}

/** Looks at the work tree; changes nothing, not even the index's cached times. */
export async function inspectCode(
  git: Git,
  repository: Repository,
  { untracked = true }: { readonly untracked?: boolean } = {},
): Promise<CodeState> {
  requireWorkTree(repository);
  const others = `--untracked-files=${untracked ? "all" : "no"}`;
  const args = ["status", "--porcelain=v2", "-z", "--branch", "--renames", others];
  const status = parseStatus(await git.lines0(args));
  return { ...status, operation: await operationIn(git, repository.gitDir), shallow: repository.shallow };
}

type Status = Omit<CodeState, "operation" | "shallow">;

/** Records of `git status --porcelain=v2 -z --branch`, as git-status(1) describes them. */
export function parseStatus(records: readonly string[]): Status {
  let head: string | null = null;
  let branch: string | null = null;
  const changes: Change[] = [];
  const dirtySubmodules: string[] = [];
  for (let i = 0; i < records.length; i++) {
    const record = records[i]!;
    const field = (n: number): string => record.split(" ", n + 1)[n] ?? "";
    const rest = (n: number): string => record.split(" ").slice(n).join(" ");
    const [xy, submodule] = [field(1), field(2)];
    const unstaged = xy[1] !== ".";
    switch (record[0]) {
      case "#":
        if (field(1) === "branch.oid" && field(2) !== "(initial)") head = field(2);
        if (field(1) === "branch.head" && field(2) !== "(detached)") branch = rest(2);
        break;
      case "1":
        // S<c><m><u>: without a "C" only the submodule's own work tree is dirty.
        if (submodule.startsWith("S.") && xy === ".M") dirtySubmodules.push(rest(8));
        else changes.push({ path: rest(8), kind: kindOf(xy), tracked: true, unstaged });
        break;
      case "2":
        changes.push({ path: rest(9), kind: "renamed", tracked: true, unstaged });
        i++; // The old path is a record of its own.
        break;
      case "u":
        changes.push({ path: rest(10), kind: "conflicted", tracked: true, unstaged });
        break;
      case "?":
        changes.push({ path: rest(1), kind: "untracked", tracked: false, unstaged: true });
        break;
    }
  }
  return { branch, head, detached: branch === null, unborn: head === null, changes, dirtySubmodules };
}

/** `xy`: change in the index, change in the work tree. */
function kindOf(xy: string): ChangeKind {
  if (xy[1] === "D" || xy === "D.") return "deleted";
  return xy[0] === "A" || xy[1] === "A" ? "added" : "modified";
}

/** What the user has begun and not finished; the markers are those `git status` itself looks at. */
export async function operationIn(git: Git, gitDir: string): Promise<Operation | null> {
  const has = (name: string): boolean => existsSync(join(gitDir, name));
  if (has("rebase-apply/applying")) return "am";
  if (has("rebase-merge") || has("rebase-apply")) return "rebase";
  if (has("MERGE_HEAD")) return "merge";
  // A reftable keeps these two as refs.
  const hasRef = async (name: string): Promise<boolean> =>
    has(name) || (has("reftable") && (await git.code(["rev-parse", "--verify", "--quiet", name])) === 0);
  if (await hasRef("CHERRY_PICK_HEAD")) return "cherry-pick";
  if (await hasRef("REVERT_HEAD")) return "revert";
  // Between two picks of a series there is no head, only what is left to do.
  if (has("sequencer/todo")) {
    return /^revert /m.test(readFileSync(join(gitDir, "sequencer/todo"), "utf8")) ? "revert" : "cherry-pick";
  }
  return has("BISECT_LOG") ? "bisect" : null;
}
