import { existsSync } from "node:fs";
import type { ReplicaHead } from "../domains/replica-heads.ts";
import { vaultPrefix } from "../refs/names.ts";
import type { Oid } from "../refs/object-database.ts";
import type { Heads } from "./catalog.ts";
import { isHere, partsOf } from "./holdings.ts";
import { type CloneIdentity, cloneIdentity } from "./key-store.ts";
import type { Context } from "./repository.ts";
import type { OpenVault } from "./vault.ts";

/**
 * Has a clone that has written nothing go on as one whose directory is no more, where it has all that this one wrote: what
 * was copied to another disk and removed, or put back from a copy in its place, is still the same clone, with what it has
 * not sent. While both are there the copy is another one. Whether it is.
 */
export async function takeUp(context: Context, vault: OpenVault, { others }: Heads): Promise<boolean> {
  const here = cloneIdentity(context.repo.commonDir);
  const { clones = [], heads = {} } = (await context.keys.state()).repos[vault.repo] ?? {};
  const gone = new Map(clones.filter((one) => isGone(one, here)).map((one) => [one.replica, one]));
  const refs = gone.size > 0 ? await context.db.refs(vaultPrefix(vault.ref)) : new Map<string, Oid>();
  for (const one of others) {
    const before = gone.get(one.replica);
    if (!before || heads[one.replica]?.hash !== one.hash) continue;
    if (!(await hasAll(vault, one, refs))) continue;
    let isTaken = false;
    await context.keys.update((state) => {
      const repo = state.repos[vault.repo];
      const known = repo?.clones.find(({ replica }) => replica === one.replica);
      isTaken = known !== undefined && known.dir === before.dir && known.born === before.born;
      if (repo && isTaken)
        repo.clones = [...repo.clones.filter((clone) => clone !== known), { replica: one.replica, ...here }];
    });
    return isTaken;
  }
  return false;
}

const isGone = ({ dir }: CloneIdentity, here: CloneIdentity): boolean => dir === here.dir || !existsSync(dir);

async function hasAll(vault: OpenVault, one: ReplicaHead, refs: ReadonlyMap<string, Oid>): Promise<boolean> {
  const parts = partsOf(vault, one);
  if (!parts.every(({ ref }) => refs.has(ref))) return false;
  for (const part of parts) if (!(await isHere(vault, one, part, refs))) return false;
  return true;
}
