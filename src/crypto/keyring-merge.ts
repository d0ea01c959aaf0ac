import { ConvosyncError } from "../errors.ts";
import type { Device } from "./device.ts";
import { equalBytes } from "./encoding.ts";
import {
  type Codec,
  extend,
  genesisFile,
  type Keyring,
  type KeyringChange,
  type KeyringFiles,
  MAX_LOG,
  openLog,
  publish,
  tooManyDevices,
} from "./keyring.ts";
import { mostMerged } from "./keyring-entry.ts";
import {
  commonLines,
  knowsLine,
  MAX_DEVICES,
  onlyGrew,
  presentMembers,
  type Roster,
  replayLog,
} from "./keyring-log.ts";

/**
 * What comes of this device's keyring and the log of another copy of it, as each repository has one and devices may join
 * in any: `ours` where the other lags behind, `theirs` where it has taken in all of ours, and where both have gone on, a
 * keyring that goes on from ours with the devices of both. Null where the other merely goes on, and where more has
 * happened on either side than that devices were added: of two histories of which one shuts a device out, none is to be
 * picked. Members gain no power by it: whoever may add a device on a branch may do so at its end.
 */
export async function mergeKeyrings(
  own: Keyring,
  other: Roster,
  signer: Device,
  ts: string,
  codec: Codec,
): Promise<"ours" | "theirs" | KeyringChange | null> {
  if (knowsLine(own, other.seq, other.hash)) return "ours";
  const common = commonLines(own, other);
  if (common === own.lines.length || !onlyGrew(own, common)) return null;
  const holdsOurs = [...own.members.keys()].every((id) => other.members.has(id));
  if (holdsOurs && knowsLine(other, own.seq, own.hash)) return "theirs";
  if (!onlyGrew(other, common)) return null;

  const joined = [...other.members.values()].filter(({ id }) => !own.members.has(id));
  if (presentMembers(own).length + joined.length > MAX_DEVICES) throw tooManyDevices();
  let roster: Roster = own;
  const add = async (fields: { type: string; [field: string]: unknown }): Promise<void> => {
    roster = await extend(roster, signer, { ts, ...fields });
  };
  for (const { id, recipient, sign, name, type } of joined) {
    await add({ type: "add", device: { id, recipient, sign, name, type } });
  }
  const lines = other.hashes.slice(common).map((hash, at): Line => [common + at, hash]);
  for (const { from, hashes } of runsOf([...lines, ...mergedInto(other)])) {
    await add({ type: "merge", from, hashes });
  }
  // Nobody could open it again.
  if (roster.lines.join("\n").length >= MAX_LOG) return null;
  return publish({ ...own, ...roster }, codec);
}

type Line = readonly [seq: number, hash: string];

const mergedInto = ({ merged }: Roster): Line[] =>
  [...merged].map((line) => {
    const [seq = "", hash = ""] = line.split(" ");
    return [Number(seq), hash];
  });

/** The lines in as few entries as can name them. */
function runsOf(lines: readonly Line[]): { from: number; hashes: string[] }[] {
  const runs: { from: number; hashes: string[] }[] = [];
  /** Those that the line with this number may continue. */
  const open = new Map<number, { from: number; hashes: string[] }[]>();
  for (const [seq, hash] of [...lines].sort(([one], [other]) => one - other)) {
    const run = open.get(seq)?.pop() ?? { from: seq, hashes: [] };
    if (run.hashes.length === 0) runs.push(run);
    run.hashes.push(hash);
    if (run.hashes.length < mostMerged) open.set(seq + 1, [...(open.get(seq + 1) ?? []), run]);
  }
  return runs;
}

/**
 * What the log of another copy of a keyring says, fully checked; null where it is of another vault, or sealed to a key
 * that is not the keyring's current one.
 */
export async function logOf(
  { epoch, epochs, genesis }: Keyring,
  files: KeyringFiles,
  codec: Codec,
): Promise<Roster | null> {
  if (!equalBytes(files.genesis, genesisFile(genesis))) return null;
  const lines = await openLog(files.log, epochs.get(epoch)!.identity, codec).catch((error) => {
    if (error instanceof ConvosyncError && error.code === "substituted-key") return null;
    throw error;
  });
  return lines && replayLog(lines, genesis);
}
