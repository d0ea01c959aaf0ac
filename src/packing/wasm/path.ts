import { reserve, take } from "./memory";

/** A step's address when it does not copy: new bytes, and the same byte again and again. */
export const literal = -1;
export const repeated = -2;

/** Positions of which the best path is found before it is settled. */
export const chunkLength = 1 << 14;

export const shortestCopy = 4;

/** A match this long is taken whole; nothing better will come. */
export const longEnough = 256;

// What things cost in the end, in eighths of a bit: gzip goes over the delta, so a byte of text is cheaper than
// eight bits and an address hardly. Found by trying on real conversations; the optimum is flat.
const costOfLiteral = 42;
/** Turning from copying to adding. */
const costOfAdd = 56;
const costOfCopy = 72;
const costOfRun = 130;
/** A size of 19 to 127, which takes a byte beside the instruction, and a larger one. */
const costOfSize = 48;
const costOfLongSize = 88;
/** An address of 1 to 5 bytes. */
const costOfAddress = <i32>memory.data<i32>([52, 104, 168, 224, 280]);

const unreached = i32.MAX_VALUE;

// The cheapest way through one chunk of the target, as a shortest path: positions are the nodes, steps the edges
// (the "optimal parsing" of LZ compressors). Positions are counted from the chunk's start. What an address costs
// depends on the four copies before it, for which those of the best path known so far are taken.

/** For each position the cost of the best path to it, and of that path's last step the position it came from and its address. */
let costs: i32 = 0;
let origins: i32 = 0;
let addresses: i32 = 0;
/** For each the last position at or before it on its path that a copy leads to; 0 for none in this chunk. */
let lastCopies: i32 = 0;
/** The address of the chunk's first position. */
let start: i32 = 0;

// Four numbers each. Of the last four copies before the position recalled, newest first: their addresses, and how far
// behind its target each copied, as going on in its track means copying from there again. The same for what is settled.
const recent = <i32>memory.data(16, 4);
const drifts = <i32>memory.data(16, 4);
const settledRecent = <i32>memory.data(16, 4);
const settledDrifts = <i32>memory.data(16, 4);

/** `address` is that of the target's first byte. */
export function setUp(address: i32): void {
  costs = take((chunkLength + 1) << 2);
  origins = take((chunkLength + 1) << 2);
  addresses = take((chunkLength + 1) << 2);
  lastCopies = take((chunkLength + 1) << 2);
  for (let k = 0; k < 4; k++) {
    set(settledRecent, k, 0);
    set(settledDrifts, k, address);
  }
}

/** Begins a chunk at `address`, `length` long, after a literal or after a copy. */
export function begin(address: i32, length: i32, afterLiteral: bool): void {
  start = address;
  for (let i = 0; i <= length; i++) set(costs, i, unreached);
  set(costs, 0, 0);
  set(addresses, 0, afterLiteral ? literal : 0);
  set(lastCopies, 0, 0);
}

/** Makes the recent copies those of the best path to `i`. */
export function recall(i: i32): void {
  let known = 0;
  for (let j = get(lastCopies, i); j > 0 && known < 4; known++) {
    const from = get(origins, j);
    set(recent, known, get(addresses, j));
    set(drifts, known, start + from - get(addresses, j));
    j = get(lastCopies, from);
  }
  for (let k = 0; known < 4; known++, k++) {
    set(recent, known, get(settledRecent, k));
    set(drifts, known, get(settledDrifts, k));
  }
}

/** How far behind its target the `k`-th last of four copies before the position recalled copied. */
export function drift(k: i32): i32 {
  return get(drifts, k);
}

/** Offers to add the byte at `i`. */
export function offerLiteral(i: i32): void {
  const cost = get(costs, i) + costOfLiteral + (get(addresses, i) === literal ? 0 : costOfAdd);
  if (cost < get(costs, i + 1)) reach(i + 1, i, cost, literal, get(lastCopies, i));
}

/** Offers to repeat the byte at `i`. */
export function offerRun(i: i32, length: i32): void {
  const cost = get(costs, i) + costOfRun;
  if (cost < get(costs, i + length)) reach(i + length, i, cost, repeated, get(lastCopies, i));
}

/** Offers to copy `length` bytes from `address` to `i`, the position recalled, or fewer, but at least `least`. */
export function offerCopy(i: i32, address: i32, least: i32, length: i32): void {
  let bytes = min(digits(address), digits(start + i - address));
  for (let k = 0; k < 4 && bytes > 1; k++) {
    const ahead = address - get(recent, k);
    if (ahead >= 0) bytes = min(bytes, digits(ahead));
  }
  const base = get(costs, i) + costOfCopy + get(costOfAddress, bytes - 1);
  const shortest = length >= longEnough ? length : least;
  lower(i, max(shortest, 128), length, base + costOfLongSize, address);
  lower(i, max(shortest, 19), min(length, 127), base + costOfSize, address);
  lower(i, shortest, min(length, 18), base, address);
}

/** The longest first: to where less far is hardly ever costlier, so that the first that is no better ends it. */
function lower(i: i32, least: i32, length: i32, cost: i32, address: i32): void {
  for (let l = length; l >= least && cost < get(costs, i + l); l--) reach(i + l, i, cost, address, i + l);
}

/**
 * The steps of the best path to the chunk's end, which is at `length`, are written to the address `to`, as
 * {@link Step}s; how many. What follows goes on from there.
 */
export function settle(length: i32, to: i32): i32 {
  let count = 0;
  for (let i = length; i > 0; i = get(origins, i)) count++;
  reserve(to + count * offsetof<Step>());
  let step = to + count * offsetof<Step>();
  for (let i = length; i > 0; i = get(origins, i)) {
    step -= offsetof<Step>();
    changetype<Step>(step).length = i - get(origins, i);
    changetype<Step>(step).address = get(addresses, i);
  }
  recall(length);
  memory.copy(settledRecent, recent, 16);
  memory.copy(settledDrifts, drifts, 16);
  return count;
}

/** A stretch of the target: copied from `address`, new (`literal`), or the same byte again and again (`repeated`). */
@unmanaged
export class Step {
  length: i32;
  address: i32;
}

function reach(i: i32, from: i32, cost: i32, address: i32, lastCopy: i32): void {
  set(costs, i, cost);
  set(origins, i, from);
  set(addresses, i, address);
  set(lastCopies, i, lastCopy);
}

function get(table: i32, i: i32): i32 {
  return load<i32>(table + (i << 2));
}

function set(table: i32, i: i32, value: i32): void {
  store<i32>(table + (i << 2), value);
}

/** Bytes of `n` as a variable-length integer, for what an address can be. */
function digits(n: i32): i32 {
  return n < 1 << 7 ? 1 : n < 1 << 14 ? 2 : n < 1 << 21 ? 3 : n < 1 << 28 ? 4 : 5;
}
