import { closeSync, constants, existsSync, lstatSync, openSync, readSync } from "node:fs";
import type { FoundSession, HowFound, Workplace } from "./agent.ts";
import { readEnds, type Where, windowBytes, workTreeOf, writtenSince } from "./glimpse.ts";

// For agents that keep the sessions of all projects in one store, told apart by the directory a session was started in.
// There may be thousands of files that are somebody else's: one after another without waiting they are looked at in a
// tenth of the time that as many promises take.

export interface OneStore {
  /**
   * The main files there are, whoever's, with the ids they are named by; and with the directory, where that follows from
   * their place: of these there are only those of the repository.
   */
  files(place: Workplace): Iterable<{ readonly id: string; readonly path: string; readonly cwd?: string }>;
  /** The session that the agent's own shell names. */
  named(env: NodeJS.ProcessEnv): string | undefined;
  /** Sessions that a process has open. */
  open(place: Workplace): Promise<ReadonlySet<string>>;
  /** What the two ends of a main file tell; null where the first is too short to tell. */
  glimpse(head: Uint8Array, tail: Uint8Array): StoreGlimpse | null;
}

export interface StoreGlimpse {
  readonly id: string;
  /** A helper of another session, not one a person talks to. */
  readonly helper: boolean;
  readonly title: string;
  /** Recorded directories, the newest first. */
  readonly directories: readonly string[];
}

interface Candidate {
  readonly id: string;
  readonly path: string;
  readonly cwd: string | undefined;
  readonly updatedAt: Date;
}

/** Sessions of the repository's work trees, newest first; only those whose id begins with `prefix`, if given. */
export async function findIn(store: OneStore, place: Workplace, prefix = ""): Promise<FoundSession[]> {
  const found: FoundSession[] = [];
  for await (const session of newestFirst(store, place, (id) => id.startsWith(prefix))) found.push(session);
  return found;
}

/**
 * The session the agent itself names (we run in its shell), else one that is open in this work tree, else the one last
 * written to in it.
 */
export async function currentIn(
  store: OneStore,
  place: Workplace,
): Promise<{ session: FoundSession; how: HowFound } | null> {
  const named = store.named(place.env);
  if (named !== undefined) {
    const [candidate] = candidates(store, place, (id) => id === named);
    const here = { root: place.root, cwd: place.root };
    const session = candidate && (await look(store, candidate, place, here));
    if (session) return { session, how: "environment" };
  }
  const open = await store.open(place);
  if (open.size > 0) {
    for await (const session of newestFirst(store, place, (id) => open.has(id)))
      if (session.workTree === place.root) return { session, how: "live" };
  }
  for await (const session of newestFirst(store, place, () => true))
    if (session.workTree === place.root) return { session, how: "newest" };
  return null;
}

/** The sessions of this work tree that were written to since then, newest first, but for some. */
export const latelyIn = (
  store: OneStore,
  place: Workplace,
  since: Date,
  but: ReadonlySet<string>,
): Promise<FoundSession[]> =>
  writtenSince(
    newestFirst(store, place, (id) => !but.has(id)),
    place,
    since,
  );

/** Of the sessions that were started elsewhere the newest so many may have been taken here: a look at the end tells. */
const mostStrangers = 16;

async function* newestFirst(
  store: OneStore,
  place: Workplace,
  wanted: (id: string) => boolean,
): AsyncGenerator<FoundSession> {
  // Gemini CLI begins another log of a session it resumes, and goes on in the first: that one has the talk.
  const seen = new Set<string>();
  let strangers = 0;
  for (const candidate of candidates(store, place, wanted)) {
    const isStranger = candidate.cwd === undefined && startedAt(candidate.path, place) === null;
    if (isStranger && (++strangers > mostStrangers || !endNames(candidate.path, place))) continue;
    const session = await look(store, candidate, place, null);
    const key = session && `${session.id} ${session.workTree}`;
    if (!key || seen.has(key)) continue;
    seen.add(key);
    yield session;
  }
}

