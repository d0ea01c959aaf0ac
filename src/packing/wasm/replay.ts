import { take } from "./memory";
import * as window from "./window";

// Carries out the instructions of one VCDIFF window (RFC 3284, sections 5 and 6), whose author is hostile: nothing is read
// or written but what lies within its bounds. Of the source only the end is here, in front of the target; of what
// precedes that {@link replay} asks for each copy. Addresses count from the beginning of the source segment.

// Answers of `replay`; what is below zero is wrong with the delta.
const done: i32 = 0;
const needsFar: i32 = 1;
const goesOn: i32 = 2;
const cutShort: i32 = -1;
const numberTooLarge: i32 = -2;
const tooManyBytes: i32 = -3;
const tooFewBytes: i32 = -4;
const unusedBytes: i32 = -5;
const fromNowhere: i32 = -6;
const crossing: i32 = -7;

/** Base-128 digits of an integer that is read at all: 2^42 is beyond every length and address. */
const mostDigits: i32 = 6;

const NOOP: i32 = 0;
const ADD: i32 = 1;
const RUN: i32 = 2;

const SELF: i32 = 0;
const HERE: i32 = 1;
const NEAR: i32 = 2;
const SAME: i32 = 6;

/** The code table: two instructions for each code, each of type, size and mode in a byte. */
const codeLength: i32 = 6;
const codeTable = <i32>memory.data(256 * 6, 16);

/** The recently used addresses (section 5.1), as 64-bit numbers. */
const nearCount: i32 = 4;
const sameCount: i32 = 768;
const near = <i32>memory.data(4 * 8, 16);
const same = <i32>memory.data(768 * 8, 16);
let nextNear: i32 = 0;

/** Bytes of the source that precede the window. */
let origin: i64 = 0;
let sourceLength: i64 = 0;
let data: i32 = 0;
let dataEnd: i32 = 0;
let codes: i32 = 0;
let codesEnd: i32 = 0;
let addresses: i32 = 0;
let addressesEnd: i32 = 0;
/** The second instruction of the code at work; 0 for none. */
let second: i32 = 0;
/** The position in the window up to which it is filled. */
let filled: i32 = 0;
/** What the last {@link integer} read ended at. */
let readTo: i32 = 0;
let farFrom: i64 = 0;
let farSize: i32 = 0;

export function codeTableAt(): i32 {
  return codeTable;
}

/** Room for the sections of data, instructions and addresses, one after another; the window has been set up before. */
export function setUp(itsSourceLength: f64, dataLength: i32, codesLength: i32, addressesLength: i32): i32 {
  sourceLength = <i64>itsSourceLength;
  origin = sourceLength - window.first;
  data = take(dataLength + codesLength + addressesLength);
  dataEnd = data + dataLength;
  codes = dataEnd;
  codesEnd = codes + codesLength;
  addresses = codesEnd;
  addressesEnd = addresses + addressesLength;
  second = 0;
  filled = window.first;
  nextNear = 0;
  memory.fill(near, 0, nearCount << 3);
  memory.fill(same, 0, sameCount << 3);
  return data;
}

/**
 * Goes on until all is done (0), something is wrong (below 0), or bytes are needed that lie before the window (1): then
 * `farLength` bytes of the source from `farAddress` on belong into the window at `farAt`.
 */
export function replay(): i32 {
  let state = goesOn;
  while (state === goesOn) {
    if (second !== 0) {
      const instruction = second;
      second = 0;
      state = step(instruction);
    } else if (codes < codesEnd) {
      const code = codeTable + <i32>load<u8>(codes++) * codeLength;
      if (load<u8>(code, 3) !== NOOP) second = code + 3;
      state = step(code);
    } else if (filled < window.length) state = tooFewBytes;
    else state = data < dataEnd || addresses < addressesEnd ? unusedBytes : done;
  }
  return state;
}

export function farAddress(): f64 {
  return <f64>farFrom;
}

export function farLength(): i32 {
  return farSize;
}

export function farAt(): i32 {
  return filled - farSize;
}

function step(instruction: i32): i32 {
  const type = <i32>load<u8>(instruction);
  let size = <i64>load<u8>(instruction, 1);
  if (size === 0) {
    size = integer(codes, codesEnd);
    if (size < 0) return <i32>size;
    codes = readTo;
  }
  if (size > window.length - filled) return tooManyBytes;
  const length = <i32>size;
  if (type === ADD) {
    if (length > dataEnd - data) return cutShort;
    memory.copy(window.at(filled), data, length);
    data += length;
  } else if (type === RUN) {
    if (data === dataEnd) return cutShort;
    memory.fill(window.at(filled), load<u8>(data++), length);
  } else {
    const from = address(load<u8>(instruction, 2));
    if (from < 0) return <i32>from;
    if (from < sourceLength && from + size > sourceLength) return crossing;
    if (from < origin) {
      farFrom = from;
      farSize = length;
      filled += length;
      return needsFar;
    }
    copy(<i32>(from - origin), length);
  }
  filled += length;
  return goesOn;
}

function address(mode: i32): i64 {
  const here = sourceLength + (filled - window.first);
  let found: i64;
  if (mode < SAME) {
    found = integer(addresses, addressesEnd);
    if (found < 0) return found;
    addresses = readTo;
    if (mode === HERE) found = here - found;
    else if (mode !== SELF) found += load<i64>(near + ((mode - NEAR) << 3));
  } else {
    if (addresses === addressesEnd) return cutShort;
    found = load<i64>(same + ((((mode - SAME) << 8) + <i32>load<u8>(addresses++)) << 3));
  }
  if (found < 0 || found >= here) return fromNowhere;
  store<i64>(near + (nextNear << 3), found);
  nextNear = (nextNear + 1) % nearCount;
  store<i64>(same + ((<i32>(found % sameCount)) << 3), found);
  return found;
}

/** Within the window, from what is filled; what is copied may begin to repeat itself. */
function copy(from: i32, length: i32): void {
  const a = window.at(from);
  const b = window.at(filled);
  if (from + length <= filled) memory.copy(b, a, length);
  else for (let i = 0; i < length; i++) store<u8>(b + i, load<u8>(a + i));
}

/** A variable-length integer (section 2), or what is wrong with it. */
function integer(from: i32, end: i32): i64 {
  let value: i64 = 0;
  let at = from;
  for (let digits = 0; digits < mostDigits; digits++) {
    if (at === end) return cutShort;
    const byte = <i64>load<u8>(at++);
    value = (value << 7) | (byte & 127);
    if (byte < 128) {
      readTo = at;
      return value;
    }
  }
  return numberTooLarge;
}
