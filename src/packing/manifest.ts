import * as v from "valibot";
import { ConvosyncError, Exit, integrityError } from "../errors.ts";

/**
 * The manifest of a session: what a replica has of it, down to the hash of every sealed object (docs/format.md).
 * It is bound by the hash of its sealed file from the replica's signed head, so everything in it is as
 * authentic as that head. Hashes are SHA-256, base64url without padding.
 *
 * Names of fields are stored and hashed for ever: fields may be added, none renamed.
 */

export const limits = {
  /** What a writer fills a segment with; a longer line is one by itself. */
  segmentBytes: 1 << 20,
  lineBytes: 32 << 20,
  fileBytes: 32 << 20,
  sessionBytes: 512 << 20,
  segments: 10_000,
  files: 10_000,
  snapshots: 100_000,
  pages: 10_000,
  joined: 1_000,
  dropped: 1_000,
  workBytes: 256 << 20,
  manifestBytes: 4 << 20,
  headBytes: 1 << 20,
} as const;

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const hash = v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{43}$/));
const id16 = v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{22}$/));
const commitName = v.pipe(v.string(), v.regex(/^[0-9a-f]{40}([0-9a-f]{24})?$/));
const time = v.pipe(v.string(), v.isoTimestamp());
const text = v.pipe(v.string(), v.maxLength(4096));
const name = v.pipe(v.string(), v.minLength(1), v.maxLength(512));

export const fields = { count, hash, id16, commitName, time, text, name };

const segment = v.looseObject({
  /** Index in the session's tree: `segment/<i div 64>/<i mod 64>.age`. */
  i: v.pipe(count, v.maxValue(limits.segments - 1)),
  /** Offset of its first byte in the stream. */
  off: count,
  /** Its length in bytes: the stream's own bytes. */
  raw: v.pipe(count, v.minValue(1), v.maxValue(limits.lineBytes)),
  lines: count,
  /** Length of the body inside the gzip member: `raw` for codec gz, the delta's length for vcd. */
  enc: v.pipe(count, v.maxValue(limits.lineBytes * 2)),
  sha: hash,
  /** SHA-256 of the sealed file. */
  ct: hash,
  codec: v.picklist(["gz", "vcd"]),
  epoch: v.pipe(count, v.minValue(1)),
});

const stream = v.looseObject({
  name,
  /** Rises when the agent rewrote its file; the highest of a name is the stream as it stands. */
  gen: count,
  lines: count,
  bytes: v.pipe(count, v.maxValue(limits.sessionBytes)),
  sha: hash,
  segments: v.pipe(v.array(segment), v.maxLength(limits.segments)),
});

const file = v.looseObject({
  name,
  bytes: v.pipe(count, v.maxValue(limits.fileBytes)),
  sha: hash,
  ct: hash,
  epoch: v.pipe(count, v.minValue(1)),
  /** How its paths were made portable; absent when its bytes are stored as they are. */
  form: v.optional(v.picklist(["jsonl", "text"])),
  /** Permissions, of the agent's copy of a file of the user's. */
  mode: v.optional(v.pipe(count, v.maxValue(0o777))),
});

const upto = v.record(name, v.tuple([count, count]));

const snapshot = v.looseObject({
  n: v.pipe(count, v.minValue(1)),
  ts: time,
  device: v.string(),
  via: v.picklist(["save", "hook", "watch"]),
  /** Lines and bytes of the main stream and of those that grew since the snapshot before; others stand as there. */
  upto,
  /** Generation of the main stream, where it is not the first. */
  gen: v.optional(count),
  commit: v.nullable(commitName),
  branch: v.nullable(text),
  message: text,
  wip: v.nullable(hash),
});

const link = v.looseObject({
  /** From this line of the main stream on, the work tree was at `commit`. */
  upto: count,
  /** Generation of the main stream, where it is not the first. */
  gen: v.optional(count),
  commit: commitName,
  branch: v.nullable(text),
  tree: commitName,
  parent: v.nullable(commitName),
  authorDate: text,
  authorEmail: text,
  patchId: v.nullable(text),
  /** Where the branch left the main one, and the patch-id of all it changed since: by it a squash merge is known. */
  base: v.optional(v.nullable(commitName)),
  cumulativePatchId: v.optional(v.nullable(text)),
  modified: v.array(text),
  rewritten: v.array(commitName),
});

/** A generation of a stream that retention dropped, and which versions of it, by length and hash, went with that. */
const dropped = v.looseObject({ name, gen: count, known: v.array(v.tuple([count, hash])) });
/**
 * A version of a stream, by another replica or from before, all of whose lines this manifest holds, though not as the
 * beginning of its own stream of that generation. `cuts` are length and hash of its segments; none when there were many.
 */
