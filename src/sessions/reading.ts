import type { Agent } from "../agents/agent.ts";
import { type Message, messagesOf, type Piece, piecesOf } from "../agents/conversation.ts";
import { type Places, toLocal } from "../agents/portable-paths.ts";
import { isAgentName, loadAgent } from "../agents/registry.ts";
import { readStream, type StoredSession } from "../domains/reader.ts";
import { ConvosyncError, Exit } from "../errors.ts";
import type { Manifest, Snapshot, StreamRecord } from "../packing/manifest.ts";
import { type CatalogEntry, catalog, findSnapshotName, type Heads } from "./catalog.ts";
import { currentBranch, findRemote } from "./chosen-remote.ts";
import { knownHeads, onNewestHeads } from "./fresh-heads.ts";
import { deviceName } from "./heads.ts";
import type { Context } from "./repository.ts";
import { fetchSession } from "./session-fetch.ts";
import type { OpenVault } from "./vault.ts";
import { openWorkplace } from "./workplace.ts";

/** A saved conversation, or one snapshot of it, opened for reading. */
export interface Reading {
  readonly session: CatalogEntry;
  readonly stored: StoredSession;
  /** All copies of the session, `stored` among them. */
  readonly copies: readonly StoredSession[];
  readonly vault: OpenVault;
  /** What the agent is called, its name where this version does not know it. */
  readonly agentTitle: string;
  /** Paths of the work tree begin with it in this machine's form; "" without one. */
  readonly root: string;
  /** The snapshot that was named with `@`; null for the conversation as it stands. */
  readonly snapshot: Snapshot | null;
  /** Generation of the main stream. */
  readonly gen: number;
  /** Lines and bytes of the main stream up to there, as stored. */
  readonly lines: number;
  readonly bytes: number;
  /** The main stream up to there as stored, in whole lines. */
  portable(): AsyncGenerator<Uint8Array>;
  /** The same as this machine would have it. */
  content(): AsyncGenerator<Uint8Array>;
  /** Exit 1 when this version cannot read the agent's conversations. */
  pieces(): AsyncGenerator<Piece>;
  messages(): AsyncGenerator<Message>;
  /** How a device is called. */
  deviceName(id: string): string;
}

/** Where in a session to stop reading. */
export interface ReadingEnd {
  readonly gen: number;
  readonly lines: number;
}

/** Opens the session a person names, `<session>`, `<session>@<n>` or `<session>@<commit>`: from here, or fetched. */
export async function openReading(context: Context, name: string): Promise<Reading> {
  return onNewestHeads(context, await knownHeads(context), ({ vault, heads }) => {
    const { session, at } = findSnapshotName(catalog(heads, vault), name);
    return openSession(context, vault, heads, session, at);
  });
}

/** The same for a session that was found; `at` is what stands behind an `@`, or a place to stop at. */
export async function openSession(
  context: Context,
  vault: OpenVault,
  heads: Heads,
  session: CatalogEntry,
  at: string | null | ((manifest: Manifest) => ReadingEnd),
): Promise<Reading> {
  const remote = await findRemote(context, await currentBranch(context));
  const copies = await fetchSession(context, vault, heads, session, remote);
  const stored = longestOf(copies);
  const { manifest } = stored;
  const snapshot = typeof at === "string" ? findSnapshot(manifest, at) : null;
  const end = typeof at === "function" ? at(manifest) : null;
  const record = streamAt(manifest, end?.gen ?? (snapshot ? (snapshot.gen ?? 0) : null));
  if (snapshot && !record && manifest.streams.some(({ name }) => name === "main"))
    throw dropped(session, snapshot);
  const lines = end?.lines ?? snapshot?.upto["main"]?.[0] ?? record?.lines ?? 0;
  const agent = isAgentName(session.agent) ? await loadAgent(session.agent) : null;
  const place = context.repo.root ? await openWorkplace(context) : null;
  const places = place && agent ? agent.places({ cwd: place.root, workTree: place.root }, place) : null;
  const portable = (): AsyncGenerator<Uint8Array> =>
    firstLines(record ? readStream(vault, stored, record) : noBytes(), lines);
  const content = (): AsyncGenerator<Uint8Array> => inLocalForm(portable(), places);
  const pieces = (): AsyncGenerator<Piece> => piecesOf(content(), readerOf(agent, session));
  return {
    session,
    stored,
    copies,
    vault,
    agentTitle: agent?.title ?? session.agent,
    root: place?.root ?? "",
    snapshot,
    gen: record?.gen ?? 0,
    lines,
    bytes: snapshot?.upto["main"]?.[1] ?? record?.bytes ?? 0,
    portable,
    content,
    pieces,
    messages: () => messagesOf(pieces()),
    deviceName: (id) => deviceName(vault, id),
  };
}

