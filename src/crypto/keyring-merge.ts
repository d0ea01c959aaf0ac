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
  for (let from = common; from < other.hashes.length; from += mostMerged) {
    await add({ type: "merge", from, hashes: other.hashes.slice(from, from + mostMerged) });
  }
  for (const line of other.merged) {
    const [seq = "", hash = ""] = line.split(" ");
    if (!knowsLine(roster, Number(seq), hash))
      await add({ type: "merge", from: Number(seq), hashes: [hash] });
  }
  return publish({ ...own, ...roster }, codec);
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
