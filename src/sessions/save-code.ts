import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { ConvosyncError, Exit } from "../errors.ts";
import type { Oid } from "../refs/object-database.ts";
import type { CodeState } from "../worktree/code-state.ts";
import {
  type CommitPlan,
  commitAll,
  defaultMaxUntrackedBytes,
  isEmptyPlan,
  planCommit,
  untrackedSizes,
} from "../worktree/commit.ts";
import { defaultExcludes } from "../worktree/exclude.ts";
import { lookAtCode, type Untracked, untrackedApart } from "./code-here.ts";
import { note } from "./operations.ts";
import { isWithin } from "./real-paths.ts";
import type { Context } from "./repository.ts";

export interface SaveCodeOptions {
  readonly message?: string;
  readonly dryRun?: boolean;
  readonly force?: boolean;
}

/** What is told of the code while it is saved. */
export type SaveCodeEvent =
  | { readonly step: "changes"; readonly modified: number; readonly created: number }
  | { readonly step: "left-out"; readonly why: LeftOutWhy; readonly paths: readonly string[] }
  /** No untracked files are taken at all. */
  | { readonly step: "untracked"; readonly why: Untracked }
  | { readonly step: "branch"; readonly branch: string; readonly created: boolean }
  | { readonly step: "large-files"; readonly files: string }
  | { readonly step: "committed"; readonly commit: Oid; readonly message: string };

/** Why untracked files are left out, as `CommitPlan` has it. */
const leftOutWhy = ["private", "excluded", "repositories", "unnamable"] as const;
export type LeftOutWhy = (typeof leftOutWhy)[number];

/** What of the code is to be saved; what is left out is said. */
export async function planCode(
  context: Context,
  before: CodeState,
  options: SaveCodeOptions,
  tell: (event: SaveCodeEvent) => void,
): Promise<CommitPlan> {
  const excludes = [...defaultExcludes, ...context.settings.all("exclude")];
  const sizes = await untrackedSizes(context.repo.root!, before);
  const apart = untrackedApart(context);
  if (apart) tell({ step: "untracked", why: apart });
  const plan = planCommit(before, {
    exclude: excludes,
    private: await privateAmong(context, sizes),
    maxUntrackedBytes: defaultMaxUntrackedBytes,
    sizes,
    force: options.force === true,
  });
  for (const why of leftOutWhy) {
    // Work trees of this repository, as Claude Code makes them in `.claude/worktrees`, are saved by themselves.
    const paths = plan[why].filter((path) => why !== "repositories" || !isOwnWorkTree(context, path));
    if (paths.length > 0) tell({ step: "left-out", why, paths });
  }
  if (plan.tooLarge.length > 0) {
    throw new ConvosyncError(
      "large-files",
      Exit.stopped,
      `${plan.tooLarge.length} untracked ${plan.tooLarge.length === 1 ? "file is" : "files are"} larger than 10 MB: ${named(plan.tooLarge, sizes)}`,
      ["leave them out: add them to .gitignore", "or commit them all the same: git convosync save --force"],
    );
  }
  if (plan.add.length > mostUntracked && !options.force) throw manyFiles(plan.add);
  const large = plan.add.filter((path) => (sizes.get(path) ?? 0) > defaultMaxUntrackedBytes);
  if (large.length > 0) tell({ step: "large-files", files: named(large, sizes) });
  return plan;
}

/** Whether a folder, relative to the root, is a linked work tree of this repository. */
function isOwnWorkTree({ repo }: Context, path: string): boolean {
  try {
    const folder = join(repo.root!, path);
    const gitDir = /^gitdir: (.+)\n?$/.exec(readFileSync(join(folder, ".git"), "utf8"))?.[1];
    return gitDir !== undefined && isWithin(resolve(folder, gitDir), join(repo.commonDir, "worktrees"));
  } catch {
    return false;
  }
}

/** Most saves find no untracked file at all. */
async function privateAmong(
  context: Context,
  sizes: ReadonlyMap<string, number>,
): Promise<ReadonlySet<string>> {
  return sizes.size === 0 ? new Set() : (await import("./private-files.ts")).privateFiles(context, sizes);
}

/** More new files than this are hardly ever meant: dependencies or a build that nobody has told git to ignore. */
const mostUntracked = 1_000;

function manyFiles(paths: readonly string[]): ConvosyncError {
  const folders = new Map<string, number>();
  for (const path of paths) {
    const folder = path.includes("/") ? path.slice(0, path.indexOf("/") + 1) : "";
    folders.set(folder, (folders.get(folder) ?? 0) + 1);
  }
  const [folder, most] = [...folders].reduce((one, other) => (other[1] > one[1] ? other : one));
  const where = folder === "" ? "" : `, ${most.toLocaleString("en")} of them in ${folder}`;
  return new ConvosyncError(
    "many-files",
    Exit.stopped,
    `${paths.length.toLocaleString("en")} untracked files${where}`,
    [
      "leave them out: add them to .gitignore",
      "or commit them all the same: git convosync save --force",
      "or save the conversation alone: git convosync save --no-code",
    ],
  );
}

/** The first few of some files, with their sizes. */
function named(paths: readonly string[], sizes: ReadonlyMap<string, number>): string {
  const shown = paths.slice(0, 3).map((path) => `${path} (${((sizes.get(path) ?? 0) / 1e6).toFixed(1)} MB)`);
  return [...shown, ...(paths.length > 3 ? [`and ${paths.length - 3} more`] : [])].join(", ");
}

/** Switches to the branch to save onto. Local changes are carried along, or git refuses and nothing has happened. */
export async function changeBranch(
  context: Context,
  { head }: CodeState,
  branch: string,
  tell: (event: SaveCodeEvent) => void,
): Promise<CodeState> {
  const { branchExists, startUnborn, switchTo } = await import("../worktree/branches.ts");
  const created = !(await branchExists(context.git, branch));
  if (head === null) await startUnborn(context.git, branch);
  else await switchTo(context.git, branch, created ? { createFrom: head } : {});
  tell({ step: "branch", branch, created });
  return lookAtCode(context);
}

/** Commits what has changed, where anything has. */
export async function commitCode(
  context: Context,
  before: CodeState,
  options: SaveCodeOptions,
  tell: (event: SaveCodeEvent) => void,
): Promise<{ state: CodeState; committed: boolean }> {
  const plan = await planCode(context, before, options, tell);
  if (isEmptyPlan(plan)) return { state: before, committed: false };
  const modified = before.changes.filter((one) => one.tracked).length;
  tell({ step: "changes", modified, created: plan.add.length });
  if (options.dryRun) return { state: before, committed: false };
  const message = `${options.message?.trim() || defaultMessage(context)} [ConvoSync]`;
  const made = await commitAll(context.git, context.repo, plan, message);
  if (!made) return { state: before, committed: false };
  const { commit } = made;
  await note(context, { kind: "save", branch: before.branch, commit, parent: before.head });
  tell({ step: "committed", commit, message });
  return { state: { ...before, head: commit, unborn: false, changes: [] }, committed: true };
}

const defaultMessage = (context: Context): string =>
  `Save of ${context.world.now().toISOString().slice(0, 16).replace("T", " ")}`;
