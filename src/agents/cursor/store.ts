import { createHash } from "node:crypto";
import { lstatSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { WatchedFolder, Workplace } from "../agent.ts";
import { isFolder, leadsToFolder, listed, namesIn } from "../folders.ts";
import { isInside } from "../spellings.ts";

// Two places know a conversation: a transcript to read, below the folder of its directory, and, of one that was held in the
// terminal, the database with which that goes on, below the MD5 of its directory's path. Neither names the directory.

export const cursorHome = ({ home }: Workplace): string => join(home, ".cursor").normalize("NFC");

const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
export const validId = (id: string): boolean => uuid.test(id);

/** The folder name Cursor derives from a directory. Lossy: `a_b` and `a-b` collide. */
export const projectKey = (directory: string): string =>
  directory
    .normalize("NFC")
    .replace(/^\/+/, "")
    .replace(/[^a-zA-Z0-9]/g, "-");

const transcriptsDir = (directory: string, place: Workplace): string =>
  join(cursorHome(place), "projects", projectKey(directory), "agent-transcripts");

/** Where the transcript of a session of `cwd` is put. */
export const transcriptPath = (id: string, cwd: string, place: Workplace): string =>
  join(transcriptsDir(cwd, place), id, `${id}.jsonl`);

/** The folder with the helpers' transcripts, beside one in a folder of its own. */
export const helpersDir = (transcript: string): string => join(dirname(transcript), "subagents");

const chatsDir = (place: Workplace): string => join(cursorHome(place), "chats");

const chatKey = (directory: string): string => createHash("md5").update(directory).digest("hex");

/** The folder of the database with which a session of `cwd` goes on. */
export const chatDir = (id: string, cwd: string, place: Workplace): string =>
  join(chatsDir(place), chatKey(cwd), id);

/** Whether the session has such a folder, of whatever directory. */
export const hasChat = (id: string, place: Workplace): boolean =>
  listed(chatsDir(place)).some((key) => isFolder(join(chatsDir(place), key, id)));

/** The directories whose sessions are looked for: the work trees, and those on the way to where the user is. */
export function directoriesOf({ worktrees, root, cwd }: Workplace): { cwd: string; workTree: string }[] {
  const found = worktrees.map((one) => ({ cwd: one, workTree: one }));
  for (let at = cwd; at !== root && isInside(at, root); at = dirname(at))
    found.push({ cwd: at, workTree: root });
  return found;
}

export interface Transcript {
  readonly id: string;
  readonly path: string;
  readonly cwd: string;
  readonly workTree: string;
  readonly updatedAt: Date;
}

/** The transcripts in the folders of these directories, which may be those of others with such names too. */
export function transcriptsIn(place: Workplace, wanted: (id: string) => boolean): Transcript[] {
  const found: Transcript[] = [];
  for (const where of directoriesOf(place)) {
    const dir = transcriptsDir(where.cwd, place);
    for (const name of namesIn(dir)) {
      const id = basename(name, ".jsonl");
      if (!validId(id) || !wanted(id)) continue;
      const path = name === id ? join(dir, id, `${id}.jsonl`) : join(dir, name);
      const info = lstatSync(path, { throwIfNoEntry: false });
      if (info?.isFile()) found.push({ id, path, ...where, updatedAt: info.mtime });
    }
  }
  return found.sort((a, b) => b.updatedAt.getTime() - a.updatedAt.getTime());
}

/** More sessions than these are not listened to; an older one that goes on is found when it is saved. */
const watchedSessions = 64;

/** The folders in which those of directories and of sessions appear, and those of sessions. */
export async function watchedFolders(place: Workplace): Promise<WatchedFolder[]> {
  const projects = join(cursorHome(place), "projects");
  if (!leadsToFolder(projects)) return [];
  const nobodys = (path: string): WatchedFolder => ({ path, workTree: null, sessionOf: () => null });
  const folders: WatchedFolder[] = [nobodys(projects)];
  for (const { cwd, workTree } of directoriesOf(place)) {
    const path = transcriptsDir(cwd, place);
    const flat = (name: string): string | null => {
      const id = basename(name, ".jsonl");
      return name !== id && validId(id) ? id : null;
    };
    folders.push(nobodys(dirname(path)), {
      path,
      workTree: null,
      sessionOf: flat,
      workTreeOf: () => workTree,
    });
  }
  const nested = transcriptsIn(place, () => true).filter(({ id, path }) => basename(dirname(path)) === id);
  for (const { id, path, workTree } of nested.slice(0, watchedSessions)) {
    const sessionOf = (name: string): string | null => (name === basename(path) ? id : null);
    folders.push({ path: dirname(path), workTree, sessionOf });
  }
  return folders.filter(({ path }) => leadsToFolder(path));
}
