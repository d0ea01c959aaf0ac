import { createHash, randomBytes } from "node:crypto";
import { lstatSync } from "node:fs";
import { basename, join } from "node:path";
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
  WatchedFolder,
  Workplace,
} from "../agent.ts";
import { leadsToFolder, namesIn } from "../folders.ts";
import { workTreeOf } from "../glimpse.ts";
import { joinByActivity } from "../line-logs.ts";
import { replaceId } from "../session-id.ts";
import { placesOf } from "../spellings.ts";
import { conversationReader } from "./conversation.ts";
import { readTalks, type Talk, whyUnreadable } from "./database.ts";
import { deliver } from "./deliver.ts";
import { aboutName, descriptionIn, helpersIn, isPending, mainName, namesOf, refresh } from "./mirror.ts";
import { glimpse } from "./records.ts";
import { databasePath, dataDir, mirrorDir, talkDir, validId } from "./store.ts";

/**
 * opencode, from the version on that keeps its conversations in a database (1.2). What is captured, and what is restored,
 * are files of our own that say what the database says: one log of messages for a session and for each of its helpers.
 *
 *   main                     messages.jsonl           stream
 *   session.json             session.json             file
 *   subagents/<id>.jsonl     subagents/<id>.jsonl     stream
 *   subagents/<id>.json      subagents/<id>.json      file
 *
 * The database is read as it is, which takes milliseconds where opencode's own `export` takes a second and writes to it. It
 * is written by opencode alone, which is told to import what was restored.
 */
export const opencode: Agent = {
  name: "opencode",
  tool: "opencode",
  title: "opencode",
  store: mirrorDir,
  home: dataDir,
  find: async (place, prefix = "") => {
    const talks = readTalks(place);
    const found = sessionsOf(talks, place).filter(({ id }) => id.startsWith(prefix));
    if (prefix === "") await forgetDeleted(talks, place);
    // Of many only the names are wanted.
    return validId(prefix) ? Promise.all(found.map((one) => upToDate(one, place))) : found;
  },
  current,
  lately: async (place, since, but) =>
    sessionsIn(place).filter(
      ({ id, workTree, updatedAt }) => workTree === place.root && updatedAt >= since && !but.has(id),
    ),
  inventory,
  places: (session, place) => placesOf(session, dataDir(place), place),
  target,
  deliver,
  // It keeps no list of what is open.
  live: async () => null,
  describe: glimpse,
  recognise(head) {
    const { id } = glimpse(head, new Uint8Array());
    return id !== null && validId(id) ? { id } : null;
  },
  reader: conversationReader,
  watched,
  unreadable: whyUnreadable,
  resumeCommand: (sessionId) => ["opencode", "--session", sessionId],
  startCommand: (prompt) => ["opencode", "--prompt", prompt],
  validId,
  // Of messages it takes in those that it does not have, and goes on with all of them, in the order of time. Run with
  // opencode 1.18.
  joinLogs: joinByActivity,
  copiesApart: true,
  newId,
  withId,
};

const sessionsIn = (place: Workplace): FoundSession[] => sessionsOf(readTalks(place), place);

/** The repository's sessions, helpers' not among them, the newest first; those too that opencode has not taken in yet. */
function sessionsOf(talks: readonly Talk[], place: Workplace): FoundSession[] {
  const known = new Set(talks.map(({ id }) => id));
  const waiting = namesIn(mirrorDir(place))
    .filter((id) => validId(id) && !known.has(id) && isPending(id, place))
    .flatMap((id) => restored(id, place) ?? []);
  return [...talks.filter(({ parent }) => parent === null), ...waiting]
    .flatMap((talk) => found(talk, place) ?? [])
    .sort((a, b) => b.updatedAt.getTime() - a.updatedAt.getTime());
}

/** What was deleted in opencode does not stay here either. */
async function forgetDeleted(talks: readonly Talk[], place: Workplace): Promise<void> {
  const known = new Set(talks.map(({ id }) => id));
  for (const id of namesIn(mirrorDir(place)))
    if (validId(id) && !known.has(id) && !isPending(id, place)) await refresh(id, place).catch(unlessStorage);
}

function found({ id, directory, title, updatedAt }: Talk, place: Workplace): FoundSession | null {
  const where = workTreeOf(directory, place);
  const path = join(talkDir(id, place), mainName);
  if (where === null) return null;
  const { cwd, root: workTree, alias } = where;
  return { id, cwd, workTree, alias, updatedAt, title, path };
}

/** A session of which there are only the files. */
function restored(id: string, place: Workplace): Talk | null {
  const dir = talkDir(id, place);
  const told = descriptionIn(join(dir, aboutName));
  const info = lstatSync(join(dir, mainName), { throwIfNoEntry: false });
  return told && info
    ? { id, parent: null, directory: told.directory, title: told.title, updatedAt: info.mtime }
    : null;
}

