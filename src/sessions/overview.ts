import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { parseRef, vaultPrefix } from "../refs/names.ts";
import { type Heads, splitOwn } from "./catalog.ts";
import { readCache, writeCache } from "./files.ts";
import { cachedReplicaHead } from "./head-cache.ts";
import { keyringRef } from "./queue.ts";
import type { Context } from "./repository.ts";
import type { OpenVault } from "./vault.ts";

/**
 * What `list` and `status` need: names and numbers, but no keys. It is remembered for as long as keyring, heads
 * and this device's key file are the ones it was made from, so that those commands decrypt nothing and load no
 * cryptography.
 */
export interface Overview {
  /** `<vault>` of the ref names. */
  readonly ref: string;
  readonly device: string;
  readonly members: ReadonlyMap<string, MemberView>;
  readonly heads: Heads;
}

const memberView = v.object({ name: v.string(), type: v.string(), revoked: v.boolean() });
export type MemberView = v.InferOutput<typeof memberView>;

const overviewSchema = v.object({
  v: v.literal(1),
  /** The key file it was opened with: path, inode, size, time of change. */
  key: v.string(),
  ref: v.string(),
  keyring: v.string(),
  repo: v.string(),
  device: v.string(),
  members: v.record(v.string(), memberView),
});

export async function openOverview(context: Context): Promise<Overview> {
  const key = await keyFile(context);
  const known = key && (await remembered(context, key));
  if (known) return known;
  const { openVault } = await import("./vault.ts");
  return remember(context, await openVault(context), key);
}

/** The overview of a vault that is open already. */
export async function overviewOf(context: Context, vault: OpenVault, heads?: Heads): Promise<Overview> {
  const members = [...vault.keyring.members.values()].map((one): [string, MemberView] => [
    one.id,
    { name: one.name, type: one.type, revoked: one.removedAt !== undefined },
  ]);
  return {
    ref: vault.ref,
    device: vault.device.id,
    members: new Map(members),
    heads: heads ?? (await (await import("./heads.ts")).loadHeads(context, vault)),
  };
}

async function remembered(context: Context, key: string): Promise<Overview | null> {
  const known = await readCache(pathOf(context), overviewSchema);
  if (!known || known.key !== key) return null;
  const refs = await context.db.refs(vaultPrefix(known.ref));
  if (refs.get(keyringRef(known)) !== known.keyring) return null;
  const all = [];
  for (const [ref, commit] of refs) {
    const name = parseRef(ref);
    if (name?.kind !== "head") continue;
    const head = await cachedReplicaHead(context, known.repo, name.replica, commit);
    if (!head) return null;
    all.push(head);
  }
  return {
    ref: known.ref,
    device: known.device,
    members: new Map(Object.entries(known.members)),
    // A clone may have been given another id since.
    heads: splitOwn(all, await context.keys.replica(known.repo, context.repo.commonDir)),
  };
}

async function remember(context: Context, vault: OpenVault, key: string | null): Promise<Overview> {
  const overview = await overviewOf(context, vault);
  if (key) {
    const { ref, device, members } = overview;
    const cached: v.InferOutput<typeof overviewSchema> = {
      v: 1,
      key,
      ref,
      keyring: vault.keyringCommit,
      repo: vault.repo,
      device,
      members: Object.fromEntries(members),
    };
    await writeCache(pathOf(context), JSON.stringify(cached));
  }
  return overview;
}

/** Null when the keys come from the environment: then nothing is remembered. */
async function keyFile(context: Context): Promise<string | null> {
  if (Object.keys(context.world.env).some((name) => name.startsWith("CONVOSYNC_IDENTITY"))) return null;
  const path = context.keys.devicePath;
  const info = await stat(path).catch(() => null);
  return info && `${path} ${info.ino} ${info.size} ${info.mtimeMs}`;
}

function pathOf(context: Context): string {
  const clone = createHash("sha256").update(context.repo.commonDir).digest("base64url").slice(0, 16);
  return join(context.cacheDir, "overview", `${clone}.json`);
}
