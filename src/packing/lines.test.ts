import { array, asyncProperty, assert as holds, nat, string } from "fast-check";
import { expect, test } from "vitest";
import { countLines, type LineLimits, type LineSegment, lastLineEnd, segmentLines } from "./lines.ts";

const ascii = (text: string) => new TextEncoder().encode(text);
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const limits: LineLimits = { segment: 10, line: 30 };

async function segments(chunks: Uint8Array[], bounds = limits): Promise<LineSegment[]> {
  const all: LineSegment[] = [];
  for await (const segment of segmentLines(chunks, bounds)) all.push(segment);
  return all;
}

test("segments are as full as whole lines allow", async () => {
  const found = await segments([ascii("abc\ndef\nghi\nj\n"), ascii("klm\n")]);
  expect(found.map(({ bytes, lines, end }) => [text(bytes), lines, end])).toEqual([
    ["abc\ndef\n", 2, 8],
    ["ghi\nj\nklm\n", 3, 18],
  ]);
});

test("a half-written last line stays behind", async () => {
  const found = await segments([ascii("abc\nde"), ascii("f")]);
  expect(found.map(({ bytes, end }) => [text(bytes), end])).toEqual([["abc\n", 4]]);
  expect(await segments([ascii("abc")])).toEqual([]);
  expect(await segments([])).toEqual([]);
});

test("a line longer than a segment is a segment of its own", async () => {
  const long = "x".repeat(25);
  const found = await segments([ascii(`a\n${long}\nb\n`)]);
  expect(found.map(({ bytes }) => text(bytes))).toEqual(["a\n", `${long}\n`, "b\n"]);
});

test("a line beyond its limit is refused, also before it ends, without holding more of it", async () => {
  const tooLong = expect.objectContaining({ code: "line-too-long", exit: 1 });
  expect((await segments([ascii(`${"x".repeat(29)}\n`)]))[0]?.end).toBe(30);
  await expect(segments([ascii(`ok\n${"x".repeat(30)}\n`)])).rejects.toEqual(tooLong);
  let given = 0;
  async function* endless() {
    for (;;) {
      given++;
      yield ascii("xxxxxxxx");
    }
  }
  const reading = (async () => {
    for await (const _ of segmentLines(endless(), limits)) expect.unreachable();
  })();
  await expect(reading).rejects.toEqual(tooLong);
  expect(given).toBe(4);
});

test("chunks may be reused by whoever reads the file", async () => {
  const chunk = new Uint8Array(6);
  function* rereading() {
    for (const piece of ["abcde\n", "fghij\n", "klmno\n"]) {
      chunk.set(ascii(piece));
      yield chunk;
    }
  }
  const found: string[] = [];
  for await (const { bytes } of segmentLines(rereading(), limits)) found.push(text(bytes));
  expect(found).toEqual(["abcde\n", "fghij\n", "klmno\n"]);
});

test("segments joined are the whole lines, however the log arrives", async () => {
  const lines = array(string({ maxLength: 20, unit: "grapheme-ascii" }), { maxLength: 40 });
  await holds(
    asyncProperty(lines, array(nat(400), { maxLength: 8 }), nat(1), async (written, cuts, unfinished) => {
      const log = ascii(written.map((line) => `${line}\n`).join("") + "half".repeat(unfinished));
      const ordered = [0, ...cuts.filter((c) => c < log.length).sort((a, b) => a - b), log.length];
      const chunks = ordered.slice(1).map((to, i) => log.subarray(ordered[i], to));
      const found = await segments(chunks);
      expect(found.map(({ bytes }) => text(bytes)).join("")).toBe(text(log.subarray(0, lastLineEnd(log))));
      expect(found.reduce((sum, { lines: n }) => sum + n, 0)).toBe(countLines(log));
      expect(found.at(-1)?.end ?? 0).toBe(lastLineEnd(log));
      for (const { bytes, lines: n } of found) {
        expect(countLines(bytes)).toBe(n);
        if (n > 1) expect(bytes.length).toBeLessThanOrEqual(limits.segment);
      }
    }),
    { numRuns: 500 },
  );
});

test("line ends", () => {
  expect(lastLineEnd(ascii("a\nb\nc"))).toBe(4);
  expect(lastLineEnd(ascii("abc"))).toBe(0);
  expect(countLines(ascii("\n\na\nb"))).toBe(3);
});
