import type { Decrypter } from "age-encryption";
import { ConvosyncError, Exit, integrityError } from "../errors.ts";
import { type HeaderLimits, readAgeHeader } from "./age-header.ts";
import { isAgeRecipient } from "./age-keys.ts";

// The only module that loads age-encryption, and lazily: it costs 40 ms.

/** What is opened: one object for one epoch, or the vault file with a stanza for each device. */
export type SealedKind = "object" | "vault";

const LIMITS: Record<SealedKind, HeaderLimits> = {
  object: { stanzas: 1, bytes: 4 * 1024 },
  vault: { stanzas: 64, bytes: 160 * 1024 },
};

/** 2^18 blocks of 1 KiB: 256 MiB and 1 to 3 s, the most a file may cost before it proves itself. */
const MAX_LOG_N = 18;

/**
 * Seals to X25519 recipients, the one kem of this version. Anything else is a bug in the caller: age-encryption
 * would mix kems and even encrypt to nobody without a word.
 */
export async function seal(payload: Uint8Array, recipients: readonly string[]): Promise<Uint8Array> {
  if (recipients.length === 0) throw new Error("nothing is ever sealed to no recipient");
  if (!recipients.every(isAgeRecipient)) throw new Error("every recipient must be a native X25519 one");
  const { Encrypter } = await import("age-encryption");
  const encrypter = new Encrypter();
  for (const recipient of recipients) encrypter.addRecipient(recipient);
  return encrypter.encrypt(payload);
}

/** Starts loading age while something else is waited for. */
export function warmUp(): void {
  void import("age-encryption");
}

/** @param logN scrypt's work factor, 1 to 18 */
export async function sealWithPassphrase(
  payload: Uint8Array,
  passphrase: string,
  logN: number,
): Promise<Uint8Array> {
  if (passphrase === "") throw new Error("nothing is ever sealed under an empty passphrase");
  if (!Number.isInteger(logN) || logN < 1 || logN > MAX_LOG_N)
    throw new Error(`no such work factor: ${logN}`);
  const { Encrypter } = await import("age-encryption");
  const encrypter = new Encrypter();
  encrypter.setPassphrase(passphrase);
  encrypter.setScryptWorkFactor(logN);
  return encrypter.encrypt(payload);
}

/**
 * Opens a sealed file with the first identity that fits. Fails with `no-key` (exit 7) when none does, with
 * `bad-header` or `damaged-object` (exit 6) when the file is malformed, over the limits or was altered.
 */
export async function open(
  file: Uint8Array,
  identities: readonly string[],
  kind: SealedKind,
): Promise<Uint8Array> {
  const stanzas = readAgeHeader(file, LIMITS[kind]);
  if (stanzas.some(({ type }) => type === "scrypt")) {
    throw integrityError("bad-header", "a passphrase protects a file that never has one");
  }
  return decrypt(await decrypterFor(identities), file);
}

/** Like `open`; a passphrase that does not fit is `wrong-recovery-code` (exit 7). */
export async function openWithPassphrase(file: Uint8Array, passphrase: string): Promise<Uint8Array> {
  const [stanza] = readAgeHeader(file, LIMITS.object);
  const logN = stanza?.args[1];
  if (stanza?.type !== "scrypt" || logN === undefined || !/^[1-9][0-9]?$/.test(logN) || +logN > MAX_LOG_N) {
    throw integrityError("bad-header", "the recovery file is not protected by a passphrase as it should be");
  }
  const { Decrypter } = await import("age-encryption");
  const decrypter = new Decrypter();
  decrypter.addPassphrase(passphrase);
  failWhenNothingFits(decrypter, () => {
    return new ConvosyncError("wrong-recovery-code", Exit.noKey, "this recovery code opens another vault", [
      "use the code that was shown when this vault was created",
    ]);
  });
  return decrypt(decrypter, file);
}

/** One per list of identities: setting one up costs a third of opening a small object. */
const decrypters = new Map<string, Decrypter>();

async function decrypterFor(identities: readonly string[]): Promise<Decrypter> {
  const key = identities.join("\n");
  const known = decrypters.get(key);
  if (known !== undefined) return known;
  const { Decrypter } = await import("age-encryption");
  const decrypter = new Decrypter();
  for (const identity of identities) decrypter.addIdentity(identity);
  failWhenNothingFits(decrypter, () => {
    return new ConvosyncError("no-key", Exit.noKey, "this device has no key that opens a sealed file");
  });
  if (decrypters.size >= 64) decrypters.clear();
  decrypters.set(key, decrypter);
  return decrypter;
}

/** age asks identities in order, so one that comes last is asked only after no other fitted. */
function failWhenNothingFits(decrypter: Decrypter, error: () => ConvosyncError): void {
  decrypter.addIdentity({
    unwrapFileKey() {
      throw error();
    },
  });
}

async function decrypt(decrypter: Decrypter, file: Uint8Array): Promise<Uint8Array> {
  try {
    return await decrypter.decrypt(file);
  } catch (cause) {
    if (cause instanceof ConvosyncError) throw cause;
    throw integrityError("damaged-object", "a sealed file is damaged or was altered", [], cause);
  }
}