/** Whether the end of a main file names one of the work trees: to look at what it says is a hundred times as much work. */
function endNames(path: string, { worktrees }: Workplace): boolean {
  const ends = readEnds(path, windowBytes);
  if (ends === null) return false;
  const end = ends.complete ? ends.head : ends.tail;
  return worktrees.some((root) => end.includes(JSON.stringify(root).slice(1, -1)));
}

/** A session with its title and where it belongs; null where that is neither here nor at `otherwise`, or nobody's talk. */
async function look(
  store: OneStore,
  { id, path, cwd, updatedAt }: Candidate,
  place: Workplace,
  otherwise: Where | null,
): Promise<FoundSession | null> {
  for (const bytes of [windowBytes, windowBytes * 16]) {
    const ends = readEnds(path, bytes);
    if (ends === null) return null;
    const seen = store.glimpse(ends.head, ends.tail);
    if (seen === null && !ends.complete) continue;
    if (seen?.id !== id || seen.helper) return null;
    const directories = cwd === undefined ? seen.directories : [cwd];
    const known = directories.map((one) => workTreeOf(one, place));
    const begun = cwd === undefined ? startOf(path, place) : (known[0] ?? null);
    // What was started elsewhere is here as long as it stays.
    const where = (begun === null ? known[0] : known.find((one) => one !== null)) ?? otherwise;
    if (where === null) return null;
    const { root: workTree } = where;
    return {
      ...{ id, cwd: where.cwd, workTree, begunIn: begun?.root ?? workTree, alias: begun?.alias },
      ...{ updatedAt, title: seen.title, path },
    };
  }
  return null;
}

/** Main files, the last written first. Symlinks are not followed. */
function candidates(store: OneStore, place: Workplace, wanted: (id: string) => boolean): Candidate[] {
  const found: Candidate[] = [];
  for (const { id, path, cwd } of store.files(place)) {
    const info = wanted(id) ? lstatSync(path, { throwIfNoEntry: false }) : undefined;
    if (info?.isFile()) found.push({ id, path, cwd, updatedAt: info.mtime });
  }
  return found.sort((a, b) => b.updatedAt.getTime() - a.updatedAt.getTime());
}

/** The directory of a session stands within so many bytes; what follows, instructions above all, is long. */
const beginningBytes = 4096;

/** Where sessions were started, as far as it was looked up. */
const starts = new Map<string, string>();

/** The work tree that the session of a main file was started in; null where that is none of this repository. */
export const startedAt = (path: string, place: Workplace): string | null =>
  startOf(path, place)?.root ?? null;

function startOf(path: string, place: Workplace): Where | null {
  const cwd = starts.get(path) ?? startedIn(beginningOf(path));
  if (cwd === null) return null;
  starts.set(path, cwd);
  return workTreeOf(cwd, place);
}

/** The session with this id, where it was started in none of the repository's work trees: where it is, or was, now. */
export function elsewhereIn(
  store: OneStore,
  id: string,
  place: Workplace,
): Pick<FoundSession, "cwd" | "path"> | null {
  for (const { path } of candidates(store, place, (one) => one === id)) {
    const cwd = startedIn(beginningOf(path));
    if (cwd === null || workTreeOf(cwd, place) !== null) continue;
    // Who asks is about to put the session into another directory.
    starts.delete(path);
    const now = lastIn(store, path);
    return { cwd: now !== undefined && existsSync(now) ? now : cwd, path };
  }
  return null;
}

/** The directory that a main file names last. */
function lastIn(store: OneStore, path: string): string | undefined {
  const ends = readEnds(path, windowBytes);
  return ends === null ? undefined : store.glimpse(ends.head, ends.tail)?.directories[0];
}

/** The first directory that the beginning of a main file calls its own. */
export function startedIn(beginning: Uint8Array): string | null {
  const found = /"cwd":("(?:[^"\\]|\\.)*")/.exec(new TextDecoder().decode(beginning))?.[1];
  if (found === undefined) return null;
  try {
    return JSON.parse(found) as string;
  } catch {
    return null;
  }
}

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
