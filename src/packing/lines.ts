import { ConvosyncError, Exit } from "../errors.ts";

const lineFeed = 10;
const smallestBuffer = 64 * 1024;

/** How much a stream is cut into, in bytes. */
export interface LineLimits {
  /** Most bytes of one segment, unless a single line is longer. */
  readonly segment: number;
  /** Most bytes of one line, its line feed included. */
  readonly line: number;
}

/** A run of whole lines. */
export interface LineSegment {
  readonly bytes: Uint8Array;
  readonly lines: number;
  /**
   * Bytes from the start of the chunks to the end of this segment. The last one's `end` is what was consumed:
   * what follows it is a half-written line, which waits there for the next capture.
   */
  readonly end: number;
}

/**
 * Cuts a log of LF-terminated lines, arriving in chunks of any size, into segments as full as whole lines allow.
 * A line longer than a segment becomes a segment of its own; a final line without LF is left out. Bytes are
 * copied out of the chunks at once, so their buffers may be reused; at most one segment, or one long line, is
 * held. Throws "line-too-long" for a line beyond its limit, complete or not.
 */
export async function* segmentLines(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  limits: LineLimits,
): AsyncGenerator<LineSegment, void, void> {
  let buffer = new Uint8Array(0);
  let filled = 0;
  /** End of the last whole line in the buffer, and how many there are. */
  let whole = 0;
  let lines = 0;
  let end = 0;

  function cut(): LineSegment {
    const segment = { bytes: buffer.subarray(0, whole), lines, end: end + whole };
    const rest = buffer.subarray(whole, filled);
    // After a full segment comes another, most likely: growing to its size again would leave as much behind.
    const expected = whole + rest.length > limits.segment / 2 ? Math.min(buffer.length, limits.segment) : 0;
    buffer = new Uint8Array(Math.max(smallestBuffer, expected, rest.length));
    buffer.set(rest);
    end = segment.end;
    filled = rest.length;
    whole = 0;
    lines = 0;
    return segment;
  }

  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; ) {
      const feed = chunk.indexOf(lineFeed, at);
      const next = feed < 0 ? chunk.length : feed + 1;
      const piece = chunk.subarray(at, next);
      at = next;
      if (filled + piece.length > limits.segment && whole > 0) yield cut();
      if (filled === 0 && feed >= 0 && piece.length >= limits.segment && piece.length <= limits.line) {
        // A line that is a segment by itself need not be copied.
        end += piece.length;
        yield { bytes: piece, lines: 1, end };
        continue;
      }
      if (filled + piece.length > limits.line) throw tooLong(end, limits.line);
      if (filled + piece.length > buffer.length) {
        const larger = new Uint8Array(Math.max(smallestBuffer, buffer.length * 2, filled + piece.length));
        larger.set(buffer.subarray(0, filled));
        buffer = larger;
      }
      buffer.set(piece, filled);
      filled += piece.length;
      if (feed < 0) continue;
      whole = filled;
      lines++;
      if (whole >= limits.segment) yield cut();
    }
  }
  if (whole > 0) yield cut();
}

/** How many lines two logs begin with alike. */
export function commonLines(a: Uint8Array, b: Uint8Array): number {
  let at = 0;
  while (at < a.length && at < b.length && a[at] === b[at]) at++;
  return countLines(a.subarray(0, at));
}

/** How many lines end in `bytes`. */
export function countLines(bytes: Uint8Array): number {
  let lines = 0;
  for (let at = bytes.indexOf(lineFeed); at >= 0; at = bytes.indexOf(lineFeed, at + 1)) lines++;
  return lines;
}

/** The offset just past the last whole line of `bytes`; 0 when none ends in them. */
export function lastLineEnd(bytes: Uint8Array): number {
  return bytes.lastIndexOf(lineFeed) + 1;
}

function tooLong(offset: number, limit: number): ConvosyncError {
  return new ConvosyncError(
    "line-too-long",
    Exit.failed,
    `the line at byte ${offset} is longer than ${limit} bytes, which no conversation should hold`,
  );
}
