import { base64urlnopad } from "@scure/base";
import { integrityError } from "../errors.ts";

// Round constants and initial hash value of SHA-256 (FIPS 180-4, sections 4.2.2 and 5.3.3): the first 32 bits of
// the fractional parts of the cube roots of the first 64 primes, and of the square roots of the first 8. Computed
// rather than listed: roots of small primes are exact to far more than 32 fractional bits in a double.
const primes = firstPrimes(64);
const roundConstants = Int32Array.from(primes, (p) => fraction(Math.cbrt(p)));
const initialHash = Int32Array.from(primes.slice(0, 8), (p) => fraction(Math.sqrt(p)));

const blockLength = 64;
/** Eight words of hash, then the length as a 64-bit number; the pending bytes follow. */
const savedHeader = 40;
const schedule = new Int32Array(64);

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
  const w = schedule;
  const k = roundConstants;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let block = 0; block < blocks; block++) {
    for (let t = 0; t < 16; t++, at += 4) w[t] = view.getInt32(at);
    for (let t = 16; t < 64; t++) {
      const x = w[t - 15]!;
      const y = w[t - 2]!;
      const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      w[t] = (w[t - 16]! + s0 + w[t - 7]! + s1) | 0;
    }
    let a = hash[0]!;
    let b = hash[1]!;
    let c = hash[2]!;
    let d = hash[3]!;
    let e = hash[4]!;
    let f = hash[5]!;
    let g = hash[6]!;
    let h = hash[7]!;
    for (let t = 0; t < 64; t++) {
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const t1 = (h + s1 + (g ^ (e & (f ^ g))) + k[t]! + w[t]!) | 0;
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const t2 = (s0 + ((a & b) | (c & (a | b)))) | 0;
      h = g;
      g = f;
      f = e;
      e = (d + t1) | 0;
      d = c;
      c = b;
      b = a;
      a = (t1 + t2) | 0;
    }
    hash[0] = hash[0]! + a;
    hash[1] = hash[1]! + b;
    hash[2] = hash[2]! + c;
    hash[3] = hash[3]! + d;
    hash[4] = hash[4]! + e;
    hash[5] = hash[5]! + f;
    hash[6] = hash[6]! + g;
    hash[7] = hash[7]! + h;
  }
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
