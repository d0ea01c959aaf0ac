import { bech32 } from "@scure/base";
import { Encrypter } from "age-encryption";
import { beforeAll, expect, test } from "vitest";
import { ageIdentity, ageRecipient, throwAwayRecipient } from "./age-keys.ts";
import { concat, utf8 } from "./encoding.ts";
import { expectFailure } from "./keyring.fixture.ts";
import { randomBytes } from "./primitives.ts";
import { open, openWithPassphrase, seal, sealWithPassphrase } from "./seal.ts";

let identity: string;
let recipient: string;
beforeAll(async () => {
  const secret = randomBytes(32);
  identity = ageIdentity(secret);
  recipient = await ageRecipient(secret);
});

const other = () => ageIdentity(randomBytes(32));

test("what was sealed opens with the identity, among others too", async () => {
  const payload = randomBytes(65_000);
  const file = await seal(payload, [recipient]);
  expect(await open(file, [identity], "object")).toEqual(payload);
  expect(await open(file, [other(), identity, other()], "object")).toEqual(payload);
  expect(await open(await seal(new Uint8Array(0), [recipient]), [identity], "object")).toHaveLength(0);
});

test("a file for somebody else is 'no-key'", async () => {
  const file = await seal(utf8("text"), [recipient]);
  await expectFailure(open(file, [other()], "object"), "no-key", 7);
  await expectFailure(open(file, [], "object"), "no-key", 7);
});

test("sealing to nobody or to another kem is a bug, not a file", async () => {
  await expect(seal(utf8("text"), [])).rejects.toThrow("no recipient");
  // The form of a post-quantum recipient: an ML-KEM key of 1,184 bytes and an X25519 one.
  const hybrid = bech32.encode("age1pq", bech32.toWords(randomBytes(1184 + 32)), false);
  await expect(seal(utf8("text"), [recipient, hybrid])).rejects.toThrow("X25519");
  await expect(sealWithPassphrase(utf8("text"), "", 10)).rejects.toThrow("empty");
  await expect(sealWithPassphrase(utf8("text"), "code", 19)).rejects.toThrow("work factor");
});

test("an object has one recipient, a vault at most 64", async () => {
  const two = await seal(utf8("text"), [recipient, throwAwayRecipient()]);
  await expectFailure(open(two, [identity], "object"), "bad-header", 6);
  expect(await open(two, [identity], "vault")).toEqual(utf8("text"));
  const many = (n: number) =>
    seal(utf8("text"), [...Array.from({ length: n - 1 }, throwAwayRecipient), recipient]);
  expect(await open(await many(64), [identity], "vault")).toEqual(utf8("text"));
  await expectFailure(open(await many(65), [identity], "vault"), "bad-header", 6);
});

test("5,000 junk stanzas cost nothing", async () => {
  const junk = `-> X25519 ${"B".repeat(43)}\n${"C".repeat(43)}\n`.repeat(5000);
  const file = concat(utf8(`age-encryption.org/v1\n${junk}--- ${"A".repeat(43)}\n`), randomBytes(64));
  const start = performance.now();
  await expectFailure(open(file, [identity], "vault"), "bad-header", 6);
  expect(performance.now() - start).toBeLessThan(500);
});

test("every flipped bit of a sealed object is noticed", async () => {
  const file = await seal(randomBytes(80), [recipient]);
  for (let i = 0; i < file.length; i++) {
    const altered = file.slice();
    altered[i]! ^= 1 << (i % 8);
    await expect(open(altered, [identity], "object"), `byte ${i}`).rejects.toMatchObject({
      code: expect.stringMatching(/^(bad-header|damaged-object|no-key)$/),
    });
  }
});

test("every cut of a sealed object is noticed", async () => {
  const file = await seal(randomBytes(20), [recipient]);
  for (let length = 0; length < file.length; length++) {
    await expect(open(file.slice(0, length), [identity], "object"), `${length} bytes`).rejects.toMatchObject({
      exit: 6,
    });
  }
});

test("a passphrase opens its file, another is told from damage", async () => {
  const file = await sealWithPassphrase(utf8("text"), "right", 10);
  expect(await openWithPassphrase(file, "right")).toEqual(utf8("text"));
  await expectFailure(openWithPassphrase(file, "wrong"), "wrong-recovery-code", 7);
  const altered = file.slice();
  altered[altered.length - 1]! ^= 1;
  await expectFailure(openWithPassphrase(altered, "right"), "damaged-object", 6);
});

test("passphrases protect recovery files only, and only at a bearable cost", async () => {
  const file = await sealWithPassphrase(utf8("text"), "right", 10);
  await expectFailure(open(file, [identity], "object"), "bad-header", 6);
  await expectFailure(open(file, [identity], "vault"), "bad-header", 6);
  await expectFailure(openWithPassphrase(await seal(utf8("text"), [recipient]), "x"), "bad-header", 6);

  const text = new TextDecoder("latin1").decode(file);
  const costly = Uint8Array.from(text.replace(" 10\n", " 19\n"), (character) => character.charCodeAt(0));
  const start = performance.now();
  await expectFailure(openWithPassphrase(costly, "right"), "bad-header", 6);
  expect(performance.now() - start).toBeLessThan(500);
});

test("files of age's own encrypter open as well", async () => {
  const encrypter = new Encrypter();
  encrypter.addRecipient(recipient);
  expect(await open(await encrypter.encrypt("text"), [identity], "object")).toEqual(utf8("text"));
});
