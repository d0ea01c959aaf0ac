import { createHash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";
import { localLength, type Places, putPortable } from "../agents/portable-paths.ts";
import type { Segment } from "../packing/manifest.ts";
import type { SourceReader } from "../packing/source.ts";
import { readExactly, temporaryFile, writeFully } from "./spool.ts";

/** The agent's file does not hold what is stored of it; no delta can be made against it. */
export class HistoryChanged extends Error {}

/** Beyond this the parts that were read go to a file: a long history is not held in memory. */
const bytesInMemory = 24 << 20;

/** Small parts are proved together, up to so many bytes of the file. */
const mostAtOnce = 1 << 20;

/**
 * Bytes of the file that are read and made portable at once, unless a line is longer. A segment that was proved is known
 * by such pieces from then on: a short delta looks at few of them.
 */
const pieceLength = 32 << 10;
/** Segments of fewer bytes are not worth being known by pieces. */
const inPieces = 4 * pieceLength;
/** Of the memory for that, what is kept for the next. */
const mostRoom = 4 << 20;

type Stored = Pick<Segment, "off" | "raw" | "sha">;

/** A stretch of whole lines: its length in the stream and in the file, and the hash of what the stream has. */
type Piece = readonly [raw: number, local: number, sha: string];
/** Those that segments consist of, by the segments' hashes. */
export type Pieces = Readonly<Record<string, readonly Piece[]>>;

/** What is read and proved as a whole: a segment or a piece of one, in the stream and, from `start` to `end`, in the file. */
interface Part extends Stored {
  readonly start: number | undefined;
  readonly end: number;
  readonly isPiece: boolean;
}

/**
 * The stored stream, read back from the agent's own file instead of being fetched and decrypted: part by part as
 * they are needed, each made portable again and proved by its hash before a delta may copy from it. No part is read
 * twice. `starts` are the segments' offsets in the file, `end` is where the last one ends. `pieces` are what an earlier
 * history has found out; a delta is as right as they are.
 */
export class LocalHistory implements SourceReader {
  readonly #file: number;
  readonly #parts: Part[] = [];
  readonly #starts: number[];
  #end: number;
  readonly #places: Places | null;
  readonly #pieces = new Map<string, readonly Piece[]>();
  #hasLearned = false;
  readonly #proved = new Set<number>();
  readonly #loaded = new Map<number, Uint8Array>();
  #loadedBytes = 0;
  /** For a piece of the file: memory that has been used before is several times as fast as new. */
  #room = Buffer.alloc(0);
  /** Proved parts at their offsets in the stream, once they are too many for memory. */
  #spool: number | null = null;

  constructor(
    path: string,
    segments: readonly Stored[],
    starts: readonly number[],
    end: number,
    places: Places | null,
    pieces: Pieces = {},
  ) {
    this.#starts = [...starts];
    this.#end = end;
    this.#places = places;
    for (const [index, segment] of segments.entries()) {
      this.#add(segment, starts[index], starts[index + 1] ?? end, pieces[segment.sha] ?? []);
    }
    this.#file = openSync(path, "r");
  }

  #add({ off, raw, sha }: Stored, start: number | undefined, end: number, pieces: readonly Piece[]): void {
    if (start === undefined || !isMadeOf(pieces, raw, end - start)) {
      this.#parts.push({ off, raw, sha, start, end, isPiece: false });
      return;
    }
    this.#pieces.set(sha, pieces);
    let at = off;
    let from = start;
    for (const [length, local, its] of pieces) {
      this.#parts.push({ off: at, raw: length, sha: its, start: from, end: from + local, isPiece: true });
      at += length;
      from += local;
    }
  }

  get length(): number {
    const last = this.#parts.at(-1);
    return last ? last.off + last.raw : 0;
  }

  /** What is known of the segments' pieces, when that is more than was given. */
  get learned(): Pieces | null {
    return this.#hasLearned ? Object.fromEntries(this.#pieces) : null;
  }

  /** The segments' offsets in the file, and its end. */
  get starts(): readonly number[] {
    return this.#starts;
  }

  get end(): number {
    return this.#end;
  }

  /** Takes in the segment that follows in the file; `bytes` are its portable bytes, just read from there. */
  append(segment: Stored, bytes: Uint8Array): void {
    const start = this.#end;
    this.#end += this.#places ? localLength(bytes, this.#places, "jsonl") : bytes.length;
    this.#starts.push(start);
    this.#add(segment, start, this.#end, []);
    this.#keep(this.#parts.length - 1, bytes);
  }

  read(offset: number, length: number, room?: Uint8Array): Uint8Array {
    if (length === 0) return new Uint8Array(0);
    const first = this.#partAt(offset);
    const last = this.#partAt(offset + length - 1);
    this.#proveAll(first, last);
    if (this.#spool !== null) return readExactly(this.#spool, offset, length, room);
    const joined = new Uint8Array(length);
    for (let index = first; index <= last; index++) {
      const { off } = this.#parts[index]!;
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

  #partAt(offset: number): number {
    let [low, high] = [0, this.#parts.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#parts[middle]!.off <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Proves those of the parts that have not been, many small ones at a time. */
  #proveAll(first: number, last: number): void {
    for (let from = first; from <= last; from++) {
      if (this.#proved.has(from)) continue;
      const start = this.#parts[from]!.start ?? 0;
      const fits = (index: number) =>
        !isLong(this.#parts[index]!) &&
        !this.#proved.has(index) &&
        this.#parts[index]!.end - start <= mostAtOnce;
      let to = from + 1;
      if (!isLong(this.#parts[from]!)) while (to <= last && fits(to)) to++;
      this.#prove(from, to);
      from = to - 1;
    }
  }

  /** Reads and proves the parts of `from` until before `to`, which follow each other in the file too. */
  #prove(from: number, to: number): void {
    const { off, start } = this.#parts[from]!;
    const last = this.#parts[to - 1]!;
    if (start === undefined || last.start === undefined || last.end <= start) throw new HistoryChanged();
    const { bytes, pieces } = this.#portable(start, last.end, last.off + last.raw - off);
    for (let index = from; index < to; index++) {
      const part = this.#parts[index]!;
      const its = bytes.subarray(part.off - off, part.off - off + part.raw);
      if (hashOf(its) !== part.sha) throw new HistoryChanged();
      this.#keep(index, its);
    }
    if (isLong(last)) this.#learn(last.sha, bytes, pieces);
  }

  #learn(
    segment: string,
    bytes: Uint8Array,
    pieces: readonly (readonly [raw: number, local: number])[],
  ): void {
    let at = 0;
    const learned = pieces.map(([raw, local]): Piece => {
      at += raw;
      return [raw, local, hashOf(bytes.subarray(at - raw, at))];
    });
    this.#pieces.set(segment, learned);
    this.#hasLearned = true;
  }

  /** What stands in the file from `start` to `end`, made portable: `length` bytes, and in which pieces that was done. */
  #portable(start: number, end: number, length: number) {
    const bytes = Buffer.allocUnsafeSlow(length);
    const pieces: [raw: number, local: number][] = [];
    let filled = 0;
    for (let at = start; at < end; ) {
      const piece = this.#lines(at, end);
      const room = bytes.subarray(filled);
      const added = this.#places ? putPortable(room, piece, this.#places, "jsonl") : putAsItIs(room, piece);
      if (added === null) throw new HistoryChanged();
      pieces.push([added, piece.length]);
      filled += added;
      at += piece.length;
    }
    if (this.#room.length > mostRoom) this.#room = Buffer.alloc(0);
    if (filled !== length) throw new HistoryChanged();
    return { bytes, pieces };
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
    if (this.#spool !== null) writeFully(this.#spool, bytes, this.#parts[index]!.off);
    else {
      this.#loaded.set(index, bytes);
      this.#loadedBytes += bytes.length;
    }
  }

  #spill(): void {
    this.#spool = temporaryFile();
    for (const [index, bytes] of this.#loaded) writeFully(this.#spool, bytes, this.#parts[index]!.off);
    this.#loaded.clear();
  }
}

/** Whether they are of this segment as this machine has it: other places have other lengths. */
function isMadeOf(pieces: readonly Piece[], raw: number, local: number): boolean {
  let rawLeft = raw;
  let localLeft = local;
  for (const piece of pieces) {
    rawLeft -= piece[0];
    localLeft -= piece[1];
  }
  return rawLeft === 0 && localLeft === 0;
}

/** Proved by itself, so as to learn its pieces. */
const isLong = ({ raw, isPiece }: Part): boolean => !isPiece && raw >= inPieces;

const hashOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("base64url");

/** As {@link putPortable}, for paths that stay. */
function putAsItIs(room: Uint8Array, bytes: Uint8Array): number | null {
  if (bytes.length > room.length) return null;
  room.set(bytes);
  return bytes.length;
}
