import type { Device } from "../crypto/device.ts";
import { equalBytes } from "../crypto/encoding.ts";
import { loadKeyring } from "../crypto/keyring.ts";
import { logOf, mergeKeyrings } from "../crypto/keyring-merge.ts";
import { vaultRef } from "../crypto/names.ts";
import { ConvosyncError } from "../errors.ts";
import type { Oid } from "../refs/object-database.ts";
import { nativeCodec } from "./codec.ts";
import { keyringTree, openRepoRecord, openVaultAt, pinned, readKeyringTree } from "./keyring-tree.ts";
import type { Context } from "./repository.ts";
import type { OpenVault } from "./vault.ts";

/** What a keyring fails with that is a copy of what this device has, but behind it, or gone on with elsewhere. */
const apart = ["keyring-rollback", "keyring-fork", "not-a-member"];

const codeOf = (error: unknown): string => (error instanceof ConvosyncError ? error.code : "");

/**
 * The vault after its keyring in `commit` could not be opened with what this device remembers of it. Where devices have
 * joined in several of its repositories, that holds some of them and this device's own copy others: then a commit on top
 * has all of them. One that has taken in what this device knows is taken as it is. Null where neither can be: a device was
 * shut out, or somebody shows what is not of this vault.
 *
 * @param shown what the remote has shown of it before, and may not fall behind
 */
export async function settleKeyring(
  context: Context,
  device: Device,
  vault: string,
  commit: Oid,
  error: unknown,
  shown?: Oid,
): Promise<OpenVault | null> {
  const copy = apart.includes(codeOf(error)) ? await context.keys.keyringCopy(await vaultRef(vault)) : null;
  if (!copy) return null;
  const pin = await pinned(context, device, vault);
  const own = await loadKeyring(copy, device, { ...pin, isOwn: true }, nativeCodec);
  const { files, repoFile } = await readKeyringTree(context, commit);
  const log = await logOf(own, files, nativeCodec);
  // Nothing in the log vouches for this file; and a vault that its own members cannot open is no copy but a damaged one.
  if (!log || !equalBytes(files.recovery, own.recovery)) return null;
  if (codeOf(error) === "not-a-member" && log.members.has(device.id)) return null;
  const when = context.world.now();
  const outcome = await mergeKeyrings(own, log, device, when.toISOString(), nativeCodec);
  if (outcome === null) return null;
  if (outcome === "ours" && shown) {
    const before = await logOf(own, (await readKeyringTree(context, shown)).files, nativeCodec);
    if (before && log.seq < before.seq) return null;
  }
  const { genesis } = pin;
  const settled =
    outcome === "theirs"
      ? { keyring: await loadKeyring(files, device, { genesis }, nativeCodec), files }
      : outcome === "ours"
        ? { keyring: own, files: copy }
        : outcome;
  await openRepoRecord(settled.keyring, repoFile);
  const { seq, hash } = settled.keyring;
  // In this order: what is remembered is in the copy at any time.
  await context.keys.saveKeyringCopy(settled.keyring.vaultRef, settled.files);
  await context.keys.rememberKeyring(vault, genesis, [seq, hash], own.hash);
  if (outcome === "theirs") return openVaultAt(context, device, vault, commit);
  const next = await context.db.commit({
    parents: [commit],
    files: keyringTree(settled.keyring, settled.files, repoFile),
    when,
  });
  return openVaultAt(context, device, vault, next);
}
