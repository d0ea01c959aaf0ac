import { copyFileSync, lstatSync, rmSync, utimesSync } from "node:fs";
import { lstat, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ConvosyncError, Exit } from "../errors.ts";
import { failure, type Git, type Repository, scrubUrl } from "../git/git.ts";
import { processName, sweep } from "../leftovers.ts";
import type { Change, CodeState } from "./code-state.ts";
import { excluder } from "./exclude.ts";

export interface CommitPlan {
  /** Tracked files differ from HEAD. */
  readonly tracked: boolean;
  /** Those of them that are not in the index as they are, by name; null where that is not the best way to say it. */
  readonly unstaged: readonly string[] | null;
  /** Untracked files to commit as well. */
  readonly add: readonly string[];
  /** Untracked files left out because of their names. */
  readonly excluded: readonly string[];
  /** Untracked files left out because the rules say that they are nobody's but the user's. */
  readonly private: readonly string[];
  /** Untracked repositories within this one: only the user can say what is to become of them. */
  readonly repositories: readonly string[];
  /** Untracked files whose names are not UTF-8, and so cannot be said. */
  readonly unnamable: readonly string[];
  /** Untracked files left out because of their size. */
  readonly tooLarge: readonly string[];
}

/** The part of it that says what to commit. */
type StagePlan = Pick<CommitPlan, "tracked" | "unstaged" | "add">;

export interface CommitRules {
  readonly exclude: readonly string[];
  /** Paths of untracked files, as the state has them. */
  readonly private: ReadonlySet<string>;
  readonly maxUntrackedBytes: number;
  /** Bytes of the untracked files; see `untrackedSizes`. */
  readonly sizes: ReadonlyMap<string, number>;
  /** Takes large files too; never excluded ones. */
  readonly force: boolean;
}

export const defaultMaxUntrackedBytes = 10_000_000;

export function planCommit(state: CodeState, rules: CommitRules): CommitPlan {
  const isExcluded = excluder(rules.exclude);
  const add: string[] = [];
  const excluded: string[] = [];
  const secret: string[] = [];
  const repositories: string[] = [];
  const unnamable: string[] = [];
  const tooLarge: string[] = [];
  const tracked = state.changes.filter((change) => change.tracked);
  for (const { path, tracked } of state.changes) {
    if (tracked) continue;
    if (rules.private.has(path)) secret.push(path);
    else if (isExcluded(path.replace(/\/$/, ""))) excluded.push(path);
    else if (path.endsWith("/")) repositories.push(path);
    else if (path.includes("\ufffd")) unnamable.push(path);
    else if (!rules.force && (rules.sizes.get(path) ?? 0) > rules.maxUntrackedBytes) tooLarge.push(path);
    else add.push(path);
  }
  const leftOut = { excluded, private: secret, repositories, unnamable, tooLarge };
  return { tracked: tracked.length > 0, unstaged: namesOf(tracked), add, ...leftOut };
}

/** git compares each file of the index with each name. */
const mostNames = 100;

/** A file that git found renamed goes by another name too, and a name that is not UTF-8 cannot be told. */
function namesOf(tracked: readonly Change[]): readonly string[] | null {
  const unstaged = tracked.filter((change) => change.unstaged);
  const nameless = unstaged.some(({ path, kind }) => {
    return kind === "renamed" || kind === "conflicted" || path.includes("\ufffd");
  });
  return nameless || unstaged.length > mostNames ? null : unstaged.map(({ path }) => path);
}

export const isEmptyPlan = (plan: CommitPlan): boolean => !plan.tracked && plan.add.length === 0;

/** Bytes of the untracked files, for `planCommit`. */
export async function untrackedSizes(root: string, state: CodeState): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  for (const { path, tracked } of state.changes) {
    const stat = tracked ? null : await lstat(join(root, path)).catch(() => null);
    if (stat !== null) sizes.set(path, stat.size);
  }
  return sizes;
}

/**
 * Commits all tracked changes and the planned untracked files, with the user's own hooks, signing and identity.
 * Returns null when that comes to nothing (line endings, times). A commit that fails leaves the index byte for
 * byte as it was, and is `commit-failed` with git's and the hook's words as hints.
 */
export async function commitAll(
  git: Git,
  repository: Repository,
  plan: StagePlan,
  message: string,
): Promise<{ commit: string } | null> {
  const index = saveIndex(repository);
  let made: boolean;
  try {
    await stage(git, plan);
    made = await commitStaged(git, message);
  } catch (error) {
    await index.restore();
    throw error;
  }
  if (!made) {
    await index.restore();
    return null;
  }
  index.forget();
  return { commit: await git.text(["rev-parse", "--verify", "HEAD"]) };
}

