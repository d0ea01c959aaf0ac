import { readWholeLines } from "../agents/local-files.ts";
import { type Places, toPortable } from "../agents/portable-paths.ts";
import { toBase64url } from "../crypto/encoding.ts";
import { sealFor } from "../crypto/keyring.ts";
import { hashOf, type Vault } from "../domains/sealed-objects.ts";
import { ConvosyncError, Exit } from "../errors.ts";
import { segmentLines } from "../packing/lines.ts";
import {
  type FileRecord,
  filePath,
  limits,
  type Segment,
  type StreamRecord,
  segmentPath,
} from "../packing/manifest.ts";
import { StreamHash } from "../packing/stream-hash.ts";
import type { NewFile, Oid } from "../refs/object-database.ts";
import type { CapturePlan, StreamPlan } from "./capture-plan.ts";
import { type Cursor, examineTail } from "./cursor.ts";
import { DeltaPacker } from "./deltas.ts";
import { freeMemory } from "./free-memory.ts";
import { LocalHistory } from "./local-history.ts";
import type { Context } from "./repository.ts";

/** What a capture stored: the records for the manifest, and the cursor for the next time. */
export interface CaptureResult {
  streams: StreamRecord[];
  files: FileRecord[];
  cursor: Cursor;
}

/**
 * Yields the tree of the session without its manifest: kept blobs by their oid, new ones sealed one at a time,
 * so that memory follows the size of a segment and not of the conversation. Fills `result` on the way.
 */
export async function* captureTree(
  context: Context,
  vault: Vault,
  plan: CapturePlan,
  result: CaptureResult,
): AsyncGenerator<NewFile> {
  const kept = plan.basis?.files ?? new Map<string, Oid>();
  Object.assign(result.cursor, toldFrom(plan));
  const keep = (path: string): NewFile => ({ path, content: kept.get(path)! });
  const known = (plan.basis?.manifest.streams ?? []).flatMap((one) => one.segments.map((part) => part.i));
  const numbers = { next: known.reduce((most, i) => Math.max(most, i + 1), 0), bytes: 0 };
  for (const record of plan.keptStreams) {
    for (const { i } of record.segments) yield keep(segmentPath(i));
    result.streams.push(record);
    numbers.bytes += record.bytes;
  }
  for (const stream of plan.streams) {
    for (const { i } of stream.stored?.segments ?? []) yield keep(segmentPath(i));
    numbers.bytes += stream.stored?.bytes ?? 0;
    if (stream.news || !stream.stored) yield* captureStream(context, vault, plan, stream, numbers, result);
    else {
      result.streams.push(stream.stored);
      noteUnchanged(result.cursor, stream);
    }
  }
  for (const record of plan.keptFiles) {
    yield keep(filePath(record.ct));
    result.files.push(record);
  }
  for (const { source, stored, content, sha, mode, stat: info } of plan.files) {
    result.cursor.files[source.name] = { ...info, sha };
    if (content === null) {
      yield keep(filePath(stored!.ct));
      result.files.push(stored!);
      continue;
    }
    const { file, epoch } = await sealFor(vault.keyring, vault.codec.pack(content));
    const ct = await hashOf(file);
    yield { path: filePath(ct), content: file };
    const form = source.form !== "raw" && plan.places ? { form: source.form } : {};
    const copied = source.copied ? { mode } : {};
    result.files.push({ name: source.name, bytes: content.length, sha, ct, epoch, ...form, ...copied });
  }
}

/** Of so many bytes of segments buffers may lie about before they are freed: most saves have fewer. */
const leftBehind = 4 << 20;

