import { lstat, readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { LiveSession, WatchedFolder, Workplace } from "../agent.ts";
import { leadsToFolder, listed, namesIn } from "../folders.ts";
import { type OneStore, startedAt } from "../one-store.ts";
import { glimpse, metaIn } from "./rollout.ts";
import { locksDir, sessionNamed, sessionsDir, validId } from "./store.ts";

export const rolloutStore: OneStore = {
  files: (place) => rollouts(sessionsDir(place), 3),
  named(env) {
    const id = env["CODEX_THREAD_ID"] ?? env["CODEX_SESSION_ID"];
    return id !== undefined && validId(id) ? id : undefined;
  },
  async open(place) {
    const locked = listed(locksDir(place));
    const open = new Set<string>();
    for (const name of locked) {
      const id = name.endsWith(".lock") ? name.slice(0, -".lock".length) : "";
      if (validId(id) && (await live(id, place))) open.add(id);
    }
    return open;
  },
  glimpse(head, tail) {
    const meta = metaIn(head);
    return meta && { id: meta.id, helper: meta.helper, ...glimpse(head, tail) };
  },
};

/**
 * The process that may write to a session: it holds a lock on `<id>.lock`. The file alone means nothing, as a crash
 * leaves it behind; who holds it is known on Linux, from `/proc/locks` (proc_locks(5)).
 */
export async function live(id: string, place: Workplace): Promise<LiveSession | null> {
  const info = await lstat(join(locksDir(place), `${id}.lock`)).catch(() => null);
  if (!info?.isFile()) return null;
  const locks = await readFile("/proc/locks", "utf8").catch(() => "");
  for (const line of locks.split("\n")) {
    const [, , kind, , pid, file] = line.split(/ +/);
    if (kind === "ADVISORY" && file?.endsWith(`:${info.ino}`))
      return { pid: Number(pid), cwd: place.cwd, since: info.mtime };
  }
  return null;
}

/** More days than these are not listened to; an older session that goes on is found when it is saved. */
const watchedDays = 32;

/**
 * The folders in which days appear, and the days that have sessions of this repository. All of a day's sessions of all
 * projects lie in one folder.
 */
export async function watchedFolders(place: Workplace): Promise<WatchedFolder[]> {
  const sessions = sessionsDir(place);
  const now = new Date();
  const [year, month, day] = [now.getFullYear(), now.getMonth() + 1, now.getDate()].map((n) =>
    String(n).padStart(2, "0"),
  );
  const [years, months, days, today] = [
    sessions,
    join(sessions, year!),
    join(sessions, year!, month!),
    join(sessions, year!, month!, day!),
  ];
  const found = new Set([today]);
  for (const { path } of rollouts(sessions, 3)) if (homeOf(path, place)) found.add(dirname(path));
  const containers = [years, months, days].map((path) => ({ path, workTree: null, sessionOf: () => null }));
  const recent = [...found].sort().reverse().slice(0, watchedDays);
  const ofDays = recent.map((path): WatchedFolder => {
    const workTreeOf = (name: string): string | null => homeOf(join(path, name), place);
    const sessionOf = (name: string): string | null => (workTreeOf(name) ? sessionNamed(name) : null);
    return { path, workTree: place.root, workTreeOf, sessionOf };
  });
  return [...containers, ...ofDays].filter(({ path }) => leadsToFolder(path));
}

/** The work tree of a rollout of this repository. */
const homeOf = (path: string, place: Workplace): string | null =>
  sessionNamed(basename(path)) === null ? null : startedAt(path, place);

/** Rollouts so many folders below: year, month, day. */
function* rollouts(
  folder: string,
  depth: number,
  names = listed(folder),
): Generator<{ id: string; path: string }> {
  for (const name of names) {
    const path = join(folder, name);
    if (depth > 0) {
      if (/^\d+$/.test(name)) yield* rollouts(path, depth - 1, namesIn(path));
      continue;
    }
    const id = sessionNamed(name);
    if (id !== null) yield { id, path };
  }
}