const joined = v.looseObject({
  name,
  gen: count,
  bytes: count,
  sha: hash,
  cuts: v.pipe(v.array(v.tuple([count, hash])), v.maxLength(limits.segments)),
});

/** A sealed page of records that no longer change; bound by its hash. */
const pageRef = v.looseObject({ n: count, m: hash, epoch: v.pipe(count, v.minValue(1)) });

export const manifestSchema = v.looseObject({
  v: v.literal(1),
  type: v.literal("manifest"),
  vault: id16,
  repo: id16,
  replica: v.string(),
  agent: v.pipe(v.string(), v.regex(/^[a-z][a-z0-9-]{0,31}$/)),
  session: v.pipe(v.string(), v.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/)),
  seq: v.pipe(count, v.minValue(1)),
  streams: v.array(stream),
  files: v.pipe(v.array(file), v.maxLength(limits.files)),
  snapshots: v.pipe(v.array(snapshot), v.maxLength(limits.snapshots)),
  links: v.array(link),
  meta: v.looseObject({
    /** The directory the conversation runs in, as a portable path. */
    cwd: text,
    tool: text,
    toolVersion: v.nullable(text),
    origin: v.nullable(text),
    roots: v.array(commitName),
  }),
  dropped: v.optional(v.pipe(v.array(dropped), v.maxLength(limits.dropped))),
  /** Where the older segments, snapshots and links stand. */
  pages: v.pipe(v.array(pageRef), v.maxLength(limits.pages)),
  /** Environment variables that were asked for by name: their values are sealed in a file of their own. */
  env: v.optional(
    v.looseObject({
      names: v.pipe(v.array(v.pipe(v.string(), v.maxLength(128))), v.maxLength(1000)),
      ct: hash,
      epoch: v.pipe(count, v.minValue(1)),
    }),
  ),
  /** What else it holds, since versions that went on separately were brought together. */
  joined: v.optional(v.pipe(v.array(joined), v.maxLength(limits.joined))),
});

export const manifestPageSchema = v.looseObject({
  /** 2 when it names pages: who does not know of those says so instead of missing what they hold. */
  v: v.picklist([1, 2]),
  type: v.literal("manifest-page"),
  n: count,
  streams: v.array(v.looseObject({ name, gen: count, segments: v.array(segment) })),
  files: v.array(file),
  snapshots: v.array(snapshot),
  links: v.array(link),
  /** The pages before it that are named here, as the manifest would have to name too many. */
  pages: v.optional(v.array(pageRef)),
});

export type PageRef = v.InferOutput<typeof pageRef>;
export type ManifestPage = v.InferOutput<typeof manifestPageSchema>;
export type Segment = v.InferOutput<typeof segment>;
export type StreamRecord = v.InferOutput<typeof stream>;
export type DroppedStream = v.InferOutput<typeof dropped>;
export type FileRecord = v.InferOutput<typeof file>;
export type Joined = v.InferOutput<typeof joined>;
export type Snapshot = v.InferOutput<typeof snapshot>;
export type Link = v.InferOutput<typeof link>;
export type Manifest = v.InferOutput<typeof manifestSchema>;

/** Parses authenticated JSON of one of our records; `what` names it in the error. Exit 6, or 1 for a newer version. */
export function parseRecord<S extends v.GenericSchema>(
  schema: S,
  what: string,
  json: string,
  newest = 1,
): v.InferOutput<S> {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw integrityError(`damaged-${what}`, `a ${what} is not valid JSON`, [], cause);
  }
  const version = (value as { v?: unknown } | null)?.v;
  if (typeof version === "number" && version > newest) {
    throw new ConvosyncError(
      "newer-version",
      Exit.failed,
      `a ${what} was written by a newer version of convosync`,
      ["update convosync on this device"],
    );
  }
  const parsed = v.safeParse(schema, value);
  if (!parsed.success) {
    const issue = parsed.issues[0];
    throw integrityError(`damaged-${what}`, `a ${what} is malformed at ${v.getDotPath(issue) ?? "its top"}`);
  }
  return parsed.output;
}

/** Parses a manifest as sealed: without the records of its pages. Exit 6. */
export const parseManifest = (json: string): Manifest => parseRecord(manifestSchema, "manifest", json);

export function parseManifestPage(json: string, n: number): ManifestPage {
  const page = parseRecord(manifestPageSchema, "manifest-page", json, 2);
  if (page.n !== n || (page.v === 2) !== (page.pages !== undefined))
    throw integrityError("damaged-manifest", "a page of a manifest is not the one it names");
  return page;
}

/**
 * Puts the records of the pages back in front of the manifest's own, and checks what a schema cannot:
 * contiguous segments, sums, unique indexes. Exit 6.
 */
