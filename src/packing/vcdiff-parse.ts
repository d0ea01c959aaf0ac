/** A step's `address` when it is not the address a copy is from. */
export const literal = -1;
export const repeated = -2;

/** A stretch of the target: `length` bytes copied from `address`, new (`literal`), or one byte `repeated`. */
export interface Step {
  length: number;
  readonly address: number;
}

/** A stretch of the target that occurs further back than the window reaches. */
export interface FarMatch {
  /** In the window. */
  readonly start: number;
  readonly end: number;
  /** Of the byte that equals the one at `start`. */
  readonly address: number;
}

export interface ParseInput {
  /** The end of the source and the target behind it. */
  readonly window: Uint8Array;
  /** Where the target begins in `window`. */
  readonly first: number;
  /** The address of the window's first byte; addresses count through the source and then the target. */
  readonly origin: number;
  /** In the order of their starts, not overlapping. */
  readonly far: readonly FarMatch[];
}

// What things cost once gzip has been over them, in eighths of a bit; found by trying on real conversations.
const costOf = {
  literal: +(process.env.C_LIT ?? 42),
  /** Beginning to add after a copy. */
  add: +(process.env.C_ADD ?? 56),
  copy: +(process.env.C_COPY ?? 72),
  run: 130,
  /** A size beside the instruction, of one byte and of more. */
  size: +(process.env.C_SIZE ?? 48),
  longSize: 88,
  /** An address of 1, 2, … bytes. */
  address: JSON.parse(process.env.C_ADDR ?? "[52,104,168,224,280,336]") as number[],
};

const shortestCopy = 4;
/** A match this long is taken whole; nothing better will come. */
const longEnough = +(process.env.LONG ?? 256);
/** Positions of which the best parse is found before it is settled. */
const chunkLength = 1 << 14;
const unreached = 0x7fffffff;

/** Strings of this many bytes are looked up in the window, at most `depth` occurrences of each, nearest first. */
const stringLength = +(process.env.K ?? 5);
const depth = +(process.env.DEPTH ?? 32);
const GOOD = +(process.env.GOOD ?? 32), GD = +(process.env.GD ?? 4);
const BACK = +(process.env.BACK??0);
const LL = +(process.env.LL ?? 16), LD = +(process.env.LD ?? 6);
const headBits = +(process.env.HB ?? 17);

/**
 * Divides the target into steps so that they cost least: a shortest path through the positions, each step an
 * edge (the "optimal parsing" of LZ compressors), found chunk by chunk. The cost of an address depends on the
 * copies before it, which are those of the best path known so far.
 */
