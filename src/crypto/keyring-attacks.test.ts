import { beforeAll, describe, expect, test } from "vitest";
import { type Device, deviceSigner } from "./device.ts";
import { toBase64url, utf8 } from "./encoding.ts";
import {
  CODE,
  codec,
  expectFailure,
  forgeLine,
  newDevice,
  newVault,
  TS,
  withLog,
} from "./keyring.fixture.ts";
import {
  addDevice,
  createKeyring,
  type Keyring,
  type KeyringFiles,
  loadKeyring,
  removeDevice,
  rotate,
} from "./keyring.ts";
import { replayLog, startLog } from "./keyring-log.ts";
import { seal } from "./seal.ts";
import { signLine } from "./signed-line.ts";
import { deriveEpoch, type Epoch, formatVault, newEpoch, sealVault } from "./vault.ts";

// The keyring's part of the attack table: a remote that serves what it likes, strangers, devices that were
// removed. Each knows everything but the secrets of the devices present: the epoch's recipient too.

let laptop: Device;
let phone: Device;
let mallory: Device;
/** Laptop, recovery code and phone. */
let keyring: Keyring;
let files: KeyringFiles;
/** The same after the phone was removed, in epoch 2. */
let later: Keyring;
let laterFiles: KeyringFiles;

beforeAll(async () => {
  const created = await newVault();
  laptop = created.device;
  ({
    keyring,
    files,
    device: phone,
  } = await addDevice(created.keyring, laptop, await newDevice("phone"), TS, codec));
  ({ keyring: later, files: laterFiles } = await removeDevice(keyring, laptop, phone.id, {}, TS, codec));
  mallory = await newDevice("mallory");
});

const load = (served: KeyringFiles, mark?: readonly [number, string], device = laptop) =>
  loadKeyring(served, device, { genesis: keyring.genesis, ...(mark && { mark }) }, codec);

const entryOf = ({ id, recipient, signPub, name, type }: Device) => ({
  id,
  recipient,
  sign: signPub,
  name,
  type,
});

async function served(line: string, of = keyring, from = files): Promise<KeyringFiles> {
  return withLog(of, from, [...of.lines, line]);
}

test("the honest keyring loads", async () => {
  expect((await load(files)).hash).toBe(keyring.hash);
  expect((await load(laterFiles, [keyring.seq, keyring.hash])).hash).toBe(later.hash);
});

describe("a stranger", () => {
  test("adds himself", async () => {
    const line = await forgeLine(keyring, mallory, { type: "add", device: entryOf(mallory) });
    await expectFailure(load(await served(line)), "unknown-signer", 6);
  });

  test("adds himself in the laptop's name", async () => {
    const signer = { ...deviceSigner(mallory), device: laptop.id };
    const add = { v: 1, type: "add", vault: keyring.vault, seq: keyring.seq + 1, prev: keyring.hash, ts: TS };
    const line = await signLine("keyring", JSON.stringify({ ...add, device: entryOf(mallory) }), signer);
    await expectFailure(load(await served(line)), "bad-signature", 6);
  });

  test("replays what the laptop signed for another purpose", async () => {
    const add = { v: 1, type: "add", vault: keyring.vault, seq: keyring.seq + 1, prev: keyring.hash, ts: TS };
    const json = JSON.stringify({ ...add, device: entryOf(mallory) });
    const line = await signLine("head", json, deviceSigner(laptop));
    await expectFailure(load(await served(line)), "bad-signature", 6);
  });

  test("makes a whole vault for the laptop", async () => {
    const fake = await createKeyring({ device: mallory, recoveryCode: CODE, ts: TS, codec });
    const { files: theirs } = await addDevice(fake.keyring, mallory, laptop, TS, codec);
    await expectFailure(load(theirs), "wrong-genesis", 6);
    await expectFailure(load({ ...theirs, genesis: files.genesis }), "wrong-genesis", 6);
  });

  test("names himself in a genesis of the laptop's vault", async () => {
    const { recipient } = keyring.epochs.get(1)!;
    const genesis = { v: 1, type: "genesis", vault: keyring.vault, seq: 0, prev: null, ts: TS, epoch: 1 };
    const json = JSON.stringify({ ...genesis, kem: "x25519", recipient, device: entryOf(mallory) });
    const line = await signLine("keyring", json, deviceSigner(mallory));
    await expectFailure(load(await withLog(keyring, files, [line])), "wrong-genesis", 6);
  });
});

