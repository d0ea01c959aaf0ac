import { integrityError } from "../errors.ts";
import { cached, type SourceReader, sourceOf } from "./source.ts";
import { codeTable, magic, windowHasSource } from "./vcdiff-format.ts";
import { keptMemory, Wasm } from "./wasm.ts";

/** Base-128 digits of an integer that is read at all: 2^42 is beyond every length and address. */
const mostDigits = 6;

/** The end of the source that is put in front of the target, so that copies from there need no call. */
const nearLength = 1 << 19;
/** No more than so many times as much as the target is long: of a conversation saved often, segments are short. */
const nearTimes = 8;

/** {@link codeTable} as the module has it. */
const packedTable = Uint8Array.from(
  codeTable.flatMap(({ type1, size1, mode1, type2, size2, mode2 }) => [
    type1,
    size1,
    mode1,
    type2,
    size2,
    mode2,
  ]),
);

/** What `replay` says is wrong, from -1 downwards. */
const faults = [
  "it is cut short",
  "a number in it is too large",
  "it makes more bytes than promised",
  "it makes fewer bytes than promised",
  "it holds bytes that nothing uses",
  "a copy is from nowhere",
  "a copy crosses from source to target",
];

/**
 * Rebuilds the `length` bytes that `delta` describes against `source`. The delta is hostile: whatever does not
 * describe exactly `length` bytes in one window of plain RFC 3284 throws "bad-delta", and nothing is allocated
 * but those bytes, the end of the source, and the delta once more.
 */
export function decode(delta: Uint8Array, source: Uint8Array | SourceReader, length: number): Uint8Array {
  const from = source instanceof Uint8Array ? sourceOf(source) : cached(source);
  const { base, sourceLength, data, codes, addresses, sections } = readWindow(
    new Input(delta),
    from.length,
    length,
  );
  const first = Math.min(nearLength, sourceLength, nearTimes * length);
  return Wasm.use((wasm) => {
    const { call } = wasm;
    wasm.bytes(call.codeTableAt(), packedTable.length).set(packedTable);
    const windowAt = call.setUpWindow(first + length, first);
    wasm.bytes(call.setUpReplay(sourceLength, data, codes, addresses), sections.length).set(sections);
    // From here on no memory is taken: the view holds.
    const window = wasm.bytes(windowAt, first + length);
    if (first > 0) window.set(from.read(base + sourceLength - first, first));
    let state = call.replay();
    for (; state > 0; state = call.replay()) {
      window.set(from.read(base + call.farAddress(), call.farLength()), call.farAt());
    }
    if (state < 0) throw bad(faults[-1 - state]!);
    // Memory as large as this is used by nobody else afterwards, so it need not be there twice.
    return window.length > keptMemory ? window.subarray(first) : window.slice(first);
  });
}

interface Window {
  /** Where the source segment begins in the source, and its length. */
  readonly base: number;
  readonly sourceLength: number;
  /** Lengths of its sections, which follow each other. */
  readonly data: number;
  readonly codes: number;
  readonly addresses: number;
  readonly sections: Uint8Array;
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
  const data = input.integer();
  const codes = input.integer();
  const addresses = input.integer();
  const sections = input.take(data + codes + addresses);
  if (input.left > 0) throw bad("bytes follow its sections");
  return { base, sourceLength, data, codes, addresses, sections };
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
