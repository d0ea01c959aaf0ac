// What age-encryption asks of the @noble packages, answered by Node's own OpenSSL: the build puts this module in their
// place (scripts/age.mjs). age's format stays age-encryption's; its primitives are no longer JavaScript, which is slow
// in a process that has just started, and neither are they set up, nor the post-quantum ones that no vault has.
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  hkdfSync,
  randomBytes as random,
  scryptSync,
} from "node:crypto";

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

const basePoint = Uint8Array.of(9, ...new Uint8Array(31));

/** Of X25519 (RFC 7748) age has Web Crypto do the rest; every Node this runs on can. */
export const x25519 = { GuBytes: basePoint };

// Of the kinds of recipients that no vault has: seal.ts lets none of them through.
export const p256 = undefined;
export const MLKEM768P256 = undefined;
export const MLKEM768X25519 = undefined;
export const extract = undefined;
export const expand = undefined;

function bytes({ buffer, byteOffset, length }: Buffer): Uint8Array {
  return new Uint8Array(buffer, byteOffset, length);
}
