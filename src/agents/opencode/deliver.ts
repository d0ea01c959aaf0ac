import { existsSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { ConvosyncError, Exit } from "../../errors.ts";
import { processName, sweep } from "../../leftovers.ts";
import type { Destination, Workplace } from "../agent.ts";
import { workTreeOf } from "../glimpse.ts";
import { parseLine } from "../json-line.ts";
import { localChanged } from "../local-files.ts";
import { readTalks, stateOfDatabase, type Talk, type WholeTalk, whyUnreadable } from "./database.ts";
import {
  digestOf,
  helpersIn,
  isPending,
  lastKnown,
  linesIn,
  mainName,
  namesOf,
  note,
  pair,
  readable,
  readText,
  type Stands,
  standsFor,
} from "./mirror.ts";
import { talkDir } from "./store.ts";

// Into opencode's database only opencode writes. Its `import` adds the messages it does not have and leaves those it has, so
// a session in which a message is another one has to be deleted before. Nothing of the repository's own, which it would
// take plugins from, is run for that.

/** A session, or one of its helpers, as its files tell. */
interface Filed {
  readonly id: string;
  readonly lines: ReadonlyMap<string, string>;
  readonly about: string | null;
}

/** The commands that bring the database to what the files of a session say; each has been run when the next is asked for. */
export async function* deliver(
  session: Destination,
  place: Workplace,
): AsyncGenerator<readonly string[], void, undefined> {
  const { id } = session;
  const dir = talkDir(id, place);
  if (!existsSync(dir)) return;
  const there = readOrFail(id, place);
  const { digest, stands } = lastKnown(dir);
  // What was added since the files were compared with the database is in none of them.
  const rests = digestOf(there) === digest && !there.some(({ unfinished }) => unfinished);
  const requireRest = (): void => {
    if (!rests) throw localChanged(`session ${id} of opencode`);
  };
  if (!existsSync(join(dir, mainName))) {
    if (there.length > 0) {
      requireRest();
      yield ["opencode", "session", "delete", id, "--pure"];
    }
    await rm(dir, { recursive: true, force: true });
    return;
  }
  if (there.length > 0 && !isPending(id, place)) return;
  sweep(dir, "import.", ".json");
  const talks = readTalks(place);
  const elsewhere = talks.find((one) => one.id === id && workTreeOf(one.directory, place) === null);
  if (elsewhere && (!rests || existsSync(elsewhere.directory))) throw belongsElsewhere(elsewhere);
  const others = new Set(talks.map((one) => one.id));
  for (const one of there) others.delete(one.id);
  // A copy has the helpers of what it was copied from: they are there, and stay that one's.
  const filed = filedIn(dir, id).filter((one) => one.id === id || !others.has(one.id));
  // The directory of a session that it has is not changed by an import either: that of a project that was moved is gone.
  const apart = elsewhere !== undefined || filed.some((one) => clashes(one, there, stands));
  if (apart) {
    requireRest();
    yield ["opencode", "session", "delete", id, "--pure"];
  }
  for (const one of apart || !filed.every((talk) => holds(talk, there, stands)) ? filed : []) {
    const path = join(dir, `import.${processName()}.json`);
    await writeFile(path, documentOf(one, id, session.cwd), { mode: 0o600, flag: "wx" });
    try {
      yield ["opencode", "import", path, "--pure"];
    } finally {
      await rm(path, { force: true });
    }
  }
  const seen = stateOfDatabase(place) ?? "";
  const now = readOrFail(id, place);
  const missing = filed.some(({ id: talk, lines }) => {
    const taken = new Set(now.find((one) => one.id === talk)?.lines.map((line) => line.id));
    return [...lines.keys()].some((message) => !taken.has(message));
  });
  if (missing) throw notTaken(id);
  await note(dir, now, seen, standIns(filed, now));
}

/** Not being able to look is not the same as there being nothing. */
function readOrFail(id: string, place: Workplace): readonly WholeTalk[] {
  const talks = readable(id, place);
  if (talks !== undefined) return talks ?? [];
  const why = whyUnreadable(place) ?? "written to all the time";
  throw new ConvosyncError("not-imported", Exit.failed, `opencode's database cannot be read: ${why}`, kept);
}

function filedIn(dir: string, id: string): Filed[] {
  return [{ id }, ...helpersIn(dir)].map((talk) => {
    const { log, about } = namesOf(talk, id);
    return { id: talk.id, lines: linesIn(join(dir, log)), about: readText(join(dir, about)) };
  });
}

/** Whether the database has all that the files have of a session, as they have it. */
function holds({ id, lines }: Filed, there: readonly WholeTalk[], stands: Stands): boolean {
  const talk = there.find((one) => one.id === id);
  const texts = new Map(talk?.lines.map((line) => [line.id, line.text]));
  const same = (key: string, mine: string, theirs: string | undefined): boolean =>
    theirs !== undefined && (mine === theirs || standsFor(stands, key, mine, theirs));
  return talk !== undefined && [...lines].every(([key, mine]) => same(key, mine, texts.get(key)));
}

/** Whether the database has a message that the files do not have, or have otherwise. */
function clashes({ id, lines }: Filed, there: readonly WholeTalk[], stands: Stands): boolean {
  const talk = there.find((one) => one.id === id);
  return (talk?.lines ?? []).some(({ id: key, text }, at, { length }) => {
    const mine = lines.get(key);
    // An answer that is being given is not among the files yet.
    if (mine === undefined && talk?.unfinished && at === length - 1) return false;
    return mine === undefined || !(mine === text || standsFor(stands, key, mine, text));
  });
}

/** What the database holds in place of what the files say, where opencode has stored it in another form. */
function standIns(filed: readonly Filed[], now: readonly WholeTalk[]): Stands {
  const stands: Record<string, string> = {};
  for (const { id, lines, about } of filed) {
    const talk = now.find((one) => one.id === id);
    if (!talk) continue;
    if (about !== null && about.trimEnd() !== talk.about) stands[id] = pair(about, talk.about);
    for (const line of talk.lines) {
      const mine = lines.get(line.id);
      if (mine !== undefined && mine !== line.text) stands[line.id] = pair(mine, line.text);
    }
  }
  return stands;
}

const word = v.fallback(v.string(), "");
const description = v.object({
  slug: v.fallback(v.pipe(v.string(), v.minLength(1)), "restored"),
  projectID: v.fallback(v.pipe(v.string(), v.minLength(1)), "global"),
  title: word,
  version: word,
  parentID: v.optional(v.string()),
  permission: v.fallback(v.optional(v.array(v.unknown())), undefined),
  time: v.fallback(v.object({ created: v.number() }), { created: 0 }),
});

/** What was forbidden stays so; what was allowed on another machine is asked for here. */
const forbidden = v.looseObject({ action: v.literal("deny") });

const message = v.object({
  info: v.looseObject({ id: v.string(), time: v.looseObject({ created: v.number() }) }),
  parts: v.array(v.looseObject({})),
});

/** What `opencode import` reads: that of `opencode export`. */
function documentOf({ id, lines, about }: Filed, root: string, cwd: string): string {
  const { parentID, ...told } = v.parse(description, parseLine((about ?? "{}").trimEnd()) ?? {});
  const messages = [...lines.values()].flatMap((line) => {
    const { success, output } = v.safeParse(message, parseLine(line));
    if (!success) return [];
    const { info, parts } = output;
    // Whatever a line says: it is this session's, and its parts are its own.
    const owned = parts.map((part) => ({ ...part, sessionID: id, messageID: info.id }));
    return [{ info: { ...info, sessionID: id }, parts: owned }];
  });
  const updated = Math.max(told.time.created, ...messages.map(({ info }) => info.time.created));
  const parent = id === root ? {} : { parentID: parentID ?? root };
  const permission = told.permission?.filter((one) => v.is(forbidden, one));
  const info = { ...told, ...parent, permission, id, directory: cwd, time: { ...told.time, updated } };
  return JSON.stringify({ info, messages });
}

const notTaken = (id: string): ConvosyncError =>
  new ConvosyncError("not-imported", Exit.failed, `opencode has not taken in all of session ${id}`, [
    "its version may be too old: opencode upgrade",
    ...kept,
  ]);

const belongsElsewhere = ({ id, directory }: Talk): ConvosyncError =>
  new ConvosyncError("not-imported", Exit.failed, `opencode has session ${id} in ${directory}`, [
    "resume it there, or take a copy of it here: git convosync fork",
  ]);

const kept = ["all of it is kept; once that works: git convosync resume"];
