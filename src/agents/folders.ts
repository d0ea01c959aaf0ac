import { lstatSync, readdirSync, statSync } from "node:fs";

// Looks at folders at once, not in another thread: there are many small ones, and a look takes 20 µs.

/** What is in a folder, a symlink to one included; nothing in anything else. */
export function listed(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** What is in a real folder; nothing in anything else. */
export const namesIn = (folder: string): string[] => (isFolder(folder) ? listed(folder) : []);

/** Whether there is a real folder; a symlink is none. */
export const isFolder = (path: string): boolean => isDirectory(path, lstatSync);

/** Whether there is a folder, or a symlink to one: an agent's store, or a folder directly in it, kept on another disk. */
export const leadsToFolder = (path: string): boolean => isDirectory(path, statSync);

function isDirectory(path: string, look: typeof statSync): boolean {
  try {
    return look(path, { throwIfNoEntry: false })?.isDirectory() === true;
  } catch {
    return false;
  }
}
