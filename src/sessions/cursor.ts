import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readSync,
  rmdirSync,
  rmSync,
} from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { listed } from "../agents/folders.ts";
import { olderThan } from "../leftovers.ts";
import { readCache, writeCache } from "./files.ts";
import type { Context } from "./repository.ts";

/**
 * Where the last capture or restore of a session ended, per stream: how much of the agent's file is already
 * stored, and the state of the stream's hash there. Only a cache: without it the file is compared with what is
 * stored, and the answer is the same. Each device has its own, as several may work in one clone: a container and the
 * machine it runs on have one work tree, but two homes with a file of the same conversation in each.
 */
const streamCursor = v.object({
  ino: v.number(),
  /** Bytes of the agent's file that are stored. */
  offset: v.number(),
  /** Hash of the last bytes before `offset`, by which a rewritten file is noticed. */
  tail: v.string(),
  gen: v.number(),
  /** The stored stream at that point. */
  bytes: v.number(),
  lines: v.number(),
  sha: v.string(),
  state: v.string(),
  /** Where each stored segment begins in the agent's file. */
  starts: v.array(v.number()),
});
const fileCursor = v.object({ ino: v.number(), size: v.number(), mtimeMs: v.number(), sha: v.string() });
const cursorSchema = v.object({
  v: v.literal(1),
  /** Root of the work tree that the paths were told from; absent where they were stored as they are. */
  root: v.optional(v.string()),
  streams: v.record(v.string(), streamCursor),
  files: v.record(v.string(), fileCursor),
});

export type Cursor = v.InferOutput<typeof cursorSchema>;

const folderOf = (context: Context): string => join(context.cloneDir, "cursors");
const nameOf = (key: string): string => `${key.replace(":", "-")}.json`;

/** @param device id of the device whose file it is */
const cursorPath = (context: Context, device: string, key: string): string =>
  join(folderOf(context), device, nameOf(key));

export async function readCursor(context: Context, device: string, key: string): Promise<Cursor> {
  const path = cursorPath(context, device, key);
  // Asked for a thousand sessions that other devices have: most have none here.
  const known = existsSync(path) ? await readCache(path, cursorSchema) : null;
  return known ?? nothingKnown();
}

const nothingKnown = (): Cursor => ({ v: 1, streams: {}, files: {} });

export async function writeCursor(
  context: Context,
  device: string,
  key: string,
  cursor: Cursor,
): Promise<void> {
  await writeCache(cursorPath(context, device, key), JSON.stringify(cursor));
}

/** Whether a cursor is about this very main file: an agent can have one of the same session in several folders. */
export function isAbout({ streams }: Cursor, path: string): boolean {
  const main = streams["main"];
  return main !== undefined && lstatSync(path, { throwIfNoEntry: false })?.ino === main.ino;
}

/** More than so many are not looked at, which takes a tenth of a millisecond each. */
const mostRecent = 64;

/** Those of one device that were written last. */
export function recentCursors(context: Context, device: string): Promise<Cursor>[] {
  const folder = join(folderOf(context), device);
  const paths = listed(folder).map((name) => join(folder, name));
  const dated = paths.map((path) => ({ path, at: lstatSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0 }));
  return dated
    .sort((one, other) => other.at - one.at)
    .slice(0, mostRecent)
    .map(async ({ path }) => (await readCache(path, cursorSchema)) ?? nothingKnown());
}

/** Those of all devices. */
export function forgetCursor(context: Context, key: string): void {
  for (const device of devicesOf(context)) rmSync(cursorPath(context, device, key), { force: true });
}

/** So long a cursor is kept that is not used: a container that was made anew has left it, or the session is over. */
const unusedMs = 90 * 24 * 3_600_000;

export function forgetUnusedCursors(context: Context): void {
  for (const device of devicesOf(context)) {
    const folder = join(folderOf(context), device);
    const names = readdirSync(folder);
    const unused = names.filter((name) => olderThan(join(folder, name), unusedMs));
    for (const name of unused) rmSync(join(folder, name), { force: true });
    if (unused.length === names.length) rmdirSync(folder);
  }
}

function devicesOf(context: Context): string[] {
  const folder = folderOf(context);
  if (!existsSync(folder)) return [];
  const entries = readdirSync(folder, { withFileTypes: true });
  return entries.filter((one) => one.isDirectory()).map(({ name }) => name);
}

const tailBytes = 4096;

/** Identity of a file and hash of its last bytes before `offset`; null when it is shorter than that or gone. */
export function examineTail(
  path: string,
  offset: number,
): { ino: number; size: number; tail: string } | null {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
  try {
    const { ino, size } = fstatSync(file);
    if (size < offset) return null;
    const length = Math.min(tailBytes, offset);
    const bytes = Buffer.alloc(length);
    if (readSync(file, bytes, 0, length, offset - length) < length) return null;
    return { ino, size, tail: createHash("sha256").update(bytes).digest("base64url") };
  } finally {
    closeSync(file);
  }
}
