import { randomUUID } from "node:crypto";
import { lstat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { integrityError } from "../../errors.ts";
import type { Agent, Destination, FileSource, FoundSession, Inventory, Target, Workplace } from "../agent.ts";
import { databaseFile, requireFinished } from "../database-file.ts";
import { currentIn, elsewhereIn, findIn, latelyIn } from "../one-store.ts";
import { safeSegments } from "../safe-name.ts";
import { replaceId } from "../session-id.ts";
import { formByName, walk } from "../sidecars.ts";
import { placesOf } from "../spellings.ts";
import { conversationReader } from "./conversation.ts";
import { glimpse, joinEvents } from "./events.ts";
import { copilotHome, eventsName, live, sessionDir, sessionStore, validId, watchedFolders } from "./store.ts";

/**
 * GitHub Copilot CLI: one folder per session, `session-state/<id>`. Its log is all that resuming needs; the client makes
 * `workspace.yaml` and its index of all sessions anew. What the model wrote down for itself comes along:
 *
 *   main                       events.jsonl       stream
 *   plan.md                    plan.md            file
 *   session.db                 session.db         file, raw: what is to be done
 *   checkpoints|files|research/**                 file
 */
export const copilot: Agent = {
  name: "copilot",
  tool: "copilot-cli",
  title: "GitHub Copilot CLI",
  store: copilotHome,
  find: (place, prefix) => findIn(sessionStore, place, prefix),
  elsewhere: (id, place) => elsewhereIn(sessionStore, id, place),
  current: (place) => currentIn(sessionStore, place),
  lately: (place, since, but) => latelyIn(sessionStore, place, since, but),
  inventory,
  places: (session, place) => placesOf(session, copilotHome(place), place),
  target,
  live,
  describe(head, tail) {
    const seen = glimpse(head, tail);
    return {
      title: seen?.title ?? "",
      toolVersion: seen?.version ?? null,
      cwd: seen?.directories[0] ?? null,
      branch: seen?.branch ?? null,
      updatedAt: seen?.updatedAt ?? null,
    };
  },
  recognise(head) {
    const id = glimpse(head, new Uint8Array())?.id;
    return id !== undefined && validId(id) ? { id } : null;
  },
  reader: conversationReader,
  watched: watchedFolders,
  resumeCommand: (sessionId) => ["copilot", `--resume=${sessionId}`],
  startCommand: (prompt) => ["copilot", `--interactive=${prompt}`],
  validId,
  // The client goes on with all events there are, in their order, and answers calls of tools that were left without an
  // answer itself. Run with copilot 1.0.102.
  joinLogs: joinEvents,
  newId: randomUUID,
  withId: replaceId,
};

const trees = ["checkpoints", "files", "research"] as const;
const plan = "plan.md";
/** A database in which the model keeps what is to be done. */
const todos = "session.db";

const isTemporary = (name: string): boolean => name.startsWith(".") || /\.(?:tmp|lock)$/i.test(name);

async function inventory({ id, path }: FoundSession, place: Workplace): Promise<Inventory> {
  const folder = dirname(path);
  const database = databaseFile(todos, join(folder, todos), `copilot/${id}`, place);
  const files: FileSource[] = [...database.files];
  const info = await lstat(join(folder, plan)).catch(() => null);
  if (info?.isFile())
    files.push({ name: plan, path: join(folder, plan), size: info.size, form: formByName(plan) });
  for (const tree of trees) {
    const found = walk(join(folder, tree), tree, isTemporary);
    files.push(...found.map((one) => ({ ...one, form: formByName(one.name) })));
  }
  return { streams: [{ name: "main", path }], files, unreadable: database.unreadable };
}

function target(name: string, kind: "stream" | "file", session: Destination, place: Workplace): Target {
  if (!validId(session.id)) throw integrityError("unsafe-name", `not a Copilot session id: '${session.id}'`);
  const folder = session.path === undefined ? sessionDir(session.id, place) : dirname(session.path);
  if (name === "main" && kind === "stream") return { path: join(folder, eventsName), form: "jsonl" };
  if (name === todos && kind === "file") {
    requireFinished(join(folder, todos), copilot.title, session.cwd);
    return { path: join(folder, todos), form: "raw" };
  }
  const segments = safeSegments(name);
  const inTree = segments !== null && segments.length > 1 && trees.some((one) => one === segments[0]);
  if (kind !== "file" || segments === null || !(name === plan || inTree) || segments.some(isTemporary))
    throw integrityError("unsafe-name", `the saved session names a ${kind} Copilot does not have: '${name}'`);
  return { path: join(folder, ...segments), form: formByName(name) };
}
