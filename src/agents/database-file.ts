import { existsSync, lstatSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ConvosyncError, Exit } from "../errors.ts";
import { processName, sweep } from "../leftovers.ts";
import { makeFolder } from "../make-folder.ts";
import { userStateDir } from "../user-directories.ts";
import type { FileSource, Inventory, Workplace } from "./agent.ts";
import { imageOf, UnreadableDatabase } from "./sqlite.ts";

// SQLite databases that belong to one conversation, and come along whole, as files.

/** Larger ones are left out, as every sidecar is. */
const mostBytes = 32 << 20;

/**
 * A conversation's database, to be captured as it is at this moment, with what its log holds. An image of it is kept in the
 * user's state directory, to be read like any file; written only when it is another.
 *
 * @param owner `<agent>/<session>`
 */
export function databaseFile(
  name: string,
  database: string,
  owner: string,
  { home, env }: Workplace,
): Required<Omit<Inventory, "streams">> {
  const kept = join(userStateDir({ ...env, HOME: home }), owner, name);
  try {
    const image = imageOf(database, mostBytes);
    if (!image) {
      rmSync(dirname(kept), { recursive: true, force: true });
      return { files: [], unreadable: [] };
    }
    keep(kept, name, image);
    return { files: [{ name, path: kept, form: "raw", size: image.length }], unreadable: [] };
  } catch (error) {
    if (!(error instanceof UnreadableDatabase)) throw error;
    // One that is too large is told of as any other sidecar is.
    const size = lstatSync(database, { throwIfNoEntry: false })?.size ?? 0;
    const file: FileSource = { name, path: database, form: "raw", size };
    return size > mostBytes
      ? { files: [file], unreadable: [] }
      : { files: [], unreadable: [{ name, path: database }] };
  }
}

function keep(path: string, name: string, image: Buffer): void {
  if (existsSync(path) && readFileSync(path).equals(image)) return;
  makeFolder(dirname(path), 0o700);
  sweep(dirname(path), `.${name}.`, ".tmp");
  const temporary = join(dirname(path), `.${name}.${processName()}.tmp`);
  writeFileSync(temporary, image, { mode: 0o600 });
  renameSync(temporary, path);
}

/**
 * Refuses to put a database in the place of one that was left in the middle of a change: what is in its log or its journal
 * would be read into whatever takes its place.
 */
export function requireFinished(database: string, title: string, cwd: string): void {
  for (const beside of ["-wal", "-journal"]) {
    if ((lstatSync(`${database}${beside}`, { throwIfNoEntry: false })?.size ?? 0) === 0) continue;
    throw new ConvosyncError(
      "session-live",
      Exit.stopped,
      `${title} has this conversation open, or ended in the middle of it (in ${cwd})`,
      ["leave it there first, then resume", "where it is not open, open it there once more and leave it"],
    );
  }
}
