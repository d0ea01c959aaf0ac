import { realpathSync } from "node:fs";
import { relative, resolve, sep } from "node:path";
import type { Workplace } from "./agent.ts";
import type { Places } from "./portable-paths.ts";

/** Whether `path` is `directory` or lies below it. Both absolute and normalised; no disk access. */
export function isInside(path: string, directory: string): boolean {
  if (path === directory) return true;
  return path.startsWith(directory.endsWith(sep) ? directory : directory + sep);
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
 * do not), the path as given, and the path below each of `detours` that leads to the same place: the shell's
 * `$PWD`, a symlinked home.
 */
export function spellings(path: string, detours: readonly string[] = []): string[] {
  const real = realPath(path);
  const found = [real, real.normalize("NFC"), resolve(path)];
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

/** The paths that are made portable in a session of `workTree`, of an agent that keeps its data in `store`. */
export function placesOf(
  workTree: string,
  store: string,
  { home, env }: Pick<Workplace, "home" | "env">,
  keys: readonly string[] = [],
): Places {
  const detours = [home, ...(env["PWD"] ? [env["PWD"]] : [])];
  return {
    root: spellings(workTree, detours),
    home: spellings(home),
    store: spellings(store, [home]),
    keys: [...new Set(keys)],
  };
}
