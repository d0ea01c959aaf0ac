import { open, readFile, stat } from "node:fs/promises";
import type { Agent, FileSource, FoundSession, StreamSource, Workplace } from "../agents/agent.ts";
import { readWholeLines } from "../agents/local-files.ts";
import { type Places, toLocal, toPortable } from "../agents/portable-paths.ts";
import { toBase64url } from "../crypto/encoding.ts";
import { sealFor } from "../crypto/keyring.ts";
import { hashOf, readSession, readStream, type StoredSession, type Vault } from "../domains/reader.ts";
import { relateVersions } from "../domains/sessions.ts";
import { ConvosyncError, Exit } from "../errors.ts";
import { segmentLines } from "../packing/lines.ts";
import {
  currentStreams,
  type FileRecord,
  filePath,
  limits,
  type Segment,
  type StreamRecord,
  segmentPath,
} from "../packing/manifest.ts";
import { StreamHash } from "../packing/stream-hash.ts";
import type { Oid } from "../refs/object-database.ts";
import { type Cursor, examineTail, readCursor } from "./cursor.ts";
import type { CatalogEntry, Copy } from "./heads.ts";
import type { Context } from "./repository.ts";

/**
 * Capture: from the agent's files to sealed segments. `planCapture` finds out, reading only what is new, where
 * the agent's files go beyond what is stored; `captureTree` then streams the new segments and records them.
 */
export interface CapturePlan {
  readonly agent: Agent;
  readonly found: FoundSession;
  readonly key: string;
  /** The stored version that the agent's files continue; null when there is none. */
  readonly basis: StoredSession | null;
  readonly streams: readonly StreamPlan[];
  readonly files: readonly FilePlan[];
  /** Streams and files of the basis that the agent no longer has; they are kept. */
  readonly keptStreams: readonly StreamRecord[];
  readonly keptFiles: readonly FileRecord[];
  /** Whether anything is new. */
  readonly news: boolean;
  readonly places: Places | null;
}

interface StreamPlan {
  readonly source: StreamSource;
  /** The stream as stored so far; its segments stay. */
  readonly stored: StreamRecord | null;
  readonly gen: number;
  /** Bytes of the agent's file that are stored. */
  readonly offset: number;
  readonly hash: StreamHash;
  readonly news: boolean;
}

interface FilePlan {
  readonly source: FileSource;
  readonly stored: FileRecord | null;
  readonly stat: { readonly ino: number; readonly size: number; readonly mtimeMs: number };
  /** The content to store, in portable form; null when what is stored is still right. */
  readonly content: Uint8Array | null;
  readonly sha: string;
}

export async function planCapture(
  context: Context,
  vault: Vault,
  agent: Agent,
  found: FoundSession,
  place: Workplace,
  known: { session: CatalogEntry | null; replica: string | null; rawPaths: boolean },
): Promise<CapturePlan> {
  const key = `${agent.name}:${found.id}`;
  const places = known.rawPaths ? null : agent.places(found, place);
  const inventory = await agent.inventory(found, place);
  const cursor = await readCursor(context, key);
  const main = inventory.streams.find((one) => one.name === "main");
  if (!main) throw new ConvosyncError("no-transcript", Exit.failed, `session ${found.id} has no transcript`);
  const basis = await chooseBasis(context, vault, main, cursor, places, known.session, known.replica);
  const records = new Map((basis ? currentStreams(basis.manifest) : []).map((one) => [one.name, one]));
  const streams: StreamPlan[] = [];
  for (const source of inventory.streams) {
    streams.push(await planStream(vault, source, basis, records.get(source.name) ?? null, cursor, places));
  }
  const fileRecords = new Map((basis?.manifest.files ?? []).map((one) => [one.name, one]));
  const files: FilePlan[] = [];
  for (const source of inventory.files) {
    const plan = await planFile(source, fileRecords.get(source.name) ?? null, cursor, places);
    if (plan) files.push(plan);
  }
  const present = new Set(streams.map((one) => `${one.source.name}\0${one.gen}`));
  const presentFiles = new Set(files.map((one) => one.source.name));
  return {
    agent,
    found,
    key,
    basis,
    streams,
    files,
    keptStreams: (basis?.manifest.streams ?? []).filter((one) => !present.has(`${one.name}\0${one.gen}`)),
    keptFiles: (basis?.manifest.files ?? []).filter((one) => !presentFiles.has(one.name)),
    news: streams.some((one) => one.news) || files.some((one) => one.content !== null),
    places,
  };
}

/**
 * The stored version that the local transcript continues. The cursor names it at once; without one, each
 * candidate, longest first, is compared with the file byte by byte in local form.
 */
