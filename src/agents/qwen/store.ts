import { basename, dirname, join, resolve } from "node:path";
import { expandHome } from "../../user-directories.ts";
import type { WatchedFolder, Workplace } from "../agent.ts";
import { leadsToFolder, listed, namesIn } from "../folders.ts";
import { type OneStore, startedAt } from "../one-store.ts";
import { runningIn } from "../process-registry.ts";
import { glimpse } from "./records.ts";

/** `QWEN_HOME`, else `~/.qwen`. */
export const qwenHome = (place: Workplace): string =>
  configured(place, "QWEN_HOME") ?? join(place.home, ".qwen");

/** `QWEN_RUNTIME_DIR`, else the same: what the client writes while it runs, conversations above all. */
export const runtimeDir = (place: Workplace): string =>
  (configured(place, "QWEN_RUNTIME_DIR") ?? qwenHome(place)).normalize("NFC");

function configured({ env, home, cwd }: Workplace, name: string): string | null {
  const path = env[name];
  return path ? resolve(cwd, expandHome(path, home)) : null;
}

/** `<pid>.json` for each process that runs. */
export const registry = (place: Workplace): string => join(qwenHome(place), "sessions");

const projectsDir = (place: Workplace): string => join(runtimeDir(place), "projects");

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

/** The folder of the helpers that were at work in a session with this log. */
export const helpersDir = (id: string, chat: string): string => join(dirname(dirname(chat)), "subagents", id);

/** What is to be done in a session. */
export const todosPath = (id: string, place: Workplace): string =>
  join(runtimeDir(place), "todos", `${id}.json`);

/** The plan that was agreed on in a session. */
export const planPath = (id: string, place: Workplace): string => join(qwenHome(place), "plans", `${id}.md`);

/** Files as they were before the session changed them. */
export const fileHistoryDir = (id: string, place: Workplace): string =>
  join(qwenHome(place), "file-history", id);

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
  named: (env) => env["QWEN_CODE_SESSION_ID"],
  open: async (place) => new Set((await runningIn(registry(place))).map(({ sessionId }) => sessionId)),
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