describe("a genesis", () => {
  test("is the first line, and nothing else is", async () => {
    const [, second, third] = keyring.hashes as [string, string, string];
    const lines = keyring.lines.slice(1);
    await expectFailure(replayLog(lines, second), "damaged-keyring", 6);
    await expectFailure(replayLog(keyring.lines, third), "wrong-genesis", 6);
  });

  test.each([{ seq: 1 }, { prev: "A".repeat(43) }, { epoch: 2 }])("with %o is damaged", async (odd) => {
    const { recipient } = keyring.epochs.get(1)!;
    const genesis = { type: "genesis", seq: 0, prev: null, epoch: 1, kem: "x25519", recipient };
    const device = entryOf(laptop);
    await startLog(await forgeLine(keyring, laptop, { ...genesis, device }));
    const line = await forgeLine(keyring, laptop, { ...genesis, device, ...odd });
    await expectFailure(startLog(line), "damaged-keyring", 6);
  });

  test("signed by another than its device is a stranger's", async () => {
    const { recipient } = keyring.epochs.get(1)!;
    const genesis = { type: "genesis", seq: 0, prev: null, epoch: 1, kem: "x25519", recipient };
    const line = await forgeLine(keyring, mallory, { ...genesis, device: entryOf(laptop) });
    await expectFailure(startLog(line), "unknown-signer", 6);
  });
});

describe("vault.age is substituted", () => {
  const wrap = (epochs: readonly Epoch[], vault = keyring.vault) =>
    sealVault(formatVault(vault, epochs), [laptop.recipient]);

  test("by keys that do not open the log", async () => {
    const vault = await wrap([await newEpoch(1, keyring.vault)]);
    await expectFailure(load({ ...files, vault }), "substituted-key", 6);
  });

  test("by keys the genuine log was sealed to anew", async () => {
    const epoch = await newEpoch(1, keyring.vault);
    const text = keyring.lines.map((line) => `${line}\n`).join("");
    const log = await seal(codec.pack(utf8(text)), [epoch.recipient]);
    await expectFailure(load({ ...files, vault: await wrap([epoch]), log }), "substituted-key", 6);
  });

  test("by one key too many, or too few", async () => {
    const [first, second] = [later.epochs.get(1)!, later.epochs.get(2)!];
    const extra = { ...second, number: 3 };
    await expectFailure(
      load({ ...laterFiles, vault: await wrap([first, second, extra]) }),
      "substituted-key",
      6,
    );
    // The log in the open, sealed back to an epoch that a removed device still has.
    const log = (await withLog(keyring, files, later.lines)).log;
    await expectFailure(load({ ...laterFiles, vault: await wrap([first]), log }), "substituted-key", 6);
  });

  test("by another old key under the right new one", async () => {
    const vault = await wrap([await newEpoch(1, keyring.vault), later.epochs.get(2)!]);
    await expectFailure(load({ ...laterFiles, vault }), "substituted-key", 6);
  });

  test("by a seed that does not make the key beside it", async () => {
    const [first, second] = [later.epochs.get(1)!, later.epochs.get(2)!];
    for (const lie of [
      { ...first, seed: new Uint8Array(32) },
      { ...first, identity: second.identity },
    ]) {
      await expectFailure(load({ ...laterFiles, vault: await wrap([lie, second]) }), "substituted-key", 6);
    }
  });

  test("by one that names another vault", async () => {
    const other = "AAECAwQFBgcICQoLDA0ODw";
    const moved = await deriveEpoch(1, keyring.epochs.get(1)!.seed, other);
    await expectFailure(
      load({ ...files, vault: await wrap([keyring.epochs.get(1)!], other) }),
      "substituted-key",
      6,
    );
    await expectFailure(load({ ...files, vault: await wrap([moved], other) }), "substituted-key", 6);
  });
});

