import type { Agent } from "../agents/agent.ts";
import { joinLines, joinLongest } from "../agents/line-logs.ts";
import { toBase64url } from "../crypto/encoding.ts";
import { sealFor } from "../crypto/keyring.ts";
import type { Entry } from "../domains/head.ts";
import { joinVersions } from "../domains/join.ts";
import { readStream, type StoredSession } from "../domains/reader.ts";
import { hashOf } from "../domains/sealed-objects.ts";
import { sealManifest } from "../domains/writer.ts";
import { ConvosyncError, Exit } from "../errors.ts";
import { segmentLines } from "../packing/lines.ts";
import {
  currentStreams,
  filePath,
  limits,
  type Manifest,
  mainStream,
  type Segment,
  type Snapshot,
  type StreamRecord,
  segmentPath,
  workPath,
} from "../packing/manifest.ts";
import { StreamHash } from "../packing/stream-hash.ts";
import { formatRef, vaultPrefix } from "../refs/names.ts";
import type { NewFile } from "../refs/object-database.ts";
import { type CatalogEntry, catalog, type Heads } from "./catalog.ts";
import { loadHeads } from "./heads.ts";
import { writeIndex } from "./index-writer.ts";
import type { Context } from "./repository.ts";
import { localCopy } from "./session-fetch.ts";
import { cutText } from "./titles.ts";
import { type OpenVault, ownReplica } from "./vault.ts";

/**
 * Writes versions of a session that went on separately as one version of this replica, which is ahead of all of them
 * (domains/join.ts). The first one goes on; with an agent whose files can hold several, all their lines do. What
 * is stored already is taken over as it is sealed; of another session with an id of its own inside, only the lines are, under
 * this one's. `code` is the version whose commit and branch hold now. Returns the new version, read back and proved.
 */
export async function writeJoined(
  context: Context,
  vault: OpenVault,
  heads: Heads,
  session: CatalogEntry,
  versions: readonly StoredSession[],
  agent: JoiningAgent | null,
  code: StoredSession,
): Promise<StoredSession> {
  const replica = await ownReplica(context, vault);
  const when = context.world.now();
  const merged = agent ? await mergeLines(vault, versions, agent, session.id) : null;
  const ordered = (merged?.order ?? [...versions.keys()])
    .map((at) => versions[at]!)
    .filter((one) => !agent?.withId || one.manifest.session === session.id);
  const joined = joinVersions(ordered.map((one) => one.manifest));
  const files: NewFile[] = [];
  for (const { record, from } of joined.streams) {
    for (const [at, { version, i }] of from.entries())
      files.push({
        path: segmentPath(record.segments[at]!.i),
        content: ordered[version]!.files.get(segmentPath(i))!,
      });
  }
  for (const { record, version } of joined.files)
    files.push({ path: filePath(record.ct), content: ordered[version]!.files.get(filePath(record.ct))! });
  const work = code.manifest.snapshots.at(-1)?.wip ? code.files.get(workPath) : undefined;
  if (work) files.push({ path: workPath, content: work });
  const carrying = ordered.find((one) => one.manifest.env);
  const env = carrying?.manifest.env;
  const variables = env && carrying.files.get(filePath(env.ct));
  if (variables) files.push({ path: filePath(env.ct), content: variables });
  const records = joined.streams.map(({ record }) => record);
  const main = mainStream({ streams: records } as Manifest)!;
  const next = records.reduce((sum, one) => sum + one.segments.length, 0);
  const grown = merged ? await sealLines(vault, main, merged, next) : { record: main, files: [] };
  const streams = records.map((one) => (one === main ? grown.record : one));
  checkSize(streams, session);
  const unique = new Map([...files, ...grown.files].map((one) => [one.path, one]));

  const first = ordered[0]!.manifest;
  const manifest: Manifest = {
    ...first,
    ...(env && { env }),
    replica,
    agent: session.agent,
    session: session.id,
    seq: Math.max(...ordered.map((one) => one.manifest.seq)) + 1,
    streams,
    files: joined.files.map(({ record }) => record),
    snapshots: [...joined.snapshots, lastSnapshot(code, joined.snapshots, streams, vault.device.id, when)],
    links: merged ? mergeLinks(versions, merged) : first.links,
    pages: [],
    joined: [...joined.joined],
    ...(joined.dropped.length > 0 && { dropped: [...joined.dropped] }),
  };
  const sealed = await sealManifest(vault, manifest, null);
  const dir = session.newest.entry.d;
  const ref = formatRef({ kind: "session", vault: vault.ref, dir, replica });
  const tip = (await context.db.refs(vaultPrefix(vault.ref))).get(ref) ?? null;
  const parents = [tip, ...ordered.map((one) => one.commit)].filter((oid) => oid !== null);
  await writeIndex(context, vault, {
    heads,
    replica,
    when,
    change: () => ({ put: [entryFor(session, manifest, sealed.m)] }),
    commits: [{ parents: [...new Set(parents)], files: [...unique.values(), ...sealed.files], when }],
    refs: [{ ref, from: tip }],
  });
  return readOwn(context, vault, session.key, replica);
}

async function readOwn(
  context: Context,
  vault: OpenVault,
  key: string,
  replica: string,
): Promise<StoredSession> {
  const session = catalog(await loadHeads(context, vault), vault).find((one) => one.key === key);
  const copy = session?.copies.find((one) => one.replica === replica);
  const stored = copy && (await localCopy(vault, copy, await context.db.refs(vaultPrefix(vault.ref))));
  if (!stored) throw new Error("a version that was just written cannot be read back");
  return stored;
}

