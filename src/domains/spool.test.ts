import { array, assert as holds, nat, property, tuple } from "fast-check";
import { expect, test } from "vitest";
import { MemorySpool } from "./spool.ts";

const bytes = Uint8Array.from({ length: 4000 }, (_, i) => Math.imul(i, 0x9e3779b1) >>> 24);

test("what was appended, in parts of any length, is read from anywhere", async () => {
  await holds(
    property(array(nat(300), { maxLength: 12 }), array(tuple(nat(), nat())), (lengths, reads) => {
      const spool = new MemorySpool();
      let end = 0;
      for (const length of lengths) {
        spool.append(bytes.subarray(end, end + length));
        end += length;
      }
      const { source } = spool;
      expect(source.length).toBe(end);
      for (const [a, b] of reads) {
        const offset = a % (end + 1);
        const length = b % (end - offset + 1);
        const room = new Uint8Array(length + 3);
        expect(source.read(offset, length)).toEqual(bytes.slice(offset, offset + length));
        expect(source.read(offset, length, room)).toEqual(bytes.slice(offset, offset + length));
      }
    }),
  );
});

test("what was read before stays right when more is appended", () => {
  const spool = new MemorySpool();
  spool.append(bytes.subarray(0, 100));
  const { source } = spool;
  spool.append(bytes.subarray(100, 200));
  expect(source.length).toBe(100);
  expect(source.read(0, 100)).toEqual(bytes.slice(0, 100));
  expect(spool.source.read(50, 100)).toEqual(bytes.slice(50, 150));
});
