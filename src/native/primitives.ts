// src/crypto/primitives.ts with Node's own crypto, whose place it takes in the program (scripts/native.mjs). Web Crypto,
// which is there everywhere else, costs a command 10 ms: Node sets it up at its first use and runs it in other threads.
import { createHash, createHmac, hkdfSync, randomFillSync, sign, verify } from "node:crypto";
import type * as portable from "../crypto/primitives.ts";
import { privateKey, publicBytes, publicKey } from "./keys.ts";

export const sha256: typeof portable.sha256 = async (bytes) =>
  new Uint8Array(createHash("sha256").update(bytes).digest());

export const randomBytes: typeof portable.randomBytes = (n) => randomFillSync(new Uint8Array(n));

export const hkdf: typeof portable.hkdf = async (secret, salt, info, length) =>
  new Uint8Array(hkdfSync("sha256", secret, salt, info, length));

export const hmac: typeof portable.hmac = async (secret, message) =>
  new Uint8Array(createHmac("sha256", secret).update(message).digest());

export const ed25519Sign: typeof portable.ed25519Sign = async (seed, message) =>
  new Uint8Array(sign(null, message, privateKey("Ed25519", seed)));

export const ed25519Verify: typeof portable.ed25519Verify = async (key, message, signature) => {
  try {
    return verify(null, message, publicKey("Ed25519", key), signature);
  } catch {
    return false;
  }
};

export const ed25519PublicKey: typeof portable.ed25519PublicKey = async (seed) =>
  publicBytes(privateKey("Ed25519", seed));

export const x25519PublicKey: typeof portable.x25519PublicKey = async (secret) =>
  publicBytes(privateKey("X25519", secret));
