import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { constants, deflateRawSync } from "node:zlib";
import { array, constantFrom, assert as holds, nat, oneof, property, tuple, uint8Array } from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { HistoryIndex } from "./history-index.ts";
import { pack } from "./payload.ts";
import { portableCodec } from "./portable-codec.ts";
import { type SourceReader, sourceOf } from "./source.ts";
import { decode } from "./vcdiff-decode.ts";
import { encode } from "./vcdiff-encode.ts";

const ascii = (text: string) => new TextEncoder().encode(text);
const concat = (...parts: Uint8Array[]) => Uint8Array.from(Buffer.concat(parts));
const indexOf = (bytes: Uint8Array) => HistoryIndex.start().extend(bytes);
const delta = (target: Uint8Array, source: Uint8Array) =>
  encode(target, indexOf(source), sourceOf(source)).bytes;
const same = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;
const refused = expect.objectContaining({ code: "bad-delta", exit: 6 });
const vector = (name: string) =>
  Uint8Array.from(readFileSync(new URL(`../../test/vectors/packing/${name}`, import.meta.url)));

/** Numbers that look random and are the same each time (mulberry32). */
function dice(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

const noise = (length: number, seed = 1) => {
  const roll = dice(seed);
  return Uint8Array.from({ length }, () => roll(256));
};

/** Records as agents write them: the same shape again and again, and texts that come back. */
function log(records: number, seed: number, longest = 2000): Uint8Array {
  const roll = dice(seed);
  const texts = Array.from({ length: 20 }, () =>
    Buffer.from(noise(40 + roll(longest), roll(1e6))).toString("base64"),
  );
  const lines = Array.from({ length: records }, (_, n) =>
    JSON.stringify({ n, uuid: roll(2 ** 31), type: "user", cwd: "/home/ada/engine", text: texts[roll(20)] }),
  );
  return ascii(`${lines.join("\n")}\n`);
}

describe("what is encoded is decoded", () => {
  const source = log(300, 1);
  test.each([
    ["nothing", new Uint8Array(0), source],
    ["one byte", ascii("x"), source],
    ["the source itself", source, source],
    ["its middle", source.subarray(1000, 90_000), source],
    ["something else", noise(5000), source],
    ["a log, from nothing", log(500, 2), new Uint8Array(0)],
    ["a log going on", log(700, 1).subarray(source.length), source],
    ["zeros", new Uint8Array(100_000), source],
    ["zeros after zeros", new Uint8Array(100_000), new Uint8Array(100_000)],
    ["runs", ascii(`a${"-".repeat(8)}b${"=".repeat(300)}c${"-".repeat(40_000)}`), new Uint8Array(0)],
    ["what begins as the source ends", concat(source.subarray(-500), source), source],
  ])("%s", (_name, target, from) => {
    const bytes = delta(target, from);
    expect(same(decode(bytes, from, target.length), target)).toBe(true);
    expect(bytes.length).toBeLessThan(target.length + 64);
  });

  test("of pieces put together anyhow", async () => {
    const piece = oneof(
      uint8Array({ maxLength: 40 }),
      tuple(constantFrom(97, 98, 0, 255), nat(200)).map(([byte, length]) =>
        new Uint8Array(length).fill(byte),
      ),
      tuple(nat(400), nat(100)).map(([from, length]) => source.subarray(from, from + length)),
    );
    const pieces = array(piece, { maxLength: 30 }).map((parts) => concat(...parts));
    await holds(
      property(pieces, pieces, nat(3), (before, fresh, again) => {
        const target = concat(fresh, ...new Array(again).fill(fresh));
        return same(decode(delta(target, before), before, target.length), target);
      }),
      { numRuns: process.env["SLOW"] ? 20_000 : 300 },
    );
  });
});

test("old text is found again, far back, reading little of the source", () => {
  const source = noise(8 << 20, 3);
  const target = concat(
    noise(100, 4),
    source.subarray(12_345, 32_345),
    noise(100, 5),
    source.subarray(6_000_001, 6_000_601),
    noise(100, 6),
    source.subarray(source.length - 900_000, source.length - 899_950),
  );
  let read = 0;
  const reader: SourceReader = {
    length: source.length,
    read(offset, length) {
      read += length;
      return source.subarray(offset, offset + length);
    },
  };
  const { bytes } = encode(target, indexOf(source), reader);
  expect(bytes.length).toBeLessThan(400);
  expect(same(decode(bytes, reader, target.length), target)).toBe(true);
  expect(read).toBeLessThan(2 << 20);
});

test("nothing is read far back for what is nearby too", () => {
  const often = noise(300, 11);
  const seldom = noise(5000, 12);
  const near = noise(120_000, 13);
  near.set(often, 50_001);
  near.set(seldom.subarray(1000, 1300), 100_001);
  const source = concat(noise(1 << 20, 14), often, noise(1 << 20, 15), seldom, noise(1 << 20, 16), near);
  const reads = (target: Uint8Array): number[] => {
    const offsets: number[] = [];
    const read = (offset: number, length: number) => {
      offsets.push(offset);
      return source.subarray(offset, offset + length);
    };
    const { bytes } = encode(target, indexOf(source), { length: source.length, read });
    expect(bytes.length).toBeLessThan(target.length / 2);
    expect(same(decode(bytes, source, target.length), target)).toBe(true);
    return offsets.filter((offset) => offset < source.length - (1 << 18));
  };
  const target = concat(noise(50, 17), often, noise(50, 18));
  expect(reads(target)).toEqual([]);
  // Only a part of it is.
  const further = reads(seldom);
  expect(further.length).toBeGreaterThan(0);
  expect(delta(seldom, source).length).toBeLessThan(60);
});

test("an index of another stream costs bytes, not correctness", () => {
  const source = log(3000, 7);
  const target = log(200, 8);
  for (const index of [HistoryIndex.start(), indexOf(log(4000, 9)), indexOf(noise(5 << 20))]) {
    const { bytes } = encode(target, index, sourceOf(source));
    expect(same(decode(bytes, source, target.length), target)).toBe(true);
  }
});

test("the same delta every time, with cuts at its sections", () => {
  const source = log(300, 1);
  const target = log(100, 2);
  const once = encode(target, indexOf(source), sourceOf(source));
  expect(encode(target, indexOf(source), sourceOf(source))).toEqual(once);
  const [codes, addresses] = once.cuts;
  expect(codes).toBeGreaterThan(0);
  expect(addresses).toBeGreaterThan(codes!);
  expect(addresses).toBeLessThan(once.bytes.length);
});

test("the example of a delta worked out by hand is decoded", () => {
  // "abcdefghijklmnop" → "abcdwxyzefghefghefghefghzzzz", section 3 of RFC 3284: COPY 4,0; ADD 4; COPY 4,4;
  // COPY 12,24; RUN 4.
  const codes = [20, 5, 20, 28, 0, 4];
  const addresses = [0, 4, 24];
  const data = ascii("wxyzz");
  const window = [28, 0, data.length, codes.length, addresses.length, ...data, ...codes, ...addresses];
  const bytes = Uint8Array.of(0xd6, 0xc3, 0xc4, 0, 0, 1, 16, 0, window.length, ...window);
  expect(decode(bytes, ascii("abcdefghijklmnop"), 28)).toEqual(ascii("abcdwxyzefghefghefghefghzzzz"));
});

test.each(["vcd.bin", "vcd-xdelta3.bin"])("the golden delta %s is read the same for ever", (name) => {
  const target = vector("vcd-target.jsonl");
  expect(decode(vector(name), vector("lines.jsonl"), target.length)).toEqual(target);
});

test("the golden payload with a delta is read the same for ever", () => {
  const target = vector("vcd-target.jsonl");
  const body = portableCodec.unpack(vector("vcd-padded.bin"), vector("vcd.bin").length);
  expect(decode(body, vector("lines.jsonl"), target.length)).toEqual(target);
});

describe("a hostile delta", () => {
  const plain = [0xd6, 0xc3, 0xc4, 0, 0];
  const source = log(40, 1, 40);
  const target = concat(log(30, 2, 40), ascii("-".repeat(50)));
  const bytes = delta(target, source);

  test("that is cut short anywhere is refused", () => {
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decode(bytes.subarray(0, length), source, target.length)).toThrow(refused);
    }
  });

  test("of another length, or against a shorter source, is refused", () => {
    expect(() => decode(bytes, source, target.length + 1)).toThrow(refused);
    expect(() => decode(bytes, source, target.length - 1)).toThrow(refused);
    expect(() => decode(bytes, source.subarray(1), target.length)).toThrow(refused);
    expect(() => decode(concat(bytes, ascii("\0")), source, target.length)).toThrow(refused);
  });

  test.each([
    ["a number without end", "too large", [...plain, 0, ...new Array(40).fill(0xff)]],
    ["secondary compression", "header", [0xd6, 0xc3, 0xc4, 0, 1, 1, 0, 6, 1, 0, 0, 1, 0, 2]],
    ["a code table of its own", "header", [0xd6, 0xc3, 0xc4, 0, 2, 1, 0, 6, 1, 0, 0, 1, 0, 2]],
    ["compressed sections", "compressed", [...plain, 0, 7, 4, 1, 0, 1, 1, 20, 0]],
    ["the target as source", "another kind", [...plain, 2, 0, 0, 7, 4, 0, 1, 1, 0, 97, 2]],
    ["a checksum", "another kind", [...plain, 4, 11, 4, 0, 1, 1, 0, 0, 0, 0, 0, 97, 2]],
    ["a source longer than ours", "not there", [...plain, 1, 3, 1, 7, 4, 0, 0, 1, 1, 20, 0]],
    ["a second window", "where it ends", [...plain, 0, 7, 4, 0, 1, 1, 0, 97, 5, 0, 7, 4, 0, 1, 1, 0, 97, 5]],
    ["more in its window than sections", "follow", [...plain, 0, 8, 4, 0, 0, 1, 1, 20, 0, 0]],
    ["a copy of what is not there yet", "nowhere", [...plain, 0, 7, 4, 0, 0, 1, 1, 20, 0]],
    ["a copy across the source's end", "crosses", [...plain, 1, 3, 0, 7, 4, 0, 0, 1, 1, 20, 0]],
    ["a copy from before everything", "nowhere", [...plain, 1, 3, 0, 7, 4, 0, 0, 1, 1, 36, 9]],
    ["a huge addition", "more bytes", [...plain, 0, 11, 4, 0, 0, 6, 0, 1, 0x8f, 0xff, 0xff, 0xff, 0x7f]],
    ["a huge run", "more bytes", [...plain, 0, 12, 4, 0, 1, 6, 0, 97, 0, 0x8f, 0xff, 0xff, 0xff, 0x7f]],
    ["too little", "fewer bytes", [...plain, 0, 8, 4, 0, 2, 1, 0, 97, 98, 3]],
    ["data that nothing adds", "nothing uses", [...plain, 0, 9, 4, 0, 2, 2, 0, 97, 98, 0, 4]],
  ])("with %s is refused", (_name, why, hostile) => {
    const error = expect.objectContaining({
      code: "bad-delta",
      exit: 6,
      message: expect.stringContaining(why),
    });
    expect(() => decode(Uint8Array.from(hostile), ascii("abc"), 4)).toThrow(error);
  });

  test("changed anyhow neither crashes, nor hangs, nor makes another length", () => {
    const rounds = 100_000;
    const roll = dice(11);
    const seeds = [bytes, delta(source, new Uint8Array(0)), vector("vcd-xdelta3.bin")];
    let rebuilt = 0;
    for (let round = 0; round < rounds; round++) {
      let mutant = seeds[round % seeds.length]!.slice();
      for (let changes = 1 + roll(4); changes > 0; changes--) {
        const at = roll(round % 2 ? mutant.length : Math.min(40, mutant.length));
        const [before, after] = [mutant.subarray(0, at), mutant.subarray(at)];
        const kind = roll(6);
        if (kind === 0) mutant = concat(before, after.subarray(1 + roll(8)));
        else if (kind === 1) mutant = concat(before, noise(1 + roll(8), roll(1e6)), after);
        else if (kind === 2) mutant = concat(before, mutant.subarray(roll(mutant.length)), after);
        else mutant[at] = kind === 3 ? 0xff : roll(256);
        if (mutant.length === 0) break;
      }
      try {
        if (decode(mutant, source, target.length).length !== target.length) expect.unreachable();
        rebuilt++;
      } catch (error) {
        if ((error as { code?: unknown }).code !== "bad-delta") throw error;
      }
    }
    expect(rebuilt).toBeLessThan(rounds / 2);
  });
});

