import { randomBytes } from "node:crypto";
import { closeSync, constants, fstatSync, lstatSync, openSync, readSync, type Stats } from "node:fs";
import {
  copyFile,
  type FileHandle,
  link,
  lstat,
  mkdir,
  open,
  rename,
  rm,
  rmdir,
  utimes,
} from "node:fs/promises";
import { basename, dirname, join, relative, sep } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ConvosyncError, Exit, integrityError } from "../errors.ts";
import { processName, sweep } from "../leftovers.ts";
import { makeFolder } from "../make-folder.ts";
import type { Target } from "./agent.ts";
import { isFolder, leadsToFolder } from "./folders.ts";

const chunkBytes = 1 << 20;
/** A longer line, in bytes, cannot be stored (docs/format.md). */
export const longestLine = 32 << 20;

/** Which bytes a path named when it was looked at. A file that is replaced, cut or appended to has another one. */
export interface FileIdentity {
  readonly dev: number;
  readonly ino: number;
  /** Bytes. */
  readonly size: number;
  readonly mtimeMs: number;
}

/** The identity of a regular file, null when there is none. Anything else there is an integrity error. */
export async function identify(path: string): Promise<FileIdentity | null> {
  const stat = await lstat(path).catch(absent);
  if (stat === null) return null;
  if (!stat.isFile()) throw integrityError("not-a-file", `not a regular file: ${path}`);
  return identityOf(stat);
}

export function sameFile(a: FileIdentity | null, b: FileIdentity | null): boolean {
  if (a === null || b === null) return a === b;
  return a.dev === b.dev && a.ino === b.ino && a.size === b.size && a.mtimeMs === b.mtimeMs;
}

/** How far a file was read, and what it was after that. */
export interface LinesEnd {
  /** Offset behind the last line feed that was read; a torn last line begins here. */
  readonly end: number;
  /** The file as it was after the last read, from the same open file. */
  readonly identity: FileIdentity;
  /** The path still names this file, and it has all the bytes that were read. */
  readonly intact: boolean;
}

/**
 * Reads a file that may be written to at the same time: chunks of whole LF-terminated lines from the offset
 * `from` (0 or behind a line feed), about 1 MiB each, more only for a longer line. What follows the last line
 * feed waits for the next time. The generator returns how far it came.
 */
export async function* readWholeLines(path: string, from = 0): AsyncGenerator<Buffer, LinesEnd, undefined> {
  const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    let end = from;
    let torn: Buffer = Buffer.alloc(0);
    for (;;) {
      // Behind what is left of the chunk before; a long line is not copied more often than it doubles.
      const wanted = Math.min(Math.max(chunkBytes, torn.length), longestLine + chunkBytes - torn.length);
      const chunk = Buffer.allocUnsafe(torn.length + wanted);
      torn.copy(chunk);
      const bytesRead = readSync(file, chunk, torn.length, wanted, end + torn.length);
      if (bytesRead === 0) break;
      const held = chunk.subarray(0, torn.length + bytesRead);
      const whole = held.lastIndexOf(0x0a) + 1;
      end += whole;
      torn = held.subarray(whole);
      if (whole > 0) yield held.subarray(0, whole);
      if (torn.length > longestLine) throw lineTooLong(path);
    }
    const now = identityOf(fstatSync(file));
    const named = lstatSync(path, { throwIfNoEntry: false });
    const intact = named !== undefined && named.dev === now.dev && named.ino === now.ino && now.size >= end;
    return { end, identity: now, intact };
  } finally {
    closeSync(file);
  }
}

/**
 * A file that is being restored: written beside its place under another name, put in place by `commit` in one
 * step. Until then, and after `abort`, what was there is untouched.
 */
export class RestoreFile {
  readonly path: string;
  readonly #temporary: string;
  readonly #file: FileHandle;
  /** Folders that were made for it, the innermost first. */
  readonly #made: readonly string[];
  readonly #time: Date | null;
  #bytes = 0;

  private constructor(
    path: string,
    temporary: string,
    file: FileHandle,
    made: readonly string[],
    time: Date | null,
  ) {
    this.path = path;
    this.#temporary = temporary;
    this.#file = file;
    this.#made = made;
    this.#time = time;
  }

  /**
   * `root` is the agent's store: it, and a folder directly in it, may be a symlink, as some keep theirs on another disk;
   * below, where names come from the conversation, every folder on the way must be a real one (`store-symlink`). Missing
   * folders are made, 0700.
   *
   * @param copied permissions of the agent's copy of a file of the user's; other files are 0600. It is older than any file
   *   it may be compared with: agents take one that is not for what the newest copy of it has, where mode and size agree
   */
  static async create(path: string, root: string, copied: number | null = null): Promise<RestoreFile> {
    const made = await makeFolders(dirname(path), root);
    const prefix = `.${basename(path).slice(0, 100)}.`;
    sweep(dirname(path), prefix, ".tmp");
    const temporary = join(dirname(path), `${prefix}${processName()}.tmp`);
    const flags = constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW | constants.O_RDWR;
    const file = await open(temporary, flags, 0o600);
    if (copied !== null) await file.chmod(permitted(copied));
    return new RestoreFile(path, temporary, file, made, copied === null ? null : new Date(1000));
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#file.writeFile(bytes);
    this.#bytes += bytes.length;
  }

