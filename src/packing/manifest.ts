import * as v from "valibot";
import { ConvosyncError, Exit, integrityError } from "../errors.ts";

/**
 * The manifest of a session: what a replica has of it, down to the hash of every sealed object (format.md 6).
 * It is bound by the hash of its sealed file from the replica's signed head, so everything in it is as
 * authentic as that head. Hashes are SHA-256, base64url without padding.
 *
 * Names of fields are stored and hashed for ever: fields may be added, none renamed.
 */

export const limits = {
  segmentBytes: 4 << 20,
  lineBytes: 32 << 20,
  sessionBytes: 512 << 20,
  segments: 10_000,
  files: 10_000,
  snapshots: 100_000,
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
  bytes: v.pipe(count, v.maxValue(limits.lineBytes)),
  sha: hash,
  ct: hash,
  epoch: v.pipe(count, v.minValue(1)),
  /** How its paths were made portable; absent when its bytes are stored as they are. */
  form: v.optional(v.picklist(["jsonl", "text"])),
});

const upto = v.record(name, v.tuple([count, count]));

const snapshot = v.looseObject({
  n: v.pipe(count, v.minValue(1)),
  ts: time,
  device: v.string(),
  via: v.picklist(["save", "hook", "watch"]),
  /** Per stream: lines and bytes the conversation had come to. */
  upto,
  commit: v.nullable(commitName),
  branch: v.nullable(text),
  message: text,
  wip: v.nullable(hash),
});

const link = v.looseObject({
  /** From this line of the main stream on, the work tree was at `commit`. */
  upto: count,
  commit: commitName,
  branch: v.nullable(text),
  tree: commitName,
  parent: v.nullable(commitName),
  authorDate: text,
  authorEmail: text,
  patchId: v.nullable(text),
  modified: v.array(text),
  rewritten: v.array(commitName),
});

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
});

export type Segment = v.InferOutput<typeof segment>;
export type StreamRecord = v.InferOutput<typeof stream>;
export type FileRecord = v.InferOutput<typeof file>;
export type Snapshot = v.InferOutput<typeof snapshot>;
export type Link = v.InferOutput<typeof link>;
export type Manifest = v.InferOutput<typeof manifestSchema>;

/** Parses authenticated JSON of one of our records; `what` names it in the error. Exit 6, or 1 for a newer version. */
export function parseRecord<S extends v.GenericSchema>(
  schema: S,
  what: string,
  json: string,
): v.InferOutput<S> {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw integrityError(`damaged-${what}`, `a ${what} is not valid JSON`, [], cause);
  }
  const version = (value as { v?: unknown } | null)?.v;
  if (typeof version === "number" && version > 1) {
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

/** Parses a manifest and checks what its schema cannot: contiguous segments, sums, unique indexes. Exit 6. */
export function parseManifest(json: string): Manifest {
  const manifest = parseRecord(manifestSchema, "manifest", json);
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
    throw integrityError("session-too-large", `the session is larger than ${limits.sessionBytes >> 20} MiB`);
  }
  return manifest;
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

/** Where segment `i` lies in the session's tree: at most 64 entries per directory (format.md 2). */
export function segmentPath(i: number): string {
  const two = (n: number): string => String(n).padStart(2, "0");
  return `segment/${two(Math.floor(i / 64))}/${two(i % 64)}.age`;
}

/** Where a sealed file lies, named by the hash of its ciphertext in hex, which tells the remote nothing new. */
export function filePath(ct: string): string {
  const bytes = atob(ct.replaceAll("-", "+").replaceAll("_", "/"));
  const hex = Array.from(bytes, (char) => char.charCodeAt(0).toString(16).padStart(2, "0")).join("");
  return `file/${hex.slice(0, 2)}/${hex}.age`;
}