const hasXdelta3 = spawnSync("xdelta3", ["-V"]).error === undefined;
describe.skipIf(!hasXdelta3)("xdelta3", () => {
  const room = mkdtempSync(join(tmpdir(), "convosync-xdelta3-"));
  afterAll(() => rmSync(room, { recursive: true }));
  const at = (name: string) => join(room, name);
  const xdelta3 = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync("xdelta3", args, { maxBuffer: 64 << 20 });
    if (status !== 0) throw new Error(`xdelta3 ${args.join(" ")}: ${stderr}`);
    return Uint8Array.from(stdout);
  };

  const source = log(3000, 1);
  test.each([
    ["a log going on", log(500, 2), source],
    ["a log, from nothing", log(500, 2), new Uint8Array(0)],
    ["noise", noise(5000), source],
    ["runs", ascii(`a${"-".repeat(300)}b${"=".repeat(300)}c`), source],
    ["what crosses the source's end", concat(source.subarray(-700), source.subarray(0, 700)), source],
    ["a large target", log(4000, 5), source],
  ])("opens what we write, and we what it writes: %s", (_name, target, from) => {
    writeFileSync(at("source"), from);
    writeFileSync(at("target"), target);
    writeFileSync(at("delta"), delta(target, from));
    const against = from.length > 0 ? ["-s", at("source")] : [];
    expect(same(xdelta3("-d", "-c", ...against, at("delta")), target)).toBe(true);
    const theirs = xdelta3("-e", "-S", "none", "-n", "-A", "-c", ...against, at("target"));
    expect(same(decode(theirs, from, target.length), target)).toBe(true);
  });
});

