import { parseRef, vaultPrefix } from "../refs/names.ts";
import type { RefUpdate } from "../refs/object-database.ts";
import { catalog, type Heads, tombstonesOf } from "./heads.ts";
import type { Context } from "./repository.ts";
import type { OpenVault } from "./vault.ts";

/** Whether a ref is a replica's copy of one of these sessions, named by their directories. */
export function inDirs(ref: string, dirs: ReadonlySet<string>): boolean {
  const name = parseRef(ref);
  return name?.kind === "session" && dirs.has(name.dir);
}

/**
 * Honours other devices' tombstones: drops this clone's copies of sessions they deleted. Nothing is revived; a
 * session that was saved again on purpose carries a later mark than its tombstone.
 */
export async function buryDeleted(context: Context, vault: OpenVault, heads: Heads): Promise<void> {
  const tombstones = tombstonesOf(heads.all);
  if (tombstones.size === 0) return;
  const alive = new Set(catalog(heads, vault).map((one) => one.newest.entry.d));
  const dead = new Set(
    heads.all.flatMap((one) =>
      one.entries.filter((entry) => tombstones.has(entry.s) && !alive.has(entry.d)).map((entry) => entry.d),
    ),
  );
  const local = await context.db.refs(vaultPrefix(vault.ref));
  const updates = [...local]
    .filter(([ref]) => inDirs(ref, dead))
    .map(([ref, from]): RefUpdate => ({ ref, from, to: null }));
  if (updates.length > 0) await context.db.update(updates);
}
