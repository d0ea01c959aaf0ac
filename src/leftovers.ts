import { randomBytes } from "node:crypto";
import { readdirSync, rmSync, statSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";

// Temporary files carry the name of the process that writes them, so that whoever comes next can tell what a
// killed one left behind from what another is still writing.

/** So long a file may be: an id that is in use is by then another program's. */
const staleAfterMs = 6 * 3_600_000;

const host = hostname().replace(/[^A-Za-z0-9.-]/g, "_");

/** Names this process, on this host, at this moment; fit for a file name. */
export function processName(): string {
  return `${process.pid}@${host}@${randomBytes(4).toString("hex")}`;
}

/** Whether a `processName` is of a process that no longer runs; of another host's that cannot be known. */
export function isGone(name: string): boolean {
  const [pid, where] = name.split("@");
  if (where !== host) return false;
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}

/** Whether a file is too old for its writer to be at work on it. */
export const isStale = (path: string): boolean => olderThan(path, staleAfterMs);

/** Whether there is a file, last written so long ago. */
export function olderThan(path: string, ms: number): boolean {
  const info = statSync(path, { throwIfNoEntry: false });
  return info !== undefined && Date.now() - info.mtimeMs > ms;
}

/** Removes from a folder the files `<prefix><processName><suffix>` of processes that are gone. */
export function sweep(folder: string, prefix: string, suffix: string): void {
  for (const name of readdirSync(folder)) {
    if (!name.startsWith(prefix) || !name.endsWith(suffix)) continue;
    const writer = name.slice(prefix.length, name.length - suffix.length);
    const path = join(folder, name);
    if (/^\d+@/.test(writer) && (isGone(writer) || isStale(path))) rmSync(path, { force: true });
  }
}
