import { ageIdentity, ageRecipient, throwAwayRecipient } from "./age-keys.ts";
import { fromBase64url, toBase64url, toHex, utf8 } from "./encoding.ts";
import { newerVersion } from "./fields.ts";
import { damagedKeyring } from "./keyring-entry.ts";
import { idBytes } from "./names.ts";
import { hkdf, randomBytes } from "./primitives.ts";
import { seal } from "./seal.ts";

// vault.age: the secrets of all epochs, wrapped to each device. Its plaintext is an age identity file, newest
// epoch first, so that `age -d -i device.txt vault.age` yields what `age -d -i` needs for everything else.

/** The keys of one period between two rotations. */
export interface Epoch {
  /** From 1. */
  readonly number: number;
  /** The kind of key: this version knows one. */
  readonly kem: "x25519";
  /** The 32 random bytes everything else of the epoch is derived from. */
  readonly seed: Uint8Array;
  /** `AGE-SECRET-KEY-1…` and `age1…` */
  readonly identity: string;
  readonly recipient: string;
}

/** An epoch as vault.age states it, before anything is derived. */
export interface StatedEpoch {
  readonly number: number;
  readonly seed: Uint8Array;
  readonly identity: string;
}

export async function deriveEpoch(number: number, seed: Uint8Array, vaultId: string): Promise<Epoch> {
  const secret = await hkdf(seed, idBytes(vaultId), "convosync/v1/age-identity", 32);
  return {
    number,
    kem: "x25519",
    seed,
    identity: ageIdentity(secret),
    recipient: await ageRecipient(secret),
  };
}

export function newEpoch(number: number, vaultId: string): Promise<Epoch> {
  return deriveEpoch(number, randomBytes(32), vaultId);
}

export function formatVault(vaultId: string, epochs: Iterable<Epoch>): string {
  const newestFirst = [...epochs].sort((a, b) => b.number - a.number);
  return [
    "# convosync vault 1",
    `# vault: ${vaultId}`,
    ...newestFirst.flatMap(({ number, kem, seed, identity }) => [
      `# epoch: ${number}`,
      `# kem: ${kem}`,
      `# seed: ${toBase64url(seed)}`,
      identity,
    ]),
    "",
  ].join("\n");
}

/**
 * Reads the plaintext of vault.age: its vault id, and its epochs by number, complete from 1. Strict to the
 * byte; deriving the identities from the seeds and comparing is left to the caller, who first learns from
 * the log how many epochs there may be.
 */
export function parseVault(text: string): { vault: string; epochs: readonly StatedEpoch[] } {
  const [, version, vault, body] = /^# convosync vault (\d+)\n(?:# vault: (\S+)\n(.*))?/s.exec(text) ?? [];
  if (version !== undefined && version !== "1") throw newerVersion("the keyring");
  if (vault === undefined || body === undefined) throw damagedKeyring("vault.age does not begin like one");

  const epochs: StatedEpoch[] = [];
  const block =
    /# epoch: ([1-9]\d{0,8})\n# kem: (\w+)\n# seed: ([\w-]{42}[AEIMQUYcgkosw048])\n(AGE-SECRET-KEY-1\w{58})\n/y;
  while (block.lastIndex < body.length) {
    const [, number, kem, seed, identity] = block.exec(body) ?? [];
    if (number === undefined || seed === undefined || identity === undefined) {
      throw damagedKeyring("vault.age holds something else than epochs");
    }
    if (kem !== "x25519") throw newerVersion("the keyring");
    epochs.unshift({ number: Number(number), seed: fromBase64url(seed), identity });
  }
  if (epochs.length === 0 || epochs.some(({ number }, index) => number !== index + 1)) {
    throw damagedKeyring("vault.age does not hold every epoch once");
  }
  return { vault, epochs };
}

const STANZA_COUNTS = [4, 8, 16, 32, 64] as const;

/** Seals vault.age to the devices, hiding how many they are: throw-away recipients fill up to 4, 8, … 64. */
export async function sealVault(plaintext: string, recipients: readonly string[]): Promise<Uint8Array> {
  const count = STANZA_COUNTS.find((size) => size >= recipients.length);
  if (count === undefined) throw new Error(`a vault cannot have ${recipients.length} devices`);
  const padding = Array.from({ length: count - recipients.length }, throwAwayRecipient);
  return seal(utf8(plaintext), shuffled([...recipients, ...padding]));
}

/** Sorted by random keys, so a stanza's place says nothing about whose it is or when it was added. */
function shuffled(items: readonly string[]): string[] {
  const keyed = items.map((item) => ({ item, key: toHex(randomBytes(16)) }));
  return keyed.sort((a, b) => (a.key < b.key ? -1 : 1)).map(({ item }) => item);
}
