import { ConvosyncError, Exit, integrityError } from "../errors.ts";
import { createDevice, type Device, deviceSigner, formatDevice, parseDevice, withVault } from "./device.ts";
import { equalBytes, fromUtf8, utf8 } from "./encoding.ts";
import type { Cut, DeviceEntry } from "./keyring-entry.ts";
import { damagedKeyring } from "./keyring-entry.ts";
import {
  extendLog,
  knowsLine,
  MAX_DEVICES,
  presentMembers,
  type Roster,
  replayLog,
  startLog,
  wrongGenesis,
} from "./keyring-log.ts";
import { deriveNameKey, type NameKey, newId, vaultRef } from "./names.ts";
import { parseRecoveryCode } from "./recovery-code.ts";
import { open, openWithPassphrase, seal, sealWithPassphrase } from "./seal.ts";
import { signLine } from "./signed-line.ts";
import { deriveEpoch, type Epoch, formatVault, newEpoch, parseVault, sealVault } from "./vault.ts";

// A keyring is what a vault's devices share (docs/format.md): the epochs' keys wrapped to each device
// (vault.age), the log that says who the devices are (log.age), and a device only the recovery code wakes
// (recovery.age). Values are immutable: a change returns the next keyring with the files to publish.

/** Compression, given by the caller: this room does not know how objects are packed. */
export interface Codec {
  pack(body: Uint8Array): Uint8Array;
  /** Throws when the body would be longer than `limit` bytes. */
  unpackWithin(payload: Uint8Array, limit: number): Uint8Array;
}

/** The entries `genesis`, `vault.age`, `log.age` and `recovery.age` of the keyring's tree. */
export interface KeyringFiles {
  /** The genesis hash and LF, in the open: a device that joins fixes it before it can read anything. */
  readonly genesis: Uint8Array;
  readonly vault: Uint8Array;
  readonly log: Uint8Array;
  readonly recovery: Uint8Array;
}

export interface Keyring extends Roster {
  /** The vault's name in refs. */
  readonly vaultRef: string;
  readonly epochs: ReadonlyMap<number, Epoch>;
  readonly nameKey: NameKey;
  /** recovery.age, carried along unread. */
  readonly recovery: Uint8Array;
}

/** Where a device's trust starts, and the last line of the log it has seen. */
export interface Pinned {
  readonly genesis: string;
  readonly mark?: readonly [seq: number, hash: string];
  /**
   * What is opened is this device's own copy: its last line may have been merged into what it has now. Of a keyring from
   * elsewhere that is for `mergeKeyrings` to decide.
   */
  readonly isOwn?: boolean;
}

export interface KeyringChange {
  readonly keyring: Keyring;
  readonly files: KeyringFiles;
}

/** The public side of a device: enough to enrol one whose secrets are elsewhere. */
export type PublicDevice = Pick<Device, "id" | "name" | "type" | "recipient" | "signPub" | "vaults">;

/** 32 MiB and 0.3 s, on a phone too; the code's 120 bits are what protects the file. */
const RECOVERY_LOG_N = 15;
export const MAX_LOG = 4 * 1024 * 1024;

/** Makes a vault of two devices: this one, and the one the recovery code wakes. */
export async function createKeyring(options: {
  device: Device;
  /** As shown to the user. */
  recoveryCode: string;
  ts: string;
  codec: Codec;
}): Promise<KeyringChange & { device: Device }> {
  const { ts, codec } = options;
  const code = parseRecoveryCode(options.recoveryCode);
  const vault = newId();
  const epoch = await newEpoch(1, vault);
  const genesis = { type: "genesis", vault, seq: 0, prev: null, ts, ...epochFields(epoch) };
  const json = JSON.stringify({ v: 1, ...genesis, device: deviceEntry(options.device) });
  const roster = await startLog(await signLine("keyring", json, deviceSigner(options.device)));

  const device = withVault(options.device, roster);
  const spare = await createDevice({ name: "recovery code", type: "recovery", created: ts });
  const spareFile = utf8(formatDevice(withVault(spare, roster)));
  const recovery = await sealWithPassphrase(spareFile, code, RECOVERY_LOG_N);
  const first = await assemble(roster, [epoch], recovery);
  const { keyring, files } = await addDevice(first, device, spare, ts, codec);
  return { keyring, files, device };
}

/**
 * Opens and checks a keyring from the remote. Fails with `not-a-member` (exit 7); `wrong-genesis`,
 * `keyring-fork`, `keyring-rollback`, `unknown-signer`, `bad-signature`, `substituted-key`,
 * `damaged-keyring` or `bad-line` (exit 6); `newer-version` (exit 1). The caller remembers [seq, hash] as the
 * next mark.
 */
