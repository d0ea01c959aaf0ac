import { integrityError } from "../errors.ts";
import { base32lower, concat, fromBase64url, toBase64url, utf8 } from "./encoding.ts";
import { hkdf, hmac, randomBytes, sha256 } from "./primitives.ts";

// Names that say nothing (docs/format.md). Every formula here is frozen: another result would make
// existing refs unfindable. Parts are separated by one zero byte.

/** Blinds the names of sessions; 32 bytes, derived from epoch 1 for ever, so that names survive rotation. */
export type NameKey = Uint8Array;

const NUL = new Uint8Array(1);

/** A vault's or repository's id: 16 random bytes in base64url (22 characters). */
export function newId(): string {
  return toBase64url(randomBytes(16));
}

/** The 16 bytes of an id; anything else is an integrity error. */
export function idBytes(id: string): Uint8Array {
  const bytes = fromBase64url(id);
  if (bytes.length !== 16) throw integrityError("bad-encoding", "an id must have 16 bytes");
  return bytes;
}

/** A clone's name in refs: 13 characters, 65 random bits. */
export function newReplicaId(): string {
  return base32lower(randomBytes(9)).slice(0, 13);
}

/** A vault's name in refs, 13 characters. */
export async function vaultRef(vaultId: string): Promise<string> {
  return base32lower(await sha256(concat(utf8("convosync/v1/vault"), NUL, idBytes(vaultId)))).slice(0, 13);
}

/** @param seed1 the 32-byte seed of the vault's epoch 1 */
export async function deriveNameKey(seed1: Uint8Array, vaultId: string): Promise<NameKey> {
  return hkdf(seed1, idBytes(vaultId), "convosync/v1/names", 32);
}

/**
 * A session's name in refs, 16 characters.
 * @param agent this program's name for the agent, such as `claude`
 * @param sessionId the agent's own name for the session, any text
 */
export async function sessionDir(
  nameKey: NameKey,
  repoId: string,
  agent: string,
  sessionId: string,
): Promise<string> {
  const message = concat(utf8("s"), NUL, idBytes(repoId), NUL, utf8(agent), NUL, utf8(sessionId));
  return base32lower(await hmac(nameKey, message)).slice(0, 16);
}

/**
 * A device's id, 20 characters: it commits to both public keys, so neither can be exchanged under it.
 * @param recipient `age1…`
 * @param signPub the Ed25519 public key in base64url
 */
export async function deviceId(recipient: string, signPub: string): Promise<string> {
  const message = concat(utf8("convosync/v1/device"), NUL, utf8(recipient), NUL, utf8(signPub));
  return base32lower(await sha256(message)).slice(0, 20);
}
