import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { mkdir, open, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import type { Agent } from "../agents/agent.ts";
import { linesOf, type Piece, textOfBlock } from "../agents/conversation.ts";
import { type Places, toLocal } from "../agents/portable-paths.ts";
import { readStream, readStreamFrom, type StoredSession, type Vault } from "../domains/reader.ts";
import { mainStream, type StreamRecord } from "../packing/manifest.ts";
import type { Copy } from "./catalog.ts";
import { readCache, withLock, writeAtomic } from "./files.ts";
import type { Context } from "./repository.ts";

/**
 * The text of opened conversations, kept in the clear in the user's cache, so that searching opens only what is new.
 * A copy of a session has a file of text that only grows, and a description of what it holds, which is bound to the
 * copy's manifest. Only a cache: what is not what we wrote is made anew.
 */
const described = v.object({
  v: v.literal(1),
  /** Hash of the manifest it was made from. */
  m: v.string(),
  gen: v.number(),
  /** Length and hash of each segment of the main stream it holds. */
  segments: v.array(v.tuple([v.number(), v.string()])),
  place: v.object({ line: v.number(), n: v.number(), key: v.nullable(v.string()) }),
  /** Name of the file of text, and how many of its bytes count. */
  text: v.pipe(v.string(), v.regex(/^[a-z2-7]{16}-[a-z2-7]{13}\.[0-9a-f]{12}\.txt$/)),
  bytes: v.number(),
});
export type Indexed = v.InferOutput<typeof described>;

/** Begins every record of a file of text; no text holds it. */
const recordMark = "\u001e";
const recordByte = 0x1e;
const chunkBytes = 8 << 20;

const folderOf = (context: Context, repo: string): string => join(context.cacheDir, "search", repo);
const nameOf = ({ entry, replica }: Copy): string => `${entry.d}-${replica}`;

/** What is indexed of a copy, if it is the copy as it stands. */
export async function currentIndex(context: Context, repo: string, copy: Copy): Promise<Indexed | null> {
  const known = await readCache(join(folderOf(context, repo), `${nameOf(copy)}.json`), described);
  return known?.m === copy.entry.m && known.text.startsWith(nameOf(copy)) ? known : null;
}

/** Brings the index of a copy up to date; opens only the segments it lacks, where those stand alone. */
export async function updateIndex(
  context: Context,
  vault: Vault,
  copy: Copy,
  stored: StoredSession,
  agent: Agent,
  places: Places | null,
): Promise<Indexed | null> {
  const record = mainStream(stored.manifest);
  if (!agent.reader || !record) return null;
  const folder = folderOf(context, vault.repo);
  return withLock(join(folder, `${nameOf(copy)}.lock`), 60_000, async () => {
    const path = join(folder, `${nameOf(copy)}.json`);
    const known = await readCache(path, described);
    const base = known && continues(known, record) ? known : null;
    if (base?.m === copy.entry.m) return base;
    const text = base?.text ?? `${nameOf(copy)}.${randomBytes(6).toString("hex")}.txt`;
    const reader = agent.reader!(base?.place);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW;
    const file = await open(join(folder, text), flags, 0o600);
    let bytes = base?.bytes ?? 0;
    try {
      // What a killed run wrote behind the end does not count.
      await file.truncate(bytes);
      let waiting: string[] = [];
      let length = 0;
      const write = async (): Promise<void> => {
        const chunk = Buffer.from(waiting.join(""));
        for (let done = 0; done < chunk.length; )
          done += (await file.write(chunk, done, chunk.length - done, bytes + done)).bytesWritten;
        bytes += chunk.length;
        waiting = [];
        length = 0;
      };
      const from = base?.segments.length ?? 0;
      for await (const line of linesOf(newContent(vault, stored, record, from, places))) {
        const piece = reader.read(line);
        const shown = piece ? recordsOf(piece) : "";
        waiting.push(shown);
        length += shown.length;
        if (length > chunkBytes) await write();
      }
      await write();
    } finally {
      await file.close();
    }
    const indexed: Indexed = {
      v: 1,
      m: copy.entry.m,
      gen: record.gen,
      segments: record.segments.map(({ raw, sha }) => [raw, sha]),
      place: reader.place,
      text,
      bytes,
    };
    await writeAtomic(path, JSON.stringify(indexed));
    if (known && known.text !== text) await rm(join(folder, known.text), { force: true });
    return indexed;
  });
}

/** Whether the stream begins with the segments that are indexed. */
function continues(known: Indexed, record: StreamRecord): boolean {
  return (
    known.gen === record.gen &&
    contains(
      record.segments.map(({ raw, sha }) => [raw, sha]),
      known.segments,
    )
  );
}

/** Whether one run of segments begins with another. */
export function contains(all: Indexed["segments"], part: Indexed["segments"]): boolean {
  return part.every(([raw, sha], at) => all[at]?.[0] === raw && all[at]?.[1] === sha);
}

async function* newContent(
  vault: Vault,
  stored: StoredSession,
  record: StreamRecord,
  from: number,
  places: Places | null,
): AsyncGenerator<Uint8Array> {
  const alone = record.segments.slice(from).every((part) => part.codec === "gz");
  let skip = alone ? 0 : (record.segments[from]?.off ?? record.bytes);
  const parts = alone ? readStreamFrom(vault, stored, record, from) : readStream(vault, stored, record);
  for await (const part of parts) {
    const rest = part.subarray(Math.min(skip, part.length));
    skip -= part.length - rest.length;
    if (rest.length > 0) yield places ? toLocal(rest, places, "jsonl") : rest;
  }
}

/** Who is heard in a record: a person, the agent, or a tool. */
export type Voice = "user" | "assistant" | "tool";

function recordsOf(piece: Piece): string {
  const said = piece.blocks.filter((block) => block.kind !== "tool").map(textOfBlock);
  const done = piece.blocks.filter((block) => block.kind === "tool").map(textOfBlock);
  const results = piece.results.map(({ result }) => result.text);
  const voice = piece.role === "assistant" ? "assistant" : "user";
  return recordText(piece, voice, said) + recordText(piece, "tool", [...done, ...results]);
}

function recordText({ n, at }: Piece, voice: Voice, texts: readonly string[]): string {
  const text = texts.filter((one) => one !== "").join("\n");
  return text === "" ? "" : `${recordMark}${n}\t${voice}\t${at ?? ""}\n${text.replaceAll(recordMark, " ")}\n`;
}

/** A place in a conversation where something was found. */
export interface IndexHit {
  readonly n: number;
  readonly voice: Voice;
  readonly at: string | null;
  /** The text around it, on one line. */
  readonly before: string;
  readonly hit: string;
  readonly after: string;
}

const around = 80;

/** Every match of a global pattern in the text of one copy, at most one of each record. */
export async function* searchIndex(
  context: Context,
  repo: string,
  indexed: Indexed,
  pattern: RegExp,
): AsyncGenerator<IndexHit> {
  const path = join(folderOf(context, repo), indexed.text);
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    let rest = Buffer.alloc(0);
    for (let at = 0; at < indexed.bytes; ) {
      const length = Math.min(chunkBytes, indexed.bytes - at);
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(length), 0, length, at);
      if (bytesRead === 0) return;
      at += bytesRead;
      const all =
        rest.length > 0
          ? Buffer.concat([rest, buffer.subarray(0, bytesRead)])
          : buffer.subarray(0, bytesRead);
      const end = at < indexed.bytes ? all.lastIndexOf(recordByte) : all.length;
      if (end > 0) yield* hitsIn(all.toString("utf8", 0, end), pattern);
      rest = Buffer.from(all.subarray(Math.max(0, end)));
    }
  } finally {
    await file.close();
  }
}

