import { bech32 } from "@scure/base";
import { randomBytes, x25519PublicKey } from "./primitives.ts";

// The text form of age's native X25519 keys (https://c2sp.org/age#x25519-recipient-stanza): bech32 of the
// 32 bytes. Written here rather than taken from age-encryption, whose loading takes longer than most commands.

/** `AGE-SECRET-KEY-1…` for a 32-byte secret. */
export function ageIdentity(secret: Uint8Array): string {
  return bech32.encodeFromBytes("AGE-SECRET-KEY-", secret).toUpperCase();
}

/** The 32-byte secret of an `AGE-SECRET-KEY-1…`, or undefined when the text is not one. */
export function ageSecret(identity: string): Uint8Array | undefined {
  return identity === identity.toUpperCase() ? decode("age-secret-key-", identity) : undefined;
}

/** `age1…` for a secret. */
export async function ageRecipient(secret: Uint8Array): Promise<string> {
  return bech32.encodeFromBytes("age", await x25519PublicKey(secret));
}

export function isAgeRecipient(text: string): boolean {
  return text === text.toLowerCase() && decode("age", text) !== undefined;
}

/** A recipient nobody has the secret of: every 32 bytes are an X25519 public key. */
export function throwAwayRecipient(): string {
  return bech32.encodeFromBytes("age", randomBytes(32));
}

function decode(prefix: string, text: string): Uint8Array | undefined {
  if (text.length > 90) return undefined;
  try {
    const decoded = bech32.decodeToBytes(text);
    return decoded.prefix === prefix && decoded.bytes.length === 32 ? decoded.bytes : undefined;
  } catch {
    return undefined;
  }
}
