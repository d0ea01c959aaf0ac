import { randomUUID } from "node:crypto";
import { lstatSync } from "node:fs";
import { integrityError } from "../../errors.ts";
import type { Agent, Destination, FileSource, Target, Workplace } from "../agent.ts";
import { joinByActivity } from "../line-logs.ts";
import { currentIn, findIn, latelyIn } from "../one-store.ts";
import { replaceId } from "../session-id.ts";
import { formByName } from "../sidecars.ts";
import { placesOf } from "../spellings.ts";
import { conversationReader } from "./conversation.ts";
import { glimpse } from "./records.ts";
import { chatPath, chatStore, projectKey, qwenHome, todosPath, validId, watchedFolders } from "./store.ts";

/**
 * Qwen Code, from version 0.5 on: one log per session, in a folder named after the directory it runs in. The client opens
 * it only where the directory in its first record is its own.
 */
export const qwen: Agent = {
  name: "qwen",
  tool: "qwen-code",
  title: "Qwen Code",
  store: qwenHome,
  find: (place, prefix) => findIn(chatStore, place, prefix),
  current: (place) => currentIn(chatStore, place),
  lately: (place, since, but) => latelyIn(chatStore, place, since, but),
  inventory: async ({ id, path }, place) => ({
    streams: [{ name: "main", path }],
    files: todosOf(id, place),
  }),
  places: (session, place) => placesOf(session, qwenHome(place), place, projectKey),
  target,
  // It keeps no list of what is open.
  live: async () => null,
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
    // Claude Code's records have these fields as well, but no parts.
    const id = /"message":\{"role":"(?:user|model)","parts":\[/.test(new TextDecoder().decode(head))
      ? glimpse(head, new Uint8Array())?.id
      : undefined;
    return id !== undefined && validId(id) ? { id } : null;
  },
  reader: conversationReader,
  watched: watchedFolders,
  resumeCommand: (sessionId) => ["qwen", "--resume", sessionId],
  startCommand: (prompt) => ["qwen", `--prompt-interactive=${prompt}`],
  validId,
  // A record names the one before it, and the client goes on from the last one in the file, leaving out other branches.
  // (qwen-code, packages/core/src/services/sessionService.ts)
  joinLogs: joinByActivity,
  newId: randomUUID,
  withId: replaceId,
};

/** What is to be done, as the client shows it. */
const todos = "todos.json";

function todosOf(id: string, place: Workplace): FileSource[] {
  const path = todosPath(id, place);
  const info = lstatSync(path, { throwIfNoEntry: false });
  return info?.isFile() ? [{ name: todos, path, form: formByName(todos), size: info.size }] : [];
}

function target(name: string, kind: "stream" | "file", session: Destination, place: Workplace): Target {
  if (!validId(session.id))
    throw integrityError("unsafe-name", `not a Qwen Code session id: '${session.id}'`);
  if (name === todos && kind === "file")
    return { path: todosPath(session.id, place), form: formByName(todos) };
  if (name !== "main" || kind !== "stream")
    throw integrityError(
      "unsafe-name",
      `the saved session names a ${kind} Qwen Code does not have: '${name}'`,
    );
  return { path: session.path ?? chatPath(session.id, session.cwd, place), form: "jsonl" };
}
