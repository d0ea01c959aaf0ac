import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { readAgeHeader } from "./age-header.ts";
import { type Device, deviceSigner, formatDevice } from "./device.ts";
import { fromUtf8, utf8 } from "./encoding.ts";
import { CODE, codec, expectFailure, forgeLine, newDevice, newVault, TS } from "./keyring.fixture.ts";
import {
  addDevice,
  createKeyring,
  type Keyring,
  type KeyringFiles,
  loadKeyring,
  memberKey,
  openFrom,
  openRecovery,
  removeDevice,
  rotate,
  sealFor,
} from "./keyring.ts";
import { extendLog, presentMembers } from "./keyring-log.ts";
import { randomBytes } from "./primitives.ts";
import { newRecoveryCode } from "./recovery-code.ts";
import { open, openWithPassphrase } from "./seal.ts";
import { lineHash, signLine, verifyLine } from "./signed-line.ts";

let laptop: Device;
let keyring: Keyring;
let files: KeyringFiles;
beforeAll(async () => {
  ({ device: laptop, keyring, files } = await newVault());
});

const pin = (of: Keyring) => ({ genesis: of.genesis });

describe("a new vault", () => {
  test("holds this device and the recovery device", () => {
    expect([...keyring.members.values()].map(({ name, type, addedAt }) => [name, type, addedAt])).toEqual([
      ["laptop", "laptop", TS],
      ["recovery code", "recovery", TS],
    ]);
    expect(laptop.vaults).toEqual([{ vault: keyring.vault, genesis: keyring.genesis }]);
    expect([keyring.seq, keyring.epoch, keyring.epochs.size]).toEqual([1, 1, 1]);
  });

  test("returns from its files as it was", async () => {
    const loaded = await loadKeyring(files, laptop, pin(keyring), codec);
    const { nameKey: _, ...plain } = keyring;
    expect(loaded).toMatchObject(plain);
  });

  test("numbers and chains its lines", async () => {
    expect(keyring.hashes).toEqual(await Promise.all(keyring.lines.map(lineHash)));
    expect(keyring.hashes[0]).toBe(keyring.genesis);
    expect(keyring.hashes[keyring.seq]).toBe(keyring.hash);
    expect(fromUtf8(files.genesis)).toBe(`${keyring.genesis}\n`);
    expect(keyring.lines.map((line) => Object.keys(JSON.parse(line.split("\t")[0]!)))).toEqual([
      ["v", "type", "vault", "seq", "prev", "ts", "epoch", "kem", "recipient", "device"],
      ["v", "type", "vault", "seq", "prev", "ts", "device"],
    ]);
  });

  test("belongs to a device that has another vault already", async () => {
    const second = await createKeyring({ device: laptop, recoveryCode: CODE, ts: TS, codec });
    expect(second.device.vaults).toHaveLength(2);
    await loadKeyring(files, second.device, pin(keyring), codec);
    await loadKeyring(second.files, second.device, pin(second.keyring), codec);
  });
});

describe("the recovery code", () => {
  test("opens the vault without any other device, and enrols one", async () => {
    const { recoveryDevice, keyring: opened } = await openRecovery(files, CODE.toLowerCase(), codec);
    expect(recoveryDevice.type).toBe("recovery");
    const { device: phone, files: next } = await addDevice(
      opened,
      recoveryDevice,
      await newDevice("phone", "phone"),
      TS,
      codec,
    );
    const loaded = await loadKeyring(next, phone, pin(keyring), codec);
    expect(loaded.members.get(phone.id)?.name).toBe("phone");
    await openRecovery(next, CODE, codec);
  });

  test("of another vault is told from a mistyped one", async () => {
    await expectFailure(openRecovery(files, newRecoveryCode(), codec), "wrong-recovery-code", 7);
    await expectFailure(openRecovery(files, CODE.replace(/0$/, "1"), codec), "bad-recovery-code", 7);
  });

  test("is as shown the passphrase of an age file that holds an identity", async () => {
    expect(readAgeHeader(files.recovery, { stanzas: 1, bytes: 4096 })[0]?.args[1]).toBe("15");
    const text = fromUtf8(await openWithPassphrase(files.recovery, CODE));
    const identity = /^AGE-SECRET-KEY-1.*$/m.exec(text)![0];
    expect(fromUtf8(await open(files.vault, [identity], "vault"))).toContain(keyring.epochs.get(1)!.identity);
  });
});

