import { createHash, createHmac, hkdfSync } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { base32lower, toBase64url, utf8 } from "./encoding.ts";
import { deriveNameKey, deviceId, idBytes, newId, newReplicaId, sessionDir, vaultRef } from "./names.ts";

const VAULT = "AAECAwQFBgcICQoLDA0ODw";
const REPO = "EBESExQVFhcYGRobHB0eHw";
const SEED = new Uint8Array(32).fill(7);

test("the names of format.md, frozen", async () => {
  expect(await vaultRef(VAULT)).toMatchInlineSnapshot(`"gkkfdbxzfmbgf"`);
  expect(await sessionDir(await deriveNameKey(SEED, VAULT), REPO, "claude", "abc")).toMatchInlineSnapshot(
    `"x53qmb34np7dospd"`,
  );
  expect(await deviceId("age1example", "sign")).toMatchInlineSnapshot(`"5fnpnlq275wjhv4tfcor"`);
});

test("the names of format.md, computed another way", async () => {
  const vault = Uint8Array.from({ length: 16 }, (_, i) => i);
  const repo = Uint8Array.from({ length: 16 }, (_, i) => 16 + i);
  const name = (hash: Uint8Array, length: number) => base32lower(hash).slice(0, length);

  const ref = createHash("sha256").update("convosync/v1/vault\0").update(vault).digest();
  expect(await vaultRef(VAULT)).toBe(name(ref, 13));

  const key = new Uint8Array(hkdfSync("sha256", SEED, vault, "convosync/v1/names", 32));
  const dir = createHmac("sha256", key).update("s\0").update(repo).update("\0claude\0abc").digest();
  expect(await sessionDir(await deriveNameKey(SEED, VAULT), REPO, "claude", "abc")).toBe(name(dir, 16));

  const device = createHash("sha256").update("convosync/v1/device\0age1example\0sign").digest();
  expect(await deviceId("age1example", "sign")).toBe(name(device, 20));
});

test("agent and session cannot run into each other", async () => {
  const key = await deriveNameKey(SEED, VAULT);
  const agent = fc.stringMatching(/^[a-z]{1,4}$/);
  await fc.assert(
    fc.asyncProperty(agent, fc.string(), agent, fc.string(), async (a1, s1, a2, s2) => {
      const same = (await sessionDir(key, REPO, a1, s1)) === (await sessionDir(key, REPO, a2, s2));
      return same === (a1 === a2 && toBase64url(utf8(s1)) === toBase64url(utf8(s2)));
    }),
  );
});

test("new names are random and have their lengths", () => {
  expect(newId()).toMatch(/^[A-Za-z0-9_-]{22}$/);
  expect(idBytes(newId())).toHaveLength(16);
  expect(newReplicaId()).toMatch(/^[a-z2-7]{13}$/);
  expect(newReplicaId()).not.toBe(newReplicaId());
});

test("an id of another length is refused", () => {
  expect(() => idBytes("AAAA")).toThrow(expect.objectContaining({ code: "bad-encoding" }));
});