describe("the log", () => {
  test("is cut short, or an older keyring is served", async () => {
    const mark = [later.seq, later.hash] as const;
    await expectFailure(load(files, mark), "keyring-rollback", 6);
    const short = await withLog(keyring, files, keyring.lines.slice(0, 2));
    await expectFailure(load(short, [keyring.seq, keyring.hash]), "keyring-rollback", 6);
  });

  test("is forked by the device that was removed", async () => {
    const fork = await rotate(keyring, phone, TS, codec);
    expect(fork.keyring.seq).toBe(later.seq);
    await expectFailure(load(fork.files, [later.seq, later.hash]), "keyring-fork", 6);
    const longer = await rotate(fork.keyring, phone, TS, codec);
    await expectFailure(load(longer.files, [later.seq, later.hash]), "keyring-fork", 6);
  });

  test("loses, repeats or exchanges lines", async () => {
    const [genesis, first, second] = keyring.lines as [string, string, string];
    for (const lines of [
      [genesis, second],
      [genesis, first, first, second],
      [genesis, second, first],
      [genesis, genesis, first, second],
    ]) {
      await expectFailure(load(await withLog(keyring, files, lines)), "damaged-keyring", 6);
    }
    await expectFailure(load(await withLog(keyring, files, [first, second])), "wrong-genesis", 6);
    await expectFailure(load(await withLog(keyring, files, [])), "damaged-keyring", 6);
    await expectFailure(load(await withLog(keyring, files, [...keyring.lines, ""])), "bad-line", 6);
  });

  test("ends in the middle of a line", async () => {
    const log = await seal(codec.pack(utf8(keyring.lines.join("\n"))), [keyring.epochs.get(1)!.recipient]);
    await expectFailure(load({ ...files, log }), "damaged-keyring", 6);
  });

  test("is a bomb, or no gzip at all", async () => {
    const { recipient } = keyring.epochs.get(1)!;
    const bomb = await seal(codec.pack(new Uint8Array(5 * 1024 * 1024)), [recipient]);
    await expectFailure(load({ ...files, log: bomb }), "damaged-keyring", 6);
    await expectFailure(load({ ...files, log: await seal(utf8("x"), [recipient]) }), "damaged-keyring", 6);
  });

  test("has a line of another vault of the same device", async () => {
    const other = await createKeyring({ device: laptop, recoveryCode: CODE, ts: TS, codec });
    const line = await forgeLine({ ...keyring, vault: other.keyring.vault }, laptop, {
      type: "add",
      device: entryOf(mallory),
    });
    await expectFailure(load(await served(line)), "damaged-keyring", 6);
  });
});

describe("the device that was removed", () => {
  test("does not open the new keyring", async () => {
    await expectFailure(load(laterFiles, undefined, phone), "not-a-member", 7);
    await expectFailure(load({ ...laterFiles, vault: files.vault }, undefined, phone), "substituted-key", 6);
  });

  test("does not sign on", async () => {
    for (const fields of [
      { type: "add", device: entryOf(mallory) },
      { type: "remove", device: laptop.id, cut: {}, ...(await epochFields(3)) },
      { type: "rotate", ...(await epochFields(3)) },
    ]) {
      const line = await forgeLine(later, phone, fields);
      await expectFailure(load(await served(line, later, laterFiles)), "unknown-signer", 6);
    }
  });

  test("is not a member again because somebody wraps the vault for it", async () => {
    const text = formatVault(later.vault, later.epochs.values());
    const vault = await sealVault(text, [laptop.recipient, phone.recipient, mallory.recipient]);
    await load({ ...laterFiles, vault });
    await expectFailure(load({ ...laterFiles, vault }, undefined, phone), "not-a-member", 7);
    await expectFailure(load({ ...laterFiles, vault }, undefined, mallory), "not-a-member", 7);
  });
});

async function epochFields(number: number) {
  const { recipient } = await newEpoch(number, keyring.vault);
  return { epoch: number, kem: "x25519", recipient };
}

