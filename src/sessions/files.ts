import { mkdir, open, readFile, rename, rm, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type * as v from "valibot";
import { safeParse } from "valibot";
import { ConvosyncError, Exit } from "../errors.ts";
import { isGone, isStale, olderThan, processName, sweep } from "../leftovers.ts";

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

/** {@link writeAtomic} for what is not held in memory as a whole. */
export async function writeParts(
  path: string,
  parts: AsyncIterable<string | Uint8Array> | Iterable<string | Uint8Array>,
  mode = 0o600,
  { durably = true }: { readonly durably?: boolean } = {},
): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await sweep(dirname(path), `.${basename(path)}.`, ".tmp");
  const temporary = join(dirname(path), `.${basename(path)}.${processName()}.tmp`);
  const handle = await open(temporary, "wx", mode);
  try {
    for await (const part of parts) await handle.writeFile(part);
    if (durably) await handle.sync();
    await handle.close();
    await rename(temporary, path);
  } catch (error) {
    await handle.close().catch(() => undefined);
    await unlink(temporary).catch(() => undefined);
    throw error;
  }
}

export async function readIfPresent(path: string): Promise<Buffer | null> {
  try {
    return await readFile(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT" || code === "ENOTDIR") return null;
    throw error;
  }
}

/** A cache of ours as its schema describes it, or null when it is absent or not what we wrote: caches heal. */
export async function readCache<S extends v.GenericSchema>(
  path: string,
  schema: S,
): Promise<v.InferOutput<S> | null> {
  const bytes = await readIfPresent(path);
  if (!bytes) return null;
  try {
    const parsed = safeParse(schema, JSON.parse(bytes.toString("utf8")));
    return parsed.success ? parsed.output : null;
  } catch {
    return null;
  }
}

/** Writing the holder's name into a new lock takes a moment; so does breaking an old one. */
const momentMs = 3_000;

/**
 * Runs `work` while holding the lock file `path`. Waits up to `patienceMs` for another holder; a lock whose
 * process is gone (same host) or that is too old is taken over.
 */
export async function withLock<T>(path: string, patienceMs: number, work: () => Promise<T>): Promise<T> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const mine = processName();
  const until = Date.now() + patienceMs;
  while (!(await acquire(path, mine))) {
    if (await abandoned(path)) await breakLock(path);
    else if (Date.now() > until) {
      throw new ConvosyncError("locked", Exit.failed, "another convosync is at work in this repository", [
        "wait for it to finish and try again",
        `if none is running, remove ${path}`,
      ]);
    } else await sleep(20 + Math.random() * 60);
  }
  try {
    return await work();
  } finally {
    if ((await readIfPresent(path))?.toString("utf8") === mine) await rm(path, { force: true });
  }
}

/** Removes an abandoned lock under a lock of its own, so that two who wait never remove each other's new one. */
async function breakLock(path: string): Promise<void> {
  const breaking = `${path}.breaking`;
  if (!(await acquire(breaking, "")) && !(await olderThan(breaking, momentMs))) return;
  try {
    if (await abandoned(path)) await rm(path, { force: true });
  } finally {
    await rm(breaking, { force: true });
  }
}

async function acquire(path: string, mine: string): Promise<boolean> {
  const handle = await open(path, "wx", 0o600).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "EEXIST") return null;
    throw error;
  });
  if (!handle) return false;
  try {
    await handle.writeFile(mine);
    await handle.close();
    return true;
  } catch (error) {
    await handle.close().catch(() => undefined);
    await rm(path, { force: true });
    throw error;
  }
}

/** Whether nobody holds a lock that is there: its process is gone, or it is too old. */
export async function abandoned(path: string): Promise<boolean> {
  if (await isStale(path)) return true;
  const holder = (await readIfPresent(path))?.toString("utf8") ?? "";
  return holder.includes("@") ? isGone(holder) : olderThan(path, momentMs);
}
