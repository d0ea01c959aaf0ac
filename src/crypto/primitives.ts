import { fromBase64url, utf8 } from "./encoding.ts";

// The few primitives the format needs beside age, all from the platform's Web Crypto: nothing to load. The program for
// Node is built with src/native/primitives.ts in this one's place.

/** The platform's key handle; TypeScript's name for it differs between Node and the browser. */
type CryptoKey = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

export async function sha256(bytes: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

/** `n` bytes from the system's generator; at most 65,536, the limit of `getRandomValues`. */
export function randomBytes(n: number): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(n));
}

/** HKDF-SHA256 (RFC 5869), extract and expand; `info` as UTF-8, `length` in bytes. */
export async function hkdf(
  secret: Uint8Array,
  salt: Uint8Array,
  info: string,
  length: number,
): Promise<Uint8Array> {
  const key = await crypto.subtle.importKey("raw", secret, "HKDF", false, ["deriveBits"]);
  const params = { name: "HKDF", hash: "SHA-256", salt, info: utf8(info) };
  return new Uint8Array(await crypto.subtle.deriveBits(params, key, 8 * length));
}

/** HMAC-SHA256 (RFC 2104). */
export async function hmac(secret: Uint8Array, message: Uint8Array): Promise<Uint8Array> {
  const how = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", secret, how, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", key, message));
}

/** Signs with the 32-byte Ed25519 secret key of RFC 8032 ("seed"); the signature has 64 bytes. */
export async function ed25519Sign(seed: Uint8Array, message: Uint8Array): Promise<Uint8Array> {
  const key = await importSecret("Ed25519", seed, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("Ed25519", key, message));
}

/** False as well when the public key is not one: some platforms refuse to import it, others do not look. */
export async function ed25519Verify(
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  let key: CryptoKey;
  try {
    key = await crypto.subtle.importKey("raw", publicKey, "Ed25519", false, ["verify"]);
  } catch {
    return false;
  }
  return crypto.subtle.verify("Ed25519", key, signature, message);
}

export async function ed25519PublicKey(seed: Uint8Array): Promise<Uint8Array> {
  return publicKeyOf(await importSecret("Ed25519", seed, ["sign"]));
}

/** The u-coordinate (RFC 7748) that belongs to a 32-byte X25519 secret. */
export async function x25519PublicKey(secret: Uint8Array): Promise<Uint8Array> {
  return publicKeyOf(await importSecret("X25519", secret, ["deriveBits"]));
}

// RFC 8410 private keys are these bytes, the last octet of the OID (1.3.101.110 X25519, .112 Ed25519), then
// the secret. PKCS #8 is the only form of a bare secret that Web Crypto imports.
const PKCS8_HEAD = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65] as const;
const PKCS8_TAIL = [0x04, 0x22, 0x04, 0x20] as const;
const OID_END = { X25519: 0x6e, Ed25519: 0x70 } as const;

async function importSecret(
  name: keyof typeof OID_END,
  secret: Uint8Array,
  usages: ("sign" | "deriveBits")[],
): Promise<CryptoKey> {
  const pkcs8 = Uint8Array.of(...PKCS8_HEAD, OID_END[name], ...PKCS8_TAIL, ...secret);
  return crypto.subtle.importKey("pkcs8", pkcs8, { name }, true, usages);
}

/** Web Crypto has no call from secret to public key, but computes it on import and shows it in the JWK. */
async function publicKeyOf(secret: CryptoKey): Promise<Uint8Array> {
  const { x } = await crypto.subtle.exportKey("jwk", secret);
  if (x === undefined) throw new Error("this platform's Web Crypto exports no public key");
  return fromBase64url(x);
}
