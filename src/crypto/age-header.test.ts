import fc from "fast-check";
import { expect, test } from "vitest";
import { readAgeHeader } from "./age-header.ts";
import { concat, utf8 } from "./encoding.ts";

const LIMITS = { stanzas: 3, bytes: 1024 };
const MAC = `--- ${"A".repeat(43)}\n`;
const X25519 = `-> X25519 ${"B".repeat(43)}\n${"C".repeat(43)}\n`;
const read = (text: string, limits = LIMITS) => readAgeHeader(utf8(text), limits);
const badHeader = expect.objectContaining({ code: "bad-header", exit: 6 });

test("stanzas are read with their arguments", () => {
  const file = `age-encryption.org/v1\n${X25519}-> a b c\n${"D".repeat(64)}\n\n${MAC}`;
  const stanzas = readAgeHeader(concat(utf8(file), Uint8Array.of(0xff, 0x0a, 0x00)), LIMITS);
  expect(stanzas).toEqual([
    { type: "X25519", args: ["B".repeat(43)] },
    { type: "a", args: ["b", "c"] },
  ]);
});

test.each([
  ["nothing", ""],
  ["armor", "-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n-----END AGE ENCRYPTED FILE-----\n"],
  ["another version", `age-encryption.org/v2\n${X25519}${MAC}`],
  ["CRLF", `age-encryption.org/v1\r\n${X25519}${MAC}`],
  ["no stanza", `age-encryption.org/v1\n${MAC}`],
  ["no MAC", `age-encryption.org/v1\n${X25519}`],
  ["a short MAC", `age-encryption.org/v1\n${X25519}--- AAAA\n`],
  ["a stanza without arguments", `age-encryption.org/v1\n-> \nAAAA\n${MAC}`],
  ["an empty argument", `age-encryption.org/v1\n-> X25519  b\nAAAA\n${MAC}`],
  ["a body without end", `age-encryption.org/v1\n-> X25519 a\n${"D".repeat(64)}\n${MAC}`],
  ["a line of 65", `age-encryption.org/v1\n-> X25519 a\n${"D".repeat(65)}\n${MAC}`],
  ["a character outside ASCII", `age-encryption.org/v1\n-> X25519 é\nAAAA\n${MAC}`],
  ["a cut file", `age-encryption.org/v1\n-> X25519 a`],
])("%s is refused", (_name, text) => {
  expect(() => read(text)).toThrow(badHeader);
});

test("a body ends with its first line shorter than 64 characters", () => {
  for (const length of [0, 1, 43, 60, 63]) {
    expect(read(`age-encryption.org/v1\n-> x y\n${"D".repeat(length)}\n${X25519}${MAC}`)).toHaveLength(2);
  }
});

test("the limits are exact", () => {
  const three = `age-encryption.org/v1\n${X25519.repeat(3)}${MAC}`;
  expect(read(three, { stanzas: 3, bytes: three.length })).toHaveLength(3);
  expect(() => read(three, { stanzas: 2, bytes: 1024 })).toThrow(badHeader);
  expect(() => read(three, { stanzas: 3, bytes: three.length - 1 })).toThrow(badHeader);
});

test("a header without end is not read to its end", () => {
  const endless = new Uint8Array(64 * 1024 * 1024).fill(0x41);
  endless.set(utf8("age-encryption.org/v1\n-> "));
  endless[endless.length - 1] = 0x0a;
  const start = performance.now();
  expect(() => readAgeHeader(endless, LIMITS)).toThrow(badHeader);
  expect(performance.now() - start).toBeLessThan(1000);
});

test("whatever the bytes, the answer is stanzas within the limits or a refusal", () => {
  const lines = fc.array(
    fc.oneof(
      fc.constantFrom("age-encryption.org/v1", "-> X25519 a", "-> ", "AAAA", "D".repeat(64), "", MAC.trim()),
      fc.string({ unit: "binary", maxLength: 8 }),
    ),
    { maxLength: 12 },
  );
  fc.assert(
    fc.property(lines, fc.boolean(), (some, begin) => {
      const text = `${begin ? "age-encryption.org/v1\n-> X25519 a\nAA\n" : ""}${some.join("\n")}\n`;
      try {
        const stanzas = read(text);
        expect(stanzas.length).toBeGreaterThan(0);
        expect(stanzas.length).toBeLessThanOrEqual(LIMITS.stanzas);
      } catch (error) {
        expect(error).toEqual(badHeader);
      }
    }),
  );
});
