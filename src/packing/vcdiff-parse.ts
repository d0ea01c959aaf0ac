import type { FarMatch } from "./far-matches.ts";
import type { Wasm } from "./wasm.ts";

/** The address of a step that does not copy: new bytes, and the same byte again and again. */
export const literal = -1;
export const repeated = -2;

/**
 * Divides the target in the module's window, whose first byte is at address `origin`, into the steps that cost least:
 * a length and an address each. Addresses count through the source and on through the target. `far` are matches from
 * before the window, by where they are in it, in order, not overlapping.
 */
export function parse(wasm: Wasm, origin: number, far: readonly FarMatch[]): Int32Array {
  const matches = far.flatMap(({ start, end, address }) => [start, end, address]);
  const at = wasm.call.setUpParse(origin, far.length);
  wasm.words(at, matches.length).set(matches);
  const count = wasm.call.parse();
  return wasm.words(wasm.call.found(), 2 * count).slice();
}
