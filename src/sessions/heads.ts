import { acceptHeads, type Marks, nameOf, type ReplicaHead, readHead } from "../domains/replica-heads.ts";
import type { Vault } from "../domains/sealed-objects.ts";
import { parseRef, vaultPrefix } from "../refs/names.ts";
import type { Oid } from "../refs/object-database.ts";
import { type Heads, splitOwn } from "./catalog.ts";
import { cachedReplicaHead, rememberReplicaHead } from "./head-cache.ts";
import { type OwnMark, reclaim } from "./reclaim.ts";
import type { Context } from "./repository.ts";
import type { OpenVault } from "./vault.ts";

/**
 * The heads of this clone's refs. Of other replicas they may be older than what this device remembers, as another clone of
 * it has fetched since: what counts there is what the remote shows. This clone's own is written here alone, and where it
 * is older it is put right first.
 */
export async function loadHeads(context: Context, vault: OpenVault): Promise<Heads> {
  const found = await localHeads(context, vault);
  if (found.missed === null) return found.heads;
  // Another process may have written meanwhile: it moves the refs first and remembers then.
  context.db.forgetRefs();
  const now = await localHeads(context, vault);
  if (now.missed === null) return now.heads;
  await reclaim(context, vault, now.missed);
  return (await localHeads(context, vault)).heads;
}

/** `missed`: what this device remembers of this clone's own index, where the clone has only an older one or none. */
async function localHeads(
  context: Context,
  vault: OpenVault,
): Promise<{ heads: Heads; missed: OwnMark | null }> {
  const replica = await context.keys.replica(vault.repo, context.repo.commonDir);
  const refs = await context.db.refs(`${vaultPrefix(vault.ref)}head/`);
  const all: ReplicaHead[] = [];
  for (const [ref, commit] of refs) {
    const name = parseRef(ref);
    if (name?.kind === "head") all.push(await readHeadOnce(context, vault, name.replica, commit));
  }
  const heads = splitOwn(all, replica);
  const marks = (await context.keys.state()).repos[vault.repo]?.heads ?? {};
  const newest = new Map(all.map((one) => [one.replica, one.head.seq]));
  const reached = Object.entries(marks).filter(([one, { seq }]) => (newest.get(one) ?? 0) >= seq);
  acceptHeads(vault.keyring, all, Object.fromEntries(reached), new Map(), { partial: true });
  const own = replica === null ? undefined : marks[replica];
  const missed = own && (heads.own?.head.seq ?? 0) < own.seq ? { replica: replica!, hash: own.hash } : null;
  return { heads, missed };
}

/** Opens a head, or takes it as it was opened before. Exit 6. */
export async function readHeadOnce(
  context: Context,
  vault: Vault,
  replica: string,
  commit: Oid,
): Promise<ReplicaHead> {
  const known = await cachedReplicaHead(context, vault.repo, replica, commit);
  if (known) return known;
  const opened = await readHead(vault, replica, commit);
  context.chores.later(() => rememberReplicaHead(context, vault.repo, opened));
  return opened;
}

export function marksOf(heads: readonly ReplicaHead[]): Marks {
  return Object.fromEntries(
    heads.map((one) => [one.replica, { seq: one.head.seq, hash: one.hash, device: one.head.device }]),
  );
}

export function deviceName(vault: OpenVault, device: string): string {
  return nameOf(vault.keyring, device);
}