  /**
   * Puts the file in place; its times are now, but for a copy's, because agents sweep old files. `expect` is what the caller saw
   * there (`identify`); anything else there now is `local-changed`, exit 4, and nothing happens. A local version
   * whose bytes do not all begin the new one is kept in `backupDir`; so are bytes that were appended to it in
   * the meantime. Returns where, or null.
   */
  async commit({ backupDir, expect }: CommitOptions): Promise<string | null> {
    let backup: string | null = null;
    try {
      await this.#file.sync();
      if (!sameFile(await identify(this.path), expect)) throw localChanged(this.path);
      if (expect !== null) backup = await keep(this.path, backupDir, expect);
      const time = this.#time ?? new Date();
      await utimes(this.#temporary, time, time);
      if (!sameFile(await identify(this.path), expect)) throw localChanged(this.path);
      await replace(this.#temporary, this.path);
      await syncFolder(dirname(this.path));
    } catch (error) {
      await this.abort();
      if (backup !== null) await rm(backup, { force: true });
      throw error;
    }
    const contained = backup !== null && (await this.#beginsWith(backup));
    await this.#file.close();
    if (backup === null || !contained) return backup;
    await rm(backup);
    return null;
  }

  async abort(): Promise<void> {
    await this.#file.close();
    await rm(this.#temporary, { force: true });
    // Only empty ones go: another file may have been put there in the meantime.
    for (const folder of this.#made) await rmdir(folder).catch(() => undefined);
  }

  async #beginsWith(path: string): Promise<boolean> {
    const old = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      if ((await old.stat()).size > this.#bytes) return false;
      for (let at = 0; ; ) {
        const { buffer, bytesRead } = await old.read(Buffer.allocUnsafe(chunkBytes), 0, chunkBytes, at);
        if (bytesRead === 0) return true;
        const ours = await this.#file.read(Buffer.allocUnsafe(bytesRead), 0, bytesRead, at);
        if (!ours.buffer.subarray(0, ours.bytesRead).equals(buffer.subarray(0, bytesRead))) return false;
        at += bytesRead;
      }
    } finally {
      await old.close();
    }
  }
}

/** Permissions that a file may have by the word of another device: its owner's own, and at most reading for others. */
export const permitted = (mode: number): number => (mode & 0o755) | 0o600;

/** With what `RestoreFile.create` makes a file that came with these permissions. */
export const modeOf = (target: Pick<Target, "copied">, mode: number | undefined): number | null =>
  target.copied ? (mode ?? 0o600) : null;

export interface CommitOptions {
  /** Made when needed, 0700. */
  readonly backupDir: string;
  readonly expect: FileIdentity | null;
}

/**
 * A second name for a file, in `backupDir`. A hard link, so that a process which still has the file open, and
 * appends to it after it was replaced, writes into the backup; a copy where links cannot be made, or where the file is then
 * said to be another (gocryptfs 2.3 tells the size of what it stores for it).
 */
async function keep(path: string, backupDir: string, known: FileIdentity): Promise<string> {
  makeFolder(backupDir, 0o700);
  const backup = join(
    backupDir,
    `${basename(path)}.${new Date().toISOString().replace(/[:.]/g, "-")}.${randomBytes(3).toString("hex")}`,
  );
  const linked = await link(path, backup).then(
    () => true,
    () => false,
  );
  if (!linked || !sameFile(await identify(path), known)) {
    await rm(backup, { force: true });
    await copyFile(path, backup, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    const copy = await open(backup, "r+");
    await copy.sync().finally(() => copy.close());
  }
  await syncFolder(backupDir);
  return backup;
}

/** On Windows a file that a virus scanner or the agent has open cannot be replaced for a moment. */
async function replace(from: string, to: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await rename(from, to);
    } catch (error) {
      const busy = /^(?:EPERM|EBUSY|EACCES)$/.test((error as NodeJS.ErrnoException).code ?? "");
      if (process.platform !== "win32" || !busy || attempt === 8) throw error;
      await sleep(25 * attempt);
    }
  }
}

/** Returns the folders that were not there before, the innermost first. */
async function makeFolders(folder: string, root: string): Promise<string[]> {
  const made: string[] = [];
  if (makeFolder(root, 0o700) !== undefined) made.unshift(root);
  const below = relative(root, folder);
  if (below === "..") throw outside(folder);
  let path = root;
  for (const [depth, name] of (below === "" ? [] : below.split(sep)).entries()) {
    if (name === "..") throw outside(folder);
    path = join(path, name);
    const existed = await mkdir(path, { mode: 0o700 }).then(() => false, present);
    if (!existed) made.unshift(path);
    if (!(depth === 0 ? leadsToFolder(path) : isFolder(path))) {
      throw integrityError("store-symlink", `not a real folder: ${path}`, [
        "the agent's files are never written through a symlink; replace it by a folder",
      ]);
    }
  }
  return made;
}

/** Makes a rename durable. Windows cannot open a folder, and has no need to. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, constants.O_RDONLY).catch(() => null);
  if (folder === null) return;
  await folder.sync().catch(() => {});
  await folder.close();
}

const identityOf = ({ dev, ino, size, mtimeMs }: Stats): FileIdentity => ({ dev, ino, size, mtimeMs });

function absent(error: NodeJS.ErrnoException): null {
  if (error.code === "ENOENT" || error.code === "ENOTDIR") return null;
  throw error;
}

function present(error: NodeJS.ErrnoException): true {
  if (error.code !== "EEXIST") throw error;
  return true;
}

const outside = (path: string): ConvosyncError =>
  integrityError("outside-store", `outside the agent's store: ${path}`);

const lineTooLong = (path: string): ConvosyncError =>
  new ConvosyncError("line-too-long", Exit.failed, `a line of more than 32 MiB in ${path}`);

export const localChanged = (path: string): ConvosyncError =>
  new ConvosyncError("local-changed", Exit.stopped, `changed while it was being restored: ${path}`, [
    "close the agent that has this conversation open, then run the command again",
  ]);
