import { ConvosyncError, integrityError } from "../errors.ts";
import { crc32 } from "./crc32.ts";
import { paddedLength } from "./padme.ts";

/**
 * Compresses to a raw DEFLATE stream (RFC 1951). When `open`, the stream is left for another to follow: it ends on
 * a byte with an empty stored block and without a final one (zlib's Z_SYNC_FLUSH). A body is compressed in pieces
 * only when it is packed with cuts.
 */
export type Deflate = (bytes: Uint8Array, open: boolean) => Uint8Array;

/**
 * Opens a raw DEFLATE stream of a hostile author. Throws when it is malformed, when it does not end exactly with
 * the last byte of `deflated`, or when it holds more than `limit` bytes; never allocates much more than `limit`.
 */
export type Inflate = (deflated: Uint8Array, limit: number) => Uint8Array;

export interface PackOptions {
  /** Hide the length: fill up to the PADMÉ target. On unless told otherwise. */
  readonly pad?: boolean;
  /** Offsets in the body, rising, at which another kind of data begins: compressed apart, all come out smaller. */
  readonly cuts?: readonly number[];
}

// gzip (RFC 1952): magic, method deflate, FLG, MTIME 0, XFL 2 (best compression), OS 3 (Unix).
const headerLength = 10;
const trailerLength = 8;
const flagComment = 0x10;
const space = 0x20;
const header = (flags: number) => Uint8Array.of(0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 2, 3);

/** LEN and NLEN of the empty stored block that ends an open stream. */
const openEnd = [0x00, 0x00, 0xff, 0xff];

/** DEFLATE's best case is 258 bytes for two bits; whatever claims more is lying. */
const largestRatio = 1032;

/**
 * Wraps `body` into the payload of a sealed object: one gzip member that any gunzip opens. The padding is a
 * comment of spaces in its header, which every reader skips.
 */
export function pack(body: Uint8Array, deflate: Deflate, options: PackOptions = {}): Uint8Array {
  const deflated = deflatePieces(body, options.cuts ?? [], deflate);
  const bare = headerLength + deflated.length + trailerLength;
  const pad = options.pad ?? true;
  const payload = new Uint8Array(pad ? paddedLength(bare + 1) : bare);
  payload.set(header(pad ? flagComment : 0));
  const start = headerLength + payload.length - bare;
  if (pad) payload.fill(space, headerLength, start - 1);
  payload.set(deflated, start);
  const trailer = new DataView(payload.buffer, payload.length - trailerLength);
  trailer.setUint32(0, crc32(body), true);
  trailer.setUint32(4, body.length >>> 0, true);
  return payload;
}

function deflatePieces(body: Uint8Array, cuts: readonly number[], deflate: Deflate): Uint8Array {
  const pieces = cuts.map((cut, i) => {
    const piece = deflate(body.subarray(cuts[i - 1] ?? 0, cut), true);
    if (openEnd.some((byte, k) => piece.at(k - openEnd.length) !== byte)) {
      throw new TypeError("this deflate cannot leave a stream open");
    }
    return piece;
  });
  return joined([...pieces, deflate(body.subarray(cuts.at(-1) ?? 0), false)]);
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  if (pieces.length === 1) return pieces[0]!;
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/**
 * Unwraps a payload whose body is known to be exactly `raw` bytes, from an authenticated manifest. Anything that
 * {@link pack} would not have written is refused with exit 6, before more than `raw` bytes exist.
 */
export function unpack(payload: Uint8Array, raw: number, inflate: Inflate): Uint8Array {
  const member = parse(payload);
  if (member.size !== raw % 2 ** 32)
    throw damaged(`it holds ${member.size} bytes where ${raw} were promised`);
  const body = open(member, raw, inflate);
  if (body.length !== raw) throw damaged(`it holds ${body.length} bytes where ${raw} were promised`);
  return body;
}

/** Unwraps a payload for whose length nobody vouches: a body of more than `limit` bytes is refused with exit 6. */
export function unpackWithin(payload: Uint8Array, limit: number, inflate: Inflate): Uint8Array {
  const member = parse(payload);
  if (member.size > limit) throw damaged(`it holds more than the ${limit} bytes allowed`);
  const body = open(member, limit, inflate);
  if (body.length % 2 ** 32 !== member.size) throw damaged("its length is wrong");
  return body;
}

interface Member {
  readonly deflated: Uint8Array;
  readonly crc: number;
  /** Length of the body as the trailer states it, modulo 2^32. */
  readonly size: number;
}

function parse(payload: Uint8Array): Member {
  const flags = payload[3];
  if (flags !== 0 && flags !== flagComment) throw damaged("its header is not ours");
  if (header(flags).some((byte, i) => payload[i] !== byte)) throw damaged("its header is not ours");
  let start = headerLength;
  if (flags === flagComment) {
    while (payload[start] === space) start++;
    if (payload[start] !== 0) throw damaged("its padding is not ours");
    start++;
  }
  const end = payload.length - trailerLength;
  if (end <= start) throw damaged("it is cut short");
  const trailer = new DataView(payload.buffer, payload.byteOffset + end, trailerLength);
  const deflated = payload.subarray(start, end);
  const size = trailer.getUint32(4, true);
  if (size > deflated.length * largestRatio) throw damaged("its length is wrong");
  return { deflated, crc: trailer.getUint32(0, true), size };
}

function open(member: Member, limit: number, inflate: Inflate): Uint8Array {
  let body: Uint8Array;
  try {
    body = inflate(member.deflated, limit);
  } catch (cause) {
    throw cause instanceof ConvosyncError ? cause : damaged("its compressed data is malformed", cause);
  }
  if (crc32(body) !== member.crc) throw damaged("its checksum is wrong");
  return body;
}

/** What is wrong with a payload, as an error with exit 6. */
export function damaged(detail: string, cause?: unknown): ConvosyncError {
  return integrityError("bad-payload", `a stored object is damaged: ${detail}`, [], cause);
}
