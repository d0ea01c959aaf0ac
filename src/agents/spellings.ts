import { realpathSync } from "node:fs";
import { relative, resolve, sep } from "node:path";
import type { Agent, Placed, Workplace } from "./agent.ts";
import type { Places } from "./portable-paths.ts";

/** Whether `path` is `directory` or lies below it. Both absolute and normalised; no disk access. */
export function isInside(path: string, directory: string): boolean {
  if (path === directory) return true;
  return path.startsWith(directory.endsWith(sep) ? directory : directory + sep);
}

/** Whether two names differ in the case of their letters only, or not at all. */
export const areAlike = (one: string, other: string): boolean => folded(one) === folded(other);

export const folded = (name: string): string => name.normalize("NFC").toLowerCase();

/** The one of an agent's folders that a path lies in. */
export function storeAround(path: string, agent: Agent, place: Workplace): string {
  const store = agent.store(place);
  const settings = agent.settings?.(place);
  return settings !== undefined && !isInside(path, store) && isInside(path, settings) ? settings : store;
}

/** A path without symlinks; the path itself where it does not exist. */
export function realPath(path: string): string {
  try {
    return realpathSync.native(path);
  } catch {
    return resolve(path);
  }
}

/**
 * All names this machine has for a directory, the real path first: its NFC form (agents normalise, macOS disks
 * do not), the path as given, those that were `recorded`, and the path below each of `detours` that leads to the same
 * place: the shell's `$PWD`, a symlinked home.
 */
export function spellings(
  path: string,
  detours: readonly string[] = [],
  recorded: readonly string[] = [],
): string[] {
  const real = realPath(path);
  const found = [real, real.normalize("NFC"), resolve(path), ...recorded];
  for (const detour of detours) {
    const target = realPath(detour);
    if (!isInside(real, target) && !isInside(target, real)) continue;
    const way = resolve(detour, relative(target, real));
    if (realPath(way) === real) found.push(way);
  }
  if (real.startsWith("/private/")) {
    const short = real.slice("/private".length);
    if (realPath(short) === real) found.push(short);
  }
  return [...new Set(found)];
}

const made = /[/\\]\.claude[/\\]worktrees[/\\]/;

/**
 * The checkout in which Claude Code made a work tree for one conversation, `<checkout>/.claude/worktrees/<name>` (its
 * `--worktree`, and its tool EnterWorktree); of any other directory null. Such a conversation names both, and moves from one
 * to the other and back, the work tree soon being removed; and Claude Code refuses to go on with one whose work tree is the
 * checkout itself. So all of it is told from the checkout, whichever of them it is in.
 */
export function checkoutAround(
  directory: string,
  { worktrees }: Pick<Workplace, "worktrees">,
): string | null {
  const at = made.exec(directory)?.index;
  const checkout = at === undefined ? null : directory.slice(0, at);
  return checkout !== null && worktrees.includes(checkout) ? checkout : null;
}

/**
 * The paths that are made portable in a session of an agent that keeps its data in `store`.
 *
 * @param key the agent's encoded folder name of a directory, where it has any
 * @param folder the one that the session's files lie in, which is that of the directory it began in; where it is not known
 *   yet, they will come to that of `cwd`
 */
export function placesOf(
  { cwd, workTree, begunIn = workTree, alias }: Placed,
  store: string,
  place: Pick<Workplace, "home" | "env" | "worktrees">,
  key?: (directory: string) => string,
  folder?: string,
): Places {
  const { home, env } = place;
  const detours = [home, ...(env["PWD"] ? [env["PWD"]] : [])];
  const root = checkoutAround(begunIn, place) ?? begunIn;
  return {
    root: spellings(root, detours, alias !== undefined && root === begunIn ? [alias] : []),
    home: spellings(home),
    store: spellings(store, [home]),
    keys: key ? keysOf(key(root), folder ?? key(checkoutAround(cwd, place) === root ? root : cwd)) : [],
  };
}

/** Of the root, and of the session: the second means the session's own folder, also where that is the root's. */
const keysOf = (root: string, own: string): string[] => [
  root,
  own.startsWith(`${root}--claude-worktrees-`) ? root : own,
];
