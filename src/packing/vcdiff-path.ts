/** A step's `address` when it does not copy. */
export const literal = -1;
export const repeated = -2;

/** A stretch of the target: copied from `address`, new (`literal`), or the same byte again and again (`repeated`). */
export interface Step {
  length: number;
  readonly address: number;
}

/** Positions of which the best path is found before it is settled. */
export const chunkLength = 1 << 14;

export const shortestCopy = 4;

/** A match this long is taken whole; nothing better will come. */
export const longEnough = 256;

/**
 * What things cost in the end, in eighths of a bit: gzip goes over the delta, so a byte of text is cheaper than
 * eight bits and an address hardly. Found by trying on real conversations; the optimum is flat.
 */
const costOf = {
  literal: 42,
  /** Turning from copying to adding. */
  add: 56,
  copy: 72,
  run: 130,
  /** A size of 19 to 127, which takes a byte beside the instruction, and a larger one. */
  size: 48,
  longSize: 88,
  /** An address of 1 to 5 bytes. */
  address: [52, 104, 168, 224, 280],
} as const;

const unreached = 0x7fffffff;

/**
 * The cheapest way through one chunk of the target, as a shortest path: positions are the nodes, steps the edges
 * (the "optimal parsing" of LZ compressors). Positions are counted from the chunk's start. What an address costs
 * depends on the four copies before it, for which those of the best path known so far are taken.
 */
export class CheapestPath {
  readonly #cost = new Int32Array(chunkLength + 1);
  readonly #cameFrom = new Int32Array(chunkLength + 1);
  readonly #address = new Int32Array(chunkLength + 1);
  /** The last position at or before this one on its path that a copy leads to; 0 for none in this chunk. */
  readonly #lastCopy = new Int32Array(chunkLength + 1);
  /** The address of the chunk's first position. */
  #start = 0;
  #settled: { readonly addresses: Int32Array; readonly drifts: Int32Array };

  /** The addresses of the last four copies before the position recalled, newest first. */
  readonly recent = new Int32Array(4);
  /** How far behind its target each of them copied: going on in its track means copying from there again. */
  readonly drifts = new Int32Array(4);

  /** `start` is the address of the target's first byte. */
  constructor(start: number) {
    this.#settled = { addresses: new Int32Array(4), drifts: new Int32Array(4).fill(start) };
  }

  /** Begins a chunk at address `start`, `length` long, after a literal or after a copy. */
  begin(start: number, length: number, afterLiteral: boolean): void {
    this.#start = start;
    this.#cost.fill(unreached, 0, length + 1);
    this.#cost[0] = 0;
    this.#address[0] = afterLiteral ? literal : 0;
    this.#lastCopy[0] = 0;
  }

  /** Makes `recent` and `drifts` those of the best path to `i`. */
  recall(i: number): void {
    let known = 0;
    for (let j = this.#lastCopy[i]!; j > 0 && known < 4; known++) {
      const from = this.#cameFrom[j]!;
      this.recent[known] = this.#address[j]!;
      this.drifts[known] = this.#start + from - this.#address[j]!;
      j = this.#lastCopy[from]!;
    }
    for (let k = 0; known < 4; known++, k++) {
      this.recent[known] = this.#settled.addresses[k]!;
      this.drifts[known] = this.#settled.drifts[k]!;
    }
  }

  /** Offers to add the byte at `i`. */
  offerLiteral(i: number): void {
    const cost = this.#cost[i]! + costOf.literal + (this.#address[i] === literal ? 0 : costOf.add);
    if (cost >= this.#cost[i + 1]!) return;
    this.#reach(i + 1, i, cost, literal);
    this.#lastCopy[i + 1] = this.#lastCopy[i]!;
  }

  /** Offers to repeat the byte at `i`. */
  offerRun(i: number, length: number): void {
    const cost = this.#cost[i]! + costOf.run;
    if (cost >= this.#cost[i + length]!) return;
    this.#reach(i + length, i, cost, repeated);
    this.#lastCopy[i + length] = this.#lastCopy[i]!;
  }

  /** Offers to copy `length` bytes from `address` to `i`, the position recalled, or fewer, but at least `least`. */
  offerCopy(i: number, address: number, least: number, length: number): void {
    let bytes = Math.min(digits(address), digits(this.#start + i - address));
    for (let k = 0; k < 4 && bytes > 1; k++) {
      const ahead = address - this.recent[k]!;
      if (ahead >= 0) bytes = Math.min(bytes, digits(ahead));
    }
    const base = this.#cost[i]! + costOf.copy + costOf.address[bytes - 1]!;
    for (let l = length >= longEnough ? length : least; l <= length; l++) {
      const cost = l <= 18 ? base : l < 128 ? base + costOf.size : base + costOf.longSize;
      if (cost >= this.#cost[i + l]!) continue;
      this.#reach(i + l, i, cost, address);
      this.#lastCopy[i + l] = i + l;
    }
  }

  #reach(i: number, from: number, cost: number, address: number): void {
    this.#cost[i] = cost;
    this.#cameFrom[i] = from;
    this.#address[i] = address;
  }

  /** The steps of the best path to the chunk's end, which is at `length`. What follows goes on from there. */
  settle(length: number): Step[] {
    const steps: Step[] = [];
    for (let i = length; i > 0; i = this.#cameFrom[i]!) {
      steps.push({ length: i - this.#cameFrom[i]!, address: this.#address[i]! });
    }
    this.recall(length);
    this.#settled = { addresses: this.recent.slice(), drifts: this.drifts.slice() };
    return steps.reverse();
  }
}

/** Bytes of `n` as a variable-length integer, for what an address can be. */
function digits(n: number): number {
  return n < 1 << 7 ? 1 : n < 1 << 14 ? 2 : n < 1 << 21 ? 3 : n < 1 << 28 ? 4 : 5;
}
