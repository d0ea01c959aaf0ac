import { createCipheriv, generateKeyPairSync, getFips } from "node:crypto";
import { ConvosyncError, Exit } from "../errors.ts";

/** What age and our signatures take, each tried in the cheapest way. */
const needed: Readonly<Record<string, () => unknown>> = {
  X25519: () => generateKeyPairSync("x25519"),
  Ed25519: () => generateKeyPairSync("ed25519"),
  "ChaCha20-Poly1305": () =>
    createCipheriv("chacha20-poly1305", new Uint8Array(32), new Uint8Array(12), { authTagLength: 16 }),
};

/**
 * Throws `no-cryptography` where this Node does not do what age takes. To be asked before any key is used: later it looks
 * as if the key were wrong, or what it opens damaged.
 */
export function requireCryptography(): void {
  const missing = Object.keys(needed).filter((name) => !works(needed[name]!));
  if (missing.length === 0) return;
  const why = getFips() === 1 ? ", as it is bound to FIPS 140" : "";
  throw new ConvosyncError(
    "no-cryptography",
    Exit.failed,
    `this Node cannot do ${missing.join(" and ")}${why}`,
    [
      "age needs it: run convosync with a Node that has its own OpenSSL, as the builds of the Node project have",
    ],
  );
}

function works(attempt: () => unknown): boolean {
  try {
    attempt();
    return true;
  } catch {
    return false;
  }
}
