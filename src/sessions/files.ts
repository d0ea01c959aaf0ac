import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  utimes,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, sep } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type * as v from "valibot";
import { safeParse } from "valibot";
import { ConvosyncError, Exit } from "../errors.ts";
import { isElsewhere, isGone, isStale, olderThan, processName, sweep } from "../leftovers.ts";
import { makeFolder } from "../make-folder.ts";
import { version } from "../version.ts";

// Nothing here waits for another thread: a save asks some two hundred things of small files, one after another, and each
// round to a thread and back takes longer than the file does.

/**
 * Replaces a file as a whole: a reader sees the old bytes or the new ones, also after a crash. What a crash left
 * beside it goes with the next write.
 */
export function writeAtomic(path: string, data: string | Uint8Array, mode = 0o600): Promise<void> {
  return writeParts(path, [data], mode);
}

/**
 * Writes what only saves time: where it cannot be written it is made again, as it is when the machine stops before it is
 * on the disk. {@link readCache}, and whoever else reads it, does without what it cannot read.
 */
export async function writeCache(path: string, data: string | Uint8Array): Promise<void> {
  await writeParts(path, [data], 0o600, { durably: false }).catch(() => undefined);
}

const gitDirs = new Set<string>();

/** Has nothing that is written in this git directory make it anew, where it is moved or removed meanwhile. */
export function neverMake(gitDir: string): void {
  gitDirs.add(gitDir);
}

function makePrivateFolder(path: string): void {
  for (const dir of gitDirs) {
    if (path.startsWith(`${dir}${sep}`) && !existsSync(dir))
      throw new ConvosyncError("not-a-repository", Exit.stopped, `'${dir}' was moved or removed meanwhile`, [
        "run the command again where it is now",
      ]);
  }
  makeFolder(path, 0o700);
}

/** {@link writeAtomic} for what is not held in memory as a whole. */
export async function writeParts(
  path: string,
  parts: AsyncIterable<string | Uint8Array> | Iterable<string | Uint8Array>,
  mode = 0o600,
  { durably = true }: { readonly durably?: boolean } = {},
): Promise<void> {
  makePrivateFolder(dirname(path));
  sweep(dirname(path), `.${basename(path)}.`, ".tmp");
  const temporary = join(dirname(path), `.${basename(path)}.${processName()}.tmp`);
  const file = openSync(temporary, "wx", mode);
  try {
    try {
      for await (const part of parts) writeFileSync(file, part);
      if (durably) fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

export async function readIfPresent(path: string): Promise<Buffer | null> {
  try {
    return readFileSync(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT" || code === "ENOTDIR") return null;
    // The only one of its errors in which the system does not name the file.
    if (code === "EISDIR")
      Object.assign(error as Error, { path, message: `${path} is a folder, not a file` });
    throw error;
  }
}

/**
 * A cache of ours as its schema describes it, or null when it is absent, may not be read (`sudo` leaves such), or is not
 * what we wrote: caches heal.
 */
export async function readCache<S extends v.GenericSchema>(
  path: string,
  schema: S,
): Promise<v.InferOutput<S> | null> {
  const bytes = await readIfPresent(path).catch(() => null);
  return bytes && parsed(bytes, schema);
}

/** As {@link readCache}, of what cannot be made again: it throws where there is something that may not be read. */
export async function readState<S extends v.GenericSchema>(
  path: string,
  schema: S,
): Promise<v.InferOutput<S> | null> {
  const bytes = await readIfPresent(path);
  return bytes && parsed(bytes, schema);
}

function parsed<S extends v.GenericSchema>(bytes: Buffer, schema: S): v.InferOutput<S> | null {
  try {
    const result = safeParse(schema, JSON.parse(bytes.toString("utf8")));
    return result.success ? result.output : null;
  } catch {
    return null;
  }
}

/**
 * {@link writeCache} of what was checked before, for {@link readChecked}. Looking through thousands of records with a
 * schema takes longer than opening what they were read from.
 */
export function writeChecked(path: string, value: unknown): Promise<void> {
  const json = JSON.stringify(value);
  return writeCache(path, `${checksum(path, json)}\n${json}`);
}

/**
 * What {@link writeChecked} wrote there, in this version of the program: where a single byte differs, null. It is no
 * proof against whoever may write this user's files; what such a cache holds must not be believed for more than a file
 * of the user's would.
 */
export async function readChecked<T>(path: string): Promise<T | null> {
  const bytes = await readIfPresent(path).catch(() => null);
  const end = bytes?.indexOf("\n") ?? -1;
  if (!bytes || end < 0) return null;
  const json = bytes.toString("utf8", end + 1);
  return bytes.toString("latin1", 0, end) === checksum(path, json) ? JSON.parse(json) : null;
}

const checksum = (path: string, json: string): string =>
  createHash("sha256")
    .update(`${version}\0${basename(path)}\0${json}`)
    .digest("base64url");

/** Writing the holder's name into a new lock takes a moment; so does breaking an old one. */
const momentMs = 3_000;

/** So often a lock is touched by its holder. */
const heartbeatMs = 60_000;
/** So long one may not have been touched whose holder nobody here can ask after: a container that was stopped left it. */
const silentMs = 15 * 60_000;

/**
 * Runs `work` while holding the lock file `path`. Waits up to `patienceMs` for another holder; a lock whose
 * process is gone, or is elsewhere and has been silent, or that is too old is taken over, of which `work` is told.
 */
export async function withLock<T>(
  path: string,
  patienceMs: number,
  work: (abandoned: boolean) => Promise<T>,
): Promise<T> {
  makePrivateFolder(dirname(path));
  const mine = processName();
  const until = Date.now() + patienceMs;
  let broken = false;
  while (!acquire(path, mine)) {
    if (abandoned(path)) {
      breakLock(path);
      broken = true;
    } else if (Date.now() > until) {
      throw new ConvosyncError("locked", Exit.failed, "another convosync is at work in this repository", [
        "wait for it to finish and try again",
        `if none is running, remove ${path}`,
      ]);
    } else await sleep(20 + Math.random() * 60);
  }
  const beat = setInterval(() => {
    const now = new Date();
    utimes(path, now, now, () => undefined);
  }, heartbeatMs);
  beat.unref();
  try {
    return await work(broken);
  } finally {
    clearInterval(beat);
    if (holderOf(path) === mine) rmSync(path, { force: true });
  }
}

/** Removes an abandoned lock under a lock of its own, so that two who wait never remove each other's new one. */
function breakLock(path: string): void {
  const breaking = `${path}.breaking`;
  if (!acquire(breaking, "") && !olderThan(breaking, momentMs)) return;
  try {
    if (abandoned(path)) rmSync(path, { force: true });
  } finally {
    rmSync(breaking, { force: true });
  }
}

function acquire(path: string, mine: string): boolean {
  let file: number;
  try {
    file = openSync(path, "wx", 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
  try {
    writeFileSync(file, mine);
  } catch (error) {
    rmSync(path, { force: true });
    throw error;
  } finally {
    closeSync(file);
  }
  return true;
}

/** Whether nobody holds a lock that is there. */
export function abandoned(path: string): boolean {
  if (isStale(path)) return true;
  const holder = holderOf(path) ?? "";
  if (!holder.includes("@")) return olderThan(path, momentMs);
  return isElsewhere(holder) ? olderThan(path, silentMs) : isGone(holder);
}

function holderOf(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}
