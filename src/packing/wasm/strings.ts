import { mark, reset, takeCleared } from "./memory";
import * as window from "./window";

const mostSlotBits = 20;

/**
 * Where strings of a fixed length occurred in the window, newest first: hash chains, as deflate's. Only the last
 * `2 ** reachBits` positions are known at a time, which bounds the memory: 4 bytes for each, and as much again.
 */
@unmanaged
export class Strings {
  private length: i32;
  /** One more than the newest position of each slot; 0 for none. */
  private newestOf: i32;
  private shift: i32;
  /** For each position known, modulo the ring's length, the one before it in its slot, in the same way. */
  private beforeOf: i32;
  private mask: i32;
  private known: i32;

  /** `length`: of the strings, at least 5. The target's first byte is the first that will be looked up. */
  setUp(length: i32, reachBits: i32): void {
    const first = window.first;
    this.length = length;
    this.known = max(0, first - (1 << reachBits));
    const ringBits = min(reachBits, 32 - clz<i32>((window.length - this.known) | 255));
    this.beforeOf = takeCleared(4 << ringBits);
    this.mask = (1 << ringBits) - 1;
    // About as many slots as positions: with fewer, what hashes alike by chance uses up the tries.
    const slotBits = min(mostSlotBits, ringBits);
    this.newestOf = takeCleared(4 << slotBits);
    this.shift = 32 - slotBits;
    if (first - this.known > window.length - first) this.learnWanted(slotBits);
  }

  /**
   * Learns what lies before the target as far as it can be found from there on: of a history much longer than what
   * follows it, only positions whose slot will be looked up. Most are none, and leave the tables, which are larger
   * than the processor's caches, untouched.
   */
  private learnWanted(slotBits: i32): void {
    const before = mark();
    const wanted = takeCleared(4 << (slotBits - 5));
    const end = window.length - this.length + 1;
    for (let at = window.first; at < end; at++) {
      const slot = this.slot(at);
      const word = wanted + ((slot >>> 5) << 2);
      store<i32>(word, load<i32>(word) | (1 << (slot & 31)));
    }
    const last = min(window.first, end);
    for (let at = this.known; at < last; at++) {
      const slot = this.slot(at);
      if ((load<i32>(wanted + ((slot >>> 5) << 2)) & (1 << (slot & 31))) !== 0) this.add(at, slot);
    }
    this.known = max(this.known, last);
    reset(before);
  }

  /** Makes every position before `to` known. */
  learn(to: i32): void {
    const end = min(to, window.length - this.length + 1);
    for (let at = this.known; at < end; at++) this.add(at, this.slot(at));
    this.known = max(this.known, end);
  }

  @inline
  private add(at: i32, slot: i32): void {
    const newest = this.newestOf + (slot << 2);
    store<i32>(this.beforeOf + ((at & this.mask) << 2), load<i32>(newest));
    store<i32>(newest, at + 1);
  }

  /** The newest known position whose string hashes like the one at `at`; -1 for none. */
  newest(at: i32): i32 {
    if (at + this.length > window.length) return -1;
    return this.withinReach(load<i32>(this.newestOf + (this.slot(at) << 2)) - 1);
  }

  /** The position known before `at` whose string hashes alike; -1 for none. */
  @inline
  before(at: i32): i32 {
    return this.withinReach(load<i32>(this.beforeOf + ((at & this.mask) << 2)) - 1);
  }

  @inline
  private withinReach(at: i32): i32 {
    return at >= 0 && at >= this.known - this.mask ? at : -1;
  }

  private slot(at: i32): i32 {
    let hash = 0;
    const last = at + this.length - 4;
    for (let i = at; i < last; i += 4) {
      hash = (hash ^ window.word(i)) * <i32>0x9e3779b1;
      hash ^= hash >>> 15;
    }
    return ((hash ^ window.word(last)) * <i32>0x85ebca6b) >>> this.shift;
  }
}
