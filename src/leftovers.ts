import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";

// Temporary files carry the name of the process that writes them, so that whoever comes next can tell what a
// killed one left behind from what another is still writing.

/** So long a file may be: an id that is in use is by then another program's. */
const staleAfterMs = 6 * 3_600_000;

const host = hostname().replace(/[^A-Za-z0-9.-]/g, "_");

/** Of a process, where the system tells: what it is doing, and when it began, in ticks since the system did. */
interface ProcessState {
  readonly state: string;
  readonly began: string;
}

/** From /proc/<pid>/stat, proc_pid_stat(5); null without it. The second field may hold anything, in brackets. */
function stateOf(pid: number | "self"): ProcessState | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return { state: fields[0]!, began: fields[19]! };
  } catch {
    return null;
  }
}

/**
 * Whether a process of this machine runs. One that has ended and whose parent has not asked how does not, though it still
 * has its number: in a container the first process often asks after none.
 *
 * @param began when it began, in ticks since the system did: another one may have its number by now
 */
export function isRunning(pid: number, began?: string): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
  }
  const now = stateOf(pid);
  return now === null || (!/^[ZX]/.test(now.state) && (began ?? now.began) === now.began);
}

let began: string | undefined;

/** Names this process, on this host, at this moment; fit for a file name: `<pid>@<host>@<random>[-<began>]`. */
export function processName(): string {
  began ??= stateOf("self")?.began ?? "";
  return `${process.pid}@${host}@${randomBytes(4).toString("hex")}${began && `-${began}`}`;
}

/** Whether a `processName` is of a process of another host, or of a container: whether it runs cannot be known. */
export const isElsewhere = (name: string): boolean => name.split("@")[1] !== host;

/** Whether a `processName` is of a process that is known to run no longer. */
export function isGone(name: string): boolean {
  const [pid, , rest = ""] = name.split("@");
  if (isElsewhere(name)) return false;
  const [, began] = rest.split("-");
  return !isRunning(Number(pid), began);
}

/** Whether a file is too old for its writer to be at work on it. */
export const isStale = (path: string): boolean => olderThan(path, staleAfterMs);

/** Whether there is a file, last written so long ago. */
export function olderThan(path: string, ms: number): boolean {
  const info = statSync(path, { throwIfNoEntry: false });
  return info !== undefined && Date.now() - info.mtimeMs > ms;
}

/** Removes from a folder the files and folders `<prefix><processName><suffix>` of processes that are gone. */
export function sweep(folder: string, prefix: string, suffix: string): void {
  for (const name of readdirSync(folder)) {
    if (!name.startsWith(prefix) || !name.endsWith(suffix)) continue;
    const writer = name.slice(prefix.length, name.length - suffix.length);
    if (/^\d+@/.test(writer)) removeLeft(join(folder, name), writer);
  }
}

/** The same of files `.<name>.<processName><suffix>`, whatever their names. */
export function sweepAll(folder: string, suffix: string): void {
  for (const name of readdirSync(folder)) {
    const writer = /^\..*?\.(?=\d+@)/.exec(name);
    if (writer && name.endsWith(suffix))
      removeLeft(join(folder, name), name.slice(writer[0].length, -suffix.length));
  }
}

function removeLeft(path: string, writer: string): void {
  if (isGone(writer) || isStale(path)) rmSync(path, { force: true, recursive: true });
}
