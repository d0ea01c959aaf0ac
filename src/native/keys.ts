import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";

/** The two kinds of curve keys there are (RFC 7748, RFC 8032), by their names in RFC 8037. */
export type Curve = "X25519" | "Ed25519";

// An RFC 8410 private key: these bytes, the last octet of the OID (1.3.101.110 X25519, .112 Ed25519), then the secret.
const pkcs8Head = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65] as const;
const pkcs8Tail = [0x04, 0x22, 0x04, 0x20] as const;
const oidEnd = { X25519: 0x6e, Ed25519: 0x70 } as const;

/** By the very bytes they were made of: that takes longer than using one. */
const known = { X25519: new WeakMap<Uint8Array, KeyObject>(), Ed25519: new WeakMap<Uint8Array, KeyObject>() };

/**
 * Node 20's OpenSSL reads PKCS #8 in 0.4 ms, nine times in a save, and a JWK in a tenth of that. Of it Node 20 takes the
 * secret half only; later versions, which are quick at PKCS #8, check the public one too, which we do not have.
 */
const secretHalfWillDo = process.versions.node.startsWith("20.");

/** A secret of 32 bytes, which nobody changes afterwards. */
export function privateKey(curve: Curve, secret: Uint8Array): KeyObject {
  let key = known[curve].get(secret);
  if (key === undefined) {
    key = secretHalfWillDo ? fromJwk(curve, secret) : fromPkcs8(curve, secret);
    known[curve].set(secret, key);
  }
  return key;
}

function fromPkcs8(curve: Curve, secret: Uint8Array): KeyObject {
  const der = Buffer.from([...pkcs8Head, oidEnd[curve], ...pkcs8Tail, ...secret]);
  return createPrivateKey({ key: der, format: "der", type: "pkcs8" });
}

function fromJwk(curve: Curve, secret: Uint8Array): KeyObject {
  const d = Buffer.from(secret).toString("base64url");
  return createPrivateKey({ key: { kty: "OKP", crv: curve, x: "", d }, format: "jwk" });
}

/** Throws when there are not 32 bytes. */
export function publicKey(curve: Curve, bytes: Uint8Array): KeyObject {
  const x = Buffer.from(bytes).toString("base64url");
  return createPublicKey({ key: { kty: "OKP", crv: curve, x }, format: "jwk" });
}

export function publicBytes(secret: KeyObject): Uint8Array {
  const { x } = createPublicKey(secret).export({ format: "jwk" });
  return new Uint8Array(Buffer.from(x!, "base64url"));
}
