import { blockHash, blockLength, type HistoryIndex, rollHash } from "./history-index.ts";
import type { SourceReader } from "./source.ts";

/** A stretch of the target, from `start` to `end`, that also begins at `address` of the source. */
export interface FarMatch {
  readonly start: number;
  readonly end: number;
  readonly address: number;
}

/** Blocks with the same hash that are compared at most, newest first. */
const mostCandidates = 4;

/**
 * The stretches of `target` that begin in `source` before `limit`, as far as the index knows: each position's
 * block is looked up by its rolling hash, compared, and extended both ways (rsync's way of finding old data).
 * In the order of their starts, not overlapping.
 */
export function farMatches(
  target: Uint8Array,
  index: HistoryIndex,
  source: SourceReader,
  limit: number,
): FarMatch[] {
  const matches: FarMatch[] = [];
  const blocks = new Blocks(index, limit);
  const last = target.length - blockLength;
  if (blocks.count === 0 || last < 0) return matches;
  let free = 0;
  let hash = blockHash(target, 0);
  for (let at = 0; ; ) {
    let best: FarMatch | undefined;
    let tried = 0;
    for (let i = blocks.first(hash); i >= 0 && tried < mostCandidates; i = blocks.next(i, hash), tried++) {
      const match = extend(target, at, source, blocks.offset(i), free);
      if (match !== undefined && (best === undefined || match.end > best.end)) best = match;
    }
    if (best !== undefined) {
      matches.push(best);
      free = best.end;
    }
    const next = Math.max(at + 1, free - blockLength + 1);
    if (next > last) return matches;
    hash = next === at + 1 ? rollHash(hash, target[at]!, target[at + blockLength]!) : blockHash(target, next);
    at = next;
  }
}

/** Extends an equal block both ways, back to `free` at most; undefined when the block only hashed alike. */
function extend(
  target: Uint8Array,
  at: number,
  source: SourceReader,
  offset: number,
  free: number,
): FarMatch | undefined {
  let ahead = 0;
  const mostAhead = Math.min(target.length - at, source.length - offset);
  for (let length = 64; ahead < mostAhead; length = 4096) {
    const bytes = source.read(offset + ahead, Math.min(length, mostAhead - ahead));
    let same = 0;
    while (same < bytes.length && bytes[same] === target[at + ahead + same]) same++;
    ahead += same;
    if (same < bytes.length) break;
  }
  if (ahead < blockLength) return undefined;
  let back = 0;
  const mostBack = Math.min(at - free, offset);
  while (back < mostBack) {
    const length = Math.min(64, mostBack - back);
    const bytes = source.read(offset - back - length, length);
    let same = 0;
    while (same < length && bytes[length - 1 - same] === target[at - back - 1 - same]) same++;
    back += same;
    if (same < length) break;
  }
  return { start: at - back, end: at + ahead, address: offset - back };
}

/** The indexed blocks that begin before `limit`, by their hashes. */
class Blocks {
  readonly #hashes: Int32Array;
  readonly #stride: number;
  readonly #newest: Int32Array;
  readonly #before: Int32Array;
  readonly #shift: number;

  constructor(index: HistoryIndex, limit: number) {
    this.#stride = index.stride;
    this.#hashes = index.hashes.subarray(0, Math.ceil(limit / index.stride));
    const slotBits = 33 - Math.clz32(this.#hashes.length | 128);
    this.#shift = 32 - slotBits;
    this.#newest = new Int32Array(1 << slotBits).fill(-1);
    this.#before = new Int32Array(this.#hashes.length);
    for (let i = 0; i < this.#hashes.length; i++) {
      const slot = this.#slot(this.#hashes[i]!);
      this.#before[i] = this.#newest[slot]!;
      this.#newest[slot] = i;
    }
  }

  get count(): number {
    return this.#hashes.length;
  }

  /** The newest block with this hash; -1 for none. */
  first(hash: number): number {
    return this.#alike(this.#newest[this.#slot(hash)]!, hash);
  }

  /** The next older one after block `i`. */
  next(i: number, hash: number): number {
    return this.#alike(this.#before[i]!, hash);
  }

  offset(i: number): number {
    return i * this.#stride;
  }

  #alike(i: number, hash: number): number {
    let found = i;
    while (found >= 0 && this.#hashes[found] !== hash) found = this.#before[found]!;
    return found;
  }

  #slot(hash: number): number {
    return Math.imul(hash ^ (hash >>> 15), 0x85ebca6b) >>> this.#shift;
  }
}
