import { statSync } from "node:fs";
import * as v from "valibot";
import type { Workplace } from "../agent.ts";
import { oneLine } from "../glimpse.ts";
import { parseLine } from "../json-line.ts";
import { readDatabase, type SqlRow, type SqlTables, UnreadableDatabase } from "../sqlite.ts";
import { databasePath, validId } from "./store.ts";

// What of opencode's database is read: the sessions, and of one its messages with their parts, each message one line, as
// `opencode export` has it. Since opencode stores a message again with its fields in another order when it is imported,
// fields are sorted.

/** A session as the database has it. All text in it is hostile. */
export interface Talk {
  readonly id: string;
  /** The session whose helper this is. */
  readonly parent: string | null;
  readonly directory: string;
  readonly title: string;
  readonly updatedAt: Date;
}

/** All that belongs to a session. */
export interface WholeTalk {
  readonly id: string;
  /** What `opencode import` needs to be told of it beside the messages; in one line. */
  readonly about: string;
  readonly lines: readonly Line[];
  /** The last of them is an answer that is still being given. */
  readonly unfinished: boolean;
}

export interface Line {
  /** The message's. */
  readonly id: string;
  readonly text: string;
}

/** An answer of which nothing has been heard for so long is not being given any more: its end never came. */
const patienceMs = 60_000;

/** What the database was when it was looked at: empty when it has just been written to, null when there is none. */
export function stateOfDatabase(place: Workplace): string | null {
  const files = [databasePath(place), `${databasePath(place)}-wal`].map((path) =>
    statSync(path, { throwIfNoEntry: false }),
  );
  const now = Date.now();
  if (!files[0]) return null;
  if (files.some((one) => one && Math.abs(now - one.mtimeMs) < 50)) return "";
  return files.map((one) => (one ? `${one.ino} ${one.size} ${one.mtimeMs}` : "-")).join(" ");
}

/** All sessions there are, of whatever directory; none without a database or in one that is not understood. */
export function readTalks(place: Workplace): Talk[] {
  try {
    return readDatabase(databasePath(place), talksIn) ?? [];
  } catch (error) {
    if (error instanceof UnreadableDatabase) return [];
    throw error;
  }
}

/** Why the database cannot be read; null when it can, or is not there. */
export function whyUnreadable(place: Workplace): string | null {
  try {
    readDatabase(databasePath(place), talksIn);
    return null;
  } catch (error) {
    if (error instanceof UnreadableDatabase) return error.message;
    throw error;
  }
}

/** A session and its helpers', it first; null when the database has none of this id. */
export function readWhole(id: string, place: Workplace): WholeTalk[] | null {
  return readDatabase(databasePath(place), (db) => {
    const family = familyOf(id, talksIn(db));
    if (family.length === 0) return null;
    return family.map((one) => ({ id: one.id, about: aboutOf(db, one, id), ...linesOf(db, one.id) }));
  });
}

/** A session and those of its helpers, and theirs. */
function familyOf(id: string, all: readonly Talk[]): Talk[] {
  const family = all.filter((one) => one.id === id);
  for (const one of family)
    family.push(...all.filter((other) => other.parent === one.id && !family.includes(other)));
  return family;
}

function talksIn(db: SqlTables): Talk[] {
  const columns = ["id", "directory", "title", "time_updated", "parent_id"];
  const found: Talk[] = [];
  for (const [id, directory, title, updated, parent] of db.rows("session", columns)) {
    if (typeof id !== "string" || !validId(id) || typeof directory !== "string") continue;
    found.push({
      id,
      parent: typeof parent === "string" ? parent : null,
      directory,
      title:
        typeof title === "string" && (parent !== null || !isUntitled(title)) ? title : firstWords(db, id),
      updatedAt: new Date(typeof updated === "number" ? updated : 0),
    });
  }
  return found;
}

/** What opencode calls a session until the model has found a title. */
const isUntitled = (title: string): boolean => /^New session - \d{4}-/.test(title);

/** What was asked first in a session. */
function firstWords(db: SqlTables, session: string): string {
  const messages = [...db.rowsWhere("message", "session_id", session, ["time_created", "id"])];
  const [first] = messages.sort((a, b) => Number(a[0]) - Number(b[0]));
  if (typeof first?.[1] !== "string") return "";
  for (const [message, data] of db.rowsWhere("part", "session_id", session, ["message_id", "data"])) {
    const part = message === first[1] && typeof data === "string" ? parseLine(data) : null;
    const { success, output } = v.safeParse(v.object({ type: v.literal("text"), text: v.string() }), part);
    if (success) return oneLine(output.text);
  }
  return "";
}

