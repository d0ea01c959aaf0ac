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
  for (let offset = 0; offset < source.length; offset += 1 << 16) reader.read(offset, 1);
  const pages = source.length / (1 << 16);
  expect(reads).toHaveLength(pages);
  reader.read(0, 1);
  expect(reads).toHaveLength(pages + 1);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(256 << 20);
});
