const slotBits = 17;

/**
 * Where strings of a fixed length occur in a window, newest first: hash chains, as deflate's. Positions become
 * known one after another, from `from` on.
 */
export class Strings {
  readonly #view: DataView;
  readonly #length: number;
  readonly #newest = new Int32Array(1 << slotBits).fill(-1);
  readonly #before: Int32Array;
  #known: number;

  /** `length`: of the strings, at least 5. */
  constructor(window: Uint8Array, length: number, from: number) {
    this.#view = new DataView(window.buffer, window.byteOffset, window.length);
    this.#length = length;
    this.#before = new Int32Array(window.length);
    this.#known = from;
  }

  /** Makes every position before `to` known. */
  learn(to: number): void {
    const end = Math.min(to, this.#view.byteLength - this.#length + 1);
    for (; this.#known < end; this.#known++) {
      const slot = this.#slot(this.#known);
      this.#before[this.#known] = this.#newest[slot]!;
      this.#newest[slot] = this.#known;
    }
  }

  /** The newest known position whose string hashes like the one at `at`, before which it is; -1 for none. */
  newest(at: number): number {
    return at + this.#length <= this.#view.byteLength ? this.#newest[this.#slot(at)]! : -1;
  }

  /** The position known before `at` whose string hashes alike; -1 for none. */
  before(at: number): number {
    return this.#before[at]!;
  }

  #slot(at: number): number {
    let hash = 0;
    const last = at + this.#length - 4;
    for (let i = at; i < last; i += 4) {
      hash = Math.imul(hash ^ this.#view.getInt32(i, true), 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    return Math.imul(hash ^ this.#view.getInt32(last, true), 0x85ebca6b) >>> (32 - slotBits);
  }
}

/** How many bytes from `from` on equal those from `at` on, `most` at most. */
export function matchLength(bytes: Uint8Array, from: number, at: number, most: number): number {
  let length = 0;
  while (length < most && bytes[from + length] === bytes[at + length]) length++;
  return length;
}