/** Seals what a stream has gained; `numbers` counts segments and bytes of the whole session. */
async function* captureStream(
  context: Context,
  vault: Vault,
  plan: CapturePlan,
  stream: StreamPlan,
  numbers: { next: number; bytes: number },
  result: CaptureResult,
): AsyncGenerator<NewFile> {
  const { source, stored, gen } = stream;
  const hash = stream.hash ?? StreamHash.start();
  const segments: Segment[] = [...(stored?.segments ?? [])];
  let bytes = stored?.bytes ?? 0;
  let lines = stored?.lines ?? 0;
  const packer = await DeltaPacker.open(
    context,
    vault.codec,
    vault.repo,
    `${plan.key} ${gen} ${source.name}`,
    (pieces) => new LocalHistory(source.path, segments, stream.starts, stream.offset, plan.places, pieces),
  );
  const chunks = portableLines(source.path, stream.offset, plan.places);
  try {
    let left = 0;
    for await (const part of segmentLines(chunks, { segment: limits.segmentBytes, line: limits.lineBytes })) {
      numbers.bytes += part.bytes.length;
      if (numbers.next >= limits.segments || numbers.bytes > limits.sessionBytes) throw tooLarge(plan);
      const { payload, codec, enc } = packer.pack(part.bytes);
      const { file, epoch } = await sealFor(vault.keyring, payload);
      if (part.bytes.length > leftBehind) freeMemory();
      const segment: Segment = {
        i: numbers.next++,
        off: bytes,
        raw: part.bytes.length,
        lines: part.lines,
        enc,
        sha: await hashOf(part.bytes),
        ct: await hashOf(file),
        codec,
        epoch,
      };
      segments.push(segment);
      packer.append(segment, part.bytes);
      yield { path: segmentPath(segment.i), content: file };
      hash.update(part.bytes);
      bytes += part.bytes.length;
      lines += part.lines;
      left += part.bytes.length;
      if (left < leftBehind) continue;
      freeMemory();
      left = 0;
    }
  } finally {
    packer.close();
  }
  const record = { name: source.name, gen, lines, bytes, sha: toBase64url(hash.digest()), segments };
  result.streams.push(record);
  note(result.cursor, stream, record, hash, packer.range.end, packer.range.starts);
}

function toldFrom({ places }: CapturePlan): Pick<Cursor, "root"> {
  const root = places?.root[0];
  return root === undefined ? {} : { root };
}

/** The cursor of a conversation of which all is stored. */
export function cursorOf(plan: CapturePlan): Cursor {
  const cursor: Cursor = { v: 1, ...toldFrom(plan), streams: {}, files: {} };
  for (const stream of plan.streams) noteUnchanged(cursor, stream);
  for (const { source, stat, sha } of plan.files) cursor.files[source.name] = { ...stat, sha };
  return cursor;
}

function noteUnchanged(cursor: Cursor, stream: StreamPlan): void {
  const { stored, hash, offset, starts } = stream;
  if (stored && hash) note(cursor, stream, stored, hash, offset, starts);
}

function note(
  cursor: Cursor,
  { source, gen }: StreamPlan,
  record: StreamRecord,
  hash: StreamHash,
  offset: number,
  starts: readonly number[],
): void {
  const at = examineTail(source.path, offset);
  if (!at) return;
  const { ino, tail } = at;
  const { bytes, lines, sha } = record;
  const state = hash.save();
  cursor.streams[source.name] = {
    ino,
    offset,
    tail,
    gen,
    bytes,
    lines,
    sha,
    state,
    starts: [...starts],
  };
}

async function* portableLines(path: string, from: number, places: Places | null): AsyncGenerator<Uint8Array> {
  for await (const chunk of readWholeLines(path, from))
    yield places ? toPortable(chunk, places, "jsonl") : chunk;
}

function tooLarge(plan: CapturePlan): ConvosyncError {
  const bounds = `${limits.sessionBytes >> 20} MiB or ${limits.segments} segments`;
  return new ConvosyncError(
    "session-too-large",
    Exit.failed,
    `conversation ${plan.found.id} exceeds ${bounds}`,
    [
      "start a new conversation; what is saved of this one stays saved",
      "if it was saved very many times, repack it: git convosync gc",
    ],
  );
}
