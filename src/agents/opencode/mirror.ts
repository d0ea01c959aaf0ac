import { createHash } from "node:crypto";
import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { open, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import * as v from "valibot";
import { processName } from "../../leftovers.ts";
import { makeFolder } from "../../make-folder.ts";
import type { Workplace } from "../agent.ts";
import { parseLine } from "../json-line.ts";
import { UnreadableDatabase } from "../sqlite.ts";
import { readWhole, stateOfDatabase, type WholeTalk } from "./database.ts";
import { talkDir } from "./store.ts";

/**
 * A session of opencode as files: a log of its messages, what is known of it beside them, and the same of its helpers.
 * The database is where opencode has it; the files are what is captured, and where a restored session is put before
 * opencode takes it in. `known.json` says of which state of both they are.
 */

export const mainName = "messages.jsonl";
export const aboutName = "session.json";
const knownName = "known.json";

/** The log and the description of a session, or of one of its helpers. */
export function namesOf(talk: { readonly id: string }, id: string): { log: string; about: string } {
  return talk.id === id
    ? { log: mainName, about: aboutName }
    : { log: `subagents/${talk.id}.jsonl`, about: `subagents/${talk.id}.json` };
}

const known = v.object({
  v: v.literal(1),
  /** The files, as they were when they said the same as the database; empty while they are brought up to it. */
  files: v.string(),
  /** The same by what is in them: whoever moves to another disk gives all files new numbers. */
  content: v.string(),
  /** The database's files then; empty when it was not at rest. */
  seen: v.string(),
  /** What the database held. */
  digest: v.string(),
  /**
   * Where opencode has stored what was imported in another form: by message, or by session for its description, what the
   * files and what the database say.
   */
  stands: v.record(v.string(), v.string()),
});
type Known = v.InferOutput<typeof known>;

function readKnown(dir: string): Known | null {
  try {
    const parsed = v.safeParse(known, JSON.parse(readFileSync(join(dir, knownName), "utf8")));
    return parsed.success ? parsed.output : null;
  } catch {
    return null;
  }
}

const fileNames = (dir: string): string[] => [
  mainName,
  aboutName,
  ...helperFiles(dir).map((name) => `subagents/${name}`),
];

const contentOf = (dir: string): string =>
  hashOf(
    fileNames(dir)
      .map((name) => `${name} ${hashOf(readBytes(join(dir, name)) ?? "")}`)
      .join("\n"),
  );

/** The files of a session that there are, with what tells whether they are changed. */
function fingerprint(dir: string): string {
  return fileNames(dir)
    .map((name) => {
      const info = lstatSync(join(dir, name), { throwIfNoEntry: false });
      return info ? `${name} ${info.ino} ${info.size} ${info.mtimeMs}` : `${name} -`;
    })
    .join("\n");
}

const helperFiles = (dir: string): string[] => {
  try {
    return readdirSync(join(dir, "subagents"))
      .filter((name) => /^ses_\w+\.jsonl?$/.test(name))
      .sort();
  } catch {
    return [];
  }
};

/** The helpers that a session has among its files. */
export const helpersIn = (dir: string): { id: string }[] => {
  const ids = helperFiles(dir).map((name) => name.slice(0, name.indexOf(".")));
  return [...new Set(ids)].map((id) => ({ id }));
};

/** Whether files were put there that opencode has not taken in. */
export function isPending(id: string, place: Workplace): boolean {
  const dir = talkDir(id, place);
  return (
    lstatSync(join(dir, mainName), { throwIfNoEntry: false }) !== undefined && !inStep(dir, readKnown(dir))
  );
}

const inStep = (dir: string, then: Known | null): boolean =>
  then !== null && (then.files === "" || then.files === fingerprint(dir) || then.content === contentOf(dir));

/**
 * Brings the files of a session up to what the database holds. Files that opencode has not taken in yet keep what they
 * have, and get what the database has beyond it: so will the database be once they are taken in.
 */
export async function refresh(id: string, place: Workplace): Promise<void> {
  const dir = talkDir(id, place);
  const then = readKnown(dir);
  const pending = isPending(id, place);
  const seen = stateOfDatabase(place);
  if (!pending && then && then.files !== "" && seen && then.seen === seen) return;
  const whole = readable(id, place);
  if (whole === undefined) return;
  if (whole === null) {
    // Deleted in opencode. What was never in it stays, and all of it where the database is gone as a whole.
    if (!pending && stateOfDatabase(place) !== null) await rm(dir, { recursive: true, force: true });
    return;
  }
  const stands = then?.stands ?? {};
  const changes: { path: string; before: Buffer | null; content: Buffer }[] = [];
  const change = (path: string, lines: readonly string[]): void => {
    const before = readBytes(path);
    const content = Buffer.from(lines.map((line) => `${line}\n`).join(""));
    if (!before?.equals(content)) changes.push({ path, before, content });
  };
  let apart = false;
  let waits = false;
  for (const talk of whole) {
    const { log, about } = namesOf(talk, id);
    const compared = pending || talk.unfinished || Object.keys(stands).length > 0;
    const held = compared ? linesIn(join(dir, log)) : new Map<string, string>();
    // An answer that is being given is left for later, and its question stands.
    const waiting = talk.unfinished && !held.has(talk.lines.at(-1)!.id);
    waits ||= waiting;
    const lines = (waiting ? talk.lines.slice(0, -1) : talk.lines).map(({ id: message, text }) => {
      const mine = held.get(message);
      if (mine === undefined || mine === text || standsFor(stands, message, mine, text)) return mine ?? text;
      apart = true;
      return pending ? mine : text;
    });
    const beyond = pending ? missingFrom(held, talk) : [];
    apart ||= beyond.length > 0;
    change(join(dir, log), beyond.length > 0 ? inOrder([...lines, ...beyond]) : lines);
    const described = readText(join(dir, about));
    const stays = described !== null && (pending || standsFor(stands, talk.id, described, talk.about));
    if (!stays) change(join(dir, about), [talk.about]);
  }
  // Whoever finds them after a kill in between is to go on with this, not to take them for something restored.
  if (!pending && changes.length > 0)
    await writeKnown(dir, { v: 1, files: "", content: "", seen: "", digest: "", stands: { ...stands } });
  for (const { path, before, content } of changes) await put(path, before, content);
  if (!pending || !apart) await note(dir, whole, waits ? "" : (seen ?? ""), stands);
}

/** Says that the files and the database are of one mind. */
export async function note(
  dir: string,
  talks: readonly WholeTalk[],
  seen: string,
  stands: Stands,
): Promise<void> {
  const files = fingerprint(dir);
  const then = readKnown(dir);
  const content = then?.files === files ? then.content : contentOf(dir);
  const now: Known = { v: 1, files, content, seen, digest: digestOf(talks), stands: { ...stands } };
  if (JSON.stringify(now) !== JSON.stringify(then)) await writeKnown(dir, now);
}

const writeKnown = (dir: string, now: Known): Promise<void> =>
  write(join(dir, knownName), JSON.stringify(now));

/** What the database held when it was last looked at, and what stood there for what the files said. */
export function lastKnown(dir: string): { digest: string | null; stands: Stands } {
  const then = readKnown(dir);
  return { digest: then?.digest ?? null, stands: then?.stands ?? {} };
}

export const digestOf = (talks: readonly WholeTalk[]): string =>
  hashOf(talks.map(({ id, lines }) => [id, ...lines.map(({ text }) => hashOf(text))].join(" ")).join("\n"));

export type Stands = Readonly<Record<string, string>>;

/** Whether the database says `theirs` for what the files say. */
export const standsFor = (stands: Stands, key: string, mine: string, theirs: string): boolean =>
  Object.hasOwn(stands, key) && stands[key] === pair(mine, theirs);

export const pair = (mine: string, theirs: string): string => hashOf(`${mine.trimEnd()}\n${theirs}`);

const hashOf = (content: string | Buffer): string =>
  createHash("sha256").update(content).digest("base64url").slice(0, 22);

/** Undefined where the database cannot be read: then the files are all there is. */
export function readable(id: string, place: Workplace): ReturnType<typeof readWhole> | undefined {
  try {
    return readWhole(id, place);
  } catch (error) {
    if (error instanceof UnreadableDatabase) return undefined;
    throw error;
  }
}

const described = v.object({ directory: v.string(), title: v.fallback(v.string(), "") });

/** Where a session ran, and what it is called, as its description tells; null where it does not. */
export function descriptionIn(path: string): v.InferOutput<typeof described> | null {
  const parsed = v.safeParse(described, parseLine((readText(path) ?? "").trimEnd()));
  return parsed.success ? parsed.output : null;
}

const message = v.object({
  info: v.object({ id: v.string(), time: v.object({ created: v.number() }) }),
});

/** The lines of a log by the messages they hold, in order. */
export function linesIn(path: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const line of (readText(path) ?? "").split("\n")) {
    const parsed = v.safeParse(message, parseLine(line));
    if (parsed.success) found.set(parsed.output.info.id, line);
  }
  return found;
}

