import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { integrityError } from "../../errors.ts";
import type { Agent, Destination, FileSource, FoundSession, Inventory, Target, Workplace } from "../agent.ts";
import { joinByActivity } from "../line-logs.ts";
import { currentIn, findIn, latelyIn } from "../one-store.ts";
import { safeSegments } from "../safe-name.ts";
import { replaceId } from "../session-id.ts";
import { formByName, walk } from "../sidecars.ts";
import { placesOf } from "../spellings.ts";
import { conversationReader } from "./conversation.ts";
import { glimpse } from "./records.ts";
import {
  chatStore,
  claim,
  geminiHome,
  logPath,
  projectDir,
  projectOf,
  validId,
  watchedFolders,
} from "./store.ts";

/**
 * Gemini CLI, from the version on that keeps logs (0.40): one per session, in the folder `tmp/<slug>` of the directory it
 * runs in. Documents of earlier versions are found once the client has gone on with them, which turns them into logs.
 *
 *   main                          chats/session-….jsonl            stream
 *   subagents/<id>.jsonl          chats/<session>/<id>.jsonl       stream
 *   plans|tasks|tracker/**        <session>/…                      file
 *   tool-outputs/**               tool-outputs/session-<session>/… file
 *
 * After 30 days of silence the client deletes a log when it starts, but not the one it is told to resume.
 */
export const gemini: Agent = {
  name: "gemini",
  tool: "gemini-cli",
  title: "Gemini CLI",
  store: geminiHome,
  find: (place, prefix) => findIn(chatStore, place, prefix),
  current: (place) => currentIn(chatStore, place),
  lately: (place, since, but) => latelyIn(chatStore, place, since, but),
  inventory,
  // The folder has another name on every machine, so it stands for the store as a whole.
  places: (session, place) => placesOf(session, projectDir(session.cwd, place), place),
  target,
  settle: async (cwd, place) => claim(cwd, place),
  // It keeps no list of what is open.
  live: async () => null,
  describe(head, tail) {
    const seen = glimpse(head, tail);
    return {
      title: seen?.title ?? "",
      toolVersion: null,
      cwd: seen?.directories[0] ?? null,
      branch: null,
      updatedAt: seen?.updatedAt ?? null,
    };
  },
  recognise(head) {
    const id = glimpse(head, new Uint8Array())?.id;
    return id !== undefined && validId(id) ? { id } : null;
  },
  reader: conversationReader,
  watched: watchedFolders,
  resumeCommand: (sessionId) => ["gemini", "--resume", sessionId],
  startCommand: (prompt) => ["gemini", `--prompt-interactive=${prompt}`],
  validId,
  // On resuming, the client writes down all messages it goes on with: those of other branches before are not among them.
  // Run with gemini-cli 0.61.
  joinLogs: joinByActivity,
  newId: randomUUID,
  withId: replaceId,
};

const outputs = "tool-outputs";
const own = ["plans", "tasks", "tracker"];

const isTemporary = (name: string): boolean => name.startsWith(".") || /\.(?:tmp|lock)$/i.test(name);

/** The folder of a logical tree. */
const treeDir = (tree: string, id: string, project: string): string =>
  tree === outputs ? join(project, outputs, `session-${id}`) : join(project, id, tree);

const helpersDir = (id: string, project: string): string => join(project, "chats", id);

async function inventory({ id, path }: FoundSession): Promise<Inventory> {
  const project = projectOf(path);
  const files: FileSource[] = [];
  for (const tree of [...own, outputs]) {
    const found = walk(treeDir(tree, id, project), tree, isTemporary);
    files.push(...found.map((one) => ({ ...one, form: formByName(one.name) })));
  }
  const helpers = walk(helpersDir(id, project), "subagents", isTemporary);
  const logs = helpers.filter(({ name }) => isHelper(safeSegments(name)));
  return {
    streams: [{ name: "main", path }, ...logs.map(({ name, path }) => ({ name, path }))],
    files,
  };
}

const isHelper = (segments: readonly string[] | null): boolean =>
  segments?.length === 2 && segments[0] === "subagents" && segments[1]!.endsWith(".jsonl");

function target(name: string, kind: "stream" | "file", session: Destination, place: Workplace): Target {
  if (!validId(session.id))
    throw integrityError("unsafe-name", `not a Gemini CLI session id: '${session.id}'`);
  const path = session.path ?? logPath(session.id, session.cwd, place);
  if (name === "main" && kind === "stream") return { path, form: "jsonl" };
  const segments = safeSegments(name);
  const [tree = "", ...rest] = segments ?? [];
  if (kind === "stream" && isHelper(segments))
    return { path: join(helpersDir(session.id, projectOf(path)), ...rest), form: "jsonl" };
  if (kind !== "file" || rest.length === 0 || ![...own, outputs].includes(tree) || rest.some(isTemporary))
    throw integrityError(
      "unsafe-name",
      `the saved session names a ${kind} Gemini CLI does not have: '${name}'`,
    );
  return { path: join(treeDir(tree, session.id, projectOf(path)), ...rest), form: formByName(name) };
}
