import { randomUUID } from "node:crypto";
import { lstatSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { integrityError } from "../../errors.ts";
import type { Agent, Destination, FileSource, FoundSession, Inventory, Target, Workplace } from "../agent.ts";
import { joinByActivity } from "../line-logs.ts";
import { currentIn, findIn, latelyIn } from "../one-store.ts";
import { liveIn } from "../process-registry.ts";
import { safeSegments } from "../safe-name.ts";
import { replaceId } from "../session-id.ts";
import { formByName, walk } from "../sidecars.ts";
import { placesOf } from "../spellings.ts";
import { conversationReader } from "./conversation.ts";
import { glimpse } from "./records.ts";
import {
  chatPath,
  chatStore,
  fileHistoryDir,
  helpersDir,
  planPath,
  projectKey,
  qwenHome,
  registry,
  runtimeDir,
  todosPath,
  validId,
  watchedFolders,
} from "./store.ts";

/**
 * Qwen Code, from version 0.5 on: one log per session, in a folder named after the directory it runs in. The client opens
 * it only where the directory in its first record is its own. What belongs to it:
 *
 *   main                                <runtime>/projects/<key>/chats/<id>.jsonl             stream
 *   subagents/agent-<name>.jsonl        <runtime>/projects/<key>/subagents/<id>/…             stream
 *   subagents/agent-<name>.meta.json    <runtime>/projects/<key>/subagents/<id>/…             file
 *   file-history/<hash>@v<n>            <home>/file-history/<id>/…                            file, always raw
 *   todos.json                          <runtime>/todos/<id>.json                             file
 *   plan.md                             <home>/plans/<id>.md                                  file
 *
 * All else is for one machine: the process that runs (runtime.json), its work tree, answers that are half there (.stream).
 */
export const qwen: Agent = {
  name: "qwen",
  tool: "qwen-code",
  title: "Qwen Code",
  store: runtimeDir,
  settings: qwenHome,
  find: (place, prefix) => findIn(chatStore, place, prefix),
  current: (place) => currentIn(chatStore, place),
  lately: (place, since, but) => latelyIn(chatStore, place, since, but),
  inventory,
  places: (session, place) =>
    placesOf(
      session,
      runtimeDir(place),
      place,
      projectKey,
      session.path && basename(dirname(dirname(session.path))),
    ),
  target,
  live: (id, place) => liveIn(registry(place), id),
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

const trees = { subagents: /^agent-[^/]+\.(?:jsonl|meta\.json)$/, "file-history": /^[0-9a-f]+@v[0-9]+$/ };
const single = { "todos.json": todosPath, "plan.md": planPath };

const isTree = (name: string | undefined): name is keyof typeof trees =>
  name !== undefined && Object.hasOwn(trees, name);
const isSingle = (name: string): name is keyof typeof single => Object.hasOwn(single, name);

const treeDir = (tree: keyof typeof trees, id: string, chat: string, place: Workplace): string =>
  tree === "subagents" ? helpersDir(id, chat) : fileHistoryDir(id, place);

const isStream = (name: string): boolean => name.startsWith("subagents/") && name.endsWith(".jsonl");

const kindOf = (name: string): Omit<Target, "path"> =>
  name.startsWith("file-history/") ? { form: "raw", copied: true } : { form: formByName(name) };

async function inventory({ id, path }: FoundSession, place: Workplace): Promise<Inventory> {
  const streams = [{ name: "main", path }];
  const files: FileSource[] = [];
  for (const tree of Object.keys(trees).filter(isTree)) {
    for (const one of walk(treeDir(tree, id, path, place), tree, (name) => !trees[tree].test(name))) {
      if (isStream(one.name)) streams.push({ name: one.name, path: one.path });
      else files.push({ ...one, ...kindOf(one.name) });
    }
  }
  for (const name of Object.keys(single).filter(isSingle)) {
    const path = single[name](id, place);
    const info = lstatSync(path, { throwIfNoEntry: false });
    if (info?.isFile()) files.push({ name, path, size: info.size, ...kindOf(name) });
  }
  return { streams, files };
}

function target(name: string, kind: "stream" | "file", session: Destination, place: Workplace): Target {
  if (!validId(session.id))
    throw integrityError("unsafe-name", `not a Qwen Code session id: '${session.id}'`);
  const path = session.path ?? chatPath(session.id, session.cwd, place);
  if (name === "main" && kind === "stream") return { path, form: "jsonl" };
  if (isSingle(name) && kind === "file") return { path: single[name](session.id, place), ...kindOf(name) };
  const [tree, file, ...more] = safeSegments(name) ?? [];
  const known = isTree(tree) && file !== undefined && more.length === 0 && trees[tree].test(file);
  if (!known || isStream(name) !== (kind === "stream"))
    throw integrityError(
      "unsafe-name",
      `the saved session names a ${kind} Qwen Code does not have: '${name}'`,
    );
  return { path: join(treeDir(tree, session.id, path, place), file), ...kindOf(name) };
}