function readerOf(
  agent: Agent | null,
  session: CatalogEntry,
): NonNullable<ReturnType<NonNullable<Agent["reader"]>>> {
  const reader = agent?.reader?.();
  if (reader) return reader;
  throw new ConvosyncError(
    "unsupported-agent",
    Exit.failed,
    `this version cannot read conversations of the agent '${session.agent}'`,
    [`see its own bytes: git convosync show ${session.id} --raw`, "update convosync on this device"],
  );
}

/** Of several copies the one that came furthest; of equal ones the one with the newest snapshot. */
function longestOf(copies: readonly StoredSession[]): StoredSession {
  const rank = ({ manifest }: StoredSession): [number, number, string] => {
    const main = streamAt(manifest, null);
    return [main?.gen ?? 0, main?.bytes ?? 0, manifest.snapshots.at(-1)?.ts ?? ""];
  };
  return [...copies].sort((a, b) => {
    const [x, y] = [rank(a), rank(b)];
    return y[0] - x[0] || y[1] - x[1] || (x[2] < y[2] ? 1 : -1);
  })[0]!;
}

async function* noBytes(): AsyncGenerator<Uint8Array> {}

/** The first so many lines; what follows them is read all the same, because only the whole stream proves itself. */
async function* firstLines(parts: AsyncIterable<Uint8Array>, lines: number): AsyncGenerator<Uint8Array> {
  let left = lines;
  for await (const part of parts) {
    if (left <= 0) continue;
    let end = 0;
    for (; left > 0; left--) {
      const feed = part.indexOf(0x0a, end);
      if (feed < 0) break;
      end = feed + 1;
    }
    if (end > 0) yield part.subarray(0, end);
  }
}

async function* inLocalForm(
  parts: AsyncIterable<Uint8Array>,
  places: Places | null,
): AsyncGenerator<Uint8Array> {
  for await (const part of parts) yield places ? toLocal(part, places, "jsonl") : part;
}

/** A generation of the main stream; null for the newest one. */
function streamAt(manifest: Manifest, gen: number | null): StreamRecord | undefined {
  const main = manifest.streams.filter((one) => one.name === "main").sort((a, b) => b.gen - a.gen);
  return gen === null ? main[0] : main.find((one) => one.gen === gen);
}

const dropped = ({ id }: CatalogEntry, snapshot: Snapshot): ConvosyncError =>
  new ConvosyncError(
    "snapshot-dropped",
    Exit.failed,
    `snapshot ${snapshot.n} belongs to an earlier version of the transcript, which retention has dropped`,
    [`the agent had rewritten its file; read what followed: git convosync show ${id}`],
  );

/**
 * The snapshot a person means by a number or by a commit, at least four digits of it: the first one at that commit,
 * which is the conversation as it stood when the commit was made.
 */
export function findSnapshot({ session, snapshots }: Manifest, at: string): Snapshot {
  const byNumber = /^[0-9]{1,6}$/.test(at) ? snapshots.find((one) => one.n === Number(at)) : undefined;
  const byCommit = /^[0-9a-f]{4,64}$/.test(at) ? snapshots.filter((one) => one.commit?.startsWith(at)) : [];
  const commits = new Set(byCommit.map((one) => one.commit));
  if (byNumber) return byNumber;
  if (commits.size === 1) return byCommit[0]!;
  if (commits.size > 1) {
    throw new ConvosyncError("ambiguous-snapshot", Exit.usage, `'${at}' could be ${commits.size} commits`, [
      "give more digits of the one you mean",
    ]);
  }
  throw new ConvosyncError("snapshot-not-found", Exit.failed, `no snapshot of this session is at '${at}'`, [
    `see its snapshots: git convosync log ${session.slice(0, 8)}`,
  ]);
}
