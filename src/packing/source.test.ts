import { array, assert as holds, nat, property, tuple } from "fast-check";
import { expect, test } from "vitest";
import { cached, type SourceReader, sourceOf } from "./source.ts";

const length = 300_000;
const bytes = Uint8Array.from({ length }, (_, i) => Math.imul(i, 0x9e3779b1) >>> 24);

test("a cached source reads the same bytes, whatever is asked", async () => {
  await holds(
    property(array(tuple(nat(length), nat(150_000)), { minLength: 1, maxLength: 20 }), (asked) => {
      const source = cached(sourceOf(bytes));
      for (const [offset, most] of asked) {
        const size = Math.min(most, length - offset);
        const read = source.read(offset, size);
        expect(Buffer.compare(read, bytes.subarray(offset, offset + size))).toBe(0);
      }
    }),
  );
});

test("a source that uses the room it is given, and one that has views of its own, are read alike", () => {
  const filled: SourceReader = {
    length,
    read(offset, size, room) {
      const into = room?.subarray(0, size) ?? new Uint8Array(size);
      into.set(bytes.subarray(offset, offset + size));
      return into;
    },
  };
  for (const source of [cached(filled), cached(sourceOf(bytes))])
    for (let at = 0; at + 100 < length; at += 777)
      expect(Buffer.compare(source.read(at, 100), bytes.subarray(at, at + 100))).toBe(0);
  // More pages than are kept: their memory is used again, and each holds what it should.
  const page = 1 << 14;
  const many = cached({
    length: 300 * page,
    read: (offset, size, room) => room!.subarray(0, size).fill(offset / page),
  });
  for (let round = 0; round < 2; round++)
    for (let n = 0; n < 300; n++) expect(many.read(n * page + 7, 4)).toEqual(Uint8Array.of(n, n, n, n));
});

test("small reads of one place cost one read of the source, and memory is bounded", () => {
  const reads: number[] = [];
  const source: SourceReader = {
    length: 512 << 20,
    read(_offset, size) {
      reads.push(size);
      return new Uint8Array(size);
    },
  };
  const reader = cached(source);
  for (let i = 0; i < 1000; i++) reader.read(1_000_000 + i, 16);
  expect(reads).toHaveLength(1);
  const before = process.memoryUsage().arrayBuffers;
  for (let offset = 0; offset < source.length; offset += 1 << 14) reader.read(offset, 1);
  const pages = source.length / (1 << 14);
  expect(reads).toHaveLength(pages);
  reader.read(0, 1);
  expect(reads).toHaveLength(pages + 1);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(256 << 20);
});
