import { toBase64url } from "../crypto/encoding.ts";
import { sealFor } from "../crypto/keyring.ts";
import type { Entry } from "../domains/head.ts";
import { readStream, type StoredSession } from "../domains/reader.ts";
import { hashOf } from "../domains/sealed-objects.ts";
import { sealManifest } from "../domains/writer.ts";
import { HistoryIndex } from "../packing/history-index.ts";
import { segmentLines } from "../packing/lines.ts";
import {
  currentStreams,
  filePath,
  limits,
  type Segment,
  type StreamRecord,
  segmentPath,
  workPath,
} from "../packing/manifest.ts";
import { StreamHash } from "../packing/stream-hash.ts";
import { encode } from "../packing/vcdiff-encode.ts";
import { formatRef, vaultPrefix } from "../refs/names.ts";
import type { NewFile, Oid, RefUpdate } from "../refs/object-database.ts";
import type { Heads } from "./catalog.ts";
import { writeIndex } from "./index-writer.ts";
import type { Context } from "./repository.ts";
import { localCopy } from "./session-fetch.ts";
import type { OpenVault } from "./vault.ts";

/**
 * Compaction (docs/format.md): a stream of very many small segments is packed anew into few large ones, as a re-root,
 * so that reading it stays cheap. It sends the session once more, so it is left until it is worth it.
 */
/** From when on a session is packed anew. */
export interface Due {
  /** Segments of a stream. */
  readonly above: number;
  /** Of a stream; what is longer is left alone. */
  readonly bytes: number;
}

const whenAsked: Due = { above: 64, bytes: Number.POSITIVE_INFINITY };

const isDue = (stream: StreamRecord, { above, bytes }: Due): boolean =>
  stream.segments.length > above &&
  stream.bytes <= bytes &&
  stream.segments.length > (4 * stream.bytes) / limits.segmentBytes + 1;

/** Packs own sessions anew that have a ref of their own and are due. Returns how many. */
export async function compact(
  context: Context,
  vault: OpenVault,
  heads: Heads,
  due = whenAsked,
): Promise<number> {
  const own = heads.own;
  if (!own) return 0;
  const when = context.world.now();
  const local = await context.db.refs(vaultPrefix(vault.ref));
  const put: Entry[] = [];
  const updates: RefUpdate[] = [];
  for (const entry of own.entries) {
    // As many snapshots as segments at least: without opening it, a session with few cannot be due.
    if (entry.a || entry.k <= due.above) continue;
    const ref = formatRef({ kind: "session", vault: vault.ref, dir: entry.d, replica: own.replica });
    // One that was packed anew has as many snapshots as before: that is seen without opening it.
    const tip = local.get(ref);
    if (!tip || (await segmentsIn(context, tip)) <= due.above) continue;
    const stored = await localCopy(
      vault,
      { replica: own.replica, device: vault.device.id, entry, ref },
      local,
    );
    if (!stored?.commit || !currentStreams(stored.manifest).some((one) => isDue(one, due))) continue;
    const { files, m, seq } = await repack(vault, stored, context.settings.get("codec") === "gz", due);
    const commit = await context.db.commit({ parents: [], files, when });
    put.push({ ...entry, m, q: seq });
    updates.push({ ref, from: stored.commit, to: commit });
  }
  if (put.length > 0) {
    await writeIndex(context, vault, { heads, replica: own.replica, when, change: () => ({ put }), updates });
  }
  return put.length;
}

async function segmentsIn({ db }: Context, commit: Oid): Promise<number> {
  let count = 0;
  for (const path of (await db.files(commit)).keys()) if (path.startsWith("segment/")) count++;
  return count;
}

async function repack(
  vault: OpenVault,
  stored: StoredSession,
  plain: boolean,
  due: Due,
): Promise<{ files: NewFile[]; m: string; seq: number }> {
  const files: NewFile[] = stored.manifest.files.map(({ ct }) => {
    return { path: filePath(ct), content: stored.files.get(filePath(ct))! };
  });
  const work = stored.files.get(workPath);
  if (work) files.push({ path: workPath, content: work });
  const env = stored.manifest.env ? filePath(stored.manifest.env.ct) : "";
  if (stored.files.has(env)) files.push({ path: env, content: stored.files.get(env)! });
  const current = new Set(currentStreams(stored.manifest));
  const streams: StreamRecord[] = [];
  let next = 0;
  for (const stream of stored.manifest.streams) {
    if (current.has(stream) && isDue(stream, due)) {
      const segments: Segment[] = [];
      for await (const { segment, file } of repackStream(vault, stored, stream, next, plain)) {
        next = segment.i + 1;
        segments.push(segment);
        files.push({ path: segmentPath(segment.i), content: file });
      }
      streams.push({ ...stream, segments });
      continue;
    }
    const segments = stream.segments.map((part): Segment => ({ ...part, i: next++ }));
    for (const [at, part] of segments.entries()) {
      const content = stored.files.get(segmentPath(stream.segments[at]!.i))!;
      files.push({ path: segmentPath(part.i), content });
    }
    streams.push({ ...stream, segments });
  }
  const manifest = { ...stored.manifest, streams, seq: stored.manifest.seq + 1 };
  const sealed = await sealManifest(vault, manifest, null);
  return { files: [...files, ...sealed.files], m: sealed.m, seq: manifest.seq };
}

async function* repackStream(
  vault: OpenVault,
  stored: StoredSession,
  stream: StreamRecord,
  firstIndex: number,
  plain: boolean,
): AsyncGenerator<{ segment: Segment; file: Uint8Array }> {
  const spool = vault.newSpool();
  const index = HistoryIndex.start();
  const whole = StreamHash.start();
  let i = firstIndex;
  let off = 0;
  try {
    const bounds = { segment: limits.segmentBytes, line: limits.lineBytes };
    for await (const part of segmentLines(readStream(vault, stored, stream), bounds)) {
      const delta = plain ? null : encode(part.bytes, index, spool.source);
      const payload = delta ? vault.codec.pack(delta.bytes, delta.cuts) : vault.codec.pack(part.bytes);
      const { file, epoch } = await sealFor(vault.keyring, payload);
      const [sha, ct] = [await hashOf(part.bytes), await hashOf(file)];
      const { lines, bytes } = part;
      const enc = delta ? delta.bytes.length : bytes.length;
      const codec = delta ? "vcd" : "gz";
      yield { segment: { i: i++, off, raw: bytes.length, lines, enc, sha, ct, codec, epoch }, file };
      off += bytes.length;
      whole.update(bytes);
      index.extend(bytes);
      spool.append(bytes);
    }
  } finally {
    spool.close();
  }
  if (toBase64url(whole.digest()) !== stream.sha) throw new Error("repacking a stream changed it");
}
