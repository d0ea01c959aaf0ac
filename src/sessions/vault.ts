import type { Device } from "../crypto/device.ts";
import { newReplicaId, vaultRef } from "../crypto/names.ts";
import type { Signer } from "../crypto/signed-line.ts";
import type { Vault } from "../domains/sealed-objects.ts";
import { formatRef, OWN } from "../refs/names.ts";
import type { Oid } from "../refs/object-database.ts";
import { cloneIdentity, isSameClone, repoState, stamp } from "./key-store.ts";
import { notSetUp, openVaultAt, type RepoRecord } from "./keyring-tree.ts";
import type { Context } from "./repository.ts";

/** A repository whose vault this device can open. */
export interface OpenVault extends Vault {
  readonly device: Device;
  readonly signer: Signer;
  /** What the repository was when it was set up. */
  readonly record: RepoRecord;
  /** `<vault>` of the ref names. */
  readonly ref: string;
  readonly keyringCommit: Oid;
}

/** A vault that this device should be able to open, and its keyring in this repository. */
interface FoundVault {
  readonly device: Device;
  readonly vault: string;
  /** `<vault>` of the ref names. */
  readonly ref: string;
  readonly commit: Oid;
}

/** Finds the vault of this repository; opens nothing. Exit 7 when there is none for this device. */
export async function findVault(context: Context): Promise<FoundVault> {
  // git looks while the keys are made ready.
  const finding = context.db.refs(OWN);
  finding.catch(() => undefined);
  const device = await context.keys.device();
  if (!device) throw notSetUp();
  const refs = await finding;
  for (const { vault } of device.vaults) {
    const name = await vaultRef(vault);
    const ref = formatRef({ kind: "keyring", vault: name });
    const commit = refs.get(ref);
    if (commit) return { device, vault, ref: name, commit };
  }
  throw notSetUp();
}

/** Opens the vault of this repository with this device's keys. Exit 7 when it cannot, 6 when something is forged. */
export async function openVault(context: Context, known?: FoundVault): Promise<OpenVault> {
  const { device, vault, ref, commit } = known ?? (await findVault(context));
  const opened = await openOrRenew(context, device, vault, commit);
  if (opened.keyringCommit !== commit) {
    const keyring = formatRef({ kind: "keyring", vault: ref });
    await context.db.update([{ ref: keyring, from: commit, to: opened.keyringCommit }]);
  }
  return opened;
}

/**
 * Opens the keyring in `commit`, or, where this device has seen another one in another of its repositories or clones,
 * what comes of both: a vault has one keyring, with a copy in each of its repositories.
 */
export async function openOrRenew(
  context: Context,
  device: Device,
  vault: string,
  commit: Oid,
): Promise<OpenVault> {
  try {
    return await openVaultAt(context, device, vault, commit);
  } catch (error) {
    const { settleKeyring } = await import("./settle-keyring.ts");
    const settled = await settleKeyring(context, device, vault, commit, error);
    if (!settled) throw error;
    return settled;
  }
}

/** The replica id of this clone; a clone that has none, or whose id another copy uses, is given a new one. */
export async function ownReplica(
  context: Context,
  vault: Vault,
  options: { renew?: boolean } = {},
): Promise<string> {
  const known = await context.keys.replica(vault.repo, context.repo.commonDir);
  if (known && !options.renew) return known;
  const here = cloneIdentity(context.repo.commonDir);
  const replica = newReplicaId();
  await context.keys.update((state) => {
    const repo = repoState(state, vault.repo, vault.keyring.vault);
    repo.clones = repo.clones.filter((one) => !isSameClone(one, here));
    repo.clones.push({ replica, ...here });
  });
  await stamp(context.repo.commonDir, here, replica);
  return replica;
}
