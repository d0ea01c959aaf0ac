import { mark, reset, take } from "./memory";
import { lengthInSource } from "./parse";
import * as window from "./window";

// The blocks of the source that its index knows, by their hashes, and the target's positions whose blocks hash alike.

/** Multiplier of the rolling hash, a polynomial in it modulo 2^32 (Karp and Rabin): any odd number whose powers spread well. */
const factor: i32 = 0x2f0b4c47;

let blockLength: i32 = 0;
/** What the byte that leaves the block has been multiplied with. */
let leaving: i32 = 0;
let hashes: i32 = 0;
let hashed: i32 = 0;
let newest: i32 = 0;
let before: i32 = 0;
let shift: i32 = 0;
let memoryBefore: i32 = 0;
/** The hash of the block at `rolledTo`. */
let hash: i32 = 0;
let rolledTo: i32 = 0;
/** The last block given out; -1 for none. */
let block: i32 = -1;

/** Room for the hashes of so many blocks of this length; after them {@link learn}. */
export function setUp(count: i32, length: i32): i32 {
  memoryBefore = mark();
  blockLength = length;
  leaving = 1;
  for (let i = 1; i < length; i++) leaving *= factor;
  hashes = take(count << 2);
  return hashes;
}

/** Takes in the `count` hashes. */
export function learn(count: i32): void {
  const slotBits = 33 - clz<i32>(count | 128);
  shift = 32 - slotBits;
  newest = take(4 << slotBits);
  memory.fill(newest, 0xff, 4 << slotBits);
  before = take(count << 2);
  for (let i = 0; i < count; i++) {
    const slot = newest + (slotOf(load<i32>(hashes + (i << 2))) << 2);
    store<i32>(before + (i << 2), load<i32>(slot));
    store<i32>(slot, i);
  }
  rolledTo = -1;
}

/**
 * The first position of the window from `at` on whose block hashes like one of the source; -1 for none. What the window
 * has before the target too is not worth going far for.
 */
export function scan(at: i32): i32 {
  const last = window.length - blockLength;
  for (let i = at; i <= last; i++) {
    roll(i);
    block = alike(load<i32>(newest + (slotOf(hash) << 2)));
    if (block < 0) continue;
    const length = lengthInSource(i, blockLength);
    if (length === 0) return i;
    // Nor are the other blocks within.
    i += length - blockLength;
  }
  block = -1;
  return -1;
}

/** The newest block that hashes like the position {@link scan} has found, and then each older one; -1 for no more. */
export function next(): i32 {
  const found = block;
  if (found >= 0) block = alike(load<i32>(before + (found << 2)));
  return found;
}

/** Room for so many bytes, some blocks of which {@link hashAll} is to hash: `count` at most. */
export function setUpHashes(bytes: i32, count: i32): i32 {
  reset();
  hashes = take(count << 2);
  hashed = take(bytes);
  return hashed;
}

/** Where the hashes are of `count` blocks of this length that are `stride` apart. */
export function hashAll(count: i32, stride: i32, length: i32): i32 {
  for (let i = 0; i < count; i++) {
    const from = hashed + i * stride;
    let hash: i32 = 0;
    for (let at = from; at < from + length; at++) hash = hash * factor + <i32>load<u8>(at);
    store<i32>(hashes + (i << 2), hash);
  }
  return hashes;
}

/** Frees what this has taken. */
export function end(): void {
  reset(memoryBefore);
}

function roll(to: i32): void {
  hash = to === rolledTo + 1 && rolledTo >= 0 ? rolled(hash, rolledTo) : hashAt(to);
  rolledTo = to;
}

/** The hash of the block at `at`. */
function hashAt(at: i32): i32 {
  let hash: i32 = 0;
  for (let i = at; i < at + blockLength; i++) hash = hash * factor + window.byte(i);
  return hash;
}

/** The hash of the block after the one at `at`, of which this is the hash. */
function rolled(hash: i32, at: i32): i32 {
  return (hash - window.byte(at) * leaving) * factor + window.byte(at + blockLength);
}

function alike(from: i32): i32 {
  let found = from;
  while (found >= 0 && load<i32>(hashes + (found << 2)) !== hash) found = load<i32>(before + (found << 2));
  return found;
}

function slotOf(hash: i32): i32 {
  return ((hash ^ (hash >>> 15)) * <i32>0x85ebca6b) >>> shift;
}
