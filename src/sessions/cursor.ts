import { createHash } from "node:crypto";
import { closeSync, existsSync, fstatSync, openSync, readSync, rmSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { readCache, writeCache } from "./files.ts";
import type { Context } from "./repository.ts";

/**
 * Where the last capture or restore of a session ended, per stream: how much of the agent's file is already
 * stored, and the state of the stream's hash there. Only a cache: without it the file is compared with what is
 * stored, and the answer is the same.
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
  streams: v.record(v.string(), streamCursor),
  files: v.record(v.string(), fileCursor),
});

export type Cursor = v.InferOutput<typeof cursorSchema>;

const cursorPath = (context: Context, key: string): string =>
  join(context.cloneDir, "cursors", `${key.replace(":", "-")}.json`);

export async function readCursor(context: Context, key: string): Promise<Cursor> {
  const path = cursorPath(context, key);
  // Asked for a thousand sessions that other devices have: most have none here.
  const known = existsSync(path) ? await readCache(path, cursorSchema) : null;
  return known ?? { v: 1, streams: {}, files: {} };
}

export async function writeCursor(context: Context, key: string, cursor: Cursor): Promise<void> {
  await writeCache(cursorPath(context, key), JSON.stringify(cursor));
}

export function forgetCursor(context: Context, key: string): void {
  rmSync(cursorPath(context, key), { force: true });
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