describe("a member's entry", () => {
  const cases: [string, (epoch: object) => object][] = [
    ["removes a stranger", (epoch) => ({ type: "remove", device: mallory.id, cut: {}, ...epoch })],
    ["removes its signer", (epoch) => ({ type: "remove", device: laptop.id, cut: {}, ...epoch })],
    ["adds a device twice", () => ({ type: "add", device: entryOf(phone) })],
    [
      "adds a device whose id stands for other keys",
      () => ({
        type: "add",
        device: { ...entryOf(mallory), recipient: phone.recipient },
      }),
    ],
    [
      "adds a device with an unprintable name",
      () => ({
        type: "add",
        device: { ...entryOf(mallory), name: "\u202etxt" },
      }),
    ],
    [
      "adds something that is no recipient",
      () => ({
        type: "add",
        device: { ...entryOf(mallory), recipient: "age1qqqq" },
      }),
    ],
    ["skips an epoch", (epoch) => ({ type: "rotate", ...epoch, epoch: 3 })],
    ["repeats an epoch", (epoch) => ({ type: "rotate", ...epoch, epoch: 1 })],
    [
      "repeats an epoch's key",
      (epoch) => ({
        type: "rotate",
        ...epoch,
        recipient: keyring.epochs.get(1)!.recipient,
      }),
    ],
    ["lacks a field", () => ({ type: "rotate", epoch: 2, kem: "x25519" })],
    ["has a date that is none", (epoch) => ({ type: "rotate", ...epoch, ts: "today" })],
    ["skips a number", (epoch) => ({ type: "rotate", ...epoch, seq: keyring.seq + 2 })],
    ["follows another line", (epoch) => ({ type: "rotate", ...epoch, prev: "A".repeat(43) })],
    ["has no version", (epoch) => ({ type: "rotate", ...epoch, v: undefined })],
    [
      "cuts what is no repository",
      (epoch) => ({
        type: "remove",
        device: phone.id,
        ...epoch,
        cut: { nonsense: {} },
      }),
    ],
    [
      "cuts with no head",
      (epoch) => ({
        type: "remove",
        device: phone.id,
        ...epoch,
        cut: { AAECAwQFBgcICQoLDA0ODw: { abcdefghij234: [1] } },
      }),
    ],
  ];
  test.each(cases)("that %s is damage", async (_name, fields) => {
    const line = await forgeLine(keyring, laptop, fields(await epochFields(2)));
    await expectFailure(load(await served(line)), "damaged-keyring", 6);
  });

  test.each<[string, object]>([
    ["version", { v: 2, type: "add" }],
    ["type", { type: "witness" }],
    ["kem", { type: "rotate", epoch: 2, kem: "mlkem768x25519", recipient: "age1pq1qqq" }],
  ])("of an unknown %s comes from a newer version", async (_name, fields) => {
    const line = await forgeLine(keyring, laptop, fields);
    await expectFailure(load(await served(line)), "newer-version", 1);
  });

  test("may have fields this version does not know", async () => {
    const line = await forgeLine(keyring, laptop, {
      type: "add",
      device: entryOf(mallory),
      note: "hi",
      kemHint: 1,
    });
    expect((await load(await served(line))).members.has(mallory.id)).toBe(true);
  });

  test("that is not JSON is damage", async () => {
    const line = await signLine("keyring", "{", deviceSigner(laptop));
    await expectFailure(load(await served(line)), "damaged-keyring", 6);
  });

  test("nested without end is damage, not a crash", async () => {
    const line = await signLine("keyring", "[".repeat(200_000), deviceSigner(laptop));
    await expectFailure(load(await served(line)), "damaged-keyring", 6);
  });
});

test("every altered byte of the keyring's files is noticed", async () => {
  const recoveryIsReadLater = ["genesis", "vault", "log"] as const;
  for (const name of recoveryIsReadLater) {
    const file = files[name];
    // A stride keeps this in seconds; 5 is coprime to the lengths of lines, so all kinds of bytes are met.
    for (let i = 0; i < file.length; i += 5) {
      const altered = file.slice();
      altered[i]! ^= 1 << (i % 8);
      await expect(load({ ...files, [name]: altered }), `${name} byte ${i}`).rejects.toMatchObject({
        code: expect.stringMatching(/^(wrong-genesis|damaged-keyring|not-a-member|substituted-key)$/),
      });
    }
  }
});

test("nothing of the log is readable outside", () => {
  for (const file of Object.values(files)) {
    const text = new TextDecoder("latin1").decode(file);
    for (const secret of [
      laptop.id,
      laptop.signPub,
      "phone",
      keyring.vault,
      toBase64url(keyring.epochs.get(1)!.seed),
    ]) {
      expect(text).not.toContain(secret);
    }
  }
});
