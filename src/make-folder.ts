import { mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Makes a folder and those above it, as `mkdir -p` does. Returns the outermost one that was made; undefined when all were
 * there. Node's own (`recursive`) asks for ever where a folder that is there answers ENOENT to what is to be made in it, as
 * an automounter does, or /proc (Node 20 and 22).
 */
export function makeFolder(path: string, mode = 0o777): string | undefined {
  try {
    mkdirSync(path, mode);
    return path;
  } catch (error) {
    if (isDirectory(path)) return undefined;
    const above = dirname(path);
    if ((error as NodeJS.ErrnoException).code !== "ENOENT" || above === path) throw error;
    const first = makeFolder(above, mode);
    try {
      mkdirSync(path, mode);
    } catch (again) {
      // Somebody else has made it meanwhile.
      if (!isDirectory(path)) throw again;
    }
    return first ?? path;
  }
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