function missingFrom(held: ReadonlyMap<string, string>, { lines }: WholeTalk): string[] {
  const there = new Set(lines.map(({ id }) => id));
  return [...held].flatMap(([id, line]) => (there.has(id) ? [] : [line]));
}

/** As opencode puts messages in order. */
function inOrder(lines: readonly string[]): string[] {
  const dated = lines.flatMap((line) => {
    const parsed = v.safeParse(message, parseLine(line));
    return parsed.success ? [{ line, ...parsed.output.info }] : [];
  });
  dated.sort((a, b) => a.time.created - b.time.created || (a.id < b.id ? -1 : 1));
  return dated.map(({ line }) => line);
}

/** Writes a log; where it only grows its bytes stay, so that what was captured of it is known again. */
async function put(path: string, before: Buffer | null, content: Buffer): Promise<void> {
  if (before === null || !content.subarray(0, before.length).equals(before)) return write(path, content);
  // To its place, and not to the end: another process may be adding the same.
  const file = await open(path, "r+");
  try {
    await file.write(content, before.length, content.length - before.length, before.length);
  } finally {
    await file.close();
  }
}

async function write(path: string, content: string | Buffer): Promise<void> {
  makeFolder(dirname(path), 0o700);
  // Named as what is restored is, which takes away what a killed process left behind.
  const temporary = join(dirname(path), `.${basename(path)}.${processName()}.tmp`);
  await writeFile(temporary, content, { mode: 0o600, flag: "wx" });
  await rename(temporary, path);
}

function readBytes(path: string): Buffer | null {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

export const readText = (path: string): string | null => readBytes(path)?.toString("utf8") ?? null;
