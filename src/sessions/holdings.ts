import type { Entry } from "../domains/head.ts";
import { readSession, type StoredSession } from "../domains/reader.ts";
import type { ReplicaHead } from "../domains/replica-heads.ts";
import { ConvosyncError } from "../errors.ts";
import type { Oid } from "../refs/object-database.ts";
import { type Copy, refOf } from "./catalog.ts";
import type { OpenVault } from "./vault.ts";

/**
 * The copy as this clone has it: by its own ref, or as a folder of an archive. Null when it is not here, or when
 * the index has moved on from what is here.
 */
export async function localCopy(
  vault: OpenVault,
  copy: Copy,
  refs: ReadonlyMap<string, Oid>,
): Promise<StoredSession | null> {
  // A folder of an archive stands for itself: what continues it must not keep the whole archive alive.
  const commit = copy.entry.a ? null : (refs.get(copy.ref) ?? null);
  if (!copy.entry.a && !commit) return null;
  try {
    const files = copy.entry.a ? await vault.db.filesOfTree(copy.entry.a.t) : await vault.db.files(commit!);
    return await readSession(vault, copy.replica, copy.entry, { commit, files });
  } catch (error) {
    const stale =
      error instanceof ConvosyncError && ["manifest-mismatch", "missing-object"].includes(error.code);
    if (stale) return null;
    throw error;
  }
}

/** A ref of a replica, a session's own or an archive's, and the entries of its index that are in it. */
export interface Part {
  readonly ref: string;
  readonly entries: readonly Entry[];
}

/** All that an index names, by the refs that hold it. */
export function partsOf(vault: OpenVault, { replica, entries }: ReplicaHead): Part[] {
  const parts = new Map<string, Entry[]>();
  for (const entry of entries) {
    const ref = refOf(vault.ref, replica, entry);
    parts.set(ref, [...(parts.get(ref) ?? []), entry]);
  }
  return [...parts].map(([ref, within]) => ({ ref, entries: within }));
}

/** Whether this clone's ref has all that the index names in it, as it names it. */
export async function isHere(
  vault: OpenVault,
  { replica, head }: ReplicaHead,
  { ref, entries }: Part,
  refs: ReadonlyMap<string, Oid>,
): Promise<boolean> {
  const oid = refs.get(ref);
  if (oid === undefined) return false;
  const files = await vault.db.files(oid);
  for (const entry of entries) {
    const stored = await localCopy(vault, { replica, device: head.device, entry, ref }, refs);
    if (!stored) return false;
    // A folder of an archive may be here without the archive.
    if (entry.a && files.get(`${entry.d}/manifest.age`) !== stored.files.get("manifest.age")) return false;
  }
  return true;
}
