import { fromUtf8, toBase64url } from "../crypto/encoding.ts";
import { type Keyring, openFrom } from "../crypto/keyring.ts";
import { sha256 } from "../crypto/primitives.ts";
import { ConvosyncError, Exit, integrityError } from "../errors.ts";
import { limits, type ManifestPage } from "../packing/manifest.ts";
import type { ObjectDatabase, Oid } from "../refs/object-database.ts";
import type { Spool } from "./spool.ts";

// Reading what the remote and the other devices say, here and in replica-heads.ts and reader.ts, is in the order of
// docs/format.md: each step trusts only what the steps before it have proved. Whatever is wrong is exit 6, and nothing is
// written.

/** Turns a payload into bytes and back; bound to this platform's (de)compressor by the caller. */
export interface Codec {
  /** `cuts`: offsets at which another kind of data begins. */
  pack(body: Uint8Array, cuts?: readonly number[]): Uint8Array;
  /** Exactly `length` bytes, or an integrity error. */
  unpack(payload: Uint8Array, length: number): Uint8Array;
  unpackWithin(payload: Uint8Array, limit: number): Uint8Array;
}

/** Pages that were opened before, by the hash of their sealed file: that hash vouches for what they hold. */
export interface PageCache {
  /** Those of one replica's version of a session, `dir` being its name in refs; none is as good as any. */
  load(dir: string, replica: string): Promise<ReadonlyMap<string, ManifestPage>>;
  keep(dir: string, replica: string, pages: ReadonlyMap<string, ManifestPage>): void;
}

/** A vault in one repository, opened. */
export interface Vault {
  readonly keyring: Keyring;
  /** Id of the repository (16 bytes, base64url). */
  readonly repo: string;
  readonly db: ObjectDatabase;
  readonly codec: Codec;
  /** Room for a stream while it is being read. */
  newSpool(): Spool;
  /** Without it every page is opened each time. */
  readonly pages?: PageCache;
}

/** Sealed files are a little larger than what they hold: header, nonces, padding. */
export const sealedLimit = (bytes: number): number => bytes + (bytes >> 3) + (64 << 10);

export async function hashOf(bytes: Uint8Array): Promise<string> {
  return toBase64url(await sha256(bytes));
}

/** Opens an object of the vault. One that none of the vault's keys open was put there by a stranger: exit 6. */
export async function openSealed(vault: Vault, sealed: Uint8Array, epoch?: number): Promise<Uint8Array> {
  try {
    return await openFrom(vault.keyring, sealed, epoch);
  } catch (error) {
    if (!(error instanceof ConvosyncError) || error.exit !== Exit.noKey) throw error;
    throw integrityError("foreign-object", "an object is not sealed to this vault", [], error);
  }
}

/** The body of a sealed object that is bound by the hash `m` of its ciphertext. Exit 6. */
export async function readBound(
  vault: Vault,
  files: ReadonlyMap<string, Oid>,
  path: string,
  m: string,
  epoch?: number,
): Promise<string> {
  const sealed = await readFile(vault, files, path, sealedLimit(limits.manifestBytes));
  if ((await hashOf(sealed)) !== m)
    throw integrityError("wrong-page", `'${path}' is not the one its index names`);
  return fromUtf8(vault.codec.unpackWithin(await openSealed(vault, sealed, epoch), limits.manifestBytes));
}

export async function readFile(
  vault: Vault,
  files: ReadonlyMap<string, Oid>,
  path: string,
  limit: number,
): Promise<Uint8Array> {
  const oid = files.get(path);
  if (!oid) throw integrityError("object-missing", `'${path}' is missing from what the remote shows`);
  return vault.db.read(oid, limit);
}