/** Where the files cannot be written, a look at what there is needs none; who captures them is told (`inventory`). */
async function upToDate(session: FoundSession, place: Workplace): Promise<FoundSession> {
  await refresh(session.id, place).catch(unlessStorage);
  return session;
}

/** A full disk, somebody else's folder and the like. */
function unlessStorage(error: unknown): void {
  if (!(error instanceof Error && "syscall" in error)) throw error;
}

/** The session whose shell this is, as our plugin says, else the one that went on last in this work tree. */
async function current(place: Workplace): Promise<{ session: FoundSession; how: HowFound } | null> {
  const all = sessionsIn(place);
  const named = all.find(({ id }) => id === place.env["CONVOSYNC_OPENCODE_SESSION"]);
  const session = named ?? all.find(({ workTree }) => workTree === place.root);
  return session ? { session: await upToDate(session, place), how: named ? "environment" : "newest" } : null;
}

async function inventory({ id }: FoundSession, place: Workplace): Promise<Inventory> {
  await refresh(id, place);
  const dir = talkDir(id, place);
  const streams: StreamSource[] = [{ name: "main", path: join(dir, mainName) }];
  const files: FileSource[] = [];
  for (const talk of [{ id }, ...helpersIn(dir)]) {
    const { log, about } = namesOf(talk, id);
    if (log !== mainName) streams.push({ name: log, path: join(dir, log) });
    const size = lstatSync(join(dir, about), { throwIfNoEntry: false })?.size;
    if (size !== undefined) files.push({ name: about, path: join(dir, about), form: "jsonl", size });
  }
  return { streams, files };
}

function target(name: string, kind: "stream" | "file", { id }: Destination, place: Workplace): Target {
  if (!validId(id)) throw integrityError("unsafe-name", `not an opencode session id: '${id}'`);
  const dir = talkDir(id, place);
  if (name === "main" && kind === "stream") return { path: join(dir, mainName), form: "jsonl" };
  if (name === aboutName && kind === "file") return { path: join(dir, aboutName), form: "jsonl" };
  const helper = /^subagents\/([^/]+)\.(jsonl?)$/.exec(name);
  if (!helper || !validId(helper[1]!) || (helper[2] === "jsonl") !== (kind === "stream"))
    throw integrityError(
      "unsafe-name",
      `the saved session names a ${kind} opencode does not have: '${name}'`,
    );
  return { path: join(dir, "subagents", basename(name)), form: "jsonl" };
}

/**
 * The folder of the database: whenever it is written to, the session that went on last is meant, which need not have
 * got another time, and every one whose time is another.
 */
async function watched(place: Workplace): Promise<WatchedFolder[]> {
  const path = dataDir(place);
  if (!leadsToFolder(path)) return [];
  const all = (name: string): FoundSession[] =>
    join(path, name).startsWith(databasePath(place)) && !name.endsWith("-shm") ? sessionsIn(place) : [];
  const folder: WatchedFolder = {
    path,
    workTree: place.root,
    sessionOf: (name) => all(name)[0]?.id ?? null,
    workTreeOf: (name) => all(name)[0]?.workTree ?? null,
    sessionsIn: (name) =>
      all(name).map(({ id, workTree, updatedAt }) => ({ id, workTree, state: String(updatedAt.getTime()) })),
  };
  return [folder];
}

const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** Fourteen of opencode's digits, out of as many bytes. */
const fourteen = (bytes: Uint8Array): string =>
  Array.from(bytes.subarray(0, 14), (byte) => digits[byte % digits.length]).join("");

/** Session ids begin with the time, counted backwards, so that the newest come first. */
function newId(): string {
  const time = ~(BigInt(Date.now()) << 12n) & 0xffff_ffff_ffffn;
  return `ses_${time.toString(16).padStart(12, "0")}${fourteen(randomBytes(14))}`;
}

/** Messages and their parts have ids of their own in the database: those of a copy become others, in the same order. */
function withId(bytes: Uint8Array, from: string, to: string): Uint8Array {
  const text = Buffer.from(replaceId(bytes, from, to)).toString("latin1");
  const renamed = text.replaceAll(
    /(?<![0-9A-Za-z])(msg|prt)_([0-9a-f]{12})([0-9A-Za-z]{14})(?![0-9A-Za-z])/g,
    (id, kind: string, time: string) =>
      `${kind}_${time}${fourteen(createHash("sha256").update(`${to} ${id}`).digest())}`,
  );
  return Buffer.from(renamed, "latin1");
}