async function chooseBasis(
  context: Context,
  vault: Vault,
  main: StreamSource,
  cursor: Cursor,
  places: Places | null,
  session: CatalogEntry | null,
  replica: string | null,
): Promise<StoredSession | null> {
  if (!session) return null;
  const refs = await context.db.refs(session.copies[0]!.ref.replace(/[^/]+$/, ""));
  const load = async (copy: Copy): Promise<StoredSession | null> => {
    const commit = refs.get(copy.ref);
    return commit ? readSession(vault, copy.replica, copy.entry, commit) : null;
  };
  const ownCopy = session.copies.find((copy) => copy.replica === replica);
  const own = ownCopy ? await load(ownCopy) : null;
  const at = cursor.streams["main"];
  const matches = (stored: StoredSession | null): boolean => {
    const record = stored && currentStreams(stored.manifest).find((one) => one.name === "main");
    return !!record && !!at && record.gen === at.gen && record.sha === at.sha && record.bytes === at.bytes;
  };
  if (matches(own)) return own;
  const candidates: StoredSession[] = own ? [own] : [];
  for (const copy of session.copies.filter((one) => one !== ownCopy).sort((a, b) => b.entry.b - a.entry.b)) {
    const stored = await load(copy);
    if (!stored) continue;
    // Taking another's version as basis must not leave behind anything that only our own has.
    if (own && !["behind", "equal"].includes(relateVersions(version(own), version(stored)))) continue;
    if (matches(stored)) return stored;
    candidates.push(stored);
  }
  const size = (stored: StoredSession): number =>
    currentStreams(stored.manifest).find((one) => one.name === "main")?.bytes ?? 0;
  candidates.sort((a, b) => size(b) - size(a));
  for (const stored of candidates) {
    const record = currentStreams(stored.manifest).find((one) => one.name === "main");
    if (record && (await compareWithFile(vault, stored, record, main.path, places)).relation === "prefix")
      return stored;
  }
  return own ?? null;
}

const version = (stored: StoredSession) => ({ replica: stored.replica, manifest: stored.manifest });

async function planStream(
  vault: Vault,
  source: StreamSource,
  basis: StoredSession | null,
  stored: StreamRecord | null,
  cursor: Cursor,
  places: Places | null,
): Promise<StreamPlan> {
  if (!stored || !basis) {
    return {
      source,
      stored: null,
      gen: 0,
      offset: 0,
      hash: StreamHash.start(),
      news: await hasLineAfter(source.path, 0),
    };
  }
  const at = cursor.streams[source.name];
  if (at && at.gen === stored.gen && at.sha === stored.sha && at.bytes === stored.bytes) {
    const now = await examineTail(source.path, at.offset);
    if (now && now.ino === at.ino && now.tail === at.tail) {
      const news = now.size > at.offset && (await hasLineAfter(source.path, at.offset));
      return { source, stored, gen: stored.gen, offset: at.offset, hash: StreamHash.resume(at.state), news };
    }
  }
  const compared = await compareWithFile(vault, basis, stored, source.path, places);
  if (compared.relation === "different") {
    const gen =
      Math.max(...basis.manifest.streams.filter((one) => one.name === source.name).map((one) => one.gen)) + 1;
    return {
      source,
      stored: null,
      gen,
      offset: 0,
      hash: StreamHash.start(),
      news: await hasLineAfter(source.path, 0),
    };
  }
  const news = compared.relation === "prefix" && (await hasLineAfter(source.path, compared.offset));
  return { source, stored, gen: stored.gen, offset: compared.offset, hash: compared.hash, news };
}

type Compared =
  | { relation: "prefix"; offset: number; hash: StreamHash }
  /** The file holds only the beginning of what is stored: an older copy, which never replaces a longer one. */
  | { relation: "behind"; offset: number; hash: StreamHash }
  | { relation: "different" };

/** Compares a stored stream, in this machine's form, with the beginning of a file. */
async function compareWithFile(
  vault: Vault,
  session: StoredSession,
  record: StreamRecord,
  path: string,
  places: Places | null,
): Promise<Compared> {
  const handle = await open(path, "r").catch(() => null);
  if (!handle) return { relation: "behind", offset: 0, hash: StreamHash.start() };
  try {
    const hash = StreamHash.start();
    let offset = 0;
    for await (const part of readStream(vault, session, record)) {
      const local = places ? toLocal(part, places, "jsonl") : part;
      const chunk = Buffer.alloc(local.length);
      const { bytesRead } = await handle.read(chunk, 0, chunk.length, offset);
      if (Buffer.compare(chunk.subarray(0, bytesRead), local.subarray(0, bytesRead)) !== 0) {
        return { relation: "different" };
      }
      offset += bytesRead;
      hash.update(part);
      if (bytesRead < local.length) return { relation: "behind", offset, hash };
    }
    return { relation: "prefix", offset, hash };
  } finally {
    await handle.close();
  }
}

async function hasLineAfter(path: string, offset: number): Promise<boolean> {
  for await (const chunk of readWholeLines(path, offset)) {
    if (chunk.length > 0) return true;
  }
  return false;
}

