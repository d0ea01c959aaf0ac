import { closeSync, constants, lstatSync, openSync, readdirSync, readSync } from "node:fs";
import { lstat, readdir, readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { FoundSession, HowFound, LiveSession, WatchedFolder, Workplace } from "../agent.ts";
import { readEnds, type Where, windowBytes, workTreeOf } from "../glimpse.ts";
import { glimpse, metaIn, startedIn } from "./rollout.ts";
import { locksDir, sessionNamed, sessionsDir, validId } from "./store.ts";

interface Candidate {
  readonly id: string;
  readonly path: string;
  readonly updatedAt: Date;
}

/** The directory of a session stands within so many bytes; its instructions follow and are long. */
const beginningBytes = 4096;

/** Sessions of the repository's work trees, newest first; only those whose id begins with `prefix`, if given. */
export async function find(place: Workplace, prefix = ""): Promise<FoundSession[]> {
  const found: FoundSession[] = [];
  for await (const session of newestFirst(place, (id) => id.startsWith(prefix))) found.push(session);
  return found;
}

/**
 * The session the agent itself names (we run in its shell), else one that is open in this work tree, else the one last
 * written to in it.
 */
export async function current(place: Workplace): Promise<{ session: FoundSession; how: HowFound } | null> {
  const named = place.env["CODEX_THREAD_ID"] ?? place.env["CODEX_SESSION_ID"];
  if (named !== undefined && validId(named)) {
    const [candidate] = candidates(place, (id) => id === named);
    const session = candidate && (await look(candidate, place, { root: place.root, cwd: place.root }));
    if (session) return { session, how: "environment" };
  }
  const locked = await readdir(locksDir(place)).catch(() => []);
  const open = new Set<string>();
  for (const name of locked) {
    const id = name.endsWith(".lock") ? name.slice(0, -".lock".length) : "";
    if (validId(id) && (await live(id, place))) open.add(id);
  }
  if (open.size > 0) {
    for await (const session of newestFirst(place, (id) => open.has(id)))
      if (session.workTree === place.root) return { session, how: "live" };
  }
  for await (const session of newestFirst(place, () => true))
    if (session.workTree === place.root) return { session, how: "newest" };
  return null;
}

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
  return [...containers, ...ofDays].filter(({ path }) => isFolder(path));
}

/** Where rollouts were started, as far as it was looked up; it never changes. */
const starts = new Map<string, string>();

/** The work tree that a rollout was started in; null where that is none of this repository. */
function homeOf(path: string, place: Workplace): string | null {
  if (sessionNamed(basename(path)) === null) return null;
  const cwd = starts.get(path) ?? startedIn(beginningOf(path));
  if (cwd === null) return null;
  starts.set(path, cwd);
  return workTreeOf(cwd, place)?.root ?? null;
}

async function* newestFirst(place: Workplace, wanted: (id: string) => boolean): AsyncGenerator<FoundSession> {
  for (const candidate of candidates(place, wanted)) {
    if (homeOf(candidate.path, place) === null) continue;
    const session = await look(candidate, place, null);
    if (session) yield session;
  }
}

/** A session with its title and where it belongs; null where that is neither here nor at `otherwise`, or nobody's talk. */
async function look(
  { id, path, updatedAt }: Candidate,
  place: Workplace,
  otherwise: Where | null,
): Promise<FoundSession | null> {
  for (const bytes of [windowBytes, windowBytes * 16]) {
    const ends = await readEnds(path, bytes).catch(() => null);
    if (ends === null) return null;
    const meta = metaIn(ends.head);
    if (meta === null && !ends.complete) continue;
    if (meta?.id !== id || meta.helper) return null;
    const { title, directories } = glimpse(ends.head, ends.tail);
    const where = directories.map((cwd) => workTreeOf(cwd, place)).find((one) => one !== null) ?? otherwise;
    return where && { id, cwd: where.cwd, workTree: where.root, updatedAt, title, path };
  }
  return null;
}

// All projects share one store, and there may be thousands of files that are somebody else's. One after another without
// waiting they are looked at in a tenth of the time that as many promises take.

/** Main files, the last written first. Symlinks are not followed. */
function candidates(place: Workplace, wanted: (id: string) => boolean): Candidate[] {
  const found: Candidate[] = [];
  for (const { id, path } of rollouts(sessionsDir(place), 3)) {
    const info = wanted(id) ? lstatSync(path, { throwIfNoEntry: false }) : undefined;
    if (info?.isFile()) found.push({ id, path, updatedAt: info.mtime });
  }
  return found.sort((a, b) => b.updatedAt.getTime() - a.updatedAt.getTime());
}

/** Rollouts so many folders below: year, month, day. */
function* rollouts(folder: string, depth: number): Generator<{ id: string; path: string }> {
  for (const name of namesIn(folder)) {
    const path = join(folder, name);
    if (depth > 0) {
      if (/^\d+$/.test(name)) yield* rollouts(path, depth - 1);
      continue;
    }
    const id = sessionNamed(name);
    if (id !== null) yield { id, path };
  }
}

/** Of a real folder; none of anything else. */
function namesIn(folder: string): string[] {
  try {
    return isFolder(folder) ? readdirSync(folder) : [];
  } catch {
    return [];
  }
}

const isFolder = (path: string): boolean =>
  lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true;

/** The first bytes of a file; none where it cannot be read. */
function beginningOf(path: string): Uint8Array {
  const bytes = new Uint8Array(beginningBytes);
  try {
    const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      return bytes.subarray(0, readSync(file, bytes, 0, bytes.length, 0));
    } finally {
      closeSync(file);
    }
  } catch {
    return new Uint8Array();
  }
}
