import { lstatSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import type { FileSource } from "./agent.ts";
import { isFolder } from "./folders.ts";
import { safeSegments } from "./safe-name.ts";

/** How paths stand in a file, by its extension. */
export function formByName(name: string): FileSource["form"] {
  if (/\.jsonl?$/.test(name)) return "jsonl";
  return /\.(?:txt|md)$/.test(name) ? "text" : "raw";
}

export interface Entry {
  readonly name: string;
  readonly path: string;
  readonly size: number;
}

/**
 * Regular files below a folder, sorted by name, but for those that no other machine could take by their name. Symlinks, the
 * folder itself included, are never followed.
 */
export function walk(directory: string, name: string, isTemporary: (name: string) => boolean): Entry[] {
  for (const folder of [dirname(directory), directory]) {
    if (!isFolder(folder)) return [];
  }
  const found: Entry[] = [];
  const entries = readdirSync(directory, { withFileTypes: true });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (isTemporary(entry.name)) continue;
    const child = { name: `${name}/${entry.name}`, path: join(directory, entry.name) };
    if (safeSegments(child.name) === null) continue;
    if (entry.isDirectory()) found.push(...walk(child.path, child.name, isTemporary));
    else if (entry.isFile()) {
      const stat = lstatSync(child.path, { throwIfNoEntry: false });
      if (stat?.isFile()) found.push({ ...child, size: stat.size });
    }
  }
  return found;
}
