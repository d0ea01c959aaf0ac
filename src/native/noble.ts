// What age-encryption asks of the @noble packages and of its own X25519, answered by Node's own crypto: in the program
// this module is in their place (scripts/native.mjs). age's format stays age-encryption's; its primitives are no longer
// JavaScript, which is slow in a process that has just started, and the post-quantum ones, which no vault has, are not
// set up.
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  diffieHellman,
  hkdfSync,
  randomBytes as random,
  scryptSync,
} from "node:crypto";
import { privateKey, publicBytes, publicKey } from "./keys.ts";

const tagLength = 16;
const options = { authTagLength: tagLength } as const;

/** ChaCha20-Poly1305 (RFC 8439), without associated data; what it seals is the ciphertext with the tag behind it. */
export function chacha20poly1305(key: Uint8Array, nonce: Uint8Array) {
  return {
    encrypt(plaintext: Uint8Array): Uint8Array {
      const cipher = createCipheriv("chacha20-poly1305", key, nonce, options);
      const sealed = new Uint8Array(plaintext.length + tagLength);
      sealed.set(cipher.update(plaintext));
      cipher.final();
      sealed.set(cipher.getAuthTag(), plaintext.length);
      return sealed;
    },
    /** Throws when anything was altered. */
    decrypt(sealed: Uint8Array): Uint8Array {
      const length = sealed.length - tagLength;
      if (length < 0) throw new Error("shorter than a tag");
      const decipher = createDecipheriv("chacha20-poly1305", key, nonce, options);
      decipher.setAuthTag(sealed.subarray(length));
      const plaintext = decipher.update(sealed.subarray(0, length));
      decipher.final();
      return bytes(plaintext);
    },
  };
}

/** The name OpenSSL has for it; nothing but the functions below takes it. */
export const sha256 = "sha256";

export function hmac(hash: string, key: Uint8Array, message: Uint8Array): Uint8Array {
  return bytes(createHmac(hash, key).update(message).digest());
}

/** HKDF (RFC 5869), extract and expand. */
export function hkdf(
  hash: string,
  secret: Uint8Array,
  salt: Uint8Array | undefined,
  info: Uint8Array | undefined,
  length: number,
): Uint8Array {
  const none = new Uint8Array(0);
  return new Uint8Array(hkdfSync(hash, secret, salt ?? none, info ?? none, length));
}

/** scrypt (RFC 7914). */
export function scrypt(
  password: string | Uint8Array,
  salt: Uint8Array,
  { N, r, p, dkLen }: { N: number; r: number; p: number; dkLen: number },
): Uint8Array {
  // Node allows 32 MiB unless told otherwise.
  const maxmem = 128 * r * (N + p + 2);
  return bytes(scryptSync(password, salt, dkLen, { N, r, p, maxmem }));
}

export function randomBytes(length: number): Uint8Array {
  return bytes(random(length));
}

/** X25519 (RFC 7748); throws when the result is zero, which it is for points of low order. */
export async function scalarMult(scalar: Uint8Array, u: Uint8Array): Promise<Uint8Array> {
  const keys = { privateKey: privateKey("X25519", scalar), publicKey: publicKey("X25519", u) };
  return bytes(diffieHellman(keys));
}

export async function scalarMultBase(scalar: Uint8Array): Promise<Uint8Array> {
  return publicBytes(privateKey("X25519", scalar));
}

// Of the kinds of recipients that no vault has: seal.ts lets none of them through.
export const p256 = undefined;
export const MLKEM768P256 = undefined;
export const MLKEM768X25519 = undefined;
export const extract = undefined;
export const expand = undefined;

function bytes({ buffer, byteOffset, length }: Buffer): Uint8Array {
  return new Uint8Array(buffer, byteOffset, length);
}
