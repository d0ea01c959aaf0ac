import { randomUUID } from "node:crypto";
import { lstatSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { integrityError } from "../../errors.ts";
import type {
  Agent,
  Destination,
  FileSource,
  FoundSession,
  HowFound,
  Inventory,
  StreamSource,
  Target,
  Workplace,
} from "../agent.ts";
import { databaseFile, requireFinished } from "../database-file.ts";
import { isFolder, namesIn } from "../folders.ts";
import { readEnds, windowBytes, writtenSince } from "../glimpse.ts";
import { formByName } from "../sidecars.ts";
import { placesOf } from "../spellings.ts";
import { conversationReader } from "./conversation.ts";
import { mentions, titleIn } from "./records.ts";
import {
  chatDir,
  cursorHome,
  hasChat,
  helpersDir,
  projectKey,
  type Transcript,
  transcriptPath,
  transcriptsIn,
  validId,
  watchedFolders,
} from "./store.ts";

/**
 * Cursor, in the terminal: a transcript to read, which is the main stream, and an SQLite database with which the
 * conversation goes on, which is kept whole, as its content is bound by hashes. Of a conversation that was held in the
 * editor there is only the transcript. As others describe it: this client has no package that could be tried.
 */
export const cursor: Agent = {
  name: "cursor",
  tool: "cursor-cli",
  title: "Cursor",
  store: cursorHome,
  find,
  current,
  lately: (place, since, but) =>
    writtenSince(
      newestFirst(place, (id) => !but.has(id)),
      place,
      since,
    ),
  inventory,
  places: (session, place) => placesOf(session, cursorHome(place), place, projectKey),
  target,
  // It keeps no list of what is open; its database tells (`target`).
  live: async () => null,
  describe: (head) => ({
    title: titleIn(head),
    toolVersion: null,
    cwd: null,
    branch: null,
    updatedAt: null,
  }),
  reader: conversationReader,
  watched: watchedFolders,
  resumeCommand: (sessionId) => ["cursor-agent", "--resume", sessionId],
  startCommand: (prompt) => ["cursor-agent", prompt],
  validId,
  // Its database has its id inside, and all of it.
  copies: false,
  newId: randomUUID,
};

async function find(place: Workplace, prefix = ""): Promise<FoundSession[]> {
  const found: FoundSession[] = [];
  for await (const session of newestFirst(place, (id) => id.startsWith(prefix))) found.push(session);
  return found;
}

/** The conversation in this work tree that was last written to. */
async function current(place: Workplace): Promise<{ session: FoundSession; how: HowFound } | null> {
  for await (const session of newestFirst(place, () => true))
    if (session.workTree === place.root) return { session, how: "newest" };
  return null;
}

async function* newestFirst(place: Workplace, wanted: (id: string) => boolean): AsyncGenerator<FoundSession> {
  const seen = new Set<string>();
  for (const one of transcriptsIn(place, wanted)) {
    const key = `${one.id} ${one.workTree}`;
    if (seen.has(key)) continue;
    const ends = readEnds(one.path, windowBytes);
    if (ends === null || !belongs(one, ends, place)) continue;
    seen.add(key);
    yield { ...one, title: titleIn(ends.head) };
  }
}

/**
 * Whether a transcript in the folder of a directory is that directory's: another one may have a folder of the same name. It
 * is where the database lies in the folder that only this directory can have; without any, where it speaks of it.
 */
function belongs(
  { id, cwd }: Transcript,
  { head, tail }: { readonly head: Buffer; readonly tail: Buffer },
  place: Workplace,
): boolean {
  if (isFolder(chatDir(id, cwd, place))) return true;
  return !hasChat(id, place) && (mentions(head, cwd) || mentions(tail, cwd));
}

const databaseName = "store.db";
/** What stands beside the database; of anything else it is not known what it would mean elsewhere. */
const aboutName = "meta.json";

async function inventory({ id, cwd, path }: FoundSession, place: Workplace): Promise<Inventory> {
  const streams: StreamSource[] = [{ name: "main", path }];
  const files: FileSource[] = [];
  const own = basename(dirname(path)) === id;
  for (const name of own ? namesIn(helpersDir(path)) : []) {
    const helper = join(helpersDir(path), name);
    if (helperName.test(name) && lstatSync(helper, { throwIfNoEntry: false })?.isFile())
      streams.push({ name: `subagents/${name}`, path: helper });
  }
  const chat = chatDir(id, cwd, place);
  const about = join(chat, aboutName);
  const info = lstatSync(about, { throwIfNoEntry: false });
  if (info?.isFile())
    files.push({ name: aboutName, path: about, form: formByName(aboutName), size: info.size });
  const database = databaseFile(databaseName, join(chat, databaseName), `cursor/${id}`, place);
  return { streams, files: [...files, ...database.files], unreadable: database.unreadable };
}

const helperName = /^[A-Za-z0-9_-]{1,100}\.jsonl$/;

function target(name: string, kind: "stream" | "file", session: Destination, place: Workplace): Target {
  const { id, cwd } = session;
  if (!validId(id)) throw integrityError("unsafe-name", `not a Cursor session id: '${id}'`);
  const main = session.path ?? transcriptPath(id, cwd, place);
  if (kind === "stream") {
    if (name === "main") return { path: main, form: "jsonl" };
    // A transcript that lies by itself has no folder: then they come to where Cursor would look for one that has.
    const own = basename(dirname(main)) === id ? main : transcriptPath(id, cwd, place);
    const helper = name.startsWith("subagents/") ? name.slice("subagents/".length) : "";
    if (helperName.test(helper)) return { path: join(helpersDir(own), helper), form: "jsonl" };
  } else if (name === aboutName) {
    return { path: join(chatDir(id, cwd, place), aboutName), form: "jsonl" };
  } else if (name === databaseName) {
    const path = join(chatDir(id, cwd, place), databaseName);
    requireFinished(path, "Cursor", cwd);
    return { path, form: "raw" };
  }
  throw integrityError("unsafe-name", `the saved session names a ${kind} Cursor does not have: '${name}'`);
}
