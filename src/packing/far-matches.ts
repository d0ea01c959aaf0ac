import { blockLength, type HistoryIndex } from "./history-index.ts";
import type { SourceReader } from "./source.ts";
import type { Wasm } from "./wasm.ts";

/** A stretch of the window, from `start` to `end`, that also begins at `address` of the source. */
export interface FarMatch {
  readonly start: number;
  readonly end: number;
  readonly address: number;
}

/** Blocks with the same hash that are compared at most, newest first. */
const mostCandidates = 4;

/**
 * The stretches of `target`, which is in the module's window from `first` on, that begin in `source` before `limit`,
 * as far as the index knows and unless what is just before the target has the same: each position's block is looked up by
 * its rolling hash, compared, and extended both ways (rsync's way of finding old data). In the order of their starts, not
 * overlapping.
 */
export function farMatches(
  wasm: Wasm,
  target: Uint8Array,
  first: number,
  index: HistoryIndex,
  source: SourceReader,
  limit: number,
): FarMatch[] {
  const { call } = wasm;
  const matches: FarMatch[] = [];
  const hashes = index.hashes.subarray(0, Math.ceil(limit / index.stride));
  if (hashes.length === 0) return matches;
  wasm.words(call.setUpBlocks(hashes.length, blockLength), hashes.length).set(hashes);
  call.learnBlocks(hashes.length);
  let free = 0;
  for (let at = call.scan(first) - first; at >= 0; ) {
    let best: FarMatch | undefined;
    for (let tried = 0; tried < mostCandidates; tried++) {
      const block = call.nextBlock();
      if (block < 0) break;
      const match = extend(target, at, source, block * index.stride, free);
      if (match !== undefined && (best === undefined || match.end > best.end)) best = match;
    }
    if (best !== undefined) {
      matches.push({ ...best, start: best.start + first, end: best.end + first });
      free = best.end;
    }
    at = call.scan(first + Math.max(at + 1, free - blockLength + 1)) - first;
  }
  call.endBlocks();
  return matches;
}

/** Extends an equal block both ways, back to `free` at most; undefined when the block only hashed alike. */
function extend(
  target: Uint8Array,
  at: number,
  source: SourceReader,
  offset: number,
  free: number,
): FarMatch | undefined {
  let ahead = 0;
  const mostAhead = Math.min(target.length - at, source.length - offset);
  for (let length = 64; ahead < mostAhead; length = 4096) {
    const bytes = source.read(offset + ahead, Math.min(length, mostAhead - ahead));
    let same = 0;
    while (same < bytes.length && bytes[same] === target[at + ahead + same]) same++;
    ahead += same;
    if (same < bytes.length) break;
  }
  if (ahead < blockLength) return undefined;
  let back = 0;
  const mostBack = Math.min(at - free, offset);
  while (back < mostBack) {
    const length = Math.min(64, mostBack - back);
    const bytes = source.read(offset - back - length, length);
    let same = 0;
    while (same < length && bytes[length - 1 - same] === target[at - back - 1 - same]) same++;
    back += same;
    if (same < length) break;
  }
  return { start: at - back, end: at + ahead, address: offset - back };
}
