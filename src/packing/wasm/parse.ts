import { mark, take } from "./memory";
import * as path from "./path";
import { chunkLength, literal, longEnough, Step, shortestCopy } from "./path";
import { Strings } from "./strings";
import * as window from "./window";
import { limit, matchLength } from "./window";

// Short strings are worth copying from nearby only, where addresses are short; longer ones from anywhere in the
// window, though memory sets a limit. Of either, so many occurrences are tried.
const short = changetype<Strings>(memory.data(offsetof<Strings>(), 4));
const shortLength = 5;
const shortReachBits = 19;
const shortTries = 12;
const long = changetype<Strings>(memory.data(offsetof<Strings>(), 4));
const longLength = 12;
const longReachBits = 21;
const longTries = 24;
/** Of the long ones, to know what is in the source at all: chains are longer only in what is hardly a conversation. */
const sourceTries = 1 << 10;

const shortestRun = 8;

/** A match from before the window: where it is in it, and the address it begins at. */
@unmanaged
class Far {
  start: i32;
  end: i32;
  address: i32;
}

let nextFar: i32 = 0;
let farEnd: i32 = 0;
/** The address of the window's first byte; addresses count through the source and on through the target. */
let origin: i32 = 0;
let steps: i32 = 0;

/** Makes the source known, once the window is filled. */
export function learnSource(): void {
  long.setUp(longLength, longReachBits);
}

/** How long a copy of what begins at `at` the source in the window has, the newest of at least so many bytes; 0 for none. */
export function lengthInSource(at: i32, atLeast: i32): i32 {
  let from = long.newest(at);
  for (let left = sourceTries; from >= 0 && left > 0; from = long.before(from), left--) {
    const length = matchLength(from, at, limit(from, at, window.length));
    if (length >= atLeast) return length;
  }
  return 0;
}

/** Room for so many matches from before the window, in order, not overlapping, each of three numbers as {@link Far}. */
export function setUp(windowOrigin: i32, farCount: i32): i32 {
  origin = windowOrigin;
  nextFar = take(farCount * offsetof<Far>());
  farEnd = nextFar + farCount * offsetof<Far>();
  return nextFar;
}

/** Divides the target into the steps that cost least, chunk by chunk; how many there are. */
export function parse(): i32 {
  const first = window.first;
  path.setUp(origin + first);
  short.setUp(shortLength, shortReachBits);
  steps = mark();
  let count = 0;
  for (let start = first; start < window.length; ) {
    const end = min(window.length, start + chunkLength);
    path.begin(origin + start, end - start, count > 0 && step(count - 1).address === literal);
    for (let at = start; at < end; ) {
      const taken = offer(start, at, end);
      at += taken >= longEnough ? taken : 1;
    }
    const more = path.settle(end - start, steps + count * offsetof<Step>());
    const settled = count + more;
    for (let k = count; k < settled; k++) {
      const length = step(k).length;
      const address = step(k).address;
      if (address === literal && count > 0 && step(count - 1).address === literal) {
        step(count - 1).length += length;
      } else {
        step(count).length = length;
        step(count).address = address;
        count++;
      }
    }
    // A copy that only the chunk's end cut short goes on.
    const last = step(count - 1);
    const from = last.address + last.length - origin;
    const goesOn = last.address >= 0 && from > 0 && from !== first;
    const longer = goesOn ? matchLength(from, end, limit(from, end, window.length)) : 0;
    last.length += longer;
    start = end + longer;
  }
  return count;
}

/** The address of what {@link parse} has found. */
export function found(): i32 {
  return steps;
}

function step(n: i32): Step {
  return changetype<Step>(steps + n * offsetof<Step>());
}

/** Offers the path, whose chunk is from `start` to `end`, all steps at `at`; the length of the longest copy. */
function offer(start: i32, at: i32, end: i32): i32 {
  const i = at - start;
  short.learn(at);
  long.learn(at);
  path.offerLiteral(i);
  if (at === 0 || window.byte(at) !== window.byte(at - 1)) {
    const run = 1 + matchLength(at, at + 1, end - at - 1);
    if (run >= shortestRun) path.offerRun(i, run);
  }
  path.recall(i);
  const known = max(offerFar(i, at, end), offerTracks(i, at, end));
  if (known >= longEnough) return known;
  const near = offerStrings(short, shortTries, i, at, end, shortestCopy - 1);
  return max(known, offerStrings(long, longTries, i, at, end, near));
}

function offerFar(i: i32, at: i32, end: i32): i32 {
  while (nextFar < farEnd && changetype<Far>(nextFar).end <= at) nextFar += offsetof<Far>();
  if (nextFar >= farEnd) return 0;
  const match = changetype<Far>(nextFar);
  if (match.start > at) return 0;
  const length = min(match.end, end) - at;
  if (length < shortestCopy) return 0;
  path.offerCopy(i, match.address + at - match.start, shortestCopy, length);
  return length;
}

/** Going on as far behind as a recent copy was: records of one kind differ in a few places only. */
function offerTracks(i: i32, at: i32, end: i32): i32 {
  let longest = 0;
  for (let k = 0; k < 4; k++) {
    const from = at - path.drift(k);
    if (from < 0 || from >= at) continue;
    const length = matchLength(from, at, limit(from, at, end));
    if (length < shortestCopy) continue;
    path.offerCopy(i, origin + from, shortestCopy, length);
    longest = max(longest, length);
  }
  return longest;
}

/** Occurrences of the string at `at`, each only for the lengths beyond what a nearer one has; the longest. */
function offerStrings(strings: Strings, tries: i32, i: i32, at: i32, end: i32, atLeast: i32): i32 {
  let longest = atLeast;
  let from = strings.newest(at);
  for (let left = tries; from >= 0 && left > 0; from = strings.before(from), left--) {
    // What is to be longer has all of these bytes.
    if (window.int(from + longest - 3) !== window.int(at + longest - 3)) continue;
    const length = matchLength(from, at, limit(from, at, end));
    if (length <= longest) continue;
    path.offerCopy(i, origin + from, longest + 1, length);
    longest = length;
  }
  return longest;
}
