import { readdir, readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { isRunning } from "../../leftovers.ts";
import type { LiveSession, WatchedFolder, Workplace } from "../agent.ts";
import { leadsToFolder, listed } from "../folders.ts";
import { type OneStore, startedAt } from "../one-store.ts";
import { glimpse } from "./events.ts";

/** `COPILOT_HOME`, else `~/.copilot`. */
export function copilotHome({ env, home, cwd }: Workplace): string {
  const configured = env["COPILOT_HOME"];
  return (configured ? resolve(cwd, configured) : join(home, ".copilot")).normalize("NFC");
}

const sessionsDir = (place: Workplace): string => join(copilotHome(place), "session-state");

/** The folder of a session. */
export const sessionDir = (id: string, place: Workplace): string => join(sessionsDir(place), id);

export const eventsName = "events.jsonl";

const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The client refuses to open a session under any other id. */
export const validId = (id: string): boolean => uuid.test(id);

export const sessionStore: OneStore = {
  files,
  named(env) {
    const id = env["COPILOT_AGENT_SESSION_ID"];
    return id !== undefined && validId(id) ? id : undefined;
  },
  async open(place) {
    const open = new Set<string>();
    for (const { id } of files(place)) if (await live(id, place)) open.add(id);
    return open;
  },
  glimpse,
};

function* files(place: Workplace): Generator<{ id: string; path: string }> {
  for (const id of listed(sessionsDir(place)))
    if (validId(id)) yield { id, path: join(sessionDir(id, place), eventsName) };
}

/** A process that has a session open says so in `inuse.<pid>.lock`, beside it; a crash leaves that behind. */
export async function live(id: string, place: Workplace): Promise<LiveSession | null> {
  const folder = sessionDir(id, place);
  for (const name of await readdir(folder).catch(() => [])) {
    const pid = Number(/^inuse\.([1-9][0-9]{0,9})\.lock$/.exec(name)?.[1]);
    if (!pid || (await readFile(join(folder, name), "utf8").catch(() => "")).trim() !== String(pid)) continue;
    if (isRunning(pid))
      return { pid, cwd: startedAt(join(folder, eventsName), place) ?? place.cwd, since: null };
  }
  return null;
}

/** More sessions than these are not listened to; an older one that goes on is found when it is saved. */
const watchedSessions = 64;

/** The folder in which those of sessions appear, and those of this repository. */
export async function watchedFolders(place: Workplace): Promise<WatchedFolder[]> {
  const sessions = sessionsDir(place);
  if (!leadsToFolder(sessions)) return [];
  const all: WatchedFolder = { path: sessions, workTree: null, sessionOf: () => null };
  const found: WatchedFolder[] = [];
  for (const { id, path } of files(place)) {
    const workTree = startedAt(path, place);
    const sessionOf = (name: string): string | null => (name === eventsName ? id : null);
    if (workTree !== null) found.push({ path: dirname(path), workTree, sessionOf });
  }
  return [all, ...found.slice(-watchedSessions)];
}
