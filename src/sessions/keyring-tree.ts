import * as v from "valibot";
import { type Device, deviceSigner } from "../crypto/device.ts";
import { fromUtf8, utf8 } from "../crypto/encoding.ts";
import {
  type Keyring,
  type KeyringFiles,
  loadKeyring,
  memberKey,
  openFrom,
  type Pinned,
  sealFor,
} from "../crypto/keyring.ts";
import { type Signer, signLine, verifyLine } from "../crypto/signed-line.ts";
import { ConvosyncError, Exit, integrityError } from "../errors.ts";
import { fields, limits, parseRecord } from "../packing/manifest.ts";
import type { Oid } from "../refs/object-database.ts";
import { nativeCodec } from "./codec.ts";
import { keyringNames } from "./key-store.ts";
import { keyringReadme } from "./keyring-readme.ts";
import { pageCache } from "./page-cache.ts";
import type { Context } from "./repository.ts";
import { FileSpool } from "./spool.ts";
import type { OpenVault } from "./vault.ts";

const repoSchema = v.looseObject({
  v: v.literal(1),
  type: v.literal("repo"),
  vault: fields.id16,
  repo: fields.id16,
  ts: fields.time,
  /** Normalised remote URLs and root commits by which another repository is told. */
  origins: v.array(fields.text),
  roots: v.array(fields.commitName),
});
export type RepoRecord = v.InferOutput<typeof repoSchema>;

export const notSetUp = (): ConvosyncError =>
  new ConvosyncError("not-set-up", Exit.noKey, "convosync is not set up in this repository", [
    "on your first machine: git convosync init",
    "on every other one: git convosync init --join",
  ]);

/** Opens the keyring in `commit` as the keyring of `vault`, against what this device remembers of it. */
export async function openVaultAt(
  context: Context,
  device: Device,
  vault: string,
  commit: Oid,
): Promise<OpenVault> {
  const { files, repoFile } = await readKeyringTree(context, commit);
  const keyring = await loadKeyring(files, device, await pinned(context, device, vault), nativeCodec);
  const record = await openRepoRecord(keyring, repoFile);
  return {
    device,
    signer: await deviceSigner(device),
    ref: keyring.vaultRef,
    keyring,
    keyringCommit: commit,
    repo: record.repo,
    record,
    db: context.db,
    codec: nativeCodec,
    newSpool: () => new FileSpool(),
    pages: pageCache(context, record.repo),
  };
}

/** What this device remembers of a vault's keyring. */
export async function pinned(context: Context, device: Device, vault: string): Promise<Pinned> {
  const known = device.vaults.find((one) => one.vault === vault);
  if (!known) throw notSetUp();
  const mark = (await context.keys.state()).vaults[vault]?.kr;
  return mark ? { genesis: known.genesis, mark } : { genesis: known.genesis };
}

const keyringFileLimit = 4 << 20;

export async function readKeyringTree(
  context: Context,
  commit: Oid,
): Promise<{ files: KeyringFiles; repoFile: Uint8Array }> {
  const tree = await context.db.files(commit);
  const read = (name: string): Promise<Uint8Array> => {
    const oid = tree.get(name);
    if (!oid) throw integrityError("damaged-keyring", `the keyring lacks '${name}'`);
    return context.db.read(oid, keyringFileLimit);
  };
  const [genesis, vault, log, recovery] = await Promise.all(keyringNames.map(read));
  return {
    files: { genesis: genesis!, vault: vault!, log: log!, recovery: recovery! },
    repoFile: await read("repo.age"),
  };
}

/** Seals what identifies the repository, signed, for `repo.age`. */
export async function sealRepoRecord(
  keyring: Keyring,
  signer: Signer,
  record: RepoRecord,
): Promise<Uint8Array> {
  const line = await signLine("repo", JSON.stringify(record), signer);
  return (await sealFor(keyring, nativeCodec.pack(utf8(`${line}\n`)))).file;
}

export async function openRepoRecord(keyring: Keyring, file: Uint8Array): Promise<RepoRecord> {
  const line = fromUtf8(nativeCodec.unpackWithin(await openFrom(keyring, file), limits.headBytes)).replace(
    /\n$/,
    "",
  );
  const { json } = await verifyLine("repo", line, (id) => memberKey(keyring, id));
  const record = parseRecord(repoSchema, "repo", json);
  if (record.vault !== keyring.vault)
    throw integrityError("wrong-vault", "the repository's record belongs to another vault");
  return record;
}

/** The files of a keyring commit. */
export function keyringTree(
  keyring: Keyring,
  files: KeyringFiles,
  repoFile: Uint8Array,
): { path: string; content: Uint8Array }[] {
  return [
    { path: "README.md", content: utf8(keyringReadme(keyring.vaultRef)) },
    { path: "genesis", content: files.genesis },
    { path: "repo.age", content: repoFile },
    { path: "vault.age", content: files.vault },
    { path: "log.age", content: files.log },
    { path: "recovery.age", content: files.recovery },
  ];
}
