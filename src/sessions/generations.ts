import type { Entry } from "../domains/head.ts";
import type { StoredSession } from "../domains/reader.ts";
import { relateVersions } from "../domains/sessions.ts";
import { sealManifest } from "../domains/writer.ts";
import { ConvosyncError } from "../errors.ts";
import { type DroppedStream, type Manifest, manifestPagePath, segmentPath } from "../packing/manifest.ts";
import { vaultPrefix } from "../refs/names.ts";
import type { NewFile, RefUpdate } from "../refs/object-database.ts";
import { type CatalogEntry, catalog, type Heads } from "./catalog.ts";
import type { ChosenRemote } from "./chosen-remote.ts";
import { writeIndex } from "./index-writer.ts";
import type { Context } from "./repository.ts";
import { fetchSession, localCopy } from "./session-fetch.ts";
import type { OpenVault } from "./vault.ts";
import { comparable } from "./versions.ts";

/**
 * Old generations of a transcript, from before the agent rewrote its file, go with retention: so many days after the
 * rewriting, where no device's copy holds anything that the newer one does not answer for. The manifest remembers
 * which versions of them were dropped, so that a device that still has one is not taken for ahead.
 */
export async function dropGenerations(
  context: Context,
  vault: OpenVault,
  heads: Heads,
  days: number,
  remote: ChosenRemote | null,
): Promise<number> {
  const own = heads.own;
  if (!own) return 0;
  const when = context.world.now();
  const horizon = new Date(when.getTime() - days * 86_400_000).toISOString();
  const local = await context.db.refs(vaultPrefix(vault.ref));
  const put: Entry[] = [];
  const updates: RefUpdate[] = [];
  for (const session of catalog(heads, vault)) {
    const copy = session.copies.find((one) => one.replica === own.replica);
    if (!copy || copy.entry.a || session.pinned) continue;
    const stored = await localCopy(vault, copy, local);
    const old = stored?.commit ? outdated(stored.manifest, horizon) : [];
    if (!stored?.commit || old.length === 0) continue;
    const copies = await allCopies(context, vault, heads, session, stored, remote);
    if (!copies) continue;
    const { files, m, seq } = await without(vault, stored, old, copies);
    const commit = await context.db.commit({ parents: [], files, when });
    put.push({ ...copy.entry, m, q: seq });
    updates.push({ ref: copy.ref, from: stored.commit, to: commit });
  }
  if (put.length > 0)
    await writeIndex(context, vault, { heads, replica: own.replica, when, change: () => ({ put }), updates });
  return put.length;
}

/** Generations of the main stream that a newer one had replaced before `horizon`. */
export function outdated({ streams, snapshots }: Manifest, horizon: string): number[] {
  const main = streams.filter((one) => one.name === "main").map((one) => one.gen);
  const newest = Math.max(...main);
  return main.filter((gen) => {
    const replaced = snapshots.find((one) => (one.gen ?? 0) > gen);
    return gen < newest && replaced !== undefined && replaced.ts < horizon;
  });
}

/** All devices' copies, when each is known and none holds anything that ours lacks. */
async function allCopies(
  context: Context,
  vault: OpenVault,
  heads: Heads,
  session: CatalogEntry,
  own: StoredSession,
  remote: ChosenRemote | null,
): Promise<StoredSession[] | null> {
  let copies: StoredSession[];
  try {
    copies = await fetchSession(context, vault, heads, session, remote);
  } catch (error) {
    if (error instanceof ConvosyncError) return null;
    throw error;
  }
  if (copies.length < session.copies.length) return null;
  const versions = await comparable(vault, copies);
  const ours = versions.find((one) => one.replica === own.replica)!;
  const contained = versions.every((one) => ["equal", "behind"].includes(relateVersions(one, ours)));
  return contained ? copies : null;
}

/** The session without these generations of its main stream, as a re-root so that their bytes become unreachable. */
async function without(
  vault: OpenVault,
  stored: StoredSession,
  old: readonly number[],
  copies: readonly StoredSession[],
): Promise<{ files: NewFile[]; m: string; seq: number }> {
  const gone = stored.manifest.streams.filter((one) => one.name === "main" && old.includes(one.gen));
  const paths = new Set([
    "manifest.age",
    ...stored.frozen.all.map(({ n }) => manifestPagePath(n)),
    ...gone.flatMap((one) => one.segments.map((part) => segmentPath(part.i))),
  ]);
  const dropped = gone.map(({ name, gen }): DroppedStream => {
    const known = copies.flatMap(({ manifest }) =>
      manifest.streams.filter((one) => one.name === name && one.gen === gen),
    );
    const versions = new Map(known.map((one) => [one.sha, one.bytes]));
    return { name, gen, known: [...versions].map(([sha, bytes]): [number, string] => [bytes, sha]) };
  });
  const manifest: Manifest = {
    ...stored.manifest,
    seq: stored.manifest.seq + 1,
    streams: stored.manifest.streams.filter((one) => !gone.includes(one)),
    dropped: [...(stored.manifest.dropped ?? []), ...dropped],
    pages: [],
  };
  const sealed = await sealManifest(vault, manifest, null);
  const kept = [...stored.files]
    .filter(([path]) => !paths.has(path))
    .map(([path, content]): NewFile => ({ path, content }));
  return { files: [...kept, ...sealed.files], m: sealed.m, seq: manifest.seq };
}
