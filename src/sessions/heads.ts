import {
  acceptHeads,
  type Marks,
  nameOf,
  type ReplicaHead,
  readHead,
  type Vault,
} from "../domains/reader.ts";
import { parseRef, vaultPrefix } from "../refs/names.ts";
import type { Oid } from "../refs/object-database.ts";
import { type Heads, splitOwn } from "./catalog.ts";
import { cachedReplicaHead, rememberReplicaHead } from "./head-cache.ts";
import type { Context } from "./repository.ts";
import { knownReplica, type OpenVault } from "./vault.ts";

export async function loadHeads(context: Context, vault: OpenVault): Promise<Heads> {
  const replica = await knownReplica(context, vault);
  const refs = await context.db.refs(`${vaultPrefix(vault.ref)}head/`);
  const all: ReplicaHead[] = [];
  for (const [ref, commit] of refs) {
    const name = parseRef(ref);
    if (name?.kind === "head") all.push(await readHeadOnce(context, vault, name.replica, commit));
  }
  const marks = (await context.keys.state()).repos[vault.repo]?.heads ?? {};
  // Locally a replica may be missing (a fresh clone has fetched nothing yet); the remote must show it.
  const present = Object.fromEntries(
    Object.entries(marks).filter(([one]) => all.some((head) => head.replica === one)),
  );
  acceptHeads(vault.keyring, all, present, new Map(), { partial: true });
  return splitOwn(all, replica);
}

/** Opens a head, or takes it as it was opened before. Exit 6. */
async function readHeadOnce(
  context: Context,
  vault: Vault,
  replica: string,
  commit: Oid,
): Promise<ReplicaHead> {
  const known = await cachedReplicaHead(context, vault.repo, replica, commit);
  if (known) return known;
  const opened = await readHead(vault, replica, commit);
  await rememberReplicaHead(context, vault.repo, opened);
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
