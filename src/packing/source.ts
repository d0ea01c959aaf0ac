/** Bytes that can be read anywhere: the stream so far, which is not held in memory at once. */
export interface SourceReader {
  /** How many bytes there are. */
  readonly length: number;
  /** Exactly `length` bytes from `offset`, both within bounds; the result is only read, and may be a view. */
  read(offset: number, length: number): Uint8Array;
}

export function sourceOf(bytes: Uint8Array): SourceReader {
  return {
    length: bytes.length,
    read: (offset, length) => bytes.subarray(offset, offset + length),
  };
}

const pageLength = 64 * 1024;
/** 16 MiB of pages. */
const mostPages = 256;

/**
 * Keeps the pages of `source` that were read last, so that many small reads of a file cost few system calls.
 * Its memory is bounded whatever the length of the source.
 */
export function cached(source: SourceReader): SourceReader {
  const pages = new Map<number, Uint8Array>();

  function page(number: number): Uint8Array {
    let bytes = pages.get(number);
    if (bytes === undefined) {
      const from = number * pageLength;
      bytes = source.read(from, Math.min(pageLength, source.length - from));
      const oldest = pages.keys().next().value;
      if (pages.size >= mostPages && oldest !== undefined) pages.delete(oldest);
    } else {
      pages.delete(number);
    }
    pages.set(number, bytes);
    return bytes;
  }

  return {
    length: source.length,
    read(offset, length) {
      const first = Math.floor(offset / pageLength);
      const at = offset - first * pageLength;
      if (at + length <= pageLength) return page(first).subarray(at, at + length);
      if (length > pageLength) return source.read(offset, length);
      const joined = new Uint8Array(length);
      const head = page(first).subarray(at);
      joined.set(head);
      joined.set(page(first + 1).subarray(0, length - head.length), head.length);
      return joined;
    },
  };
}