function* hitsIn(text: string, pattern: RegExp): Generator<IndexHit> {
  pattern.lastIndex = 0;
  for (let match = pattern.exec(text); match; match = pattern.exec(text)) {
    const start = text.lastIndexOf(recordMark, match.index);
    const next = text.indexOf(recordMark, match.index + 1);
    const end = next < 0 ? text.length : next;
    const body = text.indexOf("\n", start) + 1;
    if (start < 0 || match.index < body || match[0] === "") {
      // In what describes the record, or an empty match: no hit.
      pattern.lastIndex = Math.max(match.index + 1, body > match.index ? body : 0);
      continue;
    }
    const upTo = Math.min(match.index + match[0].length, end);
    const [n = "", voice = "", at = ""] = text.slice(start + 1, body - 1).split("\t");
    yield {
      n: Number(n),
      voice: voice as Voice,
      at: at === "" ? null : at,
      before: text.slice(Math.max(body, match.index - around), match.index),
      hit: text.slice(match.index, Math.min(upTo, match.index + 400)),
      after: text.slice(upTo, Math.min(end, upTo + around)),
    };
    pattern.lastIndex = end;
  }
}

/** Removes what is indexed of sessions, by their directories. */
export async function forgetIndexed(
  context: Context,
  repo: string,
  dirs: ReadonlySet<string>,
): Promise<void> {
  await removeIndexed(context, repo, (dir) => dirs.has(dir));
}

/** Removes what is indexed of sessions that are no more. */
export async function keepIndexed(context: Context, repo: string, dirs: ReadonlySet<string>): Promise<void> {
  await removeIndexed(context, repo, (dir) => !dirs.has(dir));
}

async function removeIndexed(context: Context, repo: string, gone: (dir: string) => boolean): Promise<void> {
  const folder = folderOf(context, repo);
  for (const name of await readdir(folder).catch(() => [])) {
    if (gone(name.slice(0, name.indexOf("-")))) await rm(join(folder, name), { force: true });
  }
}
