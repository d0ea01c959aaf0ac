import { lstat, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { FoundSession, HowFound, LiveSession, Workplace } from "../agent.ts";
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
/** All projects share the store: that many files are looked into at a time. */
const atOnce = 32;

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
    const candidate = (await candidates(place, (id) => id === named))[0];
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

async function* newestFirst(place: Workplace, wanted: (id: string) => boolean): AsyncGenerator<FoundSession> {
  const all = await candidates(place, wanted);
  for (let from = 0; from < all.length; from += atOnce) {
    const some = all.slice(from, from + atOnce);
    const here = await Promise.all(some.map((one) => belongs(one, place)));
    for (const candidate of some.filter((_, at) => here[at])) {
      const session = await look(candidate, place, null);
      if (session) yield session;
    }
  }
}

async function belongs({ path }: Candidate, place: Workplace): Promise<boolean> {
  const ends = await readEnds(path, beginningBytes).catch(() => null);
  const cwd = ends && startedIn(ends.head);
  return cwd !== null && workTreeOf(cwd, place) !== null;
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

/** Main files, the last written first. Symlinks are not followed. */
async function candidates(place: Workplace, wanted: (id: string) => boolean): Promise<Candidate[]> {
  const found: Candidate[] = [];
  for (const { id, path } of await rollouts(sessionsDir(place), 3)) {
    if (!wanted(id)) continue;
    const info = await lstat(path).catch(() => null);
    if (info?.isFile()) found.push({ id, path, updatedAt: info.mtime });
  }
  return found.sort((a, b) => b.updatedAt.getTime() - a.updatedAt.getTime());
}

/** Rollouts so many folders below: year, month, day. */
async function rollouts(folder: string, depth: number): Promise<{ id: string; path: string }[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const below = await Promise.all(
    entries.map(async (entry) => {
      const path = join(folder, entry.name);
      if (depth > 0) return entry.isDirectory() && /^\d+$/.test(entry.name) ? rollouts(path, depth - 1) : [];
      const id = sessionNamed(entry.name);
      return id !== null && entry.isFile() ? [{ id, path }] : [];
    }),
  );
  return below.flat();
}
