const mostSlotBits = 20;

/**
 * Where strings of a fixed length occurred in a window, newest first: hash chains, as deflate's. Only the last
 * `2 ** reachBits` positions are known at a time, which bounds the memory: 4 bytes for each, and as much again.
 */
export class Strings {
  readonly #view: DataView;
  readonly #length: number;
  /** One more than the newest position of each slot; 0 for none. */
  readonly #newest: Int32Array;
  readonly #shift: number;
  /** For each position known, modulo the ring's length, the one before it in its slot, in the same way. */
  readonly #before: Int32Array;
  readonly #mask: number;
  #known: number;

  /** `length`: of the strings, at least 5. `first`: the first position that will be looked up. */
  constructor(window: Uint8Array, length: number, reachBits: number, first: number) {
    this.#view = new DataView(window.buffer, window.byteOffset, window.length);
    this.#length = length;
    this.#known = Math.max(0, first - 2 ** reachBits);
    const ringBits = Math.min(reachBits, 32 - Math.clz32((window.length - this.#known) | 255));
    this.#before = new Int32Array(2 ** ringBits);
    this.#mask = this.#before.length - 1;
    // About as many slots as positions: with fewer, what hashes alike by chance uses up the tries.
    const slotBits = Math.min(mostSlotBits, ringBits);
    this.#newest = new Int32Array(2 ** slotBits);
    this.#shift = 32 - slotBits;
    if (first - this.#known > window.length - first) this.#learnWanted(first, slotBits);
  }

  /**
   * Learns what lies before `first` as far as it can be found from there on: of a history much longer than what
   * follows it, only positions whose slot will be looked up. Most are none, and leave the tables, which are larger
   * than the processor's caches, untouched.
   */
  #learnWanted(first: number, slotBits: number): void {
    const wanted = new Uint32Array(2 ** (slotBits - 5));
    const last = this.#view.byteLength - this.#length;
    for (let at = first; at <= last; at++) {
      const slot = this.#slot(at);
      wanted[slot >>> 5]! |= 1 << (slot & 31);
    }
    const end = Math.min(first, last + 1);
    const newest = this.#newest;
    const before = this.#before;
    const mask = this.#mask;
    for (let at = this.#known; at < end; at++) {
      const slot = this.#slot(at);
      if ((wanted[slot >>> 5]! & (1 << (slot & 31))) === 0) continue;
      before[at & mask] = newest[slot]!;
      newest[slot] = at + 1;
    }
    this.#known = Math.max(this.#known, end);
  }

  /** Makes every position before `to` known. */
  learn(to: number): void {
    const end = Math.min(to, this.#view.byteLength - this.#length + 1);
    const newest = this.#newest;
    const before = this.#before;
    const mask = this.#mask;
    for (let at = this.#known; at < end; at++) {
      const slot = this.#slot(at);
      before[at & mask] = newest[slot]!;
      newest[slot] = at + 1;
    }
    this.#known = Math.max(this.#known, end);
  }

  /** The newest known position whose string hashes like the one at `at`; -1 for none. */
  newest(at: number): number {
    if (at + this.#length > this.#view.byteLength) return -1;
    return this.#withinReach(this.#newest[this.#slot(at)]! - 1);
  }

  /** The position known before `at` whose string hashes alike; -1 for none. */
  before(at: number): number {
    return this.#withinReach(this.#before[at & this.#mask]! - 1);
  }

  #withinReach(at: number): number {
    return at >= 0 && at >= this.#known - this.#mask ? at : -1;
  }

  #slot(at: number): number {
    let hash = 0;
    const last = at + this.#length - 4;
    for (let i = at; i < last; i += 4) {
      hash = Math.imul(hash ^ this.#view.getInt32(i, true), 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    return Math.imul(hash ^ this.#view.getInt32(last, true), 0x85ebca6b) >>> this.#shift;
  }
}

/** How many bytes from `from` on equal those from `at` on, `most` at most. */
export function matchLength(bytes: Uint8Array, from: number, at: number, most: number): number {
  let length = 0;
  while (length < most && bytes[from + length] === bytes[at + length]) length++;
  return length;
}
