import { assert as holds, nat, property, tuple, uint8Array } from "fast-check";
import { afterEach, expect, test, vi } from "vitest";

afterEach(() => {
  vi.unstubAllGlobals();
  vi.resetModules();
});

async function packing() {
  vi.resetModules();
  const [encoding, decoding, indexes, sources, hashes] = await Promise.all([
    import("./vcdiff-encode.ts"),
    import("./vcdiff-decode.ts"),
    import("./history-index.ts"),
    import("./source.ts"),
    import("./stream-hash.ts"),
  ]);
  return {
    encode: (target: Uint8Array, source: Uint8Array) =>
      encoding.encode(target, indexes.HistoryIndex.start().extend(source), sources.sourceOf(source)).bytes,
    decode: (delta: Uint8Array, source: Uint8Array, length: number) =>
      decoding.decode(delta, sources.sourceOf(source), length),
    hash: (bytes: Uint8Array) => hashes.StreamHash.start().update(bytes).digest(),
    /** What becomes of a delta that may be anything. */
    outcome(delta: Uint8Array, source: Uint8Array, length: number): string {
      try {
        return Buffer.from(this.decode(delta, source, length)).toString("base64");
      } catch (error) {
        return (error as { code?: string }).code ?? String(error);
      }
    },
  };
}

test("where there is no room for WebAssembly, the same in JavaScript makes the very same bytes", async () => {
  const quick = await packing();
  let refused = 0;
  class Instance {
    constructor() {
      refused++;
      throw new RangeError(
        "WebAssembly.Instance(): Out of memory: Cannot allocate Wasm memory for new instance",
      );
    }
  }
  vi.stubGlobal("WebAssembly", { Module: class {}, Instance });
  const slow = await packing();
  const bytes = (maxLength: number) => uint8Array({ maxLength, max: 3 });
  await holds(
    property(
      tuple(bytes(3000), bytes(200), bytes(3000)),
      nat(),
      nat(255),
      ([begin, middle, end], at, byte) => {
        const source = Uint8Array.from([...begin, ...end]);
        const target = Uint8Array.from([...end, ...middle, ...begin, ...middle]);
        const delta = quick.encode(target, source);
        expect(slow.encode(target, source)).toEqual(delta);
        expect(slow.decode(delta, source, target.length)).toEqual(target);
        expect(slow.hash(target)).toEqual(quick.hash(target));
        const broken = delta.slice();
        broken[at % broken.length] = byte;
        expect(slow.outcome(broken, source, target.length)).toBe(
          quick.outcome(broken, source, target.length),
        );
      },
    ),
  );
  expect(refused).toBeGreaterThan(0);
});
