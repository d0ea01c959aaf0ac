import { deflateSync, Gunzip } from "fflate";
import { type Deflate, damaged, type Inflate, pack, unpack, unpackWithin } from "./payload.ts";

/** Each slice of a compressed stream can swell to at most 4 MiB before the limit is looked at. */
const sliceLength = 4096;
/** Of gzip's header and trailer. */
const headerLength = 10;
const trailerLength = 8;

/**
 * {@link Inflate} with fflate. Fed in slices, because the limit can only be looked at between them: fflate opens
 * whatever one slice holds. Where the stream ended is asked for indirectly, as fflate ignores what follows a
 * stream: wrapped as a gzip member with the header of a second member after it, `onmember` tells where that
 * second member begins, and is silent about a stream that never ended.
 */
export const inflatePortably: Inflate = (deflated, limit) => {
  const header = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3);
  let body = new Uint8Array(Math.min(limit, deflated.length * 8));
  let length = 0;
  let end = -1;
  const gunzip = new Gunzip((chunk) => {
    if (length + chunk.length > limit) throw damaged(`it holds more than the ${limit} bytes allowed`);
    if (length + chunk.length > body.length) {
      const larger = new Uint8Array(Math.min(limit, Math.max(body.length * 2, length + chunk.length)));
      larger.set(body.subarray(0, length));
      body = larger;
    }
    body.set(chunk, length);
    length += chunk.length;
  });
  gunzip.onmember = (offset) => {
    end = offset;
  };
  gunzip.push(header);
  for (let at = 0; at < deflated.length; at += sliceLength) {
    gunzip.push(deflated.subarray(at, at + sliceLength));
  }
  gunzip.push(new Uint8Array(trailerLength));
  gunzip.push(header);
  if (end !== headerLength + deflated.length + trailerLength)
    throw damaged("its compressed data is malformed");
  return body.subarray(0, length);
};

/** {@link Deflate} with fflate, which cannot leave a stream open: at some lengths what it then writes is broken. */
export const deflatePortably: Deflate = (bytes) => deflateSync(bytes, { level: 9 });

/**
 * Packing wherever there is JavaScript. Node's own zlib is smaller by 3 % and several times as fast, so the program
 * uses that; this is what the tests read it with, and what a page in a browser would.
 */
export const portableCodec = {
  pack: (body: Uint8Array): Uint8Array => pack(body, deflatePortably),
  unpack: (payload: Uint8Array, length: number): Uint8Array => unpack(payload, length, inflatePortably),
  unpackWithin: (payload: Uint8Array, limit: number): Uint8Array =>
    unpackWithin(payload, limit, inflatePortably),
};