export async function loadKeyring(
  files: KeyringFiles,
  device: Device,
  pinned: Pinned,
  codec: Codec,
): Promise<Keyring> {
  const stated = parseVault(await openVault(files.vault, device));
  if (!equalBytes(files.genesis, genesisFile(pinned.genesis))) throw wrongGenesis();
  const newest = stated.epochs.at(-1)!;
  const roster = await replayLog(await openLog(files.log, newest.identity, codec), pinned.genesis);
  checkMark(roster, pinned);
  const member = roster.members.get(device.id);
  if (member === undefined || member.removedAt !== undefined) throw notAMember();

  // Who can write vault.age is not known; the log says which keys it must hold.
  if (stated.vault !== roster.vault || stated.epochs.length !== roster.epoch) throw substitutedKey();
  const epochs: Epoch[] = [];
  for (const { number, seed, identity } of stated.epochs) {
    const epoch = await deriveEpoch(number, seed, roster.vault);
    if (epoch.identity !== identity || epoch.recipient !== roster.recipients.get(number)) {
      throw substitutedKey();
    }
    epochs.push(epoch);
  }
  return assemble(roster, epochs, files.recovery);
}

/**
 * Opens a keyring with nothing but the recovery code. The recovery device signs the `add` of a new device;
 * its file proves itself, since only who knows the code can have made it, and pins the genesis.
 */
export async function openRecovery(
  files: KeyringFiles,
  code: string,
  codec: Codec,
): Promise<{ recoveryDevice: Device; keyring: Keyring }> {
  const text = fromUtf8(await openWithPassphrase(files.recovery, parseRecoveryCode(code)));
  const recoveryDevice = await parseDevice(text);
  const [pin, ...others] = recoveryDevice.vaults;
  if (pin === undefined || others.length > 0) throw damagedKeyring("recovery.age must name one vault");
  const keyring = await loadKeyring(files, recoveryDevice, { genesis: pin.genesis }, codec);
  return { recoveryDevice, keyring };
}

/** Enrols a device; the one returned is `newDevice` with the vault added. */
export async function addDevice<D extends PublicDevice>(
  keyring: Keyring,
  signer: Device,
  newDevice: D,
  ts: string,
  codec: Codec,
): Promise<KeyringChange & { device: D }> {
  if (keyring.members.has(newDevice.id)) {
    throw refused("known-device", `device '${newDevice.name}' is or was in this vault already`);
  }
  if (presentMembers(keyring).length >= MAX_DEVICES) {
    throw tooManyDevices();
  }
  const roster = await extend(keyring, signer, { type: "add", ts, device: deviceEntry(newDevice) });
  const change = await publish({ ...keyring, ...roster }, codec);
  return { ...change, device: withVault(newDevice, roster) };
}

/**
 * Shuts a device out of all that is sealed from now on, by starting an epoch it is not given.
 * @param cut the last heads of its replicas that are accepted
 */
export async function removeDevice(
  keyring: Keyring,
  signer: Device,
  deviceId: string,
  cut: Cut,
  ts: string,
  codec: Codec,
): Promise<KeyringChange> {
  const member = keyring.members.get(deviceId);
  if (member === undefined || member.removedAt !== undefined) {
    throw refused("unknown-device", `no device '${deviceId}' in this vault`);
  }
  if (deviceId === signer.id) {
    throw refused("own-device", "a device cannot remove itself", ["revoke it on another device"]);
  }
  return startEpoch(keyring, signer, { type: "remove", ts, device: deviceId, cut }, codec);
}

/** Starts an epoch for the same devices. */
export function rotate(keyring: Keyring, signer: Device, ts: string, codec: Codec): Promise<KeyringChange> {
  return startEpoch(keyring, signer, { type: "rotate", ts }, codec);
}

/** Seals an object to the current epoch. */
export async function sealFor(
  keyring: Keyring,
  payload: Uint8Array,
): Promise<{ file: Uint8Array; epoch: number }> {
  const { number, recipient } = keyring.epochs.get(keyring.epoch)!;
  return { file: await seal(payload, [recipient]), epoch: number };
}

/** Opens an object of the given epoch; without one, of any, trying the newest first. Fails like `open`. */
export async function openFrom(keyring: Keyring, file: Uint8Array, epoch?: number): Promise<Uint8Array> {
  const newestFirst = [...keyring.epochs.values()].reverse();
  const candidates = newestFirst.filter(({ number }) => epoch === undefined || number === epoch);
  return open(
    file,
    candidates.map(({ identity }) => identity),
    "object",
  );
}

/**
 * The key a device signs with, for `verifyLine`; also of a device that was removed, since what it signed
 * before stays valid: whether a head lies within the member's `cut` is for the reader of heads to ask.
 */
