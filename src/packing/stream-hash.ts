import { base64urlnopad } from "@scure/base";
import { integrityError } from "../errors.ts";
import { Wasm } from "./wasm.ts";

// Round constants and initial hash value of SHA-256 (FIPS 180-4, sections 4.2.2 and 5.3.3): the first 32 bits of
// the fractional parts of the cube roots of the first 64 primes, and of the square roots of the first 8. Computed
// rather than listed: roots of small primes are exact to far more than 32 fractional bits in a double.
const primes = firstPrimes(64);
const roundConstants = Int32Array.from(primes, (p) => fraction(Math.cbrt(p)));
const initialHash = Int32Array.from(primes.slice(0, 8), (p) => fraction(Math.sqrt(p)));

const blockLength = 64;
/** Eight words of hash, then the length as a 64-bit number; the pending bytes follow. */
const savedHeader = 40;
/** Blocks that are compressed at once. */
const mostBlocks = 1024;

/**
 * SHA-256 that can be put aside and continued: the hash of a growing stream is carried from save to save
 * without reading again what was hashed before. WebCrypto hashes only whole buffers and has no state to keep.
 */
export class StreamHash {
  readonly #hash: Int32Array;
  readonly #pending: Uint8Array;
  /** Bytes hashed so far; the last `#length % 64` of them are still in `#pending`. */
  #length: number;

  private constructor(hash: Int32Array, pending: Uint8Array, length: number) {
    this.#hash = hash;
    this.#pending = pending;
    this.#length = length;
  }

  static start(): StreamHash {
    return new StreamHash(initialHash.slice(), new Uint8Array(blockLength), 0);
  }

  /** Continues from what {@link save} returned; throws "bad-hash-state" for anything else. */
  static resume(state: string): StreamHash {
    const bytes = decode(state);
    if (bytes.length < savedHeader) throw badState();
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const length = view.getUint32(32) * 2 ** 32 + view.getUint32(36);
    if (!Number.isSafeInteger(length) || bytes.length !== savedHeader + (length % blockLength))
      throw badState();
    const hash = Int32Array.from({ length: 8 }, (_, i) => view.getInt32(4 * i));
    const pending = new Uint8Array(blockLength);
    pending.set(bytes.subarray(savedHeader));
    return new StreamHash(hash, pending, length);
  }

  /** Bytes hashed so far. */
  get length(): number {
    return this.#length;
  }

  update(bytes: Uint8Array): this {
    const held = this.#length % blockLength;
    this.#length += bytes.length;
    let at = 0;
    if (held > 0) {
      at = Math.min(blockLength - held, bytes.length);
      this.#pending.set(bytes.subarray(0, at), held);
      if (held + at < blockLength) return this;
      compress(this.#hash, this.#pending, 0, 1);
    }
    const blocks = Math.floor((bytes.length - at) / blockLength);
    compress(this.#hash, bytes, at, blocks);
    this.#pending.set(bytes.subarray(at + blocks * blockLength));
    return this;
  }

  /** The state as 54 to 138 characters of base64url. */
  save(): string {
    const held = this.#length % blockLength;
    const bytes = new Uint8Array(savedHeader + held);
    const view = new DataView(bytes.buffer);
    this.#hash.forEach((word, i) => {
      view.setInt32(4 * i, word);
    });
    view.setUint32(32, Math.floor(this.#length / 2 ** 32));
    view.setUint32(36, this.#length >>> 0);
    bytes.set(this.#pending.subarray(0, held), savedHeader);
    return base64urlnopad.encode(bytes);
  }

  /** The hash of everything so far, 32 bytes; more may be added afterwards. */
  digest(): Uint8Array {
    const held = this.#length % blockLength;
    const tail = new Uint8Array(held < 56 ? blockLength : 2 * blockLength);
    tail.set(this.#pending.subarray(0, held));
    tail[held] = 0x80;
    const end = new DataView(tail.buffer, tail.length - 8);
    end.setUint32(0, Math.floor(this.#length / 2 ** 29));
    end.setUint32(4, (this.#length << 3) >>> 0);
    const hash = this.#hash.slice();
    compress(hash, tail, 0, tail.length / blockLength);
    const digest = new DataView(new ArrayBuffer(32));
    hash.forEach((word, i) => {
      digest.setInt32(4 * i, word);
    });
    return new Uint8Array(digest.buffer);
  }
}

/** Runs the compression function (FIPS 180-4, section 6.2.2) over `blocks` blocks of `bytes` from `at`. */
function compress(hash: Int32Array, bytes: Uint8Array, at: number, blocks: number): void {
  if (blocks === 0) return;
  Wasm.use((wasm) => {
    const { call } = wasm;
    const state = wasm.words(call.stateAt(), hash.length);
    const input = wasm.bytes(call.inputAt(), mostBlocks * blockLength);
    wasm.words(call.constantsAt(), roundConstants.length).set(roundConstants);
    state.set(hash);
    for (let done = 0; done < blocks; done += mostBlocks) {
      const count = Math.min(mostBlocks, blocks - done);
      const from = at + done * blockLength;
      input.set(bytes.subarray(from, from + count * blockLength));
      call.compress(count);
    }
    hash.set(state);
  });
}

function firstPrimes(count: number): number[] {
  const found: number[] = [];
  for (let n = 2; found.length < count; n++) if (found.every((p) => n % p !== 0)) found.push(n);
  return found;
}

/** The first 32 bits of the fractional part of `x`, as a signed word. */
function fraction(x: number): number {
  return Math.floor((x - Math.floor(x)) * 2 ** 32) | 0;
}

function decode(state: string): Uint8Array {
  try {
    return base64urlnopad.decode(state);
  } catch (cause) {
    throw badState(cause);
  }
}

function badState(cause?: unknown) {
  return integrityError("bad-hash-state", "the remembered hash of a stream is damaged", [], cause);
}
