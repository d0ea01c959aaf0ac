import * as v from "valibot";
import { integrityError } from "../errors.ts";
import {
  Bytes32,
  DeviceId,
  DeviceName,
  DeviceTypeName,
  Id,
  newerVersion,
  Recipient,
  ReplicaId,
  Timestamp,
} from "./fields.ts";

// The JSON of a line of the keyring log. The field names are part of what is signed and never change.

/** The last heads of a removed device that are still accepted: repository id → replica id → [seq, hash]. */
export type Cut = Readonly<Record<string, Readonly<Record<string, readonly [seq: number, hash: string]>>>>;

const Count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

const DeviceEntry = v.object({
  id: DeviceId,
  recipient: Recipient,
  sign: Bytes32,
  name: DeviceName,
  type: DeviceTypeName,
});

/** Lines that one `merge` names at most. */
export const mostMerged = 1000;

const common = { vault: Id, seq: Count, prev: v.nullable(Bytes32), ts: Timestamp };
const epoch = { epoch: v.pipe(Count, v.minValue(1)), kem: v.literal("x25519"), recipient: Recipient };

const Entry = v.variant("type", [
  v.object({ ...common, type: v.literal("genesis"), ...epoch, device: DeviceEntry }),
  v.object({ ...common, type: v.literal("add"), device: DeviceEntry }),
  v.object({
    ...common,
    type: v.literal("remove"),
    ...epoch,
    device: DeviceId,
    cut: v.record(Id, v.record(ReplicaId, v.strictTuple([Count, Bytes32]))),
  }),
  v.object({ ...common, type: v.literal("rotate"), ...epoch }),
  v.object({
    ...common,
    type: v.literal("merge"),
    from: v.pipe(Count, v.minValue(1)),
    hashes: v.pipe(v.array(Bytes32), v.minLength(1), v.maxLength(mostMerged)),
  }),
]);

export type Entry = v.InferOutput<typeof Entry>;
export type DeviceEntry = v.InferOutput<typeof DeviceEntry>;

/** What is asked first, so that whatever a later version adds is told from damage. */
const Envelope = v.object({
  v: v.pipe(v.number(), v.minValue(1)),
  type: v.string(),
  kem: v.optional(v.string()),
});

/**
 * Parses an entry. A later version, another type of entry or another kem is `newer-version`, everything else
 * that does not fit `damaged-keyring`. Unknown fields are ignored: fields may be added.
 */
export function parseEntry(json: string): Entry {
  let data: unknown;
  try {
    data = JSON.parse(json);
  } catch (cause) {
    throw damagedKeyring("an entry is not JSON", cause);
  }
  const envelope = v.safeParse(Envelope, data);
  if (!envelope.success) throw damagedKeyring("an entry has no version or type");
  const known = Entry.options.some((option) => option.entries.type.literal === envelope.output.type);
  const kem = envelope.output.kem ?? "x25519";
  if (envelope.output.v !== 1 || !known || kem !== "x25519") throw newerVersion("the keyring");
  const entry = v.safeParse(Entry, data);
  if (!entry.success) {
    throw damagedKeyring(
      `'${v.getDotPath(entry.issues[0])}' of a ${envelope.output.type} entry is malformed`,
    );
  }
  return entry.output;
}

export function damagedKeyring(why: string, cause?: unknown): Error {
  return integrityError("damaged-keyring", `the keyring is damaged: ${why}`, [], cause);
}
