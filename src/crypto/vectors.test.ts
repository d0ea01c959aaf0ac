import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { formatDevice, parseDevice } from "./device.ts";
import { fromUtf8 } from "./encoding.ts";
import { codec, expectFailure } from "./keyring.fixture.ts";
import { loadKeyring, memberKey, openFrom, openRecovery } from "./keyring.ts";
import { sessionDir } from "./names.ts";
import { verifyLine } from "./signed-line.ts";

// Files of version 0.1.0, never regenerated: what fails here breaks vaults that exist.

const read = (name: string) =>
  new Uint8Array(readFileSync(new URL(`../../test/vectors/crypto/keyring-1/${name}`, import.meta.url)));
const text = (name: string) => fromUtf8(read(name));

const expected = JSON.parse(text("expected.json"));
const files = {
  genesis: read("genesis"),
  vault: read("vault.age"),
  log: read("log.age"),
  recovery: read("recovery.age"),
};

async function load() {
  const device = await parseDevice(text("device.txt"));
  const mark = [expected.seq, expected.hash] as const;
  return loadKeyring(files, device, { genesis: device.vaults[0]!.genesis, mark }, codec);
}

test("device files", async () => {
  for (const name of ["device.txt", "removed-device.txt"]) {
    expect(formatDevice(await parseDevice(text(name)))).toBe(text(name));
  }
});

test("the keyring", async () => {
  const keyring = await load();
  const { vault, vaultRef, genesis, seq, hash, epoch } = expected;
  expect(keyring).toMatchObject({ vault, vaultRef, genesis, seq, hash, epoch });
  expect([...keyring.members.values()]).toEqual(expected.members);
  expect(keyring.lines.map((line) => `${line}\n`).join("")).toBe(text("log.txt"));
});

test("objects of both epochs", async () => {
  const keyring = await load();
  for (const epoch of [1, 2]) {
    expect(fromUtf8(await openFrom(keyring, read(`object-epoch-${epoch}.age`), epoch))).toBe(
      `sealed in epoch ${epoch}\n`,
    );
  }
});

test("names in refs", async () => {
  const { repo, agent, session, dir } = expected.sessionDir;
  expect(await sessionDir((await load()).nameKey, repo, agent, session)).toBe(dir);
});

test("the signature of a device that was removed since", async () => {
  const keyring = await load();
  const phone = await parseDevice(text("removed-device.txt"));
  const { json, device } = await verifyLine("head", text("head-line.txt").trimEnd(), (id) =>
    memberKey(keyring, id),
  );
  expect([JSON.parse(json).title, device]).toEqual(["a title", phone.id]);
  await expectFailure(loadKeyring(files, phone, { genesis: keyring.genesis }, codec), "not-a-member", 7);
});

test("the recovery code", async () => {
  const { recoveryDevice, keyring } = await openRecovery(files, text("recovery-code.txt"), codec);
  expect(keyring.members.get(recoveryDevice.id)?.type).toBe("recovery");
  expect(keyring.hash).toBe(expected.hash);
});
