import script from "./module.script";
import bytes from "./module.wasm";

/** Of the platform's WebAssembly what is used here: Node's types have none. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object, imports: object) => { readonly exports: object };
};

/** What src/packing/wasm exports; addresses are bytes of its memory, which moves whenever something is called. */
interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  setUpWindow(length: number, first: number): number;
  learnSource(): void;
  setUpHashes(bytes: number, count: number): number;
  hashBlocks(count: number, stride: number, length: number): number;
  setUpBlocks(count: number, length: number): number;
  learnBlocks(count: number): void;
  scan(at: number): number;
  nextBlock(): number;
  endBlocks(): void;
  setUpParse(origin: number, farCount: number): number;
  parse(): number;
  found(): number;
  codeTableAt(): number;
  setUpReplay(sourceLength: number, data: number, codes: number, addresses: number): number;
  replay(): number;
  farAddress(): number;
  farLength(): number;
  farAt(): number;
  stateAt(): number;
  constantsAt(): number;
  inputAt(): number;
  compress(blocks: number): void;
}

/**
 * V8 asks for 10 GB of address space for each memory, of which it uses what is needed: where there is a limit (`ulimit -v`, as on
 * the computers that many share) it gets none, and with `--jitless` there is no WebAssembly. The same in JavaScript
 * takes longer.
 */
function instance(): Exports {
  try {
    return new WebAssembly.Instance(new WebAssembly.Module(bytes), {}).exports as Exports;
  } catch {
    return new Function(script)() as Exports;
  }
}

/** Memory beyond this many bytes is given back after use, though what a longer target needs is then asked for again. */
export const keptMemory = 32 << 20;

/** The part of packing that is in WebAssembly. It is used from one function at a time, which keeps nothing in it. */
export class Wasm {
  static #unused: Wasm | undefined;
  readonly call: Exports;

  private constructor() {
    this.call = instance();
  }

  static use<T>(work: (wasm: Wasm) => T): T {
    const wasm = Wasm.#unused ?? new Wasm();
    Wasm.#unused = undefined;
    try {
      return work(wasm);
    } finally {
      if (wasm.call.memory.buffer.byteLength <= keptMemory) Wasm.#unused = wasm;
    }
  }

  /** A view of its memory that holds until the next call. */
  bytes(at: number, length: number): Uint8Array {
    return new Uint8Array(this.call.memory.buffer, at, length);
  }

  /** The same of 32-bit numbers. */
  words(at: number, length: number): Int32Array {
    return new Int32Array(this.call.memory.buffer, at, length);
  }
}
