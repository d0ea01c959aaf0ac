import { integrityError } from "../errors.ts";
import { Wasm } from "./wasm.ts";

/** Bytes of the stream that one hash stands for. */
export const blockLength = 32;

/** Hashes kept at most; beyond, every second one is dropped and half as many are taken from then on. */
const mostHashes = 1 << 18;
/** Bytes of the stream that are hashed at once. */
const mostHashed = 1 << 20;
const magic = 0x43_53_48_32; // "CSH2"
const savedHeader = 16;

/**
 * A sampled index of a growing stream: the hash of the 32 bytes at every `stride`-th offset. It is at most 1 MiB
 * however long the stream is, grows with the new bytes alone, and is kept beside the cursor between saves so
 * that a delta against 100 MB does not read 100 MB. It is only a hint: whatever it says is compared with the
 * bytes themselves, so a wrong index costs compression and never correctness.
 */
export class HistoryIndex {
  #stride: number;
  /** Bytes of the stream taken in. */
  #length: number;
  /** One hash for each whole block at offsets 0, stride, 2 × stride, …; `#count` of them are in use. */
  #hashes: Int32Array;
  #count: number;
  /** What there is of the block that the stream's end cuts. */
  #pending: Uint8Array;

  private constructor(stride: number, length: number, hashes: Int32Array, pending: Uint8Array) {
    this.#stride = stride;
    this.#length = length;
    this.#hashes = hashes;
    this.#count = hashes.length;
    this.#pending = pending;
  }

  /** The index of an empty stream. */
  static start(): HistoryIndex {
    return new HistoryIndex(blockLength, 0, new Int32Array(0), new Uint8Array(0));
  }

  get length(): number {
    return this.#length;
  }

  get stride(): number {
    return this.#stride;
  }

  /** The hashes, in the order of their offsets: the i-th is of the block at i × stride. */
  get hashes(): Int32Array {
    return this.#hashes.subarray(0, this.#count);
  }

  /** Takes in the bytes that follow what was taken in before. */
  extend(bytes: Uint8Array): this {
    const from = this.#length - this.#pending.length;
    // Only where a block begins in what was held back it has to be put together.
    const seam = joined(this.#pending, bytes.subarray(0, blockLength));
    const border = this.#pending.length;
    this.#length += bytes.length;
    let next = this.#count * this.#stride;
    for (; next + blockLength <= this.#length; next = this.#count * this.#stride) {
      if (this.#count === mostHashes) this.#thin();
      const at = next - from;
      this.#push(at < border ? this.#hash(seam, at, 1) : this.#hash(bytes, at - border));
    }
    const rest = next - from;
    this.#pending = rest < border ? joined(this.#pending.subarray(rest), bytes) : bytes.slice(rest - border);
    return this;
  }

  /** The hashes of the blocks from `at` on, as many as there are and fit: `most`, when it says so. */
  #hash(bytes: Uint8Array, at: number, most = mostHashes - this.#count): Int32Array {
    const whole = Math.floor((bytes.length - at - blockLength) / this.#stride) + 1;
    const count = Math.min(whole, most, Math.floor(mostHashed / this.#stride) + 1);
    const length = (count - 1) * this.#stride + blockLength;
    return Wasm.use((wasm) => {
      wasm.bytes(wasm.call.setUpHashes(length, count), length).set(bytes.subarray(at, at + length));
      return wasm.words(wasm.call.hashBlocks(count, this.#stride, blockLength), count).slice();
    });
  }

  #push(hashes: Int32Array): void {
    if (this.#count + hashes.length > this.#hashes.length) {
      const enough = Math.max(1024, this.#count * 2, this.#count + hashes.length);
      const larger = new Int32Array(Math.min(mostHashes, enough));
      larger.set(this.hashes);
      this.#hashes = larger;
    }
    this.#hashes.set(hashes, this.#count);
    this.#count += hashes.length;
  }

  /** Keeps every second hash. */
  #thin(): void {
    this.#count = Math.ceil(this.#count / 2);
    for (let i = 0; i < this.#count; i++) this.#hashes[i] = this.#hashes[2 * i]!;
    this.#stride *= 2;
  }

  save(): Uint8Array {
    const saved = new Uint8Array(savedHeader + 4 * this.#count + this.#pending.length);
    const view = new DataView(saved.buffer);
    view.setUint32(0, magic);
    view.setUint32(4, this.#stride);
    view.setUint32(8, Math.floor(this.#length / 2 ** 32));
    view.setUint32(12, this.#length >>> 0);
    // In this machine's order of bytes: it is its own cache.
    saved.set(new Uint8Array(this.#hashes.buffer, this.#hashes.byteOffset, 4 * this.#count), savedHeader);
    saved.set(this.#pending, savedHeader + 4 * this.#count);
    return saved;
  }

  /** The index that {@link save} wrote; throws "bad-history-index" for anything else. */
  static load(saved: Uint8Array): HistoryIndex {
    const view = new DataView(saved.buffer, saved.byteOffset, saved.length);
    if (saved.length < savedHeader || view.getUint32(0) !== magic) throw damaged();
    const stride = view.getUint32(4);
    const length = view.getUint32(8) * 2 ** 32 + view.getUint32(12);
    const count = length < blockLength ? 0 : Math.floor((length - blockLength) / stride) + 1;
    const pending = Math.max(0, length - count * stride);
    const thin = stride === blockLength || count > mostHashes / 2;
    if (stride < blockLength || (stride & (stride - 1)) !== 0 || !thin || count > mostHashes) throw damaged();
    if (!Number.isSafeInteger(length) || saved.length !== savedHeader + 4 * count + pending) throw damaged();
    const hashes = new Int32Array(count);
    new Uint8Array(hashes.buffer).set(saved.subarray(savedHeader, savedHeader + 4 * count));
    return new HistoryIndex(stride, length, hashes, saved.slice(savedHeader + 4 * count));
  }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

function damaged() {
  return integrityError("bad-history-index", "the remembered index of a stream is damaged");
}
