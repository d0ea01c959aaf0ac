import { integrityError } from "../errors.ts";
import type { DeviceType } from "./fields.ts";
import { type Cut, type DeviceEntry, damagedKeyring, type Entry, parseEntry } from "./keyring-entry.ts";
import { deviceId } from "./names.ts";
import { lineHash, readLine, verifyLine } from "./signed-line.ts";

// The keyring log: signed lines, each naming the hash of the one before, that say which devices belong to a
// vault and which recipient each epoch has. Line 0, `genesis`, is signed by the device it introduces; every
// other line by a device that is a member at that point. Whoever knows the hash of line 0 can check the rest.
// Every repository of a vault has a copy of the log, so that it can go on apart in two of them; `merge` says which lines
// another copy had in the place of those that this one has.

export const MAX_DEVICES = 64;

/** A device that belongs to the vault, or did: what was removed stays known, to check what it once signed. */
export interface Member {
  readonly id: string;
  /** `age1…` */
  readonly recipient: string;
  /** Ed25519 public key, base64url. */
  readonly sign: string;
  readonly name: string;
  readonly type: DeviceType;
  readonly addedAt: string;
  readonly removedAt?: string;
  /** With `removedAt`: its last heads that count. */
  readonly cut?: Cut;
}

/** What a log says, having been checked. */
export interface Roster {
  /** The vault's id. */
  readonly vault: string;
  /** Hash of line 0. */
  readonly genesis: string;
  /** Number and hash of the last line. */
  readonly seq: number;
  readonly hash: string;
  /** The current epoch; they are numbered from 1. */
  readonly epoch: number;
  /** Each epoch's recipient, by its number. */
  readonly recipients: ReadonlyMap<number, string>;
  /** By device id, in the order of enrolment. */
  readonly members: ReadonlyMap<string, Member>;
  readonly lines: readonly string[];
  /** The hash of each line, by its seq. */
  readonly hashes: readonly string[];
  /** Lines of other copies of the log that were taken into this one, as `<seq> <hash>`. */
  readonly merged: ReadonlySet<string>;
}

interface Draft {
  vault: string;
  genesis: string;
  seq: number;
  hash: string;
  epoch: number;
  recipients: Map<number, string>;
  members: Map<string, Member>;
  lines: string[];
  hashes: string[];
  merged: Set<string>;
}

/** Begins a log with its genesis line. */
export async function startLog(line: string): Promise<Roster> {
  return begin(line);
}

/** The log with one more line, checked as strictly as one that comes from outside; the old value stays. */
export async function extendLog(roster: Roster, line: string): Promise<Roster> {
  const draft: Draft = {
    vault: roster.vault,
    genesis: roster.genesis,
    seq: roster.seq,
    hash: roster.hash,
    epoch: roster.epoch,
    recipients: new Map(roster.recipients),
    members: new Map(roster.members),
    lines: [...roster.lines],
    hashes: [...roster.hashes],
    merged: new Set(roster.merged),
  };
  await append(draft, line);
  return draft;
}

/** Replays a log whose line 0 must have the pinned hash; otherwise it is `wrong-genesis`. */
export async function replayLog(lines: readonly string[], genesis: string): Promise<Roster> {
  const [first, ...rest] = lines;
  if (first === undefined || (await lineHash(first)) !== genesis) throw wrongGenesis();
  const draft = await begin(first);
  for (const line of rest) await append(draft, line);
  return draft;
}

export function wrongGenesis(): Error {
  return integrityError("wrong-genesis", "the keyring is not the one this device was enrolled in");
}

/** Whether a line is part of the log, or of another copy that was taken into it. */
export function knowsLine(roster: Pick<Roster, "hashes" | "merged">, seq: number, hash: string): boolean {
  return roster.hashes[seq] === hash || roster.merged.has(lineName(seq, hash));
}

const lineName = (seq: number, hash: string): string => `${seq} ${hash}`;

