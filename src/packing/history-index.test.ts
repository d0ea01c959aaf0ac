import { array, assert as holds, nat, property } from "fast-check";
import { describe, expect, test } from "vitest";
import { blockLength, HistoryIndex } from "./history-index.ts";

const bytes = Uint8Array.from({ length: 100_000 }, (_, i) => Math.imul(i, 0x9e3779b1) >>> 24);

/** The hash of the block at `at`, as it is defined. */
function blockHash(stream: Uint8Array, at: number): number {
  return stream
    .subarray(at, at + blockLength)
    .reduce((hash, byte) => (Math.imul(hash, 0x2f0b4c47) + byte) | 0, 0);
}

test("every stride-th block is in it, however the stream came and however often it was put aside", async () => {
  await holds(
    property(array(nat(3000), { maxLength: 12 }), (sizes) => {
      let index = HistoryIndex.start();
      let length = 0;
      for (const size of sizes) {
        index = HistoryIndex.load(index.extend(bytes.subarray(length, length + size)).save());
        length += size;
      }
      expect(index.length).toBe(length);
      expect(index.save()).toEqual(HistoryIndex.start().extend(bytes.subarray(0, length)).save());
      const offsets = Array.from(index.hashes, (_, i) => i * index.stride);
      expect(offsets.length).toBe(Math.floor(length / blockLength));
      expect([...index.hashes]).toEqual(offsets.map((offset) => blockHash(bytes, offset)));
    }),
  );
});

test("it stays within 1 MiB and keeps to its strides when the stream is long", () => {
  const segment = new Uint8Array(4 << 20);
  for (let i = 0; i < segment.length; i++) segment[i] = Math.imul(i, 0x85ebca6b) >>> 23;
  let index = HistoryIndex.start();
  for (let i = 0; i < 6; i++) {
    index = HistoryIndex.load(index.extend(segment).save());
    expect(index.save().length).toBeLessThanOrEqual((1 << 20) + 64);
  }
  expect(index.stride).toBe(128);
  expect(index.hashes.length).toBe((24 << 20) / 128);
  for (let i = 0; i < index.hashes.length; i += 997) {
    expect(index.hashes[i]).toBe(blockHash(segment, (i * index.stride) % segment.length));
  }
});

describe("a damaged index is refused", () => {
  const saved = HistoryIndex.start().extend(bytes.subarray(0, 1000)).save();
  const changed = (at: number, byte: number) => {
    const copy = saved.slice();
    copy[at] = byte;
    return copy;
  };
  test.each([
    ["nothing", new Uint8Array(0)],
    ["another file", changed(0, 0)],
    ["cut short", saved.subarray(0, -1)],
    ["too long", Uint8Array.from([...saved, 0])],
    ["a stride of none", changed(7, 0)],
    ["a stride that is no power of two", changed(7, 33)],
    ["a stride wider than its length needs", changed(7, 64)],
    ["a length beyond integers", changed(8, 255)],
    ["another length", changed(15, 0)],
  ])("%s", (_name, damaged) => {
    expect(() => HistoryIndex.load(damaged)).toThrow(
      expect.objectContaining({ code: "bad-history-index", exit: 6 }),
    );
  });
});
