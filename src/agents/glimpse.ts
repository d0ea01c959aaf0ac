import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import type { Workplace } from "./agent.ts";
import { isInside } from "./spellings.ts";

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
}

/** The work tree a recorded directory lies in: the innermost, for they may be nested. */
export function workTreeOf(recorded: string, { worktrees }: Workplace): Where | null {
  const cwd = recorded.normalize("NFC");
  const roots = worktrees.filter((root) => {
    const base = root.normalize("NFC");
    return isInside(cwd, base) || cwd.startsWith(`${base}\\`);
  });
  const root = roots.sort((a, b) => b.length - a.length)[0];
  if (root === undefined) return null;
  // A conversation that was begun on Windows: its root is this one, what follows has backslashes.
  const below = cwd.slice(root.normalize("NFC").length);
  return { root, cwd: root + (below.startsWith("\\") ? below.replaceAll("\\", "/") : below) };
}

/** A title as a list shows it: one line of at most 200 characters. */
export function oneLine(title: string): string {
  const line = title.slice(0, 4096).replace(/\s+/g, " ").trim();
  return [...line].slice(0, 200).join("");
}
