import { integrityError } from "../errors.ts";
import { cached, type SourceReader, sourceOf } from "./source.ts";
import {
  ADD,
  AddressCache,
  COPY,
  codeTable,
  HERE,
  magic,
  NEAR,
  NOOP,
  RUN,
  SAME,
  SELF,
  windowHasSource,
} from "./vcdiff-format.ts";

/** Base-128 digits of an integer that is read at all: 2^42 is beyond every length and address. */
const mostDigits = 6;

/**
 * Rebuilds the `length` bytes that `delta` describes against `source`. The delta is hostile: whatever does not
 * describe exactly `length` bytes in one window of plain RFC 3284 throws "bad-delta", and nothing is allocated
 * but those bytes.
 */
export function decode(delta: Uint8Array, source: Uint8Array | SourceReader, length: number): Uint8Array {
  const from = source instanceof Uint8Array ? sourceOf(source) : cached(source);
  const window = readWindow(new Input(delta), from.length, length);
  return new Replay(window, from, length).run();
}

interface Window {
  /** Where the source segment begins in the source, and its length. */
  readonly base: number;
  readonly sourceLength: number;
  readonly data: Input;
  readonly codes: Input;
  readonly addresses: Input;
}

function readWindow(input: Input, available: number, length: number): Window {
  if (magic.some((byte) => input.byte() !== byte)) throw bad("its header is not ours");
  const indicator = input.byte();
  if (indicator !== 0 && indicator !== windowHasSource) throw bad("its window is of another kind");
  const sourceLength = indicator === windowHasSource ? input.integer() : 0;
  const base = indicator === windowHasSource ? input.integer() : 0;
  if (base + sourceLength > available) throw bad("it refers to bytes that are not there");
  const size = input.integer();
  if (size !== input.left) throw bad("its window does not end where it ends");
  if (input.integer() !== length) throw bad("it makes another length than promised");
  if (input.byte() !== 0) throw bad("its sections are compressed");
  const dataLength = input.integer();
  const codesLength = input.integer();
  const addressesLength = input.integer();
  const data = input.section(dataLength);
  const codes = input.section(codesLength);
  const addresses = input.section(addressesLength);
  if (input.left > 0) throw bad("bytes follow its sections");
  return { base, sourceLength, data, codes, addresses };
}

/** Carries out the instructions of one window (RFC 3284, sections 5 and 6). */
class Replay {
  readonly #window: Window;
  readonly #source: SourceReader;
  readonly #target: Uint8Array;
  readonly #cache = new AddressCache();
  #filled = 0;

  constructor(window: Window, source: SourceReader, length: number) {
    this.#window = window;
    this.#source = source;
    this.#target = new Uint8Array(length);
  }

  run(): Uint8Array {
    const { codes, data, addresses } = this.#window;
    while (codes.left > 0) {
      const code = codeTable[codes.byte()]!;
      this.#step(code.type1, code.size1, code.mode1);
      if (code.type2 !== NOOP) this.#step(code.type2, code.size2, code.mode2);
    }
    if (this.#filled !== this.#target.length) throw bad("it makes fewer bytes than promised");
    if (data.left > 0 || addresses.left > 0) throw bad("it holds bytes that nothing uses");
    return this.#target;
  }

  #step(type: number, fixedSize: number, mode: number): void {
    const { codes, data } = this.#window;
    const size = fixedSize === 0 ? codes.integer() : fixedSize;
    const at = this.#filled;
    const end = at + size;
    if (end > this.#target.length) throw bad("it makes more bytes than promised");
    if (type === ADD) this.#target.set(data.take(size), at);
    else if (type === RUN) this.#target.fill(data.byte(), at, end);
    else if (type === COPY) this.#copy(this.#address(mode), size);
    this.#filled = end;
  }

  #copy(address: number, size: number): void {
    const { base, sourceLength } = this.#window;
    const target = this.#target;
    const at = this.#filled;
    if (address + size <= sourceLength) {
      target.set(this.#source.read(base + address, size), at);
      return;
    }
    const from = address - sourceLength;
    if (from < 0) throw bad("a copy crosses from source to target");
    if (from + size <= at) target.copyWithin(at, from, from + size);
    else for (let i = 0; i < size; i++) target[at + i] = target[from + i]!;
  }

  #address(mode: number): number {
    const { sourceLength, addresses } = this.#window;
    const { near, same } = this.#cache;
    const here = sourceLength + this.#filled;
    let address: number;
    if (mode === SELF) address = addresses.integer();
    else if (mode === HERE) address = here - addresses.integer();
    else if (mode < SAME) address = near[mode - NEAR]! + addresses.integer();
    else address = same[(mode - SAME) * 256 + addresses.byte()]!;
    if (address < 0 || address >= here) throw bad("a copy is from nowhere");
    this.#cache.update(address);
    return address;
  }
}

class Input {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  byte(): number {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) throw bad("it is cut short");
    return byte;
  }

  take(length: number): Uint8Array {
    if (length > this.left) throw bad("it is cut short");
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  section(length: number): Input {
    return new Input(this.take(length));
  }

  integer(): number {
    let value = 0;
    for (let digits = 0; digits < mostDigits; digits++) {
      const byte = this.byte();
      value = value * 128 + (byte & 127);
      if (byte < 128) return value;
    }
    throw bad("a number in it is too large");
  }
}

function bad(detail: string) {
  return integrityError("bad-delta", `a stored delta is damaged: ${detail}`);
}