describe("devices", () => {
  test("that were added read and write; the newcomer's secrets are not needed", async () => {
    const phone = await newDevice("phone", "phone");
    const { id, name, type, recipient, signPub } = phone;
    const request = { id, name, type, recipient, signPub, vaults: [] };
    const added = await addDevice(keyring, laptop, request, TS, codec);
    expect(added.device.vaults).toEqual(laptop.vaults);

    const seen = await loadKeyring(added.files, phone, pin(keyring), codec);
    const { file, epoch } = await sealFor(seen, utf8("hello"));
    expect(fromUtf8(await openFrom(added.keyring, file, epoch))).toBe("hello");
    const line = await signLine("head", "{}", deviceSigner(phone));
    await verifyLine("head", line, (device) => memberKey(added.keyring, device));
    await expectFailure(
      verifyLine("head", line, (device) => memberKey(keyring, device)),
      "unknown-signer",
      6,
    );
  });

  test("that were removed are shut out of what follows, and stay known", async () => {
    const {
      device: phone,
      keyring: both,
      files: before,
    } = await addDevice(keyring, laptop, await newDevice("phone", "phone"), TS, codec);
    const cut = { AAECAwQFBgcICQoLDA0ODw: { abcdefghij234: [811, "A".repeat(43)] as const } };
    const later = "2026-02-03T04:05:06Z";
    const removed = await removeDevice(both, laptop, phone.id, cut, later, codec);

    expect(removed.keyring.epoch).toBe(2);
    expect(removed.keyring.members.get(phone.id)).toMatchObject({ removedAt: later, cut });
    expect(presentMembers(removed.keyring).map(({ name }) => name)).toEqual(["laptop", "recovery code"]);
    expect(memberKey(removed.keyring, phone.id)).toBe(phone.signPub);
    await expectFailure(loadKeyring(removed.files, phone, pin(keyring), codec), "not-a-member", 7);
    await expectFailure(openFrom(both, (await sealFor(removed.keyring, utf8("x"))).file), "no-key", 7);

    const loaded = await loadKeyring(removed.files, laptop, pin(keyring), codec);
    expect(loaded.members.get(phone.id)).toEqual(removed.keyring.members.get(phone.id));
    const old = await sealFor(await loadKeyring(before, laptop, pin(keyring), codec), utf8("old"));
    expect(old.epoch).toBe(1);
    expect(fromUtf8(await openFrom(loaded, old.file))).toBe("old");
    await openRecovery(removed.files, CODE, codec);
  });

  test("cannot be removed twice, by themselves, or when unknown; nor added again", async () => {
    const phone = await newDevice("phone", "phone");
    const both = (await addDevice(keyring, laptop, phone, TS, codec)).keyring;
    const without = (await removeDevice(both, laptop, phone.id, {}, TS, codec)).keyring;
    await expectFailure(removeDevice(without, laptop, phone.id, {}, TS, codec), "unknown-device", 1);
    await expectFailure(removeDevice(keyring, laptop, phone.id, {}, TS, codec), "unknown-device", 1);
    await expectFailure(removeDevice(both, phone, phone.id, {}, TS, codec), "own-device", 1);
    await expectFailure(addDevice(both, laptop, phone, TS, codec), "known-device", 1);
    await expectFailure(addDevice(without, laptop, phone, TS, codec), "known-device", 1);
    await expectFailure(rotate(without, phone, TS, codec), "unknown-signer", 6);
  });

  test("are at most 64", async () => {
    let full = keyring;
    for (let count = 3; count <= 64; count++) {
      const { id, recipient, signPub: sign, name, type } = await newDevice(`n${count}`);
      const line = await forgeLine(full, laptop, {
        type: "add",
        device: { id, recipient, sign, name, type },
      });
      full = { ...full, ...(await extendLog(full, line)) };
    }
    expect(presentMembers(full)).toHaveLength(64);
    const { id, recipient, signPub: sign, name, type } = await newDevice();
    await expectFailure(addDevice(full, laptop, await newDevice(), TS, codec), "too-many-devices", 1);
    const line = await forgeLine(full, laptop, { type: "add", device: { id, recipient, sign, name, type } });
    await expectFailure(extendLog(full, line), "damaged-keyring", 6);

    const { keyring: fewer } = await removeDevice(
      full,
      laptop,
      [...full.members.keys()].at(-1)!,
      {},
      TS,
      codec,
    );
    const { files: again } = await addDevice(fewer, laptop, await newDevice(), TS, codec);
    expect(presentMembers(await loadKeyring(again, laptop, pin(keyring), codec))).toHaveLength(64);
  });
});

describe("epochs", () => {
  test("follow each other; objects of all stay readable, names stay", async () => {
    const first = await sealFor(keyring, utf8("first"));
    const second = (await rotate(keyring, laptop, TS, codec)).keyring;
    const third = await rotate(second, laptop, TS, codec);
    const loaded = await loadKeyring(third.files, laptop, pin(keyring), codec);
    expect([...loaded.epochs.keys()]).toEqual([1, 2, 3]);
    expect(new Set([...loaded.epochs.values()].map(({ recipient }) => recipient)).size).toBe(3);
    expect(loaded.vaultRef).toBe(keyring.vaultRef);

    const newest = await sealFor(loaded, randomBytes(10));
    expect(newest.epoch).toBe(3);
    expect(await openFrom(loaded, first.file)).toEqual(utf8("first"));
    expect(await openFrom(loaded, first.file, 1)).toEqual(utf8("first"));
    await expectFailure(openFrom(loaded, first.file, 2), "no-key", 7);
    await expectFailure(openFrom(loaded, first.file, 4), "no-key", 7);
  });
});

describe("marks", () => {
  test("of what was seen before let the log grow", async () => {
    const mark = [keyring.seq, keyring.hash] as const;
    const next = await rotate(keyring, laptop, TS, codec);
    await loadKeyring(next.files, laptop, { ...pin(keyring), mark }, codec);
    await loadKeyring(files, laptop, { ...pin(keyring), mark }, codec);
  });
});

const STOCK_AGE = "age";
const hasAge = spawnSync(STOCK_AGE, ["--version"]).status === 0;

test.skipIf(!hasAge)("stock age opens vault.age and objects (needs age on PATH)", async () => {
  const folder = mkdtempSync(join(tmpdir(), "convosync-age-"));
  try {
    const { file } = await sealFor(keyring, utf8("hello"));
    writeFileSync(join(folder, "device.txt"), formatDevice(laptop));
    writeFileSync(join(folder, "vault.age"), files.vault);
    writeFileSync(join(folder, "object.age"), file);
    const age = (...args: string[]) => execFileSync(STOCK_AGE, args, { cwd: folder, encoding: "utf8" });
    writeFileSync(join(folder, "vault.txt"), age("-d", "-i", "device.txt", "vault.age"));
    expect(age("-d", "-i", "vault.txt", "object.age")).toBe("hello");
  } finally {
    rmSync(folder, { recursive: true });
  }
});
