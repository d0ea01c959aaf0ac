import { lstatSync, readdirSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { FoundSession, HowFound, WatchedFolder, Workplace } from "../agent.ts";
import { leadsToFolder, listed } from "../folders.ts";
import { readEnds, type Where, windowBytes, workTreeOf, writtenSince } from "../glimpse.ts";
import { runningIn } from "../process-registry.ts";
import { checkoutAround } from "../spellings.ts";
import { liveDir, mayBelong, projectKey, projectsDir } from "./store.ts";
import { type Glimpse, glimpse } from "./transcript.ts";

const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export const validId = (id: string): boolean => uuid.test(id);

/** The folder of all projects, and those of this repository's work trees that exist. */
export async function watchedFolders(place: Workplace): Promise<WatchedFolder[]> {
  const projects = projectsDir(place);
  const sessionOf = (name: string): string | null => {
    const id = basename(name, ".jsonl");
    return name.endsWith(".jsonl") && validId(id) ? id : null;
  };
  const folders: WatchedFolder[] = [{ path: projects, workTree: null, sessionOf: () => null }];
  for (const entry of await readdir(projects, { withFileTypes: true }).catch(() => [])) {
    if (!entry.isDirectory() || !mayBelong(entry.name, place)) continue;
    folders.push({ path: join(projects, entry.name), workTree: ownerOf(entry.name, place), sessionOf });
  }
  return folders;
}

/** The innermost work tree whose folder, or that of a directory below, it can be; null for one that the user has named. */
function ownerOf(folder: string, place: Workplace): string | null {
  const roots = place.worktrees.filter((root) => mayBelong(folder, { ...place, env: {}, worktrees: [root] }));
  const isExact = (root: string): boolean => folder.startsWith(projectKey(root));
  return roots.sort((a, b) => Number(isExact(b)) - Number(isExact(a)) || b.length - a.length)[0] ?? null;
}

interface Candidate {
  readonly id: string;
  readonly path: string;
  readonly updatedAt: Date;
}

/** Sessions of all the repository's work trees, newest first; only those whose id begins with `prefix`, if given. */
export async function find(place: Workplace, prefix = ""): Promise<FoundSession[]> {
  const found: FoundSession[] = [];
  for await (const session of newestFirst(place, (id) => id.startsWith(prefix))) found.push(session);
  return found;
}

/**
 * The conversation the agent itself names (we run in its shell), else one that is open in this work tree, else
 * the one last written to in this work tree.
 */
export async function current(place: Workplace): Promise<{ session: FoundSession; how: HowFound } | null> {
  const named = place.env["CLAUDE_CODE_SESSION_ID"];
  if (named !== undefined && validId(named)) {
    const session = await findById(named, place);
    if (session) return { session, how: "environment" };
  }
  for (const entry of await runningIn(liveDir(place))) {
    if (workTreeOf(entry.cwd, place)?.root !== place.root) continue;
    const session = await findById(entry.sessionId, place);
    if (session) return { session, how: "live" };
  }
  for await (const session of newestFirst(place)) {
    if (session.workTree === place.root) return { session, how: "newest" };
  }
  return null;
}

export const lately = (place: Workplace, since: Date, but: ReadonlySet<string>): Promise<FoundSession[]> =>
  writtenSince(
    newestFirst(place, (id) => !but.has(id)),
    place,
    since,
  );

async function* newestFirst(
  place: Workplace,
  wanted: (id: string) => boolean = () => true,
): AsyncGenerator<FoundSession> {
  const candidates = list(place, (folder) => mayBelong(folder, place));
  // One that went on in another folder is still in the first: in a work tree's that is gone, say.
  const known = new Set<string>();
  for (const candidate of candidates) {
    if (!wanted(candidate.id)) continue;
    const seen = await look(candidate.path, place);
    const key = seen?.where && `${candidate.id} ${seen.where.root}`;
    if (!seen?.where || !key || known.has(key)) continue;
    known.add(key);
    yield found(candidate, seen.glimpse, seen.where);
  }
}

/** A session that is known to be this one, in whatever folder; outside the repository it counts as at its root. */
async function findById(id: string, place: Workplace): Promise<FoundSession | null> {
  const [candidate] = list(place, () => true, id);
  if (candidate === undefined) return null;
  const seen = await look(candidate.path, place);
  const { root } = place;
  return seen && found(candidate, seen.glimpse, seen.where ?? { root, cwd: root, begunIn: root });
}

const found = (candidate: Candidate, glimpse: Glimpse, where: Belonging): FoundSession => ({
  id: candidate.id,
  cwd: where.cwd,
  workTree: where.root,
  begunIn: where.begunIn,
  alias: where.alias,
  updatedAt: candidate.updatedAt,
  title: glimpse.title,
  path: candidate.path,
});

/** Main files in the folders asked for, newest first. Symlinks are not followed. */
function list(place: Workplace, wanted: (folder: string) => boolean, id: string | null = null): Candidate[] {
  const projects = projectsDir(place);
  const candidates: Candidate[] = [];
  for (const folder of leadsToFolder(projects) ? readdirSync(projects, { withFileTypes: true }) : []) {
    if (!folder.isDirectory() || !wanted(folder.name)) continue;
    const directory = join(projects, folder.name);
    const names = id === null ? listed(directory) : [`${id}.jsonl`];
    const seen = names.map((name) => candidateAt(join(directory, name)));
    candidates.push(...seen.filter((candidate) => candidate !== null));
  }
  return candidates.sort((a, b) => b.updatedAt.getTime() - a.updatedAt.getTime());
}

/** Without waiting: there may be thousands, and as many promises take ten times as long. */
function candidateAt(path: string): Candidate | null {
  const id = basename(path, ".jsonl");
  if (!path.endsWith(".jsonl") || !validId(id)) return null;
  try {
    const stat = lstatSync(path, { throwIfNoEntry: false });
    return stat?.isFile() ? { id, path, updatedAt: stat.mtime } : null;
  } catch {
    return null;
  }
}

/** Where a conversation belongs, and the work tree it was begun in. */
interface Belonging extends Where {
  readonly begunIn: string;
}

/** Folder names are lossy: what counts is the recorded directory. One long last line can hide it: look wider once. */
async function look(
  path: string,
  place: Workplace,
): Promise<{ glimpse: Glimpse; where: Belonging | null } | null> {
  let seen: Glimpse | null = null;
  for (const bytes of [windowBytes, windowBytes * 16]) {
    const ends = readEnds(path, bytes);
    if (ends === null) return null;
    seen = glimpse(ends.head, ends.tail);
    if (seen.directories.length > 0 || ends.complete) break;
  }
  if (seen === null) return null;
  return { glimpse: seen, where: whereIn(basename(dirname(path)), seen, place) };
}

/**
 * Where a conversation belongs: to the work tree it last was in. But one that was taken to another (EnterWorktree, which
 * moves its file there, too) and has gone on on another device since seems to be back, as it is told from where it was begun.
 */
function whereIn(folder: string, { directories, begunIn }: Glimpse, place: Workplace): Belonging | null {
  const all = directories.map((cwd) => workTreeOf(cwd, place)).filter((where) => where !== null);
  const [newest] = all;
  if (newest === undefined) return null;
  const first = (begunIn === null ? null : workTreeOf(begunIn, place)) ?? newest;
  const begun = first.root;
  const root = ownerOf(folder, place);
  const isBack = newest.root === (checkoutAround(begun, place) ?? begun);
  const isThere = root !== null && root !== newest.root && folder === projectKey(root);
  const there =
    isBack && isThere ? (all.find((where) => where.root === root) ?? { root, cwd: root }) : newest;
  return { root: there.root, cwd: there.cwd, begunIn: begun, alias: first.alias };
}
