// Copies of one keyring that went on apart, as where devices joined in different repositories.

import { beforeAll, describe, expect, test } from "vitest";
import type { Device } from "./device.ts";
import { CODE, codec, forgeLine, newDevice, newVault, TS, withLog } from "./keyring.fixture.ts";
import {
  addDevice,
  createKeyring,
  type Keyring,
  type KeyringChange,
  type KeyringFiles,
  loadKeyring,
  removeDevice,
  rotate,
} from "./keyring.ts";
import { extendLog, knowsLine, presentMembers } from "./keyring-log.ts";
import { logOf, mergeKeyrings } from "./keyring-merge.ts";

let desktop: Device;
let base: KeyringChange;
beforeAll(async () => {
  const made = await newVault("desktop");
  desktop = made.device;
  base = made;
});

const joined = async (to: Keyring, name: string) => addDevice(to, desktop, await newDevice(name), TS, codec);

const merge = (own: Keyring, other: Keyring, signer = desktop) =>
  mergeKeyrings(own, other, signer, TS, codec);

/** The merge of two that went on apart, which is neither of them. */
async function both(own: Keyring, other: Keyring, signer = desktop): Promise<KeyringChange> {
  const outcome = await merge(own, other, signer);
  if (outcome === null || typeof outcome === "string") throw new Error(`not merged: ${outcome}`);
  return outcome;
}

const names = (keyring: Keyring): string[] => presentMembers(keyring).map(({ name }) => name);
const pin = ({ genesis }: Keyring) => ({ genesis });

describe("two copies", () => {
  test("of which one lags behind: ours stays; of which it merely goes on: nothing to merge", async () => {
    const { keyring: later } = await joined(base.keyring, "laptop");
    expect(await merge(later, base.keyring)).toBe("ours");
    expect(await merge(later, later)).toBe("ours");
    expect(await merge(base.keyring, later)).toBe(null);
  });

  test("that devices were added to apart: all of both, in a history that goes on from ours", async () => {
    const { keyring: own } = await joined(base.keyring, "laptop");
    const tablet = await joined((await joined(base.keyring, "phone")).keyring, "tablet");
    const { keyring, files } = await both(own, tablet.keyring);
    expect(names(keyring)).toEqual(["desktop", "recovery code", "laptop", "phone", "tablet"]);
    expect(keyring.hashes.slice(0, own.seq + 1)).toEqual(own.hashes);
    const mark = [own.seq, own.hash] as const;
    const loaded = await loadKeyring(files, desktop, { ...pin(own), mark }, codec);
    expect(loaded.members).toEqual(keyring.members);
    // Heads were written under the other history too.
    for (const [seq, hash] of tablet.keyring.hashes.entries())
      expect(knowsLine(loaded, seq, hash)).toBe(true);
    // Every device that was added can open what comes of it.
    await loadKeyring(files, tablet.device, pin(own), codec);
  });

  test("once merged, the other takes it as it is, whoever looks first", async () => {
    const laptop = await joined(base.keyring, "laptop");
    const tablet = await joined(base.keyring, "tablet");
    const { keyring } = await both(laptop.keyring, tablet.keyring, laptop.device);
    expect(await merge(tablet.keyring, keyring, tablet.device)).toBe("theirs");
    expect(await merge(keyring, tablet.keyring, laptop.device)).toBe("ours");
    const later = await joined(keyring, "phone");
    expect(await merge(tablet.keyring, later.keyring, tablet.device)).toBe("theirs");
  });

  test("that were merged twice at once come to one end", async () => {
    const laptop = await joined(base.keyring, "laptop");
    const tablet = await joined(base.keyring, "tablet");
    const one = await both(laptop.keyring, tablet.keyring, laptop.device);
    const other = await both(tablet.keyring, laptop.keyring, tablet.device);
    const end = await both(one.keyring, other.keyring, laptop.device);
    expect(names(end.keyring).sort()).toEqual(["desktop", "laptop", "recovery code", "tablet"]);
    for (const each of [other, tablet, laptop, one])
      for (const [seq, hash] of each.keyring.hashes.entries())
        expect(knowsLine(end.keyring, seq, hash)).toBe(true);
    expect(await merge(other.keyring, end.keyring, tablet.device)).toBe("theirs");
  });

  test("name the lines of all others in few entries", async () => {
    let other = base.keyring;
    for (const name of ["a", "b", "c"]) ({ keyring: other } = await joined(other, name));
    const apart = await joined((await joined(base.keyring, "d")).keyring, "e");
    const merged = await both(other, apart.keyring);
    const laptop = await joined(base.keyring, "laptop");
    const { keyring } = await both(laptop.keyring, merged.keyring);
    const entries = keyring.lines.map((line) => JSON.parse(line.split("\t")[0]!));
    expect(entries.filter(({ type }) => type === "merge")).toHaveLength(2);
    for (const each of [other, apart.keyring, merged.keyring])
      for (const [seq, hash] of each.hashes.entries()) expect(knowsLine(keyring, seq, hash)).toBe(true);
  });

  test("of which one shuts a device out are not merged, whichever it is", async () => {
    const phone = await joined(base.keyring, "phone");
    const out = await removeDevice(phone.keyring, desktop, phone.device.id, {}, TS, codec);
    const helper = await addDevice(phone.keyring, phone.device, await newDevice("helper"), TS, codec);
    expect(await merge(out.keyring, helper.keyring)).toBe(null);
    expect(await merge(helper.keyring, out.keyring)).toBe(null);
    const rotated = await rotate(phone.keyring, desktop, TS, codec);
    expect(await merge(rotated.keyring, helper.keyring)).toBe(null);
  });

  test("are not merged because a device that was shut out says they were", async () => {
    const phone = await joined(base.keyring, "phone");
    const out = await removeDevice(phone.keyring, desktop, phone.device.id, {}, TS, codec);
    const merging = { type: "merge", from: phone.keyring.seq + 1, hashes: [out.keyring.hash] };
    const forged = await extendLog(phone.keyring, await forgeLine(phone.keyring, phone.device, merging));
    const longer = await extendLog(
      forged,
      await forgeLine({ ...phone.keyring, ...forged }, phone.device, merging),
    );
    for (const claimed of [forged, longer])
      expect(await merge(out.keyring, { ...phone.keyring, ...claimed })).toBe(null);
  });

  test("one of which says that it holds ours, and lacks a device of ours", async () => {
    const laptop = await joined(base.keyring, "laptop");
    const phone = await joined(base.keyring, "phone");
    const merging = { type: "merge", from: base.keyring.seq + 1, hashes: [laptop.keyring.hash] };
    const line = await forgeLine(phone.keyring, phone.device, merging);
    const claimed = { ...phone.keyring, ...(await extendLog(phone.keyring, line)) };
    const { keyring } = await both(laptop.keyring, claimed, laptop.device);
    expect(names(keyring)).toContain("laptop");
    expect(names(keyring)).toContain("phone");
  });

  test("of more devices than a vault may have", async () => {
    let [own, other] = [base.keyring, base.keyring];
    for (let n = 0; n < 32; n++) {
      ({ keyring: own } = await joined(own, `a${n}`));
      ({ keyring: other } = await joined(other, `b${n}`));
    }
    await expect(merge(own, other)).rejects.toMatchObject({ code: "too-many-devices", exit: 1 });
  });
});