const corpus = process.env["CONVOSYNC_CORPUS"];
test.skipIf(corpus === undefined)("real saves come out a third smaller than compressed alone", () => {
  const room = join(corpus!, "claude-series");
  const name = readdirSync(room).find((file) => file.startsWith("3a782158") && file.endsWith(".jsonl"))!;
  const stream = Uint8Array.from(readFileSync(join(room, name)));
  const { saves } = JSON.parse(readFileSync(join(room, name.replace(".jsonl", ".saves.json")), "utf8")) as {
    saves: { bytes: number }[];
  };
  const deflate = (bytes: Uint8Array, open: boolean) =>
    deflateRawSync(bytes, { level: 9, ...(open && { finishFlush: constants.Z_SYNC_FLUSH }) });
  const index = HistoryIndex.start();
  let alone = 0;
  let asDelta = 0;
  let from = 0;
  for (const { bytes: to } of saves) {
    const fresh = stream.subarray(from, to);
    const before = stream.subarray(0, from);
    const made = encode(fresh, index, sourceOf(before));
    expect(same(decode(made.bytes, before, fresh.length), fresh)).toBe(true);
    alone += pack(fresh, deflate).length;
    asDelta += pack(made.bytes, deflate, { cuts: made.cuts }).length;
    index.extend(fresh);
    from = to;
  }
  expect(asDelta / alone).toBeLessThan(0.66);
});
