import { type Places, toLocal } from "../agents/portable-paths.ts";
import { isAgentName, loadAgent } from "../agents/registry.ts";
import { readStream, type StoredSession } from "../domains/reader.ts";
import { ConvosyncError, Exit } from "../errors.ts";
import type { Manifest, Snapshot, StreamRecord } from "../packing/manifest.ts";
import { type CatalogEntry, catalog, findSession } from "./catalog.ts";
import { currentBranch, findRemote } from "./chosen-remote.ts";
import { loadHeads } from "./heads.ts";
import type { Context } from "./repository.ts";
import { fetchSession } from "./session-fetch.ts";
import { type OpenVault, openVault } from "./vault.ts";
import { openWorkplace } from "./workplace.ts";

/** A saved conversation, or one snapshot of it, opened for reading. */
export interface Reading {
  readonly session: CatalogEntry;
  readonly stored: StoredSession;
  readonly vault: OpenVault;
  /** The snapshot that was named with `@`; null for the conversation as it stands. */
  readonly snapshot: Snapshot | null;
  /** Lines and bytes of the main stream up to there, as stored. */
  readonly lines: number;
  readonly bytes: number;
  /** The main stream up to there as this machine would have it, in whole lines. */
  content(): AsyncGenerator<Uint8Array>;
}

/** Opens the session a person names, `<session>`, `<session>@<n>` or `<session>@<commit>`: from here, or fetched. */
export async function openReading(context: Context, name: string): Promise<Reading> {
  const vault = await openVault(context);
  const heads = await loadHeads(context, vault);
  const { session, at } = findSession(catalog(heads, vault), name);
  const remote = await findRemote(context, await currentBranch(context));
  const stored = await fetchSession(context, vault, heads, session, remote);
  const longest = [...stored].sort((a, b) => lengthOf(b.manifest) - lengthOf(a.manifest))[0]!;
  const snapshot = at === null ? null : findSnapshot(longest.manifest, at);
  const record = streamAt(longest.manifest, snapshot);
  const [lines = 0, bytes = 0] = snapshot?.upto["main"] ?? [record?.lines, record?.bytes];
  const places = await placesOf(context, session);
  return {
    session,
    stored: longest,
    vault,
    snapshot,
    lines,
    bytes,
    content: async function* () {
      let left = bytes;
      for await (const part of record ? readStream(vault, longest, record) : []) {
        const piece = part.subarray(0, left);
        left -= piece.length;
        if (piece.length > 0) yield places ? toLocal(piece, places, "jsonl") : piece;
      }
    },
  };
}

async function placesOf(context: Context, session: CatalogEntry): Promise<Places | null> {
  if (!isAgentName(session.agent)) return null;
  const place = await openWorkplace(context);
  return (await loadAgent(session.agent)).places({ cwd: place.root, workTree: place.root }, place);
}

/** The main stream's generation that a snapshot was taken of; the newest one without a snapshot. */
function streamAt(manifest: Manifest, snapshot: Snapshot | null): StreamRecord | undefined {
  const main = manifest.streams.filter((one) => one.name === "main").sort((a, b) => b.gen - a.gen);
  if (!snapshot) return main[0];
  const found = main.find((one) => one.gen === (snapshot.gen ?? 0));
  if (found || main.length === 0) return found;
  throw new ConvosyncError(
    "snapshot-dropped",
    Exit.failed,
    `snapshot ${snapshot.n} belongs to an earlier version of the transcript, which retention has dropped`,
    ["the agent had rewritten its file; read what followed: git convosync show <session>"],
  );
}

const lengthOf = (manifest: Manifest): number => streamAt(manifest, null)?.bytes ?? 0;

/**
 * The snapshot a person means by a number or by a commit, at least four digits of it: the first one at that commit,
 * which is the conversation as it stood when the commit was made.
 */
export function findSnapshot({ snapshots }: Manifest, at: string): Snapshot {
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
    "see its snapshots: git convosync log <session>",
  ]);
}