export function memberKey(keyring: Keyring, deviceId: string): string | undefined {
  return keyring.members.get(deviceId)?.sign;
}

async function startEpoch(
  keyring: Keyring,
  signer: Device,
  fields: { type: string; ts: string; device?: string; cut?: Cut },
  codec: Codec,
): Promise<KeyringChange> {
  const epoch = await newEpoch(keyring.epoch + 1, keyring.vault);
  const roster = await extend(keyring, signer, { ...fields, ...epochFields(epoch) });
  const epochs = new Map(keyring.epochs).set(epoch.number, epoch);
  return publish({ ...keyring, ...roster, epochs }, codec);
}

/** Signs an entry and takes it in by the same door as entries from outside. */
export async function extend(
  roster: Roster,
  signer: Device,
  { type, ...fields }: { type: string; ts: string; [field: string]: unknown },
): Promise<Roster> {
  const place = { vault: roster.vault, seq: roster.seq + 1, prev: roster.hash };
  const json = JSON.stringify({ v: 1, type, ...place, ...fields });
  return extendLog(roster, await signLine("keyring", json, deviceSigner(signer)));
}

/** The keyring with the files that hold it. */
export async function publish(keyring: Keyring, codec: Codec): Promise<KeyringChange> {
  const recipients = presentMembers(keyring).map(({ recipient }) => recipient);
  const log = codec.pack(utf8(keyring.lines.map((line) => `${line}\n`).join("")));
  const files: KeyringFiles = {
    genesis: genesisFile(keyring.genesis),
    vault: await sealVault(formatVault(keyring.vault, keyring.epochs.values()), recipients),
    log: (await sealFor(keyring, log)).file,
    recovery: keyring.recovery,
  };
  return { keyring, files };
}

async function assemble(roster: Roster, epochs: readonly Epoch[], recovery: Uint8Array): Promise<Keyring> {
  return {
    ...roster,
    vaultRef: await vaultRef(roster.vault),
    epochs: new Map(epochs.map((epoch) => [epoch.number, epoch])),
    nameKey: await deriveNameKey(epochs[0]!.seed, roster.vault),
    recovery,
  };
}

export function genesisFile(hash: string): Uint8Array {
  return utf8(`${hash}\n`);
}

async function openVault(file: Uint8Array, device: Device): Promise<string> {
  try {
    return fromUtf8(await open(file, [device.identity], "vault"));
  } catch (cause) {
    throw isNoKey(cause) ? notAMember(cause) : damagedKeyring("vault.age cannot be read", cause);
  }
}

export async function openLog(file: Uint8Array, identity: string, codec: Codec): Promise<string[]> {
  let text: string;
  try {
    text = fromUtf8(codec.unpackWithin(await open(file, [identity], "object"), MAX_LOG));
  } catch (cause) {
    throw isNoKey(cause) ? substitutedKey(cause) : damagedKeyring("log.age cannot be read", cause);
  }
  if (!text.endsWith("\n")) throw damagedKeyring("its log ends in the middle of a line");
  return text.slice(0, -1).split("\n");
}

function checkMark(roster: Roster, { mark, isOwn }: Pinned): void {
  if (mark === undefined) return;
  const [seq, hash] = mark;
  if (isOwn && knowsLine(roster, seq, hash)) return;
  if (seq > roster.seq) {
    throw integrityError("keyring-rollback", "the remote serves an older keyring than this device has seen");
  }
  if (roster.hashes[seq] !== hash) {
    throw integrityError("keyring-fork", "the keyring's history is not the one this device has seen");
  }
}

function deviceEntry(device: Omit<PublicDevice, "vaults">): DeviceEntry {
  const { id, recipient, signPub, name, type } = device;
  return { id, recipient, sign: signPub, name, type };
}

function epochFields({ number, kem, recipient }: Epoch) {
  return { epoch: number, kem, recipient };
}

function isNoKey(error: unknown): boolean {
  return error instanceof ConvosyncError && error.code === "no-key";
}

export const tooManyDevices = (): ConvosyncError =>
  refused("too-many-devices", `a vault has at most ${MAX_DEVICES} devices`);

function notAMember(cause?: unknown): ConvosyncError {
  return new ConvosyncError(
    "not-a-member",
    Exit.noKey,
    "this device cannot open the vault",
    ["join it with the recovery code: git convosync init --join"],
    cause,
  );
}

function substitutedKey(cause?: unknown): ConvosyncError {
  return integrityError("substituted-key", "the vault's keys are not those its devices agreed on", [], cause);
}

function refused(code: string, message: string, hints: readonly string[] = []): ConvosyncError {
  return new ConvosyncError(code, Exit.failed, message, hints);
}
