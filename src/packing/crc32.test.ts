import { crc32 as platformCrc32 } from "node:zlib";
import { assert as holds, property, uint8Array } from "fast-check";
import { expect, test } from "vitest";
import { crc32 } from "./crc32.ts";

const ascii = (text: string) => new TextEncoder().encode(text);

test("the check value of the CRC catalogue, and of nothing", () => {
  expect(crc32(ascii("123456789"))).toBe(0xcbf43926);
  expect(crc32(new Uint8Array(0))).toBe(0);
});

test("equals a bitwise CRC at every length and alignment", async () => {
  const bitwise = (bytes: Uint8Array) => {
    let crc = -1;
    for (const byte of bytes) {
      crc ^= byte;
      for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    }
    return ~crc >>> 0;
  };
  await holds(property(uint8Array({ maxLength: 100 }), (bytes) => crc32(bytes) === bitwise(bytes)));
});

test.skipIf(platformCrc32 === undefined)("equals the platform's on a megabyte", () => {
  const bytes = Uint8Array.from({ length: 1 << 20 }, (_, i) => (i * i) >>> 5);
  expect(crc32(bytes)).toBe(platformCrc32(bytes));
});