/**
 * Of a session what other machines need; costs and counts, which opencode sums up itself, are not among it. Whose helper
 * it is, where that is another helper's.
 */
function aboutOf(db: SqlTables, { id, parent }: Talk, root: string): string {
  const wanted = [
    "slug",
    "project_id",
    "directory",
    "path",
    "title",
    "version",
    "permission",
    "time_created",
  ];
  const known = db.columns("session");
  const columns = wanted.filter((one) => known.includes(one));
  const [row = []] = db.rowsWhere("session", "id", id, columns);
  const value = (name: string): SqlRow[number] => row[columns.indexOf(name)] ?? null;
  const permission = value("permission");
  return sorted({
    slug: value("slug"),
    projectID: value("project_id"),
    directory: value("directory"),
    path: value("path"),
    title: value("title"),
    version: value("version"),
    parentID: id === root || parent === root ? null : parent,
    ...(typeof permission === "string" ? parseLine(`{"permission":${permission}}`) : {}),
    time: { created: value("time_created") },
  });
}

function linesOf(db: SqlTables, session: string): Pick<WholeTalk, "lines" | "unfinished"> {
  const parts = new Map<string, { id: string; data: object; at: number }[]>();
  const ofPart = ["id", "message_id", "data", "time_updated"];
  for (const [id, message, data, at] of db.rowsWhere("part", "session_id", session, ofPart)) {
    const content = typeof data === "string" ? parseLine(data) : null;
    if (typeof id !== "string" || typeof message !== "string" || content === null) continue;
    const all = parts.get(message) ?? [];
    all.push({ id, data: content, at: Number(at) });
    parts.set(message, all);
  }
  const messages: { id: string; data: object; created: number; touched: number }[] = [];
  const ofMessage = ["id", "data", "time_created", "time_updated"];
  for (const [id, data, created, updated] of db.rowsWhere("message", "session_id", session, ofMessage)) {
    const content = typeof data === "string" ? parseLine(data) : null;
    if (typeof id !== "string" || typeof created !== "number" || content === null) continue;
    const touched = (parts.get(id) ?? []).reduce((last, { at }) => Math.max(last, at), Number(updated));
    messages.push({ id, data: content, created, touched });
  }
  messages.sort((a, b) => a.created - b.created || compare(a.id, b.id));
  const last = messages.at(-1);
  const unfinished = last !== undefined && isUnfinished(last.data) && Date.now() - last.touched < patienceMs;
  const lines = messages.map(({ id, data, created }): Line => {
    const own = (parts.get(id) ?? []).sort((a, b) => compare(a.id, b.id));
    const info = { ...withoutChanges(data), id, sessionID: session };
    const said = own.map((one) => ({ ...one.data, id: one.id, messageID: id, sessionID: session }));
    return { id, text: sorted({ info, parts: said, timestamp: timeOf(data, created) }) };
  });
  return { lines, unfinished };
}

const timed = v.object({ role: v.string(), time: v.object({ completed: v.optional(v.number()) }) });

function isUnfinished(data: object): boolean {
  const { success, output } = v.safeParse(timed, data);
  return success && output.role === "assistant" && output.time.completed === undefined;
}

function withoutChanges(data: object): object {
  const { summary, ...rest } = data as { role?: unknown; summary?: unknown };
  return rest.role === "user" ? rest : data;
}

/** When a message was finished or, of a question, asked. */
function timeOf(data: object, created: number): string {
  const { success, output } = v.safeParse(timed, data);
  const at = new Date((success ? output.time.completed : undefined) ?? created);
  return Number.isNaN(at.getTime()) ? new Date(0).toISOString() : at.toISOString();
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** JSON with the fields of every object in order; what is null is left out of the outermost. */
function sorted(value: Readonly<Record<string, unknown>>): string {
  const inOrder = (one: unknown): unknown => {
    if (Array.isArray(one)) return one.map(inOrder);
    if (typeof one !== "object" || one === null) return one;
    const fields = Object.entries(one).sort(([a], [b]) => compare(a, b));
    return Object.fromEntries(fields.map(([name, inner]) => [name, inOrder(inner)]));
  };
  return JSON.stringify(inOrder(Object.fromEntries(Object.entries(value).filter(([, one]) => one !== null))));
}
