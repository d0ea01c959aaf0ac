import { farMatches } from "./far-matches.ts";
import type { HistoryIndex } from "./history-index.ts";
import { cached, type SourceReader } from "./source.ts";
import {
  ADD,
  AddressCache,
  COPY,
  codeTable,
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
import { literal, parse, repeated } from "./vcdiff-parse.ts";
import { Wasm } from "./wasm.ts";

/**
 * The end of the source in which every string is looked for; what lies before is found by its index. Half a MiB
 * stores 0.7 % more of real conversations than a whole one, for half the reading and hashing of every save.
 */
const nearLength = 1 << 19;
/**
 * Of a short target less will do: so many times its length, but at least so many bytes. A conversation that is saved
 * with every message costs a tenth less of processor time then, and 1 % more bytes.
 */
const nearTimes = 32;
const leastNear = 1 << 17;

export interface Delta {
  readonly bytes: Uint8Array;
  /**
   * Where its sections of instructions and addresses begin. They have nothing in common with the data before
   * them: packed with these cuts, the whole comes out 3 % smaller.
   */
  readonly cuts: readonly number[];
}

/**
 * The RFC 3284 delta of `target` against `source`, the stream that precedes it, of which `index` is the index
 * (an index of anything else costs compression, no more). Reads at most the last 512 KiB of the source, and of the
 * rest only what looks like a match. Source and target together are less than 2 GiB.
 */
export function encode(target: Uint8Array, index: HistoryIndex, source: SourceReader): Delta {
  const reader = cached(source);
  const first = Math.min(nearLength, reader.length, Math.max(leastNear, nearTimes * target.length));
  const origin = reader.length - first;
  const steps = Wasm.use((wasm) => {
    const at = wasm.call.setUpWindow(first + target.length, first);
    const window = wasm.bytes(at, first + target.length);
    window.set(reader.read(origin, first));
    window.set(target, first);
    wasm.call.learnSource();
    return parse(wasm, origin, farMatches(wasm, target, first, index, reader, origin));
  });
  return write(steps, target, reader.length);
}

function write(steps: Int32Array, target: Uint8Array, sourceLength: number): Delta {
  let dataLength = 0;
  const codes = new Output();
  const addresses = new Output();
  const cache = new AddressCache();
  let pending: Instruction | undefined;
  let at = 0;
  for (let i = 0; i < steps.length; i += 2) {
    const length = steps[i]!;
    const address = steps[i + 1]!;
    let instruction: Instruction;
    if (address === literal) {
      dataLength += length;
      instruction = { type: ADD, size: length, mode: 0 };
    } else if (address === repeated) {
      dataLength++;
      instruction = { type: RUN, size: length, mode: 0 };
    } else {
      const mode = writeAddress(addresses, cache, address, sourceLength + at);
      instruction = { type: COPY, size: length, mode };
    }
    pending = writeInstruction(codes, pending, instruction);
    at += length;
  }
  writeInstruction(codes, pending, undefined);

  const head = new Output();
  head.integer(target.length);
  head.byte(0);
  for (const length of [dataLength, codes.length, addresses.length]) head.integer(length);
  const delta = new Output();
  delta.bytes(magic);
  delta.byte(sourceLength > 0 ? windowHasSource : 0);
  if (sourceLength > 0) {
    delta.integer(sourceLength);
    delta.integer(0);
  }
  const sections = dataLength + codes.length + addresses.length;
  delta.integer(head.length + sections);
  delta.reserve(head.length + sections);
  delta.bytes(head.written);
  at = 0;
  for (let i = 0; i < steps.length; i += 2) {
    const length = steps[i]!;
    if (steps[i + 1] === literal) delta.bytes(target.subarray(at, at + length));
    else if (steps[i + 1] === repeated) delta.byte(target[at]!);
    at += length;
  }
  const cuts = [delta.length, delta.length + codes.length];
  delta.bytes(codes.written);
  delta.bytes(addresses.written);
  return { bytes: delta.written, cuts };
}

/** Writes an address as shortly as it goes; the mode that says how. */
function writeAddress(out: Output, cache: AddressCache, address: number, here: number): number {
  let mode = SELF;
  let value = address;
  const offer = (otherMode: number, other: number) => {
    if (other < 0 || integerLength(other) >= integerLength(value)) return;
    mode = otherMode;
    value = other;
  };
  offer(HERE, here - address);
  for (let i = 0; i < cache.near.length; i++) offer(NEAR + i, address - cache.near[i]!);
  const slot = address % cache.same.length;
  if (cache.same[slot] === address) {
    mode = SAME + Math.floor(slot / 256);
    out.byte(slot % 256);
  } else {
    out.integer(value);
  }
  cache.update(address);
  return mode;
}

interface Instruction {
  readonly type: number;
  readonly size: number;
  readonly mode: number;
}

/** Writes `first`, and `second` with it when one code says both; what is still to be written. */
function writeInstruction(
  out: Output,
  first: Instruction | undefined,
  second: Instruction | undefined,
): Instruction | undefined {
  if (first === undefined) return second;
  const pair = second && pairs.get(pairKey(first, second));
  if (pair !== undefined) {
    out.byte(pair);
    return undefined;
  }
  const sized = singles.get(key(first));
  if (sized !== undefined) {
    out.byte(sized);
  } else {
    out.byte(singles.get(key({ ...first, size: 0 }))!);
    out.integer(first.size);
  }
  return second;
}

/** Sizes from 19 on are all the same to the code table: it has none of them. */
function key({ type, size, mode }: Instruction): number {
  return (type * modes + mode) * 20 + Math.min(size, 19);
}

function pairKey(first: Instruction, second: Instruction): number {
  return key(first) * 1000 + key(second);
}

const singles = new Map<number, number>();
const pairs = new Map<number, number>();
for (const [number, code] of codeTable.entries()) {
  const first = { type: code.type1, size: code.size1, mode: code.mode1 };
  const second = { type: code.type2, size: code.size2, mode: code.mode2 };
  if (second.type === NOOP) singles.set(key(first), number);
  else pairs.set(pairKey(first, second), number);
}

/** Bytes written one after another. */
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
    if (this.#length === this.#buffer.length) this.reserve(this.#length);
    this.#buffer[this.#length++] = byte;
  }

  bytes(bytes: Uint8Array): void {
    if (this.#length + bytes.length > this.#buffer.length) this.reserve(Math.max(this.#length, bytes.length));
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** A variable-length integer, as {@link integerLength} describes it. */
  integer(n: number): void {
    const length = integerLength(n);
    if (this.#length + length > this.#buffer.length) this.reserve(Math.max(this.#length, length));
    let rest = n;
    for (let i = length - 1; i >= 0; i--) {
      this.#buffer[this.#length + i] = (rest % 128) + (i < length - 1 ? 128 : 0);
      rest = Math.floor(rest / 128);
    }
    this.#length += length;
  }

  /** Makes room for so many bytes more, and no others. */
  reserve(more: number): void {
    if (this.#length + more <= this.#buffer.length) return;
    const larger = new Uint8Array(this.#length + more);
    larger.set(this.written);
    this.#buffer = larger;
  }
}
