import { mark, reset, take, takeCleared } from "./memory";
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

/** What the target and the source have both: pairs of a hash and of these two, by the hash's slot or the next that is free. */
const wanted: i32 = 1;
const nearby: i32 = 2;
let met: i32 = 0;
let metShift: i32 = 0;

/** Room for the hashes of so many blocks of this length; after them {@link learn}. */
export function setUp(count: i32, length: i32): i32 {
  memoryBefore = mark();
  blockLength = length;
  leaving = 1;
  for (let i = 1; i < length; i++) leaving *= factor;
  hashes = take(count << 2);
  return hashes;
}

/**
 * Takes in the `count` hashes, and which of the target's are not worth going far for, as the window has them before it
 * too: a long stretch all of whose blocks are nearby is found there.
 */
export function learn(count: i32): void {
  const slotBits = 33 - clz<i32>(count | 128);
  shift = 32 - slotBits;
  newest = take(4 << slotBits);
  memory.fill(newest, 0xff, 4 << slotBits);
  before = take(count << 2);
  for (let i = 0; i < count; i++) {
    const slot = newest + (slotOf(load<i32>(hashes + (i << 2)), shift) << 2);
    store<i32>(before + (i << 2), load<i32>(slot));
    store<i32>(slot, i);
  }
  const first = window.first;
  const last = window.length - blockLength;
  const most = last < first ? 0 : last - first + 1;
  const metBits = 33 - clz<i32>((count < most ? count : most) | 128);
  metShift = 32 - metBits;
  met = takeCleared(8 << metBits);
  const bits = metShift - 3;
  // A bit for what may be among them, which most of what is nearby is not.
  const maybe = takeCleared(1 << metBits);
  let any = false;
  let next = last < first ? 0 : hashAt(first);
  for (let i = first; i <= last; i++) {
    hash = next;
    if (i < last) next = rolled(next, i);
    if (alike(load<i32>(newest + (slotOf(hash, shift) << 2))) < 0) continue;
    const slot = metSlot();
    store<i32>(slot, hash);
    store<i32>(slot + 4, wanted);
    const bit = slotOf(hash, bits);
    const word = maybe + ((bit >>> 5) << 2);
    store<i32>(word, load<i32>(word) | (1 << (bit & 31)));
    any = true;
  }
  const end = any ? first - blockLength : -1;
  next = end < 0 ? 0 : hashAt(0);
  for (let i = 0; i <= end; i++) {
    const bit = slotOf(next, bits);
    if ((load<i32>(maybe + ((bit >>> 5) << 2)) & (1 << (bit & 31))) !== 0) {
      hash = next;
      const slot = metSlot();
      if (load<i32>(slot + 4) !== 0) store<i32>(slot + 4, nearby);
    }
    if (i < end) next = rolled(next, i);
  }
  rolledTo = -1;
}

/** The first position of the window from `at` on whose block hashes like one of the source, and none nearby; -1 for none. */
export function scan(at: i32): i32 {
  const last = window.length - blockLength;
  for (let i = at; i <= last; i++) {
    roll(i);
    block = alike(load<i32>(newest + (slotOf(hash, shift) << 2)));
    if (block >= 0 && load<i32>(metSlot() + 4) === wanted) return i;
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

/** The slot of {@link hash} in {@link met}, or the one where it would be. */
function metSlot(): i32 {
  const last = (1 << (32 - metShift)) - 1;
  let slot = slotOf(hash, metShift);
  while (load<i32>(met + (slot << 3) + 4) !== 0 && load<i32>(met + (slot << 3)) !== hash)
    slot = (slot + 1) & last;
  return met + (slot << 3);
}

function slotOf(hash: i32, shift: i32): i32 {
  return ((hash ^ (hash >>> 15)) * <i32>0x85ebca6b) >>> shift;
}
