import { createHash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";
import { type Places, toLocal, toPortable } from "../agents/portable-paths.ts";
import type { Segment } from "../packing/manifest.ts";
import type { SourceReader } from "../packing/source.ts";

/** The agent's file does not hold what is stored of it; no delta can be made against it. */
export class HistoryChanged extends Error {}

const bytesInMemory = 24 << 20;

/**
 * The stored stream, read back from the agent's own file instead of being fetched and decrypted: segment by
 * segment as they are needed, each made portable again and proved by its hash before a delta may copy from it.
 * `starts` are the segments' offsets in the file.
 */
export class LocalHistory implements SourceReader {
  readonly #file: number;
  readonly #segments: Pick<Segment, "off" | "raw" | "sha">[];
  readonly #starts: number[];
  #end: number;
  readonly #places: Places | null;
  readonly #loaded = new Map<number, Uint8Array>();
  #loadedBytes = 0;

  constructor(
    path: string,
    segments: readonly Segment[],
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

  /** Takes in the segment that follows in the file. */
  append(segment: Pick<Segment, "off" | "raw" | "sha">, bytes: Uint8Array): void {
    const local = this.#places ? toLocal(bytes, this.#places, "jsonl").length : bytes.length;
    this.#segments.push(segment);
    this.#starts.push(this.#end);
    this.#end += local;
  }

  read(offset: number, length: number): Uint8Array {
    if (length === 0) return new Uint8Array(0);
    const first = this.#segmentAt(offset);
    const { off, raw } = this.#segments[first]!;
    if (offset + length <= off + raw)
      return this.#segment(first).subarray(offset - off, offset - off + length);
    const joined = new Uint8Array(length);
    for (let done = 0, index = first; done < length; index++) {
      const part = this.#segments[index]!;
      const from = offset + done - part.off;
      const piece = this.#segment(index).subarray(from, from + length - done);
      joined.set(piece, done);
      done += piece.length;
    }
    return joined;
  }

  close(): void {
    closeSync(this.#file);
    this.#loaded.clear();
  }

  #segmentAt(offset: number): number {
    const segments = this.#segments;
    let [low, high] = [0, segments.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (segments[middle]!.off <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #segment(index: number): Uint8Array {
    const known = this.#loaded.get(index);
    if (known) return known;
    const start = this.#starts[index];
    const end = this.#starts[index + 1] ?? this.#end;
    const record = this.#segments[index]!;
    if (start === undefined || end <= start) throw new HistoryChanged();
    const local = Buffer.allocUnsafe(end - start);
    if (readSync(this.#file, local, 0, local.length, start) !== local.length) throw new HistoryChanged();
    const bytes = this.#places ? toPortable(local, this.#places, "jsonl") : local;
    if (createHash("sha256").update(bytes).digest("base64url") !== record.sha) throw new HistoryChanged();
    for (const [oldest, old] of this.#loaded) {
      if (this.#loadedBytes + bytes.length <= bytesInMemory) break;
      this.#loaded.delete(oldest);
      this.#loadedBytes -= old.length;
    }
    this.#loaded.set(index, bytes);
    this.#loadedBytes += bytes.length;
    return bytes;
  }
}
