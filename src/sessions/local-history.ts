import { createHash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";
import { localLength, type Places, putPortable } from "../agents/portable-paths.ts";
import type { Segment } from "../packing/manifest.ts";
import type { SourceReader } from "../packing/source.ts";
import { readExactly, temporaryFile, writeFully } from "./spool.ts";

/** The agent's file does not hold what is stored of it; no delta can be made against it. */
export class HistoryChanged extends Error {}

/** Beyond this the segments that were read go to a file: a long history is not held in memory. */
const bytesInMemory = 24 << 20;

/** Small segments are proved together, up to so many bytes of the file. */
const mostAtOnce = 1 << 20;

/** Bytes of the file that are read and made portable at once, unless a line is longer. */
const pieceLength = 256 << 10;
/** Of the memory for that, what is kept for the next. */
const mostRoom = 4 << 20;

type Part = Pick<Segment, "off" | "raw" | "sha">;

/**
 * The stored stream, read back from the agent's own file instead of being fetched and decrypted: segment by
 * segment as they are needed, each made portable again and proved by its hash before a delta may copy from it.
 * No segment is read twice. `starts` are the segments' offsets in the file, `end` is where the last one ends.
 */
export class LocalHistory implements SourceReader {
  readonly #file: number;
  readonly #segments: Part[];
  readonly #starts: number[];
  #end: number;
  readonly #places: Places | null;
  readonly #proved = new Set<number>();
  readonly #loaded = new Map<number, Uint8Array>();
  #loadedBytes = 0;
  /** For a piece of the file: memory that has been used before is several times as fast as new. */
  #room = Buffer.alloc(0);
  /** Proved segments at their offsets in the stream, once they are too many for memory. */
  #spool: number | null = null;

  constructor(
    path: string,
    segments: readonly Part[],
    starts: readonly number[],
    end: number,
    places: Places | null,
  ) {
    this.#segments = [...segments];
    this.#starts = [...starts];
    this.#end = end;
    this.#places = places;
    this.#file = openSync(path, "r");
  }

  get length(): number {
    const last = this.#segments.at(-1);
    return last ? last.off + last.raw : 0;
  }

  /** The segments' offsets in the file, and its end. */
  get starts(): readonly number[] {
    return this.#starts;
  }

  get end(): number {
    return this.#end;
  }

  /** Takes in the segment that follows in the file; `bytes` are its portable bytes, just read from there. */
  append(segment: Part, bytes: Uint8Array): void {
    const local = this.#places ? localLength(bytes, this.#places, "jsonl") : bytes.length;
    this.#segments.push(segment);
    this.#starts.push(this.#end);
    this.#end += local;
    this.#keep(this.#segments.length - 1, bytes);
  }

  read(offset: number, length: number, room?: Uint8Array): Uint8Array {
    if (length === 0) return new Uint8Array(0);
    const first = this.#segmentAt(offset);
    const last = this.#segmentAt(offset + length - 1);
    this.#proveAll(first, last);
    if (this.#spool !== null) return readExactly(this.#spool, offset, length, room);
    const joined = new Uint8Array(length);
    for (let index = first; index <= last; index++) {
      const { off } = this.#segments[index]!;
      const from = Math.max(0, offset - off);
      const piece = this.#loaded.get(index)!.subarray(from, offset + length - off);
      if (first === last) return piece;
      joined.set(piece, off + from - offset);
    }
    return joined;
  }

  close(): void {
    closeSync(this.#file);
    if (this.#spool !== null) closeSync(this.#spool);
    this.#loaded.clear();
  }

  #segmentAt(offset: number): number {
    let [low, high] = [0, this.#segments.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#segments[middle]!.off <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Proves those of the segments that have not been, many small ones at a time. */
  #proveAll(first: number, last: number): void {
    for (let from = first; from <= last; from++) {
      if (this.#proved.has(from)) continue;
      let to = from + 1;
      while (to <= last && !this.#proved.has(to) && this.#localEnd(to) - this.#starts[from]! <= mostAtOnce)
        to++;
      this.#prove(from, to);
      from = to - 1;
    }
  }

  #localEnd(index: number): number {
    return this.#starts[index + 1] ?? this.#end;
  }

  /** Reads and proves the segments of `from` until before `to`, which follow each other in the file too. */
  #prove(from: number, to: number): void {
    const start = this.#starts[from];
    const end = this.#localEnd(to - 1);
    if (start === undefined || end <= start) throw new HistoryChanged();
    const { off } = this.#segments[from]!;
    const last = this.#segments[to - 1]!;
    const bytes = this.#portable(start, end, last.off + last.raw - off);
    for (let index = from; index < to; index++) {
      const segment = this.#segments[index]!;
      const part = bytes.subarray(segment.off - off, segment.off - off + segment.raw);
      if (createHash("sha256").update(part).digest("base64url") !== segment.sha) throw new HistoryChanged();
      this.#keep(index, part);
    }
  }

  /** What stands in the file from `start` to `end`, made portable: `length` bytes. */
  #portable(start: number, end: number, length: number): Uint8Array {
    const bytes = Buffer.allocUnsafeSlow(length);
    if (this.#places === null) {
      if (end - start !== length) throw new HistoryChanged();
      this.#readFile(bytes, start);
      return bytes;
    }
    let filled = 0;
    for (let at = start; at < end; ) {
      const piece = this.#lines(at, end);
      const added = putPortable(bytes.subarray(filled), piece, this.#places, "jsonl");
      if (added === null) throw new HistoryChanged();
      filled += added;
      at += piece.length;
    }
    if (this.#room.length > mostRoom) this.#room = Buffer.alloc(0);
    if (filled !== length) throw new HistoryChanged();
    return bytes;
  }

  /** Whole lines of the file from `start` on, or all until `end`. They hold until the next call. */
  #lines(start: number, end: number): Buffer {
    for (let length = Math.min(pieceLength, end - start); ; length = Math.min(2 * length, end - start)) {
      if (this.#room.length < length) this.#room = Buffer.allocUnsafeSlow(length);
      const piece = this.#room.subarray(0, length);
      this.#readFile(piece, start);
      const complete = start + length === end ? length : piece.lastIndexOf(0x0a) + 1;
      if (complete > 0) return piece.subarray(0, complete);
    }
  }

  #readFile(room: Buffer, position: number): void {
    if (readSync(this.#file, room, 0, room.length, position) !== room.length) throw new HistoryChanged();
  }

  #keep(index: number, bytes: Uint8Array): void {
    this.#proved.add(index);
    if (this.#spool === null && this.#loadedBytes + bytes.length > bytesInMemory) this.#spill();
    if (this.#spool !== null) writeFully(this.#spool, bytes, this.#segments[index]!.off);
    else {
      this.#loaded.set(index, bytes);
      this.#loadedBytes += bytes.length;
    }
  }

  #spill(): void {
    this.#spool = temporaryFile();
    for (const [index, bytes] of this.#loaded) writeFully(this.#spool, bytes, this.#segments[index]!.off);
    this.#loaded.clear();
  }
}
