import { constants, deflateRawSync, inflateRawSync } from "node:zlib";
import type { Codec } from "../domains/reader.ts";
import { type Deflate, type Inflate, pack, unpack, unpackWithin } from "../packing/payload.ts";

const inflate: Inflate = (deflated, limit) =>
  inflateRawSync(deflated, { maxOutputLength: Math.max(1, limit) });
const deflate: Deflate = (bytes, open) =>
  deflateRawSync(bytes, {
    level: 9,
    memLevel: 9,
    finishFlush: open ? constants.Z_SYNC_FLUSH : constants.Z_FINISH,
  });

/** Packing with Node's own zlib: the same format as the portable one, smaller and several times as fast. */
export const nativeCodec: Codec = {
  pack: (body, cuts = []) => pack(body, { deflate, cuts }),
  unpack: (payload, length) => unpack(payload, length, inflate),
  unpackWithin: (payload, limit) => unpackWithin(payload, limit, inflate),
};
