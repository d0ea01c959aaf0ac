import { existsSync } from "node:fs";
import { open, readFile, stat } from "node:fs/promises";
import { isAbsolute } from "node:path";
import type { Agent, FileSource, FoundSession, StreamSource, Workplace } from "../agents/agent.ts";
import { readWholeLines } from "../agents/local-files.ts";
import { type Places, toLocal, toPortable } from "../agents/portable-paths.ts";
import { readStream, type StoredSession } from "../domains/reader.ts";
import { hashOf, type Vault } from "../domains/sealed-objects.ts";
import { relateVersions } from "../domains/sessions.ts";
import { ConvosyncError, Exit } from "../errors.ts";
import { currentStreams, type FileRecord, limits, type StreamRecord } from "../packing/manifest.ts";
import { StreamHash } from "../packing/stream-hash.ts";
import { vaultPrefix } from "../refs/names.ts";
import type { CatalogEntry, Copy } from "./catalog.ts";
import { type Cursor, examineTail, isAbout, readCursor } from "./cursor.ts";
import type { Context } from "./repository.ts";
import { localCopy } from "./session-fetch.ts";
import { placesIn, rootOf } from "./told-root.ts";
import type { OpenVault } from "./vault.ts";
import { comparable } from "./versions.ts";

/**
 * Capture: from the agent's files to sealed segments. `planCapture` finds out, reading only what is new, where
 * the agent's files go beyond what is stored; `captureTree` (capture.ts) then streams the new segments and records them.
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
  readonly leftOut: readonly LeftOut[];
  /** Whether anything is new. */
  readonly news: boolean;
  /** Whether there was a cursor: else the whole file was compared. */
  readonly remembered: boolean;
  readonly places: Places | null;
}

/** A file beside the conversation that cannot be stored; what is stored of it from before is kept. */
export interface LeftOut {
  readonly name: string;
  /** Absolute. */
  readonly path: string;
  readonly why: "too-large" | "unreadable";
}

export interface StreamPlan {
  readonly source: StreamSource;
  /** The stream as stored so far; its segments stay. */
  readonly stored: StreamRecord | null;
  readonly gen: number;
  /** Bytes of the agent's file that are stored. */
  readonly offset: number;
  /** The stored stream's hash, to be continued; null when the agent's file holds less than is stored. */
  readonly hash: StreamHash | null;
  /** Where the stored segments begin in the agent's file. */
  readonly starts: readonly number[];
  readonly news: boolean;
}

interface FilePlan {
  readonly source: FileSource;
  readonly stored: FileRecord | null;
  readonly stat: { readonly ino: number; readonly size: number; readonly mtimeMs: number };
  /** The content to store, in portable form; null when what is stored is still right. */
  readonly content: Uint8Array | null;
  readonly sha: string;
  readonly mode: number;
}

export async function planCapture(
  context: Context,
  vault: OpenVault,
  agent: Agent,
  found: FoundSession,
  place: Workplace,
  known: { session: CatalogEntry | null; replica: string | null; rawPaths: boolean },
): Promise<CapturePlan> {
  const key = `${agent.name}:${found.id}`;
  const remembered = await readCursor(context, vault.device.id, key);
  const places = known.rawPaths
    ? null
    : await placesOf(context, vault, agent, found, place, remembered, known);
  // Told from elsewhere now, what is stored may be another text: then it is compared with the file.
  const cursor = remembered.root === places?.root[0] ? remembered : { ...remembered, streams: {}, files: {} };
  const inventory = await agent.inventory(found, place);
  const main = inventory.streams.find((one) => one.name === "main");
  if (!main || !existsSync(main.path)) {
    throw new ConvosyncError("no-transcript", Exit.failed, `session ${found.id} has no transcript`, [
      "its agent has removed the file meanwhile; what was saved of it before stays saved",
      "a commit that was made stands; see it and what is not pushed: git status",
    ]);
  }
  const basis = await chooseBasis(context, vault, main, cursor, places, known.session, known.replica);
  const records = new Map((basis ? currentStreams(basis.manifest) : []).map((one) => [one.name, one]));
  const streams: StreamPlan[] = [];
  for (const source of inventory.streams) {
    streams.push(await planStream(vault, source, basis, records.get(source.name) ?? null, cursor, places));
  }
  const fileRecords = new Map((basis?.manifest.files ?? []).map((one) => [one.name, one]));
  const files: FilePlan[] = [];
  const leftOut: LeftOut[] = (inventory.unreadable ?? []).map((one) => ({ ...one, why: "unreadable" }));
  for (const source of inventory.files) {
    const plan = await planFile(source, fileRecords.get(source.name) ?? null, cursor, places);
    if (plan === "too-large") leftOut.push({ name: source.name, path: source.path, why: plan });
    else if (plan) files.push(plan);
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
    leftOut,
    news: streams.some((one) => one.news) || files.some((one) => one.content !== null),
    remembered: cursor.streams["main"] !== undefined,
    places,
  };
}

/**
 * The paths that are made portable. What was told from elsewhere, as the project was moved since, the work tree was removed, or
 * the agent took it here from another clone, is told from there still. The cursor knows; without one, what is stored and what
 * is here tell.
 */