export function parse(input: ParseInput): Step[] {
  const { window, first, origin, far } = input;
  const strings = new Strings(window, stringLength, first - +(process.env.SR ?? 1<<20));
  const longStrings = new Strings(window, LL, 0);
  const steps: Step[] = [];
  // The best way to reach each position of the chunk: its cost, the position it comes from, and what the step is.
  const cost = new Int32Array(chunkLength + 1);
  const cameFrom = new Int32Array(chunkLength + 1);
  const address = new Int32Array(chunkLength + 1);
  /** The last position of the path, at or before this one, that a copy leads to; below 0: in an earlier chunk. */
  const lastCopy = new Int32Array(chunkLength + 1);
  // The last four copies of the path: their addresses and where they began, newest first.
  const recent = new Int32Array(4);
  const recentAt = new Int32Array(4);
  const settled = new Int32Array(4);
  const settledAt = new Int32Array(4).fill(first);
  let afterLiteral = true;
  let farIndex = 0;
  let carryFrom = 0;
  let carryLength = 0;

  /** Recalls the last four copies of the best path to position `i`. */
  function recall(i: number, start: number): void {
    let known = 0;
    for (let j = lastCopy[i]!; j > 0 && known < 4; known++) {
      const from = cameFrom[j]!;
      recent[known] = address[j]!;
      recentAt[known] = start + from;
      j = lastCopy[from]!;
    }
    for (let k = 0; known < 4; known++, k++) {
      recent[known] = settled[k]!;
      recentAt[known] = settledAt[k]!;
    }
  }

  /** Considers copying from `from` to position `i`, any length from `least` to `length`. */
  function consider(i: number, from: number, here: number, least: number, length: number): void {
    let bytes = digits(from);
    const back = digits(here - from);
    if (back < bytes) bytes = back;
    for (let k = 0; k < 4; k++) {
      const ahead = from - recent[k]!;
      if (ahead >= 0 && digits(ahead) < bytes) bytes = digits(ahead);
    }
    const base = cost[i]! + costOf.copy + costOf.address[bytes - 1]!;
    for (let l = length >= longEnough ? length - BACK : least; l <= length; l++) {
      const total = l <= 18 ? base : l < 128 ? base + costOf.size : base + costOf.longSize;
      const j = i + l;
      if (total < cost[j]!) {
        cost[j] = total;
        cameFrom[j] = i;
        address[j] = from;
        lastCopy[j] = j;
      }
    }
  }

  for (let start = first; start < window.length; ) {
    const end = Math.min(window.length, start + chunkLength);
    cost.fill(unreached, 1, end - start + 1);
    cost[0] = 0;
    lastCopy[0] = 0;
    address[0] = afterLiteral ? literal : 0;
    carryLength = 0;
    for (let p = start; p < end; p++) {
      const i = p - start;
      const most = end - p;
      if (cost[i] === unreached) { strings.insert(p); longStrings.insert(p); continue; }
      strings.insert(p);
      longStrings.insert(p);

      const added = cost[i]! + costOf.literal + (address[i] === literal ? 0 : costOf.add);
      if (added < cost[i + 1]!) {
        cost[i + 1] = added;
        cameFrom[i + 1] = i;
        address[i + 1] = literal;
        lastCopy[i + 1] = lastCopy[i]!;
      }

      let taken = 0;
      recall(i, start);
      const here = origin + p;
      while (farIndex < far.length && far[farIndex]!.end <= p) farIndex++;
      const away = far[farIndex];
      if (away !== undefined && away.start <= p) {
        const length = Math.min(away.end - p, most);
        if (length >= shortestCopy) {
          consider(i, away.address + p - away.start, here, shortestCopy, length);
          taken = length;
        }
      }
      for (let k = 0; k < 4; k++) {
        const from = recent[k]! + p - recentAt[k]! - origin;
        if (from < 0 || from >= p) continue;
        const length = matchLength(window, from, p, Math.min(most, from < first ? first - from : most));
        if (length >= shortestCopy) consider(i, origin + from, here, shortestCopy, length);
        if (length > taken) taken = length;
      }
      {
        // The longest match of the position before goes on here.
        carryLength = Math.min(carryLength - 1, most);
        carryFrom++;
        if (carryLength >= shortestCopy && carryLength > taken) { consider(i, origin + carryFrom, here, shortestCopy, carryLength); }
        const had = Math.max(taken, carryLength);
        let best = had >= GOOD ? had : shortestCopy - 1;
        for (let pass = had >= GOOD && process.env.SK ? 1 : 0; pass < 2; pass++) {
        const st = pass ? longStrings : strings;
        let left = had >= GOOD ? GD : pass ? LD : depth;
        for (let from = st.last(p); from >= 0 && left > 0; from = st.before(from), left--) {
          if (window[from + best] !== window[p + best]) continue;
          const length = matchLength(window, from, p, Math.min(most, from < first ? first - from : most));
          if (length <= best) continue;
          consider(i, origin + from, here, best + 1, length);
          best = length;
          carryLength = length;
          carryFrom = from;
        }
        }
        if (best > taken) taken = best;
      }
      if (taken >= longEnough) {
        for (const stop = p + taken - 1 - BACK; p < stop; carryLength = 0) { strings.insert(++p); longStrings.insert(p); }
      }
    }

    // Walk the best path back, then settle it.
    const path: number[] = [];
    for (let i = end - start; i > 0; i = cameFrom[i]!) path.push(i);
    recall(end - start, start);
    settled.set(recent);
    settledAt.set(recentAt);
    for (let k = path.length - 1; k >= 0; k--) {
      const i = path[k]!;
      const length = i - cameFrom[i]!;
      const last = steps.at(-1);
      if (address[i] === literal && last?.address === literal) last.length += length;
      else steps.push({ length, address: address[i]! });
    }
    start = end;
    // A copy that only the chunk's end cut short goes on.
    const last = steps.at(-1)!;
    afterLiteral = last.address === literal;
    if (last.address >= 0) {
      const from = last.address + last.length - origin;
      if (from > 0 && from !== first) {
        const longer = matchLength(window, from, start, Math.min(window.length - start, from < first ? first - from : window.length));
        last.length += longer;
        for (const stop = start + longer; start < stop; start++) { strings.insert(start); longStrings.insert(start); }
      }
    }
  }
  return steps;
}

function digits(n: number): number {
  return n < 1 << 7 ? 1 : n < 1 << 14 ? 2 : n < 1 << 21 ? 3 : n < 1 << 28 ? 4 : 5;
}

function matchLength(bytes: Uint8Array, from: number, at: number, most: number): number {
  let length = 0;
  while (length < most && bytes[from + length] === bytes[at + length]) length++;
  return length;
}

/** Where each string of a few bytes occurred, newest first (hash chains, as deflate's). */
class Strings {
  readonly #window: Uint8Array;
  readonly #heads = new Int32Array(1 << headBits).fill(-1);
  readonly #previous: Int32Array;
  #inserted = 0;

  readonly #stringLength: number;
  readonly #view: DataView;

  constructor(window: Uint8Array, stringLength: number, from: number) {
    this.#stringLength = stringLength;
    this.#window = window;
    this.#view = new DataView(window.buffer, window.byteOffset, window.length);
    this.#inserted = Math.max(0, from);
    this.#previous = new Int32Array(window.length);
  }

  /** Makes every position before `to` known. */
  insert(to: number): void {
    const end = Math.min(to, this.#window.length - this.#stringLength + 1);
    for (; this.#inserted < end; this.#inserted++) {
      const slot = this.#slot(this.#inserted);
      this.#previous[this.#inserted] = this.#heads[slot]!;
      this.#heads[slot] = this.#inserted;
    }
  }

  /** The last known position with the string that begins at `at`, or another that hashes alike; -1 for none. */
  last(at: number): number {
    return at + this.#stringLength <= this.#window.length ? this.#heads[this.#slot(at)]! : -1;
  }

  before(at: number): number {
    return this.#previous[at]!;
  }

  #slot(at: number): number {
    let hash = this.#stringLength === 5 ? this.#window[at + 4]! : 0;
    for (let i = at, end = at + this.#stringLength; i + 4 <= end; i += 4) {
      hash = Math.imul(hash ^ this.#view.getInt32(i, true), 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    return Math.imul(hash, 0x85ebca6b) >>> (32 - headBits);
  }
}