export function joinManifest(manifest: Manifest, pages: readonly ManifestPage[]): Manifest {
  const streams = manifest.streams.map((one): StreamRecord => {
    const older = pages.flatMap((page) =>
      page.streams.filter(({ name, gen }) => name === one.name && gen === one.gen),
    );
    return { ...one, segments: [...older.flatMap((part) => part.segments), ...one.segments] };
  });
  // A file that changed stands again, in a later page or in the manifest: the last one counts.
  const files = [...pages.flatMap((page) => page.files), ...manifest.files];
  const joined: Manifest = {
    ...manifest,
    streams,
    files: [...new Map(files.map((one) => [one.name, one])).values()],
    snapshots: [...pages.flatMap((page) => page.snapshots), ...manifest.snapshots],
    links: [...pages.flatMap((page) => page.links), ...manifest.links],
  };
  checkStreams(joined);
  return joined;
}

function checkStreams(manifest: Manifest): void {
  const seen = new Set<number>();
  let total = 0;
  for (const { name: streamName, segments, bytes, lines } of manifest.streams) {
    let off = 0;
    let lineCount = 0;
    for (const part of segments) {
      if (part.off !== off || seen.has(part.i)) {
        throw integrityError("damaged-manifest", `the segments of stream '${streamName}' do not line up`);
      }
      if (part.codec === "gz" && part.enc !== part.raw) {
        throw integrityError("damaged-manifest", `a segment of stream '${streamName}' has the wrong length`);
      }
      seen.add(part.i);
      off += part.raw;
      lineCount += part.lines;
    }
    if (off !== bytes || lineCount !== lines) {
      throw integrityError("damaged-manifest", `stream '${streamName}' is not the sum of its segments`);
    }
    total += bytes;
  }
  if (total > limits.sessionBytes) {
    throw integrityError("oversized-session", `the session is larger than ${limits.sessionBytes >> 20} MiB`);
  }
}

/** What of a manifest stands in pages already, counted from the front of each list. */
export interface Frozen {
  /** The pages that the manifest names. */
  readonly pages: readonly PageRef[];
  /** All pages, those that pages name too, in their order. */
  readonly all: readonly PageRef[];
  /** By `<generation> <stream>`. */
  readonly segments: ReadonlyMap<string, number>;
  readonly snapshots: number;
  readonly links: number;
  /** Name and ciphertext hash of the files as the pages have them. */
  readonly files: ReadonlyMap<string, string>;
}

export const nothingFrozen: Frozen = {
  pages: [],
  all: [],
  segments: new Map(),
  snapshots: 0,
  links: 0,
  files: new Map(),
};

const streamKey = (one: { readonly name: string; readonly gen: number }): string => `${one.gen} ${one.name}`;

export function frozenBy(manifest: Manifest, pages: readonly ManifestPage[]): Frozen {
  const segments = new Map<string, number>();
  for (const one of pages.flatMap((page) => page.streams)) {
    segments.set(streamKey(one), (segments.get(streamKey(one)) ?? 0) + one.segments.length);
  }
  const sum = (count: (page: ManifestPage) => number): number =>
    pages.reduce((all, page) => all + count(page), 0);
  return {
    pages: manifest.pages,
    all: [...pages.flatMap((page) => page.pages ?? []), ...manifest.pages].sort((a, b) => a.n - b.n),
    segments,
    snapshots: sum((page) => page.snapshots.length),
    links: sum((page) => page.links.length),
    files: new Map(pages.flatMap((page) => page.files.map((one) => [one.name, one.ct]))),
  };
}

/**
 * So many records of a kind may stand in the manifest itself; then all but the newest move into a page. Each costs a save
 * 80 to 250 bytes; a page is one more object to open, and its name 40 bytes. The first page comes early: what the first
 * save of a long conversation brings is several segments at once.
 */
const openAtFirst = 2;
const openRecords = 5;
const keptRecords = 1;
/** An amend or a rebase gives new names to commits of late; a link in a page has all pages written anew. */
const keptLinks = 4;
/** So many pages the manifest itself may name; then the next page names them. */
const openPages = 8;
/** Records of each kind that a page holds at most, so that it stays far below its size limit. */
const pageRecords = 512;

/**
 * Splits a whole manifest for sealing: records that stand in pages stay there, and when too many have gathered
 * since, the older ones make new pages. So a save uploads a few kilobytes of manifest whether it is the tenth or
 * the thousandth. `frozen` must describe a prefix of every list of `manifest`.
 */
