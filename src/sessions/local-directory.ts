import { lstatSync } from "node:fs";
import { join, relative, resolve, sep } from "node:path";
import type { Agent, Workplace } from "../agents/agent.ts";
import { leadsToFolder } from "../agents/folders.ts";
import { toLocal } from "../agents/portable-paths.ts";
import { checkoutAround, isInside } from "../agents/spellings.ts";
import { fromUtf8, utf8 } from "../crypto/encoding.ts";
import { makeFolder } from "../make-folder.ts";

/**
 * The directory the conversation runs in here: the same place in this work tree, or its root. Where it ran in a work tree
 * within that one, it is not taken to run in there: that is a work tree of its own, or gone.
 */
export function localDirectory(agent: Agent, place: Workplace, recorded: string): string {
  const rooted = agent.places({ cwd: place.root, workTree: place.root }, place);
  const cwd = resolve(fromUtf8(toLocal(utf8(recorded), rooted, "text")));
  return isInside(cwd, place.root) && checkoutAround(cwd, place) !== place.root ? cwd : place.root;
}

/**
 * Where the conversation goes on: there, if need be in an empty folder that is made for it, as the code here may lack the
 * one it ran in, and agents look for a conversation where it ran. Where that cannot be, in the work tree's root.
 */
export function settleIn(cwd: string, { root }: Workplace): { workingDirectory: string; made: boolean } {
  if (leadsToFolder(cwd)) return { workingDirectory: cwd, made: false };
  try {
    if (mayBeMade(cwd, root)) {
      makeFolder(cwd);
      return { workingDirectory: cwd, made: true };
    }
  } catch {
    // A full disk, no permission.
  }
  return { workingDirectory: root, made: false };
}

/** Whether all that is there of a path below the root are folders: nothing is made beyond a symlink, nor in git's own. */
function mayBeMade(path: string, root: string): boolean {
  if (!isInside(path, root)) return false;
  const names = relative(root, path).split(sep);
  if (names.some((name) => name.toLowerCase() === ".git")) return false;
  let at = root;
  for (const name of names) {
    at = join(at, name);
    const info = lstatSync(at, { throwIfNoEntry: false });
    if (info === undefined) return true;
    if (!info.isDirectory()) return false;
  }
  return false;
}
