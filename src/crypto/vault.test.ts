import { hkdfSync } from "node:crypto";
import { expect, test } from "vitest";
import { readAgeHeader } from "./age-header.ts";
import { ageIdentity, ageRecipient, throwAwayRecipient } from "./age-keys.ts";
import { concat, equalBytes, toBase64url, utf8 } from "./encoding.ts";
import { newId } from "./names.ts";
import { randomBytes } from "./primitives.ts";
import { open } from "./seal.ts";
import { deriveEpoch, formatVault, newEpoch, parseVault, sealVault } from "./vault.ts";

const VAULT = "AAECAwQFBgcICQoLDA0ODw";

test("an epoch's keys are those of format.md", async () => {
  const seed = new Uint8Array(32).fill(7);
  const salt = Uint8Array.from({ length: 16 }, (_, i) => i);
  const secret = new Uint8Array(hkdfSync("sha256", seed, salt, "convosync/v1/age-identity", 32));
  expect(await deriveEpoch(1, seed, VAULT)).toEqual({
    number: 1,
    kem: "x25519",
    seed,
    identity: ageIdentity(secret),
    recipient: await ageRecipient(secret),
  });
});

test("the plaintext is an age identity file, newest epoch first, and returns what went in", async () => {
  const vault = newId();
  const epochs = [await newEpoch(1, vault), await newEpoch(2, vault)];
  const text = formatVault(vault, epochs);
  expect(text.split("\n").filter((line) => line !== "" && !line.startsWith("#"))).toEqual([
    epochs[1]!.identity,
    epochs[0]!.identity,
  ]);
  const stated = epochs.map(({ number, seed, identity }) => ({ number, seed, identity }));
  expect(parseVault(text)).toEqual({ vault, epochs: stated });
});

test("anything else is damaged, or newer", async () => {
  const text = formatVault(VAULT, [await newEpoch(1, VAULT), await newEpoch(2, VAULT)]);
  const damaged: [string, string][] = [
    ["empty", ""],
    ["no epochs", text.split("\n").slice(0, 2).join("\n").concat("\n")],
    ["an epoch missing", text.slice(0, text.indexOf("# epoch: 1"))],
    ["out of order", text.replace("epoch: 2", "epoch: 3")],
    ["an epoch twice", text.replace("epoch: 2", "epoch: 1")],
    ["trailing text", `${text}# more\n`],
    ["cut", text.slice(0, -1)],
    ["a seed with stray bits", text.replace(/# seed: .{43}/, `# seed: ${"A".repeat(42)}B`)],
    ["no vault", text.replace(/# vault: .*\n/, "")],
    ["CRLF", text.replaceAll("\n", "\r\n")],
  ];
  for (const [name, altered] of damaged) {
    expect(() => parseVault(altered), name).toThrow(expect.objectContaining({ code: "damaged-keyring" }));
  }
  for (const altered of [text.replace("vault 1", "vault 2"), text.replace("x25519", "mlkem768x25519")]) {
    expect(() => parseVault(altered)).toThrow(expect.objectContaining({ code: "newer-version", exit: 1 }));
  }
});

test("a real stanza stands in every place, so places say nothing", async () => {
  const secret = randomBytes(32);
  const identity = ageIdentity(secret);
  const recipient = await ageRecipient(secret);
  const places = new Set<number>();
  // 60 tries miss one of 4 places with a probability of 4·(3/4)^60, one in eight million.
  for (let i = 0; i < 60 && places.size < 4; i++) {
    const file = await sealVault("text", [recipient]);
    expect(await open(file, [identity], "vault")).toEqual(utf8("text"));
    places.add(await placeOf(file, identity));
  }
  expect([...places].sort()).toEqual([0, 1, 2, 3]);
});

test("devices are counted as 4, 8, 16, 32 or 64", async () => {
  const stanzas = async (devices: number) => {
    const file = await sealVault("text", Array.from({ length: devices }, throwAwayRecipient));
    return readAgeHeader(file, { stanzas: 64, bytes: 160 * 1024 }).length;
  };
  expect(await Promise.all([1, 4, 5, 16, 17, 33, 64].map(stanzas))).toEqual([4, 4, 8, 16, 32, 64, 64]);
  await expect(stanzas(65)).rejects.toThrow("65");
});

/** Of the headers with one stanza left, the one that is ours fails at the MAC, the others earlier. */
async function placeOf(file: Uint8Array, identity: string): Promise<number> {
  const text = new TextDecoder("latin1").decode(file);
  const stanzas = text.match(/-> X25519 .{43}\n.{43}\n/g)!;
  expect(stanzas).toHaveLength(4);
  const rest = file.slice(text.indexOf("\n--- ") + 1);
  for (const [place, stanza] of stanzas.entries()) {
    const alone = concat(utf8(`age-encryption.org/v1\n${stanza}`), rest);
    const error = await open(alone, [identity], "object").catch((reason: { code: string }) => reason);
    if (!(error instanceof Uint8Array) && error.code === "damaged-object") return place;
  }
  throw new Error("no stanza is ours");
}

test("seeds are random", async () => {
  const [a, b] = [await newEpoch(1, VAULT), await newEpoch(1, VAULT)];
  expect(equalBytes(a.seed, b.seed)).toBe(false);
  expect(toBase64url(a.seed)).toHaveLength(43);
});
