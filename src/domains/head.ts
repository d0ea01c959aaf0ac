import * as v from "valibot";
import { integrityError } from "../errors.ts";
import { fields, parseRecord } from "../packing/manifest.ts";

/**
 * The head: the one signed object of a replica, and the index of all it has (docs/format.md). At most
 * `hotSessions` entries stand in the head itself; older ones in sealed pages, each bound by its hash.
 */

export const hotSessions = 32;
export const pageSize = 64;
/** Sessions at most that a head says are open. */
export const liveSessions = 32;
/** Days for which a tombstone is repeated. */
export const tombstoneDays = 180;

/** `[seq, hash]` of a signed line: how far a log or a replica had come. */
export type Mark = readonly [seq: number, hash: string];

const mark = v.pipe(v.tuple([fields.count, fields.hash]), v.readonly());

const entry = v.looseObject({
  /** `<agent>:<session id>` */
  s: v.pipe(v.string(), v.regex(/^[a-z][a-z0-9-]{0,31}:[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/)),
  /** The session's blinded directory. */
  d: v.pipe(v.string(), v.regex(/^[a-z2-7]{16}$/)),
  /** The manifest's own sequence number. */
  q: fields.count,
  /** SHA-256 of the sealed manifest. */
  m: fields.hash,
  /** Lines and bytes of the main stream. */
  n: fields.count,
  b: fields.count,
  /** Time of the conversation's last activity. */
  u: fields.time,
  /** Title. */
  t: fields.text,
  br: v.nullable(fields.text),
  c: v.nullable(fields.commitName),
  pin: v.boolean(),
  /** Number of snapshots. */
  k: fields.count,
  /** Message of the last snapshot. */
  msg: fields.text,
  /** Set when the session is folded into an archive of this replica: its number, and the tree of the session's folder. */
  a: v.optional(v.looseObject({ n: fields.count, t: fields.commitName })),
  /** Time of a tombstone that the user overrode by saving the session again. */
  back: v.optional(fields.time),
});

export const headSchema = v.looseObject({
  v: v.literal(1),
  type: v.literal("head"),
  vault: fields.id16,
  repo: fields.id16,
  replica: v.pipe(v.string(), v.regex(/^[a-z2-7]{13}$/)),
  device: v.pipe(v.string(), v.regex(/^[a-z2-7]{20}$/)),
  seq: v.pipe(fields.count, v.minValue(1)),
  prev: v.nullable(fields.hash),
  ts: fields.time,
  epoch: v.pipe(fields.count, v.minValue(1)),
  kr: mark,
  seen: v.record(v.pipe(v.string(), v.regex(/^[a-z2-7]{13}$/)), mark),
  sessions: v.pipe(v.array(entry), v.maxLength(hotSessions)),
  gone: v.pipe(v.array(v.tuple([v.string(), fields.time])), v.maxLength(10_000)),
  pages: v.array(
    v.looseObject({
      n: fields.count,
      m: fields.hash,
      count: v.pipe(fields.count, v.maxValue(pageSize)),
      epoch: fields.count,
    }),
  ),
  domains: v.record(v.string(), fields.hash),
  /** Sessions that an agent had open in this clone: `<agent>:<id>`, since when, and when that was last seen. */
  live: v.optional(
    v.pipe(v.array(v.tuple([v.string(), fields.time, fields.time])), v.maxLength(liveSessions)),
  ),
});

export const pageSchema = v.looseObject({
  v: v.literal(1),
  type: v.literal("page"),
  n: fields.count,
  sessions: v.pipe(v.array(entry), v.maxLength(pageSize)),
});

export type Entry = v.InferOutput<typeof entry>;
export type Head = v.InferOutput<typeof headSchema>;
export type Page = v.InferOutput<typeof pageSchema>;

export function parseHead(json: string): Head {
  const head = parseRecord(headSchema, "head", json);
  if (Object.hasOwn(head.seen, head.replica))
    throw integrityError("damaged-head", "a head claims to have seen itself");
  return head;
}

export function parsePage(json: string, expected: { n: number; count: number }): Page {
  const page = parseRecord(pageSchema, "page", json);
  if (page.n !== expected.n || page.sessions.length !== expected.count) {
    throw integrityError("damaged-page", "a page of the index is not the one its head names");
  }
  return page;
}

export const headPath = "head.age";
export const pagePath = (n: number): string => `page/${n}.age`;

/** All sessions of an index: entries in the head win over entries of pages, newer pages over older. */
export function allEntries(head: Head, pages: readonly Page[]): Entry[] {
  const found = new Map<string, Entry>();
  for (const one of [
    ...head.sessions,
    ...[...pages].sort((a, b) => b.n - a.n).flatMap((page) => page.sessions),
  ]) {
    const known = found.get(one.s);
    if (!known || one.q > known.q) found.set(one.s, one);
  }
  const gone = new Map(head.gone);
  return [...found.values()].filter((one) => !buried(one, gone.get(one.s)));
}

/** Whether a tombstone of that time buries the entry: unless the user brought the session back later. */
export function buried(one: Entry, tombstone: string | undefined): boolean {
  return tombstone !== undefined && (one.back === undefined || one.back < tombstone);
}