type JoiningAgent = Pick<Agent, "withId"> & Required<Pick<Agent, "joinLogs">>;

export const joins = (agent: Agent): agent is Agent & JoiningAgent => agent.joinLogs !== undefined;

interface Merged {
  readonly order: readonly number[];
  readonly base: Uint8Array;
  readonly added: readonly Uint8Array[];
  readonly places: readonly (readonly number[])[];
}

/** The main streams, as stored, joined line by line; they are held in memory, which only this rare case needs. */
async function mergeLines(
  vault: OpenVault,
  versions: readonly StoredSession[],
  { joinLogs, withId }: JoiningAgent,
  session: string,
): Promise<Merged> {
  const logs: Uint8Array[] = [];
  for (const one of versions) {
    const log = await wholeStream(vault, one);
    const from = one.manifest.session;
    logs.push(from === session ? log : (withId?.(log, from, session) ?? log));
  }
  const own = versions.findIndex((one) => one.manifest.session === session);
  const foreign = withId && versions.some((one) => one.manifest.session !== session);
  // What others are added to has to be stored as it is.
  const joined = foreign
    ? joinLines(logs, [own, ...[...logs.keys()].filter((at) => at !== own)])
    : joinLongest(logs, joinLogs);
  return { ...joined, base: logs[joined.order[0]!]! };
}

export async function wholeStream(vault: OpenVault, stored: StoredSession): Promise<Uint8Array> {
  const record = mainStream(stored.manifest);
  const parts: Uint8Array[] = [];
  for await (const part of record ? readStream(vault, stored, record) : []) parts.push(part.slice());
  return Buffer.concat(parts);
}

async function sealLines(
  vault: OpenVault,
  main: StreamRecord,
  { base, added }: Merged,
  next: number,
): Promise<{ record: StreamRecord; files: NewFile[] }> {
  const hash = StreamHash.start();
  hash.update(base);
  if (toBase64url(hash.digest()) !== main.sha) throw new Error("lines would be added to another log");
  const segments: Segment[] = [...main.segments];
  const files: NewFile[] = [];
  let { bytes, lines } = main;
  const bounds = { segment: limits.segmentBytes, line: limits.lineBytes };
  for await (const part of segmentLines(added, bounds)) {
    const { file, epoch } = await sealFor(vault.keyring, vault.codec.pack(part.bytes));
    const raw = part.bytes.length;
    const [sha, ct] = [await hashOf(part.bytes), await hashOf(file)];
    const segment: Segment = {
      i: next++,
      off: bytes,
      raw,
      lines: part.lines,
      enc: raw,
      sha,
      ct,
      codec: "gz",
      epoch,
    };
    segments.push(segment);
    files.push({ path: segmentPath(segment.i), content: file });
    hash.update(part.bytes);
    bytes += raw;
    lines += part.lines;
  }
  return { record: { ...main, bytes, lines, sha: toBase64url(hash.digest()), segments }, files };
}

function checkSize(streams: readonly StreamRecord[], session: CatalogEntry): void {
  const bytes = streams.reduce((sum, one) => sum + one.bytes, 0);
  const segments = streams.reduce((sum, one) => sum + one.segments.length, 0);
  if (bytes <= limits.sessionBytes && segments < limits.segments) return;
  throw new ConvosyncError(
    "session-too-large",
    Exit.failed,
    `the versions of ${session.id.slice(0, 8)} together are larger than ${limits.sessionBytes >> 20} MiB`,
    [`make one a session of its own: git convosync fork ${session.id.slice(0, 8)}`],
  );
}

function lastSnapshot(
  { manifest }: StoredSession,
  snapshots: readonly Snapshot[],
  streams: readonly StreamRecord[],
  device: string,
  when: Date,
): Snapshot {
  const from = manifest.snapshots.at(-1);
  const current = currentStreams({ streams: [...streams] } as Manifest);
  const gen = current.find((one) => one.name === "main")?.gen ?? 0;
  return {
    n: (snapshots.at(-1)?.n ?? 0) + 1,
    ts: when.toISOString(),
    device,
    via: "save",
    upto: Object.fromEntries(current.map((one) => [one.name, [one.lines, one.bytes]])),
    ...(gen > 0 && { gen }),
    commit: from?.commit ?? null,
    branch: from?.branch ?? null,
    message: from?.message ?? "",
    wip: from?.wip ?? null,
  };
}

/** The links of all versions, each at the place its line has now. */
function mergeLinks(versions: readonly StoredSession[], { places }: Merged): Manifest["links"] {
  const all = versions.flatMap(({ manifest }, at) =>
    manifest.links.map((one) => ({
      ...one,
      upto: one.upto === 0 ? 0 : (places[at]![one.upto - 1] ?? one.upto),
    })),
  );
  const unique = new Map(all.map((one) => [`${one.upto} ${one.commit} ${one.branch}`, one]));
  return [...unique.values()].sort((a, b) => a.upto - b.upto);
}

function entryFor(session: CatalogEntry, manifest: Manifest, m: string): Entry {
  const { a: _folded, ...entry } = session.newest.entry;
  const main = mainStream(manifest);
  const last = manifest.snapshots.at(-1)!;
  return {
    ...entry,
    q: manifest.seq,
    m,
    n: main?.lines ?? 0,
    b: main?.bytes ?? 0,
    br: last.branch,
    c: last.commit,
    k: last.n,
    msg: cutText(last.message),
    at: last.ts,
  };
}
