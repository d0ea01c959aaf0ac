import { existsSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ConvosyncError, Exit } from "../errors.ts";
import type { Git } from "../git/git.ts";

// git locks a ref by a file beside it, for the moment in which it writes. One that was killed leaves the file, and nobody
// can write that ref any more; in a reftable, any ref.

/** So old, in ms, is no lock that anybody holds. What was fetched lies where nobody else writes, and we have waited already. */
const staleAfter = { "convosync-incoming": 5_000, convosync: 10 * 60_000 } as const;

async function lockOf(git: Git, stderr: string): Promise<string | undefined> {
  const named = /Unable to create '(.+\.lock)': File exists/.exec(stderr)?.[1];
  if (named !== undefined || !/cannot lock references/.test(stderr)) return named;
  const folder = await git.text(["rev-parse", "--path-format=absolute", "--git-common-dir"]);
  return reftableLock(folder);
}

/** The lock on a repository's reftable, which git does not name; undefined where there is none. */
export function reftableLock(commonDir: string): string | undefined {
  const lock = join(commonDir, "reftable", "tables.list.lock");
  return existsSync(lock) ? lock : undefined;
}

/**
 * Removes old locks that stand in the way of git, when it was to write refs of ours: all those in the namespace of the
 * one that it complains of, or that on the file of packed refs or on a reftable. Whether any was removed, and it is worth
 * another try.
 */
export async function removeStaleLocks(git: Git, stderr: string): Promise<boolean> {
  const lock = (await lockOf(git, stderr)) ?? "";
  const [, root, namespace] = /^(.*\/refs\/(convosync(?:-incoming)?))\//.exec(lock) ?? [];
  const locks =
    root !== undefined ? locksBelow(root) : /\/(?:packed-refs|tables\.list)\.lock$/.test(lock) ? [lock] : [];
  const oldest = Date.now() - staleAfter[(namespace ?? "convosync") as keyof typeof staleAfter];
  const stale = locks.filter((path) => (lastWritten(path) ?? oldest) < oldest);
  for (const path of stale) rmSync(path, { force: true });
  return stale.length > 0;
}

/**
 * Waits until there are no locks on our refs, and removes those that stay. For whoever knows that the process that had
 * git write there is gone: only that git itself may be at work, for a moment more. `refs` is the repository's folder of
 * that name; it may have none of ours.
 */
export async function outlastLocks(refs: string): Promise<void> {
  const locks = () => Object.keys(staleAfter).flatMap((namespace) => locksBelow(join(refs, namespace)));
  const isOld = (path: string): boolean => (lastWritten(path) ?? 0) < Date.now() - momentMs;
  for (let waited = 0; waited < momentMs && !locks().every(isOld); waited += pauseMs) await sleep(pauseMs);
  for (const path of locks()) rmSync(path, { force: true });
}

const momentMs = 5_000;
const pauseMs = 100;

const lastWritten = (path: string): number | undefined => statSync(path, { throwIfNoEntry: false })?.mtimeMs;

const locksBelow = (root: string): string[] => filesBelow(root).filter((path) => path.endsWith(".lock"));

function filesBelow(root: string): string[] {
  try {
    return readdirSync(root, { recursive: true, encoding: "utf8" }).map((name) => join(root, name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

/** What to say of a lock that git complains of; null when it complains of something else. */
export async function refLocked(git: Git, stderr: string): Promise<ConvosyncError | null> {
  const lock = await lockOf(git, stderr);
  if (lock === undefined) return null;
  return new ConvosyncError(
    "ref-locked",
    Exit.failed,
    "another git process holds a lock on the conversations' refs",
    [
      "wait for it to finish and try again",
      `if none is running, a crash left the lock behind; remove it: rm '${lock}'`,
    ],
  );
}
