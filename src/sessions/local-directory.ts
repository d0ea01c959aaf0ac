import { lstatSync, mkdirSync } from "node:fs";
import { isAbsolute, join, relative, resolve, sep } from "node:path";
import type { Agent, Placed, Workplace } from "../agents/agent.ts";
import { leadsToFolder } from "../agents/folders.ts";
import { asBuffer, localLength, type Places, toLocal } from "../agents/portable-paths.ts";
import { checkoutAround, isInside } from "../agents/spellings.ts";
import { fromUtf8, utf8 } from "../crypto/encoding.ts";

/**
 * The directory the conversation runs in here: the same place in this work tree, or its root. Where it ran in a work tree
 * within that one, it is not taken to run in there: that is a work tree of its own, or gone.
 */
export function localDirectory(agent: Agent, place: Workplace, recorded: string): string {
  const rooted = agent.places({ cwd: place.root, workTree: place.root }, place);
  const cwd = resolve(fromUtf8(toLocal(utf8(recorded), rooted, "text")));
  return isInside(cwd, place.root) && checkoutAround(cwd, place) !== place.root ? cwd : place.root;
}

const rootToken = Buffer.from("{{CS:ROOT}}");

/** Where the first line begins that names the root; null where none does. */
export function beforeRoot(stored: Uint8Array): number | null {
  const text = asBuffer(stored);
  const at = text.indexOf(rootToken);
  return at < 0 ? null : text.lastIndexOf(0x0a, at) + 1;
}

/**
 * The root that a line was told from, as it reads on this machine: the two differ in nothing else. Null where they do, or the
 * line does not say.
 *
 * @param places what else it names
 */
export function rootTold(stored: Uint8Array, local: Uint8Array, places: Places): string | null {
  const [text, line] = [asBuffer(stored), asBuffer(local)];
  const at = text.indexOf(rootToken);
  if (at < 0) return null;
  const rest = text.subarray(at + rootToken.length);
  const next = rest.indexOf("{{CS:");
  const from = localLength(text.subarray(0, at), places, "jsonl");
  const to = line.indexOf(next < 0 ? rest : rest.subarray(0, next), from);
  const root = to < from ? null : parsed(line.subarray(from, to).toString());
  if (root === null || !isAbsolute(root)) return null;
  const told = toLocal(stored, { ...places, root: [root] }, "jsonl");
  return line.equals(told) ? root : null;
}

function parsed(escaped: string): string | null {
  try {
    const text: unknown = JSON.parse(`"${escaped}"`);
    return typeof text === "string" ? text : null;
  } catch {
    return null;
  }
}

/**
 * The paths of a session that is told from a work tree which is gone. The one it is in now is another name of the same: what
 * the agent says there of its own accord means that on other machines, too.
 */
export function placesIn(agent: Agent, session: Placed, gone: string, place: Workplace): Places {
  const { workTree } = session;
  const now = agent.places({ ...session, begunIn: workTree }, place);
  const then = agent.places({ ...session, workTree: gone, begunIn: gone }, place);
  return { ...then, root: [...new Set([...then.root, ...now.root])] };
}

/**
 * Where the conversation goes on: there, if need be in an empty folder that is made for it, as the code here may lack the
 * one it ran in, and agents look for a conversation where it ran. Where that cannot be, in the work tree's root.
 */
export function settleIn(cwd: string, { root }: Workplace): { workingDirectory: string; made: boolean } {
  if (leadsToFolder(cwd)) return { workingDirectory: cwd, made: false };
  try {
    if (mayBeMade(cwd, root)) {
      mkdirSync(cwd, { recursive: true });
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