describe("the log of another copy", () => {
  const expectNull = async (files: KeyringFiles): Promise<void> =>
    expect(await logOf(base.keyring, files, codec)).toBe(null);

  test("is read with keys of ours alone", async () => {
    expect((await logOf(base.keyring, base.files, codec))?.hash).toBe(base.keyring.hash);
    await expectNull((await rotate(base.keyring, desktop, TS, codec)).files);
    await expectNull((await createKeyring({ device: desktop, recoveryCode: CODE, ts: TS, codec })).files);
  });

  test("is checked as if it were to be used", async () => {
    const [genesis = "", ...rest] = base.keyring.lines;
    await expect(
      logOf(base.keyring, await withLog(base.keyring, base.files, [genesis, genesis]), codec),
    ).rejects.toMatchObject({ exit: 6 });
    await expect(
      logOf(base.keyring, await withLog(base.keyring, base.files, rest), codec),
    ).rejects.toMatchObject({ code: "wrong-genesis" });
  });
});

test("a merge entry that is malformed is damage", async () => {
  for (const lie of [
    { from: 0, hashes: [base.keyring.hash] },
    { from: 2, hashes: [] },
    { from: 2, hashes: ["x"] },
    { hashes: [base.keyring.hash] },
    { from: 2, hashes: Array(1001).fill(base.keyring.hash) },
  ]) {
    const line = await forgeLine(base.keyring, desktop, { type: "merge", ...lie });
    await expect(extendLog(base.keyring, line)).rejects.toMatchObject({ code: "damaged-keyring" });
  }
});