/** Commits the changes of tracked files, as `git commit --all` does. Null when that comes to nothing. */
export async function commitTracked(
  git: Git,
  repository: Repository,
  message: string,
): Promise<string | null> {
  const plan = { tracked: true, unstaged: null, add: [] };
  return (await commitAll(git, repository, plan, message))?.commit ?? null;
}

/**
 * Files that have names are named: to find them itself git looks at all others, 0.1 s of them in a large tree. Outside of
 * a sparse checkout a file that exists is taken as any other.
 */
async function stage(git: Git, { tracked, unstaged, add }: StagePlan): Promise<void> {
  const named = (names: readonly string[], ...options: string[]) => {
    const list = ["--sparse", "--pathspec-from-file=-", "--pathspec-file-nul"];
    return runOrFail(git, ["--literal-pathspecs", "add", ...options, ...list], names.join("\0"));
  };
  if (tracked && unstaged === null) await runOrFail(git, ["add", "--update", "--sparse", "--", ":/"]);
  else if (unstaged !== null && unstaged.length > 0) await named(unstaged, "--update");
  if (add.length > 0) await named(add);
}

/** False when nothing is staged, which is asked only after git has refused: it is hardly ever so. */
async function commitStaged(git: Git, message: string): Promise<boolean> {
  try {
    await runOrFail(git, ["commit", "--quiet", "--cleanup=whitespace", "--file=-"], message);
    return true;
  } catch (error) {
    if ((await git.code(["diff", "--cached", "--quiet"])) === 0) return false;
    throw error;
  }
}

async function runOrFail(git: Git, args: readonly string[], input?: string): Promise<void> {
  const result = await git.run(args, { okCodes: "any", ...(input === undefined ? {} : { input }) });
  if (result.code === 0) return;
  const words = scrubUrl(result.stderr)
    .split("\n")
    .map((line) => line.trimEnd())
    .filter((line) => line.trim() !== "");
  throw new ConvosyncError(
    "commit-failed",
    Exit.failed,
    "git could not commit the changes; nothing was changed",
    [...words.slice(0, 20), "mend it, or save the conversation alone: git convosync save --no-code"],
    failure(args, result),
  );
}

/**
 * A copy that is as old as the index: git trusts a cached time only when that is older, as of a file that was changed within
 * the second in which it was added, and has kept its size, nothing else tells ("racy", gitformat-index(5)).
 */
export function copyIndex(from: string, to: string): void {
  const { atime, mtime } = lstatSync(from);
  copyFileSync(from, to);
  utimesSync(to, atime, mtime);
}

interface SavedIndex {
  restore(): Promise<void>;
  forget(): void;
}

/** Keeps a copy of the index beside it. */
const copyPrefix = "index.convosync-";

function saveIndex({ gitDir }: Repository): SavedIndex {
  const path = join(gitDir, "index");
  sweep(gitDir, copyPrefix, "");
  const copy = join(gitDir, `${copyPrefix}${processName()}`);
  const before = lstatSync(path, { throwIfNoEntry: false });
  if (before) copyIndex(path, copy);
  return {
    forget: () => rmSync(copy, { force: true }),
    restore: async () => {
      const now = lstatSync(path, { throwIfNoEntry: false });
      if (now?.ino === before?.ino && now?.mtimeMs === before?.mtimeMs) return rmSync(copy, { force: true });
      await withIndexLock(path, () =>
        before === undefined ? rm(path, { force: true }) : rename(copy, path),
      );
    },
  };
}

async function withIndexLock(index: string, work: () => Promise<void>): Promise<void> {
  const lock = `${index}.lock`;
  for (let attempt = 0; ; attempt++) {
    try {
      await writeFile(lock, "", { flag: "wx" });
      break;
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === "EEXIST" && attempt < 20) await sleep(100);
      else throw indexLocked(lock, cause);
    }
  }
  await work().finally(() => rm(lock, { force: true }));
}

const indexLocked = (lock: string, cause: unknown): ConvosyncError =>
  new ConvosyncError(
    "index-locked",
    Exit.failed,
    "another git process holds the index, so what was staged could not be unstaged",
    ["git restore --staged .", `if no git is running, first: rm '${lock}'`],
    cause,
  );
