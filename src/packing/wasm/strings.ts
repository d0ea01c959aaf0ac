import { take, takeCleared } from "./memory";
import * as window from "./window";

const mostSlotBits = 20;

/** Large odd numbers, of 64 bits. */
const factor = ((<i64>0x9e3779b9) << 32) | 0x7f4a7c15;
const lastFactor = ((<i64>0xd6e8feb8) << 32) | 0x6659fd93;

/**
 * Where strings of a fixed length occurred in the window, newest first: hash chains, as deflate's, of those that the
 * target has. Of all slots a hash can have, these are marked, and only they have a number and room in the tables, as
 * the less memory is touched at random the better: a window of 600 KB has some 30,000 of them. Only the last
 * `2 ** reachBits` positions are known at a time.
 */
@unmanaged
export class Strings {
  private length: i32;
  private shift: i32;
  /** For every 32 slots which of them the target has, a bit each, and how many slots before these it has. */
  private slots: i32;
  /** One more than the newest position of each slot; 0 for none. */
  private newestOf: i32;
  /** For each position added, modulo the ring's length, the one before it in its slot, in the same way. */
  private beforeOf: i32;
  private mask: i32;
  private known: i32;

  /** `length`: of the strings, at least 5. The target's first byte is the first that will be looked up. */
  setUp(length: i32, reachBits: i32): void {
    const first = window.first;
    this.length = length;
    this.known = max(0, first - (1 << reachBits));
    const ringBits = min(reachBits, 32 - clz<i32>((window.length - this.known) | 255));
    this.mask = (1 << ringBits) - 1;
    // About as many slots as positions: with fewer, what hashes alike by chance uses up the tries.
    const slotBits = min(mostSlotBits, ringBits);
    this.shift = 64 - slotBits;
    this.slots = takeCleared(8 << (slotBits - 5));
    this.newestOf = takeCleared(this.number(1 << (slotBits - 5)) << 2);
    this.beforeOf = take(4 << ringBits);
    this.learn(first);
  }

  /** Marks the target's slots and counts them, `words` times 32; how many they are. */
  private number(words: i32): i32 {
    const end = window.length - this.length + 1;
    for (let at = window.first; at < end; at++) {
      const slot = this.slot(at);
      const word = this.slots + ((slot >>> 5) << 3);
      store<i32>(word, load<i32>(word) | (1 << (slot & 31)));
    }
    let count = 0;
    for (let word = this.slots; word < this.slots + (words << 3); word += 8) {
      store<i32>(word, count, 4);
      count += popcnt(load<i32>(word));
    }
    return count;
  }

  /** Makes every position before `to` known. */
  learn(to: i32): void {
    const end = min(to, window.length - this.length + 1);
    for (let at = this.known; at < end; at++) {
      const newest = this.entry(at);
      if (newest < 0) continue;
      store<i32>(this.beforeOf + ((at & this.mask) << 2), load<i32>(newest));
      store<i32>(newest, at + 1);
    }
    this.known = max(this.known, end);
  }

  /** The newest known position whose string hashes like the one at `at`, of the target; -1 for none. */
  newest(at: i32): i32 {
    if (at + this.length > window.length) return -1;
    return this.withinReach(load<i32>(this.entry(at)) - 1);
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

  /** Where the newest position of the slot of the string at `at` is noted; -1 if the target has no such string. */
  @inline
  private entry(at: i32): i32 {
    const slot = this.slot(at);
    const word = this.slots + ((slot >>> 5) << 3);
    const bits = load<i32>(word);
    const bit = 1 << (slot & 31);
    if ((bits & bit) === 0) return -1;
    return this.newestOf + ((load<i32>(word, 4) + popcnt(bits & (bit - 1))) << 2);
  }

  @inline
  private slot(at: i32): i32 {
    let hash: i64 = window.long(at);
    if (this.length < 8) hash <<= 64 - (this.length << 3);
    else hash = (hash * factor) ^ window.long(at + this.length - 8);
    return <i32>((hash * lastFactor) >>> this.shift);
  }
}