async function planFile(
  source: FileSource,
  stored: FileRecord | null,
  cursor: Cursor,
  places: Places | null,
): Promise<FilePlan | null> {
  const info = await stat(source.path).catch(() => null);
  if (!info) return null;
  if (info.size > limits.lineBytes) {
    throw new ConvosyncError(
      "file-too-large",
      Exit.failed,
      `'${source.name}' of the conversation is larger than 32 MiB`,
    );
  }
  const at = cursor.files[source.name];
  const now = { ino: info.ino, size: info.size, mtimeMs: info.mtimeMs };
  if (
    stored &&
    at &&
    at.ino === now.ino &&
    at.size === now.size &&
    at.mtimeMs === now.mtimeMs &&
    at.sha === stored.sha
  ) {
    return { source, stored, stat: now, content: null, sha: stored.sha };
  }
  const raw = await readFile(source.path);
  const content = source.form !== "raw" && places ? toPortable(raw, places, source.form) : raw;
  const sha = await hashOf(content);
  return { source, stored, stat: now, content: stored?.sha === sha ? null : content, sha };
}

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
  vault: Vault,
  plan: CapturePlan,
  result: CaptureResult,
): AsyncGenerator<{ path: string; content: Uint8Array | Oid }> {
  const kept = plan.basis?.files ?? new Map<string, Oid>();
  const keepSegments = function* (record: StreamRecord) {
    for (const { i } of record.segments) yield { path: segmentPath(i), content: kept.get(segmentPath(i))! };
  };
  let next =
    1 +
    Math.max(
      -1,
      ...(plan.basis?.manifest.streams ?? []).flatMap((one) => one.segments.map((part) => part.i)),
    );
  let total = 0;
  for (const record of plan.keptStreams) {
    yield* keepSegments(record);
    result.streams.push(record);
    total += record.bytes;
  }
  for (const stream of plan.streams) {
    if (stream.stored) yield* keepSegments(stream.stored);
    const segments: Segment[] = [...(stream.stored?.segments ?? [])];
    const progress = { offset: stream.offset };
    let bytes = stream.stored?.bytes ?? 0;
    let lines = stream.stored?.lines ?? 0;
    const chunks = stream.news ? portableLines(stream, plan.places, progress) : [];
    for await (const part of segmentLines(chunks, { segment: limits.segmentBytes, line: limits.lineBytes })) {
      if (next >= limits.segments || total + bytes + part.bytes.length > limits.sessionBytes)
        throw tooLarge(plan);
      const payload = vault.codec.pack(part.bytes);
      const { file, epoch } = await sealFor(vault.keyring, payload);
      segments.push({
        i: next,
        off: bytes,
        raw: part.bytes.length,
        lines: part.lines,
        enc: part.bytes.length,
        sha: await hashOf(part.bytes),
        ct: await hashOf(file),
        codec: "gz",
        epoch,
      });
      yield { path: segmentPath(next++), content: file };
      stream.hash.update(part.bytes);
      bytes += part.bytes.length;
      lines += part.lines;
    }
    total += bytes;
    const sha = toBase64url(stream.hash.digest());
    result.streams.push({ name: stream.source.name, gen: stream.gen, lines, bytes, sha, segments });
    const at = await examineTail(stream.source.path, progress.offset);
    if (at) {
      const { ino, tail } = at;
      const state = stream.hash.save();
      result.cursor.streams[stream.source.name] = {
        ino,
        offset: progress.offset,
        tail,
        gen: stream.gen,
        bytes,
        lines,
        sha,
        state,
      };
    }
  }
  for (const record of plan.keptFiles) {
    yield { path: filePath(record.ct), content: kept.get(filePath(record.ct))! };
    result.files.push(record);
  }
  for (const { source, stored, content, sha, stat: info } of plan.files) {
    result.cursor.files[source.name] = { ...info, sha };
    if (content === null) {
      yield { path: filePath(stored!.ct), content: kept.get(filePath(stored!.ct))! };
      result.files.push(stored!);
      continue;
    }
    const { file, epoch } = await sealFor(vault.keyring, vault.codec.pack(content));
    const ct = await hashOf(file);
    yield { path: filePath(ct), content: file };
    const form = source.form !== "raw" && plan.places ? { form: source.form } : {};
    result.files.push({ name: source.name, bytes: content.length, sha, ct, epoch, ...form });
  }
}

async function* portableLines(
  stream: StreamPlan,
  places: Places | null,
  progress: { offset: number },
): AsyncGenerator<Uint8Array> {
  for await (const chunk of readWholeLines(stream.source.path, stream.offset)) {
    yield places ? toPortable(chunk, places, "jsonl") : chunk;
    progress.offset += chunk.length;
  }
}

function tooLarge(plan: CapturePlan): ConvosyncError {
  return new ConvosyncError(
    "session-too-large",
    Exit.failed,
    `the conversation ${plan.found.id} is larger than ${limits.sessionBytes >> 20} MiB`,
    ["start a new conversation; what is saved of this one stays saved"],
  );
}