async function placesOf(
  context: Context,
  vault: OpenVault,
  agent: Agent,
  found: FoundSession,
  place: Workplace,
  cursor: Cursor,
  { session, replica }: { session: CatalogEntry | null; replica: string | null },
): Promise<Places> {
  const places = agent.places(found, place);
  const from = (root: string): Places => placesIn(agent, found, root, place);
  const { root: known } = cursor;
  if (known === places.root[0]) return places;
  if (known !== undefined && isAbout(cursor, found.path))
    return isElsewhere(known, place) ? from(known) : places;
  const copy = session && (session.copies.find((one) => one.replica === replica) ?? session.newest);
  const stored = copy && (await localCopy(vault, copy, await context.db.refs(vaultPrefix(vault.ref))));
  const root = stored && (await rootOf(vault, stored, found.path, places));
  return root && isElsewhere(root, place) ? from(root) : places;
}

/** Whether a root is of no work tree here, or no more: the agent may also have taken it here from another clone. */
const isElsewhere = (root: string, { worktrees }: Workplace): boolean =>
  isAbsolute(root) && !worktrees.includes(root);

/**
 * The stored version that the local transcript continues. The cursor names it at once; without one, each
 * candidate, longest first, is compared with the file byte by byte in local form.
 */
async function chooseBasis(
  context: Context,
  vault: OpenVault,
  main: StreamSource,
  cursor: Cursor,
  places: Places | null,
  session: CatalogEntry | null,
  replica: string | null,
): Promise<StoredSession | null> {
  if (!session) return null;
  const refs = await context.db.refs(vaultPrefix(vault.ref));
  const load = (copy: Copy): Promise<StoredSession | null> => localCopy(vault, copy, refs);
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
    if (own && !(await contains(vault, stored, own))) continue;
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

async function contains(vault: Vault, one: StoredSession, other: StoredSession): Promise<boolean> {
  const [a, b] = await comparable(vault, [other, one]);
  return ["behind", "equal"].includes(relateVersions(a!, b!));
}

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
      starts: [],
      news: await hasLineAfter(source.path, 0),
    };
  }
  const at = cursor.streams[source.name];
  if (at && at.gen === stored.gen && at.sha === stored.sha && at.bytes === stored.bytes) {
    const now = examineTail(source.path, at.offset);
    const aligned = at.starts.length === stored.segments.length;
    const hash = resumeHash(at.state);
    if (now && hash && aligned && now.ino === at.ino && now.tail === at.tail) {
      const news = now.size > at.offset && (await hasLineAfter(source.path, at.offset));
      return { source, stored, gen: stored.gen, offset: at.offset, hash, starts: at.starts, news };
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
      starts: [],
      news: await hasLineAfter(source.path, 0),
    };
  }
  const { relation, offset, hash, starts } = compared;
  const news = relation === "prefix" && (await hasLineAfter(source.path, offset));
  return { source, stored, gen: stored.gen, offset, hash: relation === "prefix" ? hash : null, starts, news };
}

/** Null when the remembered state is damaged: then the file is compared with what is stored. */
function resumeHash(state: string): StreamHash | null {
  try {
    return StreamHash.resume(state);
  } catch {
    return null;
  }
}

type Compared =
  | { readonly relation: "different" }
  | {
      /** `behind`: the file holds only the beginning of what is stored, an older copy that never replaces it. */
      readonly relation: "prefix" | "behind";
      readonly offset: number;
      readonly hash: StreamHash;
      readonly starts: readonly number[];
    };

/** Compares a stored stream, in this machine's form, with the beginning of a file. */
async function compareWithFile(
  vault: Vault,
  session: StoredSession,
  record: StreamRecord,
  path: string,
  places: Places | null,
): Promise<Compared> {
  const handle = await open(path, "r").catch(() => null);
  const hash = StreamHash.start();
  const starts: number[] = [];
  let offset = 0;
  if (!handle) return { relation: "behind", offset, hash, starts };
  try {
    for await (const part of readStream(vault, session, record)) {
      const local = places ? toLocal(part, places, "jsonl") : part;
      const chunk = Buffer.alloc(local.length);
      const { bytesRead } = await handle.read(chunk, 0, chunk.length, offset);
      if (Buffer.compare(chunk.subarray(0, bytesRead), local.subarray(0, bytesRead)) !== 0) {
        return { relation: "different" };
      }
      starts.push(offset);
      offset += bytesRead;
      hash.update(part);
      if (bytesRead < local.length) return { relation: "behind", offset, hash, starts };
    }
    return { relation: "prefix", offset, hash, starts };
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
): Promise<FilePlan | "too-large" | null> {
  const info = await stat(source.path).catch(() => null);
  if (!info) return null;
  if (info.size > limits.fileBytes) return "too-large";
  const at = cursor.files[source.name];
  const now = { ino: info.ino, size: info.size, mtimeMs: info.mtimeMs };
  const mode = info.mode & 0o777;
  if (
    stored &&
    at &&
    at.ino === now.ino &&
    at.size === now.size &&
    at.mtimeMs === now.mtimeMs &&
    at.sha === stored.sha
  ) {
    return { source, stored, stat: now, content: null, sha: stored.sha, mode };
  }
  const raw = await readFile(source.path);
  const content = source.form !== "raw" && places ? toPortable(raw, places, source.form) : raw;
  if (content.length > limits.fileBytes) return "too-large";
  const sha = await hashOf(content);
  return { source, stored, stat: now, content: stored?.sha === sha ? null : content, sha, mode };
}
