import type { SourceReader } from "../packing/source.ts";

/**
 * The stream so far, while it is being read: what a delta copies from. `append` takes the next bytes; `source`
 * reads anywhere in what was appended; `close` gives everything up.
 */
export interface Spool {
  append(bytes: Uint8Array): void;
  readonly source: SourceReader;
  close(): void;
}

/**
 * A spool in memory, for platforms without files and for streams that are not long. It keeps what is appended and no
 * copy of it, so nobody may change that afterwards.
 */
export class MemorySpool implements Spool {
  readonly #parts: Uint8Array[] = [];
  /** Where each part begins. */
  readonly #starts: number[] = [];
  #length = 0;

  append(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#parts.push(bytes);
    this.#starts.push(this.#length);
    this.#length += bytes.length;
  }

  get source(): SourceReader {
    return { length: this.#length, read: (offset, length, room) => this.#read(offset, length, room) };
  }

  get parts(): readonly Uint8Array[] {
    return this.#parts;
  }

  close(): void {
    this.#parts.length = 0;
    this.#starts.length = 0;
    this.#length = 0;
  }

  #read(offset: number, length: number, room?: Uint8Array): Uint8Array {
    if (length === 0) return new Uint8Array(0);
    let index = this.#partAt(offset);
    const at = offset - this.#starts[index]!;
    const first = this.#parts[index]!.subarray(at, at + length);
    if (first.length === length) return first;
    const joined = room?.subarray(0, length) ?? new Uint8Array(length);
    joined.set(first);
    for (let filled = first.length; filled < length; ) {
      const piece = this.#parts[++index]!.subarray(0, length - filled);
      joined.set(piece, filled);
      filled += piece.length;
    }
    return joined;
  }

  #partAt(offset: number): number {
    let [low, high] = [0, this.#starts.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#starts[middle]! <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
