import { closeSync, constants, fstatSync, openSync, readSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import * as v from "valibot";
import { makeFolder } from "../../make-folder.ts";
import type { WatchedFolder, Workplace } from "../agent.ts";
import { leadsToFolder, listed, namesIn } from "../folders.ts";
import { workTreeOf } from "../glimpse.ts";
import { localChanged } from "../local-files.ts";
import type { OneStore } from "../one-store.ts";
import { glimpse } from "./records.ts";

// Gemini CLI keeps what belongs to a directory in `tmp/<slug>`. Which slug is whose is told twice: by the registry
// (`projects.json`) and by a marker in the folder itself, which counts where they disagree. A folder that only has the
// marker is taken as well as one in the registry, so no foreign file has to be changed to make one.
// (gemini-cli, packages/core/src/config/projectRegistry.ts)

/** `GEMINI_CLI_HOME` takes the place of the home directory. */
export function geminiHome({ env, home, cwd }: Workplace): string {
  const configured = env["GEMINI_CLI_HOME"];
  return join(configured ? resolve(cwd, configured) : home, ".gemini").normalize("NFC");
}

const projectsDir = (place: Workplace): string => join(geminiHome(place), "tmp");

const marker = ".project_root";

const registry = v.object({ projects: v.record(v.string(), v.pipe(v.string(), v.regex(/^[a-z0-9-]+$/))) });

/** Slugs by directory, as the registry has them; none where it cannot be read, as for the client itself. */
function registered(place: Workplace): Readonly<Record<string, string>> {
  const text = contentOf(join(geminiHome(place), "projects.json"), 1 << 22);
  try {
    return v.parse(registry, JSON.parse(text ?? "")).projects;
  } catch {
    return {};
  }
}

/** The directory that a folder says it belongs to; null where it does not say. */
function ownerOf(folder: string): string | null {
  const owner = contentOf(join(folder, marker), 8192)?.trim();
  return owner ? resolve(owner) : null;
}

/** The beginning of a regular file. */
function contentOf(path: string, bytes: number): string | null {
  try {
    const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      const content = Buffer.alloc(Math.min(bytes, fstatSync(file).size));
      return content.toString("utf8", 0, readSync(file, content, 0, content.length, 0));
    } finally {
      closeSync(file);
    }
  } catch {
    return null;
  }
}

/** Both folders a slug stands for: what is kept, and the shadow repository of its checkpoints. */
const foldersOf = (slug: string, place: Workplace): string[] => [
  join(projectsDir(place), slug),
  join(geminiHome(place), "history", slug),
];

/** Whether neither folder says that it is somebody else's. */
const isFree = (slug: string, directory: string, place: Workplace): boolean =>
  foldersOf(slug, place).every((folder) => (ownerOf(folder) ?? directory) === directory);

/** The folder of a directory, or the one it is going to have: the registry's, else a marked one, else the next free. */
export function projectDir(directory: string, place: Workplace): string {
  const slugs = registered(place);
  const known = slugs[directory];
  if (known !== undefined && isFree(known, directory, place)) return join(projectsDir(place), known);
  const marked = listed(projectsDir(place)).find(
    (slug) => ownerOf(join(projectsDir(place), slug)) === directory,
  );
  if (marked !== undefined) return join(projectsDir(place), marked);
  const taken = new Set(Object.values(slugs));
  const stem = slugOf(directory);
  for (let n = 0; ; n++) {
    const slug = n === 0 ? stem : `${stem}-${n}`;
    if (!taken.has(slug) && isFree(slug, directory, place)) return join(projectsDir(place), slug);
  }
}

function slugOf(directory: string): string {
  const dashed = basename(directory)
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-");
  return dashed.replace(/^-|-$/g, "") || "project";
}

/** Makes a directory's folder the client's own, where it has none yet. */
export function claim(directory: string, place: Workplace): void {
  const folder = projectDir(directory, place);
  if (ownerOf(folder) === directory) return;
  makeFolder(folder, 0o700);
  try {
    writeFileSync(join(folder, marker), directory, { flag: "wx", mode: 0o600 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST" || ownerOf(folder) === directory) throw error;
    throw localChanged(folder);
  }
}

/** The folders of directories in this repository's work trees. */
function projectsHere(place: Workplace): { folder: string; cwd: string }[] {
  const slugs = registered(place);
  const owners = new Map(Object.entries(slugs).map(([directory, slug]) => [slug, directory]));
  return listed(projectsDir(place)).flatMap((slug) => {
    const folder = join(projectsDir(place), slug);
    const told = owners.get(slug);
    // Most belong elsewhere, and the registry says so: their markers need no look.
    if (told !== undefined && workTreeOf(told, place) === null) return [];
    const cwd = ownerOf(folder) ?? told;
    return cwd !== undefined && workTreeOf(cwd, place) !== null ? [{ folder, cwd }] : [];
  });
}

const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export const validId = (id: string): boolean => uuid.test(id);

/** How the client takes a file for a session's: by these two ends. What stands between them is the time of its start. */
const isLog = (name: string): boolean => /^session-.*-[0-9a-f]{8}\.jsonl$/.test(name);

/** Ids of logs; a log's never changes. */
const ids = new Map<string, string>();

/** The session of a log, from its first record: the name has only eight digits of its id. */
function idOf(path: string): string | null {
  const known = ids.get(path);
  if (known !== undefined) return known;
  const id = /^\{"sessionId":"([^"]+)"/.exec(contentOf(path, 256) ?? "")?.[1];
  if (id === undefined || !validId(id)) return null;
  ids.set(path, id);
  return id;
}

/**
 * The log of a session that is new here. Other sessions may have the same eight digits, which the client needs at the
 * end to know its own again; so the whole id takes the place of the time.
 */
export const logPath = (id: string, cwd: string, place: Workplace): string =>
  join(projectDir(cwd, place), "chats", `session-${id}-${id.slice(0, 8)}.jsonl`);

export const chatStore: OneStore = {
  *files(place) {
    for (const { folder, cwd } of projectsHere(place)) {
      const chats = join(folder, "chats");
      for (const name of namesIn(chats).filter(isLog)) {
        const path = join(chats, name);
        const id = idOf(path);
        if (id !== null) yield { id, path, cwd };
      }
    }
  },
  // Its shell knows that it is Gemini's, not which conversation's; and it keeps no list of what is open.
  named: () => undefined,
  open: async () => new Set(),
  glimpse,
};

/** The folder of the session's project, from its log. */
export const projectOf = (path: string): string => dirname(dirname(path));

/** The folder in which those of projects appear, and those of this repository's projects. */
export async function watchedFolders(place: Workplace): Promise<WatchedFolder[]> {
  const projects = projectsDir(place);
  if (!leadsToFolder(projects)) return [];
  const nobodys = (path: string): WatchedFolder => ({ path, workTree: null, sessionOf: () => null });
  const here = projectsHere(place).flatMap(({ folder, cwd }): WatchedFolder[] => {
    const chats = join(folder, "chats");
    const workTree = workTreeOf(cwd, place)!.root;
    // A project's folder is there before its `chats`.
    return [
      nobodys(folder),
      { path: chats, workTree, sessionOf: (name) => (isLog(name) ? idOf(join(chats, name)) : null) },
    ];
  });
  return [nobodys(projects), ...here].filter(({ path }) => leadsToFolder(path));
}
