import * as v from "valibot";
import { ConvosyncError, Exit } from "../errors.ts";
import { isAgeRecipient } from "./age-keys.ts";

// The fields that records of this room share, as schemas. A pattern for base64url ends in the characters whose
// unused bits are zero, so that each value has exactly one spelling.

/** 16 bytes in base64url: a vault's or repository's id. */
export const Id = v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{21}[AQgw]$/));

/** 32 bytes in base64url: a hash, a public key or a seed. */
export const Bytes32 = v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/));

export const DeviceId = v.pipe(v.string(), v.regex(/^[a-z2-7]{20}$/));
export const ReplicaId = v.pipe(v.string(), v.regex(/^[a-z2-7]{13}$/));
export const Recipient = v.pipe(v.string(), v.check(isAgeRecipient));
export const Timestamp = v.pipe(v.string(), v.regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z$/));

const DEVICE_TYPES = ["desktop", "laptop", "phone", "tablet", "server", "recovery", "ci"] as const;
export type DeviceType = (typeof DEVICE_TYPES)[number];
export const DeviceTypeName = v.picklist(DEVICE_TYPES);

// Controls, bidi overrides, invisible and private characters, lone surrogates. Spelled out instead of \p{C}:
// that class changes with every Unicode version, and what one device may write every other must accept.
const UNPRINTABLE =
  /[\0-\x1f\x7f-\x9f\u{ad}\u{61c}\u{115f}\u{1160}\u{200b}-\u{200f}\u{2028}-\u{202e}\u{2060}-\u{206f}]|\u{34f}|[\u{17b4}\u{17b5}]|[\u{180b}-\u{180f}]|[\u{3164}\u{d800}-\u{dfff}\u{e000}-\u{f8ff}\u{feff}\u{ffa0}\u{fff0}-\u{fffd}]|[\u{fe00}-\u{fe0f}]|[\u{e0000}-\u{10ffff}]/gu;

/** A name that is safe to keep and to show: one line of at most 64 code points, perhaps empty. */
export function cleanName(text: string): string {
  const printable = text.slice(0, 1024).replace(UNPRINTABLE, " ").replace(/\s+/g, " ").trim();
  return Array.from(printable).slice(0, 64).join("").trim();
}

export const DeviceName = v.pipe(
  v.string(),
  v.check((name) => name !== "" && name === cleanName(name)),
);

/** @param what the record in the user's words, with its article: `the keyring` */
export function newerVersion(what: string): ConvosyncError {
  return new ConvosyncError(
    "newer-version",
    Exit.failed,
    `${what} was written by a newer version of convosync`,
    ["update convosync on this device"],
  );
}
