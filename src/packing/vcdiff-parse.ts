import type { FarMatch } from "./far-matches.ts";
import { matchLength, Strings } from "./near-matches.ts";
import { CheapestPath, chunkLength, literal, longEnough, type Step, shortestCopy } from "./vcdiff-path.ts";

export interface ParseInput {
  /** The end of the source, and the target behind it. */
  readonly window: Uint8Array;
  /** Where the target begins in `window`. */
  readonly first: number;
  /** The address of the window's first byte; addresses count through the source and on through the target. */
  readonly origin: number;
  /** Matches from before the window: by where they are in it, in order, not overlapping. */
  readonly far: readonly FarMatch[];
}

// Short strings are worth copying from nearby only, where addresses are short; longer ones from anywhere in the
// window, though memory sets a limit. Of either, so many occurrences are tried.
const short = { length: 5, reachBits: 19, tries: 8 };
const long = { length: 12, reachBits: 21, tries: 16 };

const shortestRun = 8;

/** Divides the target into the steps that cost least, chunk by chunk. */
export function parse(input: ParseInput): Step[] {
  const { window, first, origin } = input;
  const search = new Search(input);
  const path = new CheapestPath(origin + first);
  const steps: Step[] = [];
  for (let start = first; start < window.length; ) {
    const end = Math.min(window.length, start + chunkLength);
    path.begin(origin + start, end - start, steps.at(-1)?.address === literal);
    for (let at = start; at < end; ) {
      const taken = search.offer(path, start, at, end);
      at += taken >= longEnough ? taken : 1;
    }
    for (const step of path.settle(end - start)) {
      const last = steps.at(-1);
      if (step.address === literal && last?.address === literal) last.length += step.length;
      else steps.push(step);
    }
    // A copy that only the chunk's end cut short goes on.
    const last = steps.at(-1)!;
    const from = last.address + last.length - origin;
    const goesOn = last.address >= 0 && from > 0 && from !== first;
    const longer = goesOn ? matchLength(window, from, end, limit(from, end, window.length, first)) : 0;
    last.length += longer;
    start = end + longer;
  }
  return steps;
}

/** How long a copy from `from` to `at` may be: up to `end`, and not across the end of the source. */
function limit(from: number, at: number, end: number, first: number): number {
  return from < first ? Math.min(end - at, first - from) : end - at;
}

/** Finds what could be done at each position. */
class Search {
  readonly #input: ParseInput;
  readonly #short: Strings;
  readonly #long: Strings;
  #nextFar = 0;

  constructor(input: ParseInput) {
    this.#input = input;
    this.#short = new Strings(input.window, short.length, short.reachBits, input.first);
    this.#long = new Strings(input.window, long.length, long.reachBits, input.first);
  }

  /** Offers `path`, whose chunk is from `start` to `end`, all steps at `at`; the length of the longest copy. */
  offer(path: CheapestPath, start: number, at: number, end: number): number {
    const { window } = this.#input;
    const i = at - start;
    this.#short.learn(at);
    this.#long.learn(at);
    path.offerLiteral(i);
    if (window[at] !== window[at - 1]) {
      const run = 1 + matchLength(window, at, at + 1, end - at - 1);
      if (run >= shortestRun) path.offerRun(i, run);
    }
    path.recall(i);
    const known = Math.max(this.#offerFar(path, i, at, end), this.#offerTracks(path, i, at, end));
    if (known >= longEnough) return known;
    const near = this.#offerStrings(path, this.#short, short.tries, i, at, end, shortestCopy - 1);
    return Math.max(known, this.#offerStrings(path, this.#long, long.tries, i, at, end, near));
  }

  #offerFar(path: CheapestPath, i: number, at: number, end: number): number {
    const { far } = this.#input;
    while (this.#nextFar < far.length && far[this.#nextFar]!.end <= at) this.#nextFar++;
    const match = far[this.#nextFar];
    if (match === undefined || match.start > at) return 0;
    const length = Math.min(match.end, end) - at;
    if (length < shortestCopy) return 0;
    path.offerCopy(i, match.address + at - match.start, shortestCopy, length);
    return length;
  }

  /** Going on as far behind as a recent copy was: records of one kind differ in a few places only. */
  #offerTracks(path: CheapestPath, i: number, at: number, end: number): number {
    const { window, first, origin } = this.#input;
    let longest = 0;
    for (let k = 0; k < 4; k++) {
      const from = at - path.drifts[k]!;
      if (from < 0 || from >= at) continue;
      const length = matchLength(window, from, at, limit(from, at, end, first));
      if (length < shortestCopy) continue;
      path.offerCopy(i, origin + from, shortestCopy, length);
      if (length > longest) longest = length;
    }
    return longest;
  }

  /** Occurrences of the string at `at`, each only for the lengths beyond what a nearer one has; the longest. */
  #offerStrings(
    path: CheapestPath,
    strings: Strings,
    tries: number,
    i: number,
    at: number,
    end: number,
    atLeast: number,
  ): number {
    const { window, first, origin } = this.#input;
    let longest = atLeast;
    let from = strings.newest(at);
    for (let left = tries; from >= 0 && left > 0; from = strings.before(from), left--) {
      if (window[from + longest] !== window[at + longest]) continue;
      const length = matchLength(window, from, at, limit(from, at, end, first));
      if (length <= longest) continue;
      path.offerCopy(i, origin + from, longest + 1, length);
      longest = length;
    }
    return longest;
  }
}
