import { closeSync, constants, fstatSync, lstatSync, openSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import type { FoundSession, Workplace } from "./agent.ts";
import { areAlike, isInside, realPath } from "./spellings.ts";

// What finding conversations in an agent's store has in common: their ends are looked at, and where they belong.

/** How much of each end of a transcript is looked at: what Claude Code's own picker reads. */
export const windowBytes = 65_536;

/** The first and the last `bytes` of a file; `tail` is empty where `head` is all of it. Null where it cannot be read. */
export function readEnds(
  path: string,
  bytes: number,
): { head: Buffer; tail: Buffer; complete: boolean } | null {
  let file: number | undefined;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    const { size } = fstatSync(file);
    const complete = size <= bytes;
    const head = readAt(file, Math.min(bytes, size), 0);
    return { head, tail: complete ? Buffer.alloc(0) : readAt(file, bytes, size - bytes), complete };
  } catch {
    return null;
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

function readAt(file: number, length: number, position: number): Buffer {
  const room = Buffer.alloc(length);
  return room.subarray(0, readSync(file, room, 0, length, position));
}

export interface Where {
  readonly root: string;
  readonly cwd: string;
  /** The root as it is recorded, where that is another name of it. */
  readonly alias?: string | undefined;
}

/**
 * The work tree a recorded directory lies in: the innermost, for they may be nested. Null also where it lies in another
 * repository's below that, whose conversations are its own; a submodule is no such repository, but where the work tree
 * holds the home directory, and so all of a user's projects, everything is.
 */
export function workTreeOf(recorded: string, place: Workplace): Where | null {
  const cwd = recorded.normalize("NFC");
  const roots = [...place.worktrees].sort((a, b) => b.length - a.length);
  const where = byItsName(cwd, roots) ?? byAnotherCase(cwd, roots);
  return where === null || liesInAnother(where, place) ? null : where;
}

function byItsName(cwd: string, roots: readonly string[]): Where | null {
  const root = roots.find((one) => {
    const base = one.normalize("NFC");
    return isInside(cwd, base) || cwd.startsWith(`${base}\\`);
  });
  if (root === undefined) return null;
  // A conversation that was begun on Windows: its root is this one, what follows has backslashes.
  const below = cwd.slice(root.normalize("NFC").length);
  return { root, cwd: root + (below.startsWith("\\") ? below.replaceAll("\\", "/") : below) };
}

/**
 * Where a disk does not tell cases apart, as those of macOS, agents record a directory as its user typed it; whether it is the
 * same is for the disk to say.
 */
function byAnotherCase(cwd: string, roots: readonly string[]): Where | null {
  const names = cwd.split("/");
  for (const root of roots) {
    const alias = names.slice(0, root.split("/").length).join("/");
    if (!areAlike(alias, root) || !areSame(alias, root)) continue;
    const real = realPath(cwd);
    return { root, cwd: isInside(real, root) ? real : root + cwd.slice(alias.length), alias };
  }
  return null;
}

/** Of the two there is one. A real path does not tell: that of a Windows disk in Linux keeps the letters it is asked for. */
function areSame(one: string, other: string): boolean {
  try {
    const [a, b] = [statSync(one), statSync(other)];
    return a.ino === b.ino && a.dev === b.dev;
  } catch {
    return false;
  }
}

/** What was found of a folder: a thousand conversations lie in few of them. */
const repositories = new WeakMap<Workplace, Map<string, boolean>>();

function liesInAnother({ root, cwd }: Where, place: Workplace): boolean {
  const known = repositories.get(place) ?? new Map<string, boolean>();
  repositories.set(place, known);
  const holdsHome = isInside(realPath(place.home), root);
  let folder = root;
  for (const name of cwd.slice(root.length).split("/")) {
    if (name === "") continue;
    folder = `${folder}/${name}`;
    const found = known.get(folder) ?? isRepository(folder, holdsHome);
    known.set(folder, found);
    if (found) return true;
  }
  return false;
}

function isRepository(folder: string, whatever: boolean): boolean {
  try {
    const found = lstatSync(join(folder, ".git"), { throwIfNoEntry: false });
    return found !== undefined && (whatever || found.isDirectory());
  } catch {
    return false;
  }
}

/** More of an agent's sessions than these are not looked at for what is going on: a look takes half a millisecond. */
const mostLately = 16;

/** Those of `sessions`, which come newest first, that are of this work tree and were written to since then. */
export async function writtenSince(
  sessions: AsyncIterable<FoundSession>,
  place: Workplace,
  since: Date,
): Promise<FoundSession[]> {
  const found: FoundSession[] = [];
  let looked = 0;
  for await (const session of sessions) {
    if (session.updatedAt < since) break;
    if (session.workTree === place.root) found.push(session);
    if (++looked === mostLately) break;
  }
  return found;
}

/** A title as a list shows it: one line of at most 200 characters. */
export function oneLine(title: string): string {
  const line = title.slice(0, 4096).replace(/\s+/g, " ").trim();
  return [...line].slice(0, 200).join("");
}
