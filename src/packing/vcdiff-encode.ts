import { blockHash, blockLength, type HistoryIndex, rollHash } from "./history-index.ts";
import { cached, type SourceReader } from "./source.ts";
import {
  ADD,
  AddressCache,
  codeTable,
  COPY,
  HERE,
  integerLength,
  magic,
  modes,
  NEAR,
  NOOP,
  RUN,
  SAME,
  SELF,
  windowHasSource,
} from "./vcdiff-format.ts";
import { type FarMatch, literal, parse, repeated, type Step } from "./vcdiff-parse.ts";

/** The end of the source that is searched for every string; what lies before is searched by its index. */
const nearLength = +(process.env.R ?? 1 << 20);

export interface Delta {
  readonly bytes: Uint8Array;
  /**
   * Where its sections of instructions and addresses begin. They have little in common with the data before them:
   * compressed with statistics of their own, the whole is some 3 % smaller.
   */
  readonly cuts: readonly number[];
}

/**
 * The RFC 3284 delta of `target` against `source`, the stream that precedes it; `index` is of that stream.
 */
export function encode(target: Uint8Array, index: HistoryIndex, source: SourceReader): Delta {
  const reader = cached(source);
  const near = Math.min(nearLength, reader.length);
  const origin = reader.length - near;
  const window = new Uint8Array(near + target.length);
  window.set(reader.read(origin, near));
  window.set(target, near);
  const far = farMatches(target, index, reader, origin).map((m) => ({ ...m, start: m.start + near, end: m.end + near }));
  const steps = parse({ window, first: near, origin, far });
  return write(steps, target, reader.length);
}

/** The stretches of `target` that occur in `source` before `limit`, as far as its index knows. */
function farMatches(target: Uint8Array, index: HistoryIndex, source: SourceReader, limit: number): FarMatch[] {
  const matches: FarMatch[] = [];
  const blocks = new Blocks(index, limit);
  if (target.length < blockLength || blocks.none) return matches;
  let free = 0;
  let hash = blockHash(target, 0);
  for (let at = 0; ; ) {
    let best: FarMatch | undefined;
    for (const offset of blocks.like(hash)) {
      const match = extend(target, at, source, offset, free);
      if (match !== undefined && (best === undefined || match.end - match.start > best.end - best.start)) best = match;
    }
    let next = at + 1;
    if (best !== undefined) {
      matches.push(best);
      free = best.end;
      next = Math.max(next, best.end - blockLength + 1);
    }
    if (next + blockLength > target.length) return matches;
    hash = next === at + 1 ? rollHash(hash, target[at]!, target[at + blockLength]!) : blockHash(target, next);
    at = next;
  }
}

/** Extends an equal block both ways, back to `free` at most; undefined when the block only hashed alike. */
function extend(target: Uint8Array, at: number, source: SourceReader, offset: number, free: number): FarMatch | undefined {
  let end = at;
  for (let from = offset, step = 64; end < target.length && from < source.length; step = 4096) {
    const bytes = source.read(from, Math.min(step, source.length - from, target.length - end));
    let same = 0;
    while (same < bytes.length && bytes[same] === target[end + same]) same++;
    end += same;
    from += same;
    if (same < bytes.length) break;
  }
  if (end < at + blockLength) return undefined;
  const most = Math.min(at - free, offset);
  let back = 0;
  while (back < most) {
    const length = Math.min(64, most - back);
    const bytes = source.read(offset - back - length, length);
    let same = 0;
    while (same < length && bytes[length - 1 - same] === target[at - back - 1 - same]) same++;
    back += same;
    if (same < length) break;
  }
  return { start: at - back, end, address: offset - back };
}

/** The blocks of a history by their hashes. */
class Blocks {
  readonly #hashes: Int32Array;
  readonly #stride: number;
  readonly #heads: Int32Array;
  readonly #previous: Int32Array;
  readonly #shift: number;

