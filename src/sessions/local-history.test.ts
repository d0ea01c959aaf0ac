import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, expect, test } from "vitest";
import { localLength, type Places, toPortable } from "../agents/portable-paths.ts";
import { HistoryChanged, LocalHistory, type Pieces } from "./local-history.ts";

const places: Places = {
  root: ["/home/me/code/shop"],
  home: ["/home/me"],
  store: ["/home/me/.claude"],
  keys: ["-home-me-code-shop"],
};
const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

/** A file of those segments, each of whole lines, and what is stored of it. */
function stored(segments: readonly string[], where: Places | null) {
  const folder = mkdtempSync(join(tmpdir(), "convosync-history-"));
  folders.push(folder);
  const path = join(folder, "log.jsonl");
  writeFileSync(path, segments.join(""));
  let [off, start] = [0, 0];
  const parts: { off: number; raw: number; sha: string }[] = [];
  const starts: number[] = [];
  const streams: Uint8Array[] = [];
  for (const segment of segments) {
    const local = Buffer.from(segment);
    const bytes = where ? toPortable(local, where, "jsonl") : local;
    if (where) expect(localLength(bytes, where, "jsonl")).toBe(local.length);
    parts.push({ off, raw: bytes.length, sha: createHash("sha256").update(bytes).digest("base64url") });
    starts.push(start);
    streams.push(bytes);
    off += bytes.length;
    start += local.length;
  }
  return { path, parts, starts, end: start, stream: Buffer.concat(streams) };
}

const line = fc
  .tuple(
    fc.constantFrom("/home/me/code/shop", "/home/me", "/home/me/.claude", "/etc", "{{CS:ROOT}}", ""),
    fc.string({ maxLength: 30 }),
  )
  .map(([path, text]) => `${JSON.stringify({ cwd: path, text: `${path}/${text}` })}\n`);
const segment = fc.array(line, { minLength: 1, maxLength: 4 }).map((lines) => lines.join(""));
const segments = fc.array(segment, { minLength: 1, maxLength: 20 });

test("reads what is stored out of the agent's file, whatever is asked for first", () => {
  fc.assert(
    fc.property(
      segments,
      fc.boolean(),
      fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 10 }),
      (given, portable, ranges) => {
        const where = portable ? places : null;
        const { path, parts, starts, end, stream } = stored(given, where);
        const history = new LocalHistory(path, parts, starts, end, where);
        for (const [from, length] of ranges) {
          const at = from % stream.length;
          const most = 1 + (length % (stream.length - at));
          expect(Buffer.from(history.read(at, most)).equals(stream.subarray(at, at + most))).toBe(true);
        }
        history.close();
      },
    ),
    { numRuns: 200 },
  );
});

test("reads a long segment piece by piece, with lines that are longer than a piece, and a last one that is none", () => {
  const short = `{"cwd":"/home/me/code/shop/a"}\n`.repeat(20_000);
  const long = `{"text":"${"/home/me/x ".repeat(100_000)}"}\n`;
  for (const given of [[short + long + short], [long, short, long], [`${short}{"cwd":"/home/me/x"}`]]) {
    for (const where of [places, null]) {
      const { path, parts, starts, end, stream } = stored(given, where);
      const history = new LocalHistory(path, parts, starts, end, where);
      expect(Buffer.from(history.read(stream.length - 100, 100)).equals(stream.subarray(-100))).toBe(true);
      expect(Buffer.from(history.read(0, stream.length)).equals(stream)).toBe(true);
      history.close();
      const other = new LocalHistory(
        path,
        [{ ...parts[0]!, raw: parts[0]!.raw - 1 }],
        [0],
        starts[1] ?? end,
        where,
      );
      expect(() => other.read(0, 10)).toThrow(HistoryChanged);
      other.close();
    }
  }
});

test("a segment that the file holds otherwise is not read, by itself or among others", () => {
  const given = ["first", "second", "third"].map((text) => `{"text":"${text} /home/me/x"}\n`);
  const { path, parts, starts, end, stream } = stored(given, places);
  writeFileSync(path, given.join("").replace("second", "SECOND"));
  const history = new LocalHistory(path, parts, starts, end, places);
  expect(() => history.read(0, stream.length)).toThrow(HistoryChanged);
  expect(() => history.read(parts[1]!.off, 5)).toThrow(HistoryChanged);
  expect(Buffer.from(history.read(0, parts[0]!.raw))).toEqual(stream.subarray(0, parts[0]!.raw));
  history.close();

  writeFileSync(path, given.slice(0, 2).join(""));
  const shorter = new LocalHistory(path, parts, starts, end, places);
  expect(() => shorter.read(0, stream.length)).toThrow(HistoryChanged);
  shorter.close();
});

test("a long segment is known by its pieces once it was read, and then read where it is asked for", () => {
  const long = Array.from({ length: 20_000 }, (_, n) => `{"n":${n},"cwd":"/home/me/code/shop/${n}"}\n`).join(
    "",
  );
  const given = [`${long}{"text":"${"y".repeat(100_000)}"}\n`, '{"text":"short"}\n', long];
  for (const where of [places, null]) {
    const { path, parts, starts, end, stream } = stored(given, where);
    const open = (pieces: Pieces) => new LocalHistory(path, parts, starts, end, where, pieces);
    const first = open({});
    expect(first.learned).toBeNull();
    first.read(parts[1]!.off - 1, 100);
    const pieces = first.learned!;
    expect(Object.keys(pieces)).toEqual([parts[0]!.sha, parts[2]!.sha]);
    first.close();

    const second = open(JSON.parse(JSON.stringify(pieces)));
    expect(Buffer.from(second.read(0, stream.length)).equals(stream)).toBe(true);
    expect([second.length, second.learned]).toEqual([stream.length, null]);
    second.close();

    // Another byte far away is not looked at; where it is, nothing is read.
    const file = readFileSync(path);
    file.write("N", file.indexOf('"n":19000') + 1);
    writeFileSync(path, file);
    const third = open(pieces);
    const there = stream.indexOf('"n":19000');
    expect(Buffer.from(third.read(there + 200_000, 5000))).toEqual(
      stream.subarray(there + 200_000, there + 205_000),
    );
    expect(Buffer.from(third.read(0, 5000))).toEqual(stream.subarray(0, 5000));
    expect(() => third.read(there, 5)).toThrow(HistoryChanged);
    third.close();
    const whole = open({});
    expect(() => whole.read(0, 5000)).toThrow(HistoryChanged);
    whole.close();
  }
});

test("pieces that are not a segment's, as its paths had other lengths, are not used", () => {
  const given = [`{"cwd":"/home/me/code/shop/a"}\n`.repeat(20_000)];
  const before = stored(given, places);
  const first = new LocalHistory(before.path, before.parts, before.starts, before.end, places);
  first.read(0, 10);
  const pieces = first.learned!;
  first.close();
  const elsewhere: Places = { ...places, root: ["/srv/shop"] };
  const after = stored([given[0]!.replaceAll("/home/me/code/shop", "/srv/shop")], elsewhere);
  expect(after.parts).toEqual(before.parts);
  const second = new LocalHistory(after.path, after.parts, after.starts, after.end, elsewhere, pieces);
  expect(Buffer.from(second.read(0, after.stream.length)).equals(after.stream)).toBe(true);
  expect(second.learned).not.toEqual(pieces);
  second.close();
});
