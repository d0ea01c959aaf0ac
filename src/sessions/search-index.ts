import { constants } from "node:fs";
import { open, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import type { Copy } from "./catalog.ts";
import { readCache } from "./files.ts";
import type { Context } from "./repository.ts";

/**
 * The text of opened conversations, kept in the clear in the user's cache, so that searching opens only what is new.
 * A copy of a session has a file of text that only grows, and a description of what it holds, which is bound to the
 * copy's manifest. Only a cache: what is not what we wrote is made anew.
 */
export const described = v.object({
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
export const recordMark = "\u001e";
const recordByte = 0x1e;
export const chunkBytes = 8 << 20;

export const folderOf = (context: Context, repo: string): string => join(context.cacheDir, "search", repo);
export const nameOf = ({ entry, replica }: Copy): string => `${entry.d}-${replica}`;

/** What is indexed of a copy, if it is the copy as it stands. */
export async function currentIndex(context: Context, repo: string, copy: Copy): Promise<Indexed | null> {
  const known = await readCache(join(folderOf(context, repo), `${nameOf(copy)}.json`), described);
  return known?.m === copy.entry.m && known.text.startsWith(nameOf(copy)) ? known : null;
}

/** Whether one run of segments begins with another. */
export function contains(all: Indexed["segments"], part: Indexed["segments"]): boolean {
  return part.every(([raw, sha], at) => all[at]?.[0] === raw && all[at]?.[1] === sha);
}

/** Who is heard in a record: a person, the agent, or a tool. */
export type Voice = "user" | "assistant" | "tool";

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
