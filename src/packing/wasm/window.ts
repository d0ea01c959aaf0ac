import { reset, take } from "./memory";

// The end of the source, and the target behind it: what matches are looked for in. Positions count from its start.

export let length: i32 = 0;
/** Where the target begins. */
export let first: i32 = 0;
let bytes: i32 = 0;

/** Room for a window, whose address is returned; all other memory is free again. */
export function setUp(itsLength: i32, itsFirst: i32): i32 {
  reset();
  length = itsLength;
  first = itsFirst;
  bytes = take(length);
  return bytes;
}

/** The address of a position. */
export function at(position: i32): i32 {
  return bytes + position;
}

export function byte(at: i32): i32 {
  return load<u8>(bytes + at);
}

// The last argument says that the address is a multiple of 1: what is made of it for JavaScript must know.

export function int(at: i32): i32 {
  return load<i32>(bytes + at, 0, 1);
}

export function long(at: i32): i64 {
  return load<i64>(bytes + at, 0, 1);
}

/** How many bytes from `from` on equal those from `at` on, `most` at most. */
export function matchLength(from: i32, at: i32, most: i32): i32 {
  const a = bytes + from;
  const b = bytes + at;
  let same = 0;
  for (; same + 8 <= most; same += 8) {
    const difference = load<i64>(a + same, 0, 1) ^ load<i64>(b + same, 0, 1);
    if (difference !== 0) return same + (<i32>ctz(difference) >>> 3);
  }
  while (same < most && load<u8>(a + same) === load<u8>(b + same)) same++;
  return same;
}

/** How long a copy from `from` to `at` may be: up to `end`, and not across the end of the source. */
export function limit(from: i32, at: i32, end: i32): i32 {
  return from < first ? min(end - at, first - from) : end - at;
}
