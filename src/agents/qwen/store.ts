import { basename, dirname, join } from "node:path";
import type { WatchedFolder, Workplace } from "../agent.ts";
import { leadsToFolder, listed, namesIn } from "../folders.ts";
import { type OneStore, startedAt } from "../one-store.ts";
import { glimpse } from "./records.ts";

export const qwenHome = ({ home }: Workplace): string => join(home, ".qwen").normalize("NFC");

const projectsDir = (place: Workplace): string => join(qwenHome(place), "projects");

/** The folder name Qwen Code derives from a working directory. Lossy: `a_b` and `a-b` collide. */
export const projectKey = (directory: string): string =>
  directory.normalize("NFC").replace(/[^a-zA-Z0-9]/g, "-");

const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export const validId = (id: string): boolean => uuid.test(id);

/** The session whose log has this name; null for other files. */
function sessionNamed(name: string): string | null {
  const id = basename(name, ".jsonl");
  return name.endsWith(".jsonl") && validId(id) ? id : null;
}

/** Where the client looks for a session that runs in `cwd`. */
export const chatPath = (id: string, cwd: string, place: Workplace): string =>
  join(projectsDir(place), projectKey(cwd), "chats", `${id}.jsonl`);

/** Where the client keeps what is to be done in a session. */
export const todosPath = (id: string, place: Workplace): string =>
  join(qwenHome(place), "todos", `${id}.json`);

export const chatStore: OneStore = {
  *files(place) {
    for (const key of listed(projectsDir(place))) {
      const chats = join(projectsDir(place), key, "chats");
      for (const name of namesIn(chats)) {
        const id = sessionNamed(name);
        if (id !== null) yield { id, path: join(chats, name) };
      }
    }
  },
  // It tells its shell nothing, and keeps no list of what is open.
  named: () => undefined,
  open: async () => new Set(),
  glimpse,
};

/** The folder in which those of projects appear, and those of this repository's projects. */
export async function watchedFolders(place: Workplace): Promise<WatchedFolder[]> {
  const projects = projectsDir(place);
  if (!leadsToFolder(projects)) return [];
  const folders = new Set<string>();
  for (const root of place.worktrees) folders.add(join(projects, projectKey(root), "chats"));
  for (const { path } of chatStore.files(place))
    if (startedAt(path, place) !== null) folders.add(dirname(path));
  // A project's folder is there before its `chats`.
  const above = [projects, ...[...folders].map((path) => dirname(path))].map(
    (path): WatchedFolder => ({ path, workTree: null, sessionOf: () => null }),
  );
  const chats = [...folders].map((path): WatchedFolder => {
    const workTreeOf = (name: string): string | null => startedAt(join(path, name), place);
    return {
      path,
      workTree: place.root,
      workTreeOf,
      sessionOf: (name) => (workTreeOf(name) === null ? null : sessionNamed(name)),
    };
  });
  return [...above, ...chats].filter(({ path }) => leadsToFolder(path));
}
