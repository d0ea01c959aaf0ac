/** Bytes that can be read anywhere: the stream so far, which is not held in memory at once. */
export interface SourceReader {
  /** How many bytes there are. */
  readonly length: number;
  /**
   * Exactly `length` bytes from `offset`, both within bounds; the result is only read, may be a view, and may have been
   * put into `room`, which holds as many and belongs to the caller.
   */
  read(offset: number, length: number, room?: Uint8Array): Uint8Array;
}

export function sourceOf(bytes: Uint8Array): SourceReader {
  return {
    length: bytes.length,
    read: (offset, length) => bytes.subarray(offset, offset + length),
  };
}

const pageLength = 16 * 1024;
/** 4 MiB of pages. */
const mostPages = 256;

/**
 * Keeps the pages of `source` that were read last, so that many small reads of a file cost few system calls.
 * Its memory is bounded whatever the length of the source, and used again; so what was read holds until the next read.
 */
export function cached(source: SourceReader): SourceReader {
  const pages = new Map<number, Uint8Array>();
  /** The memory that is ours: a source may give us views of its own. */
  const ours = new Set<ArrayBufferLike>();
  const unused: Uint8Array[] = [];

  function read(number: number): Uint8Array {
    const from = number * pageLength;
    const room = unused.pop() ?? new Uint8Array(pageLength);
    ours.add(room.buffer);
    const bytes = source.read(from, Math.min(pageLength, source.length - from), room);
    if (bytes.buffer !== room.buffer) unused.push(room);
    return bytes;
  }

  function page(number: number): Uint8Array {
    let bytes = pages.get(number);
    if (bytes === undefined) {
      const [oldest] = pages.size >= mostPages ? pages : [];
      if (oldest !== undefined) {
        pages.delete(oldest[0]);
        if (ours.has(oldest[1].buffer)) unused.push(new Uint8Array(oldest[1].buffer));
      }
      bytes = read(number);
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
