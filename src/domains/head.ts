import * as v from "valibot";
import { integrityError } from "../errors.ts";
import { fields, parseRecord } from "../packing/manifest.ts";

/**
 * The head: the one signed object of a replica, and the index of all it has (docs/format.md). At most
 * `hotSessions` entries stand in the head itself; older ones in sealed pages, each bound by its hash.
 */

export const hotSessions = 32;
export const pageSize = 64;
/** Most tombstones, and most pins, in one head. */
const listLimit = 10_000;
/** Sessions at most that a head says are open. */
export const liveSessions = 32;
/** Days for which a tombstone is repeated. */
export const tombstoneDays = 180;

/** `[seq, hash]` of a signed line: how far a log or a replica had come. */
export type Mark = readonly [seq: number, hash: string];

const mark = v.pipe(v.tuple([fields.count, fields.hash]), v.readonly());

/** `<agent>:<session id>` */
const sessionKey = v.pipe(v.string(), v.regex(/^[a-z][a-z0-9-]{0,31}:[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/));

const directory = v.pipe(v.string(), v.regex(/^[a-z2-7]{16}$/));

/** Since version 2 an entry does not state what follows from the rest of it. */
export const indexVersion = 2;

/** An entry as it is sealed. */
const sealedEntry = v.looseObject({
  s: sessionKey,
  /** The session's blinded directory. It follows from `s`; version 1 states it. */
  d: v.optional(directory),
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
  /** Time of the last snapshot: a session that was saved lately is in use, however old its last line is. */
  at: v.optional(fields.time),
  /** Set when the session is folded into an archive of this replica: its number, and the tree of the session's folder. */
  a: v.optional(v.looseObject({ n: fields.count, t: fields.commitName })),
  /** Time of a tombstone that the user overrode by saving the session again. */
  back: v.optional(fields.time),
});

const entry = v.looseObject({ ...sealedEntry.entries, d: directory });

type AnyEntry = typeof entry | typeof sealedEntry;

const headOf = <One extends AnyEntry>(one: One) =>
  v.looseObject({
    v: v.picklist([1, indexVersion]),
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
    sessions: v.pipe(v.array(one), v.maxLength(hotSessions)),
    gone: v.pipe(
      v.array(v.union([v.tuple([v.string(), fields.time, fields.time]), v.tuple([v.string(), fields.time])])),
      v.maxLength(listLimit),
    ),
    /** What the user pinned and unpinned on this replica, whoever has the session: since when, and which. */
    pins: v.optional(
      v.pipe(
        v.record(sessionKey, v.pipe(v.tuple([fields.time, v.boolean()]), v.readonly())),
        v.check((pins) => Object.keys(pins).length <= listLimit),
      ),
    ),
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

const pageOf = <One extends AnyEntry>(one: One) =>
  v.looseObject({
    v: v.picklist([1, indexVersion]),
    type: v.literal("page"),
    n: fields.count,
    sessions: v.pipe(v.array(one), v.maxLength(pageSize)),
  });

/** As they are once they have been opened, each entry with its directory. */
const headSchema = headOf(entry);
const pageSchema = pageOf(entry);
const sealedHead = headOf(sealedEntry);
const sealedPage = pageOf(sealedEntry);

export type Entry = v.InferOutput<typeof entry>;
export type Head = v.InferOutput<typeof headSchema>;
export type Page = v.InferOutput<typeof pageSchema>;
export type SealedEntry = v.InferOutput<typeof sealedEntry>;
export type SealedPage = v.InferOutput<typeof sealedPage>;

/**
 * The entries as they are sealed: without what follows from the rest of them, which is a tenth of a page, as it does not
 * compress. What is alike from entry to entry comes first, so that it is found in one piece in the entry before.
 */
export const toSealedEntries = (entries: readonly Entry[]): SealedEntry[] =>
  entries.map(({ d: _, u, b, t, s, m, ...alike }) => ({ ...alike, u, b, t, s, m }));

export function parseHead(json: string): v.InferOutput<typeof sealedHead> {
  const head = parseRecord(sealedHead, "head", json, indexVersion);
  if (Object.hasOwn(head.seen, head.replica))
    throw integrityError("damaged-head", "a head claims to have seen itself");
  return head;
}

export function parsePage(json: string, expected: { n: number; count: number }): SealedPage {
  const page = parseRecord(sealedPage, "page", json, indexVersion);
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
  const gone = tombstonesIn([head]);
  return [...found.values()].filter((one) => !buried(one, gone.get(one.s)));
}

/**
 * What buries a session. One that retention wrote says how far the session had come by then, `upto`: a copy on which
 * work has gone on since, on a device nobody had heard of, stays alive.
 */
export interface Tombstone {
  readonly at: string;
  readonly upto?: string;
}

/** The latest tombstone of each session. Of two of one time the one that buries more counts. */
export function tombstonesIn(heads: Iterable<Pick<Head, "gone">>): Map<string, Tombstone> {
  const latest = new Map<string, Tombstone>();
  for (const { gone } of heads) {
    for (const [session, at, upto] of gone) {
      const known = latest.get(session);
      if (known && (known.at > at || (known.at === at && reach(known.upto) >= reach(upto)))) continue;
      latest.set(session, upto === undefined ? { at } : { at, upto });
    }
  }
  return latest;
}

/** Text that sorts as the tombstones' reach does: one without a bound reaches farthest. */
const reach = (upto: string | undefined): string => upto ?? "~";

/** Whether a tombstone buries the entry: unless the user brought the session back later, or went on with it. */
export function buried(one: Entry, tombstone: Tombstone | undefined): boolean {
  if (tombstone === undefined || (one.back !== undefined && one.back >= tombstone.at)) return false;
  return tombstone.upto === undefined || lastUse(one) <= tombstone.upto;
}

/** When a session was last active or saved. */
export const lastUse = (one: Entry): string => (one.at !== undefined && one.at > one.u ? one.at : one.u);

export type Pin = NonNullable<Head["pins"]>[string];

/**
 * The latest word of all replicas on which sessions are pinned; of two of one time `true` counts. What was said before
 * a session was deleted no longer does. Pure, and independent of the order of the heads.
 */
export function pinsIn(heads: readonly Pick<Head, "gone" | "pins">[]): Map<string, Pin> {
  const gone = tombstonesIn(heads);
  const latest = new Map<string, Pin>();
  for (const { pins = {} } of heads) {
    for (const [session, pin] of Object.entries(pins)) {
      const known = latest.get(session);
      const older = known && (known[0] > pin[0] || (known[0] === pin[0] && known[1]));
      if (!older && pin[0] > (gone.get(session)?.at ?? "")) latest.set(session, pin);
    }
  }
  return latest;
}