export function splitManifest(manifest: Manifest, frozen: Frozen): { open: Manifest; pages: ManifestPage[] } {
  const streams = manifest.streams.map((one) => ({
    one,
    segments: one.segments.slice(frozen.segments.get(streamKey(one)) ?? 0),
  }));
  const snapshots = manifest.snapshots.slice(frozen.snapshots);
  const links = manifest.links.slice(frozen.links);
  const files = manifest.files.filter((one) => frozen.files.get(one.name) !== one.ct);
  const mayStay = frozen.all.length === 0 ? openAtFirst : openRecords;
  const due =
    [snapshots, files, ...streams.map((part) => part.segments)].some((list) => list.length > mayStay) ||
    links.length > mayStay + keptLinks;
  /** Where those begin that stay. */
  const border = (list: readonly unknown[], kept = keptRecords): number =>
    due ? Math.max(0, list.length - kept) : 0;
  const borders = {
    snapshots: border(snapshots),
    links: border(links, keptLinks),
    files: border(files),
    streams: streams.map((part) => border(part.segments)),
  };
  const most = Math.max(borders.snapshots, borders.links, borders.files, ...borders.streams);
  const pages: ManifestPage[] = [];
  const first = (frozen.pages.at(-1)?.n ?? -1) + 1;
  for (let from = 0; from < most; from += pageRecords) {
    const part = <T>(list: readonly T[], end: number): T[] =>
      list.slice(from, Math.min(end, from + pageRecords));
    const before = pages.length === 0 && frozen.pages.length >= openPages ? [...frozen.pages] : [];
    pages.push({
      v: before.length > 0 ? 2 : 1,
      type: "manifest-page",
      n: first + pages.length,
      streams: streams
        .map(({ one, segments }, i) => {
          return { name: one.name, gen: one.gen, segments: part(segments, borders.streams[i]!) };
        })
        .filter(({ segments }) => segments.length > 0),
      files: part(files, borders.files),
      snapshots: part(snapshots, borders.snapshots),
      links: part(links, borders.links),
      ...(before.length > 0 && { pages: before }),
    });
  }
  const open: Manifest = {
    ...manifest,
    streams: streams.map(({ one, segments }, i) => ({
      ...one,
      segments: segments.slice(borders.streams[i]),
    })),
    snapshots: snapshots.slice(borders.snapshots),
    links: links.slice(borders.links),
    files: files.slice(borders.files),
    pages: pages[0]?.pages ? [] : [...frozen.pages],
  };
  return { open, pages };
}

/**
 * Whether `frozen` still describes a prefix of the manifest's lists; false after a stream was dropped or repacked, or
 * a link was given another name of its commit.
 */
export function stillFrozen(frozen: Frozen, before: Manifest, now: Manifest): boolean {
  const streams = new Map(now.streams.map((one) => [streamKey(one), one.segments]));
  const names = new Set(now.files.map((one) => one.name));
  if ([...frozen.files.keys()].some((one) => !names.has(one))) return false;
  for (let at = 0; at < frozen.links; at++) if (now.links[at] !== before.links[at]) return false;
  return before.streams.every((one) => {
    const done = frozen.segments.get(streamKey(one)) ?? 0;
    const segments = streams.get(streamKey(one));
    return done === 0 || one.segments.slice(0, done).every((part, at) => segments?.[at]?.ct === part.ct);
  });
}

/** The streams as they stand: of each name the highest generation. */
export function currentStreams(manifest: Manifest): StreamRecord[] {
  const newest = new Map<string, StreamRecord>();
  for (const one of manifest.streams) {
    const known = newest.get(one.name);
    if (!known || one.gen > known.gen) newest.set(one.name, one);
  }
  return [...newest.values()];
}

export function mainStream(manifest: Manifest): StreamRecord | undefined {
  return currentStreams(manifest).find((one) => one.name === "main");
}

/** Where segment `i` lies in the session's tree: at most 64 entries per directory (docs/format.md). */
export function segmentPath(i: number): string {
  const two = (n: number): string => String(n).padStart(2, "0");
  return `segment/${two(Math.floor(i / 64))}/${two(i % 64)}.age`;
}

/** Where a page of the manifest lies. */
export function manifestPagePath(n: number): string {
  const two = (part: number): string => String(part).padStart(2, "0");
  return `page/${two(Math.floor(n / 64))}/${two(n % 64)}.age`;
}

/** Where a sealed file lies, named by the hash of its ciphertext in hex, which tells the remote nothing new. */
export function filePath(ct: string): string {
  const bytes = atob(ct.replaceAll("-", "+").replaceAll("_", "/"));
  const hex = Array.from(bytes, (char) => char.charCodeAt(0).toString(16).padStart(2, "0")).join("");
  return `file/${hex.slice(0, 2)}/${hex}.age`;
}

/** Where the uncommitted work of the last snapshot lies, a git bundle. */
export const workPath = "wip.age";