  constructor(index: HistoryIndex, limit: number) {
    this.#stride = index.stride;
    this.#hashes = index.hashes.subarray(0, Math.ceil(limit / index.stride));
    const bits = Math.max(8, 33 - Math.clz32(this.#hashes.length));
    this.#shift = 32 - bits;
    this.#heads = new Int32Array(1 << bits).fill(-1);
    this.#previous = new Int32Array(this.#hashes.length);
    for (let i = 0; i < this.#hashes.length; i++) {
      const slot = this.#slot(this.#hashes[i]!);
      this.#previous[i] = this.#heads[slot]!;
      this.#heads[slot] = i;
    }
  }

  get none(): boolean {
    return this.#hashes.length === 0;
  }

  /** Offsets of blocks with this hash, newest first, a few at most. */
  like(hash: number): number[] {
    const found: number[] = [];
    for (let i = this.#heads[this.#slot(hash)]!; i >= 0 && found.length < 4; i = this.#previous[i]!) {
      if (this.#hashes[i] === hash) found.push(i * this.#stride);
    }
    return found;
  }

  #slot(hash: number): number {
    return Math.imul(hash ^ (hash >>> 15), 0x85ebca6b) >>> this.#shift;
  }
}

interface Instruction {
  readonly type: number;
  readonly size: number;
  readonly mode: number;
}

function write(steps: readonly Step[], target: Uint8Array, sourceLength: number): Delta {
  const data = new Output();
  const codes = new Output();
  const addresses = new Output();
  const cache = new AddressCache();
  let pending: Instruction | undefined;
  let at = 0;
  for (const { length, address } of steps) {
    let mode = SELF;
    if (address === literal) data.bytes(target.subarray(at, at + length));
    else if (address === repeated) data.byte(target[at]!);
    else mode = writeAddress(addresses, cache, address, sourceLength + at);
    const type = address === literal ? ADD : address === repeated ? RUN : COPY;
    pending = writeInstruction(codes, pending, { type, size: length, mode });
    at += length;
  }
  if (pending !== undefined) writeInstruction(codes, pending, undefined);

  const window = new Output();
  window.integer(target.length);
  window.byte(0);
  for (const section of [data, codes, addresses]) window.integer(section.length);
  const delta = new Output();
  delta.bytes(magic);
  delta.byte(sourceLength > 0 ? windowHasSource : 0);
  if (sourceLength > 0) {
    delta.integer(sourceLength);
    delta.integer(0);
  }
  delta.integer(window.length + data.length + codes.length + addresses.length);
  delta.bytes(window.written);
  delta.bytes(data.written);
  const cuts = [delta.length, delta.length + codes.length];
  delta.bytes(codes.written);
  delta.bytes(addresses.written);
  return { bytes: delta.written, cuts };
}

/** Writes an address as shortly as it goes; returns the mode that says how. */
function writeAddress(out: Output, cache: AddressCache, address: number, here: number): number {
  let mode = SELF;
  let value = address;
  let length = integerLength(address);
  const offer = (otherMode: number, other: number) => {
    if (other >= 0 && integerLength(other) < length) {
      mode = otherMode;
      value = other;
      length = integerLength(other);
    }
  };
  offer(HERE, here - address);
  for (let i = 0; i < cache.near.length; i++) offer(NEAR + i, address - cache.near[i]!);
  const slot = address % cache.same.length;
  if (cache.same[slot] === address) {
    mode = SAME + Math.floor(slot / 256);
    out.byte(slot % 256);
  } else out.integer(value);
  cache.update(address);
  return mode;
}

/** Writes `first`, together with `second` where one code says both; returns what is still to be written. */
function writeInstruction(out: Output, first: Instruction | undefined, second: Instruction | undefined): Instruction | undefined {
  if (first === undefined) return second;
  const pair = second && pairs.get(key(first) * 65536 + key(second));
  if (pair !== undefined) {
    out.byte(pair);
    return undefined;
  }
  const sized = first.size < 256 ? singles.get(key(first)) : undefined;
  if (sized !== undefined) out.byte(sized);
  else {
    out.byte(singles.get(key({ ...first, size: 0 }))!);
    out.integer(first.size);
  }
  return second;
}

/** A number for an instruction of less than 256 bytes; of more, one that no code has. */
function key({ type, size, mode }: Instruction): number {
  return (type * modes + mode) * 256 + Math.min(size, 255);
}

const singles = new Map<number, number>();
const pairs = new Map<number, number>();
for (const [number, code] of codeTable.entries()) {
  const first = key({ type: code.type1, size: code.size1, mode: code.mode1 });
  if (code.type2 === NOOP) singles.set(first, number);
  else pairs.set(first * 65536 + key({ type: code.type2, size: code.size2, mode: code.mode2 }), number);
}

class Output {
  #buffer = new Uint8Array(1024);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  get written(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  byte(byte: number): void {
    this.#reserve(1);
    this.#buffer[this.#length++] = byte;
  }

  bytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  integer(n: number): void {
    const length = integerLength(n);
    this.#reserve(length);
    let rest = n;
    for (let i = length - 1; i >= 0; i--) {
      this.#buffer[this.#length + i] = (rest % 128) | (i < length - 1 ? 128 : 0);
      rest = Math.floor(rest / 128);
    }
    this.#length += length;
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#buffer.length) return;
    const larger = new Uint8Array(Math.max(2 * this.#buffer.length, this.#length + more));
    larger.set(this.written);
    this.#buffer = larger;
  }
}