/** How many lines two logs have in common, from their beginning. */
export function commonLines(one: Pick<Roster, "hashes">, other: Pick<Roster, "hashes">): number {
  const at = one.hashes.findIndex((hash, seq) => other.hashes[seq] !== hash);
  return at === -1 ? one.hashes.length : at;
}

/** Whether nothing but devices has been added since the log had so many lines. */
export function onlyGrew({ lines }: Pick<Roster, "lines">, since: number): boolean {
  return lines.slice(since).every((line) => ["add", "merge"].includes(parseEntry(readLine(line).json).type));
}

export function presentMembers(roster: Pick<Roster, "members">): Member[] {
  return [...roster.members.values()].filter((member) => member.removedAt === undefined);
}

async function begin(line: string): Promise<Draft> {
  const entry = parseEntry(readLine(line).json);
  if (entry.type !== "genesis") throw damagedKeyring("it does not begin with its genesis");
  const { device } = entry;
  await verifyLine("keyring", line, (signer) => (signer === device.id ? device.sign : undefined));
  if (entry.seq !== 0 || entry.prev !== null || entry.epoch !== 1) throw damagedKeyring("its genesis is odd");
  const hash = await lineHash(line);
  return {
    vault: entry.vault,
    genesis: hash,
    seq: 0,
    hash,
    epoch: 1,
    recipients: new Map([[1, entry.recipient]]),
    members: new Map([[device.id, await memberFrom(device, entry.ts)]]),
    lines: [line],
    hashes: [hash],
    merged: new Set(),
  };
}

async function append(draft: Draft, line: string): Promise<void> {
  const { json, device: signer } = await verifyLine("keyring", line, (id) => {
    const member = draft.members.get(id);
    return member?.removedAt === undefined ? member?.sign : undefined;
  });
  const entry = parseEntry(json);
  if (entry.vault !== draft.vault || entry.seq !== draft.seq + 1 || entry.prev !== draft.hash) {
    throw damagedKeyring(`line ${draft.seq + 1} does not follow the one before`);
  }
  await apply(draft, entry, signer);
  draft.seq = entry.seq;
  draft.hash = await lineHash(line);
  draft.lines.push(line);
  draft.hashes.push(draft.hash);
}

async function apply(draft: Draft, entry: Entry, signer: string): Promise<void> {
  switch (entry.type) {
    case "genesis":
      throw damagedKeyring("it has two geneses");
    case "add":
      if (draft.members.has(entry.device.id)) throw damagedKeyring("it adds a device twice");
      if (presentMembers(draft).length >= MAX_DEVICES) throw damagedKeyring("it holds too many devices");
      draft.members.set(entry.device.id, await memberFrom(entry.device, entry.ts));
      return;
    case "remove": {
      const member = draft.members.get(entry.device);
      // A device that removes itself would choose the very key that is meant to shut it out.
      if (member === undefined || member.removedAt !== undefined || entry.device === signer) {
        throw damagedKeyring("it removes a device that cannot be removed");
      }
      draft.members.set(member.id, { ...member, removedAt: entry.ts, cut: entry.cut });
      startEpoch(draft, entry);
      return;
    }
    case "rotate":
      startEpoch(draft, entry);
      return;
    case "merge":
      for (const [at, hash] of entry.hashes.entries()) draft.merged.add(lineName(entry.from + at, hash));
      return;
  }
}

function startEpoch(draft: Draft, entry: { epoch: number; recipient: string }): void {
  if (entry.epoch !== draft.epoch + 1) throw damagedKeyring("its epochs do not follow each other");
  if ([...draft.recipients.values()].includes(entry.recipient))
    throw damagedKeyring("an epoch repeats a key");
  draft.epoch = entry.epoch;
  draft.recipients.set(entry.epoch, entry.recipient);
}

async function memberFrom(device: DeviceEntry, addedAt: string): Promise<Member> {
  if ((await deviceId(device.recipient, device.sign)) !== device.id) {
    throw damagedKeyring(`device '${device.id}' does not have the keys its id stands for`);
  }
  const { id, recipient, sign, name, type } = device;
  return { id, recipient, sign, name, type, addedAt };
}
