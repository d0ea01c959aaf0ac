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

/** A spool in memory, for platforms without files and for streams that are not long. */
export class MemorySpool implements Spool {
  #bytes = new Uint8Array(0);
  #length = 0;

  append(bytes: Uint8Array): void {
    if (this.#length + bytes.length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(2 * this.#bytes.length, this.#length + bytes.length));
      larger.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = larger;
    }
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  get source(): SourceReader {
    const [bytes, length] = [this.#bytes, this.#length];
    return { length, read: (offset, count) => bytes.subarray(offset, offset + count) };
  }

  get length(): number {
    return this.#length;
  }

  close(): void {
    this.#bytes = new Uint8Array(0);
    this.#length = 0;
  }
}
