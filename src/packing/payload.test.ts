import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { constants, deflateRawSync, gunzipSync, gzipSync, inflateRawSync } from "node:zlib";
import { boolean, assert as holds, property, uint8Array } from "fast-check";
import { describe, expect, test } from "vitest";
import { paddedLength } from "./padme.ts";
import { type Deflate, type Inflate, pack, unpack, unpackWithin } from "./payload.ts";
import { deflatePortably, inflatePortably, portableCodec } from "./portable-codec.ts";

const ascii = (text: string) => new TextEncoder().encode(text);
const refused = expect.objectContaining({ code: "bad-payload", exit: 6 });
const vector = (name: string) =>
  Uint8Array.from(readFileSync(new URL(`../../test/vectors/packing/${name}`, import.meta.url)));

const deflateNatively: Deflate = (bytes, open) =>
  deflateRawSync(bytes, { level: 9, ...(open && { finishFlush: constants.Z_SYNC_FLUSH }) });
const inflateNatively: Inflate = (deflated, limit) => {
  const options = { maxOutputLength: Math.max(1, limit), info: true } as const;
  const { buffer, engine } = inflateRawSync(deflated, options) as unknown as {
    buffer: Uint8Array;
    engine: { bytesWritten: number };
  };
  if (engine.bytesWritten !== deflated.length) throw new Error("bytes after the end");
  return buffer;
};
const inflaters: [string, Inflate][] = [
  ["portable", inflatePortably],
  ["native", inflateNatively],
];

const body = ascii(
  Array.from({ length: 40 }, (_, i) => `{"type":"user","n":${i},"text":"line ${i * i}"}\n`).join(""),
);

test("a payload is what any gunzip opens, and its header is exactly ours", () => {
  const bare = pack(body, deflatePortably, { pad: false });
  expect(Uint8Array.from(gunzipSync(bare))).toEqual(body);
  expect([...bare.subarray(0, 10)]).toEqual([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3]);
  const padded = pack(body, deflatePortably);
  expect(Uint8Array.from(gunzipSync(padded))).toEqual(body);
  expect(padded.length).toBe(paddedLength(bare.length + 1));
  expect(padded[3]).toBe(0x10);
  const comment = padded.subarray(10, padded.length - bare.length + 10);
  expect(new TextDecoder().decode(comment)).toMatch(/^ *\0$/);
  expect(pack(body, deflatePortably)).toEqual(padded);
});

test("the gunzip program agrees", () => {
  const gunzip = (payload: Uint8Array) => Uint8Array.from(execFileSync("gunzip", ["-c"], { input: payload }));
  expect(gunzip(pack(body, deflatePortably))).toEqual(body);
  expect(gunzip(pack(body, deflateNatively, { pad: false }))).toEqual(body);
});

test.each([
  ["gz-padded.bin", true],
  ["gz-bare.bin", false],
])("the golden payload %s is written and read the same for ever", (name, pad) => {
  const golden = vector(name);
  const plain = vector("lines.jsonl");
  expect(pack(plain, deflatePortably, { pad })).toEqual(golden);
  expect(portableCodec.unpack(golden, plain.length)).toEqual(plain);
  expect(portableCodec.unpackWithin(golden, plain.length)).toEqual(plain);
  if (pad) expect(portableCodec.pack(plain)).toEqual(golden);
});

test("with cuts it is still one member, and mixed data comes out smaller", () => {
  const numbers = Uint8Array.from({ length: 4000 }, (_, i) => 128 + ((i * i) % 61));
  const mixed = Uint8Array.from([...body, ...numbers]);
  const cut = pack(mixed, deflateNatively, { pad: false, cuts: [body.length] });
  expect(Uint8Array.from(gunzipSync(cut))).toEqual(mixed);
  expect(Uint8Array.from(portableCodec.unpack(cut, mixed.length))).toEqual(mixed);
  expect(cut.length).toBeLessThan(pack(mixed, deflateNatively, { pad: false }).length);
  const everywhere = [0, 1, body.length, mixed.length];
  expect(Uint8Array.from(gunzipSync(pack(mixed, deflateNatively, { cuts: everywhere })))).toEqual(mixed);
});

test("a compressor that ignores what it is asked is noticed, not written", () => {
  const closing: Deflate = (bytes) => deflateRawSync(bytes, { level: 9 });
  expect(() => pack(body, closing, { cuts: [100] })).toThrow(TypeError);
  expect(Uint8Array.from(gunzipSync(pack(body, closing)))).toEqual(body);
});

describe.each(inflaters)("%s inflate", (_name, inflate) => {
  test("opens what was packed, by length and within a limit", async () => {
    await holds(
      property(uint8Array({ maxLength: 5000 }), boolean(), boolean(), (bytes, pad, natively) => {
        const payload = pack(bytes, natively ? deflateNatively : deflatePortably, { pad });
        expect(Uint8Array.from(unpack(payload, bytes.length, inflate))).toEqual(bytes);
        expect(Uint8Array.from(unpackWithin(payload, bytes.length, inflate))).toEqual(bytes);
        expect(Uint8Array.from(unpackWithin(payload, 1_000_000, inflate))).toEqual(bytes);
      }),
    );
  });

  test("opens large bodies of every kind of block", () => {
    const noise = Uint8Array.from(
      { length: 300_000 },
      (_, i) => (Math.imul(i, 0x9e3779b1) >>> 24) ^ ((i * i) >>> 9),
    );
    const stored: Deflate = (bytes) => deflateRawSync(bytes, { level: 0 });
    for (const deflate of [deflateNatively, stored]) {
      expect(Buffer.compare(unpack(pack(noise, deflate), noise.length, inflate), noise)).toBe(0);
    }
  });

  test("any other length than promised, or more than the limit, is refused", () => {
    const payload = pack(body, deflatePortably);
    for (const raw of [0, body.length - 1, body.length + 1, body.length + 2 ** 32]) {
      expect(() => unpack(payload, raw, inflate)).toThrow(refused);
    }
    expect(() => unpackWithin(payload, body.length - 1, inflate)).toThrow(refused);
  });

  test("a flipped bit is refused, or is one that DEFLATE itself gives no meaning", () => {
    const payload = pack(body, deflatePortably, { pad: false });
    let meaningless = 0;
    for (let bit = 0; bit < payload.length * 8; bit++) {
      const flipped = payload.slice();
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      let opened: Uint8Array | undefined;
      try {
        opened = unpack(flipped, body.length, inflate);
      } catch (error) {
        expect(error).toEqual(refused);
      }
      if (opened === undefined) continue;
      meaningless++;
      expect(Uint8Array.from(opened)).toEqual(body);
      expect(bit >> 3).toBeGreaterThanOrEqual(10);
      expect(bit >> 3).toBeLessThan(payload.length - 8);
    }
    expect(meaningless).toBeLessThan(16);
  });

  test("no byte may be missing, nor follow", () => {
    const payload = pack(body, deflatePortably, { pad: false });
    for (let length = 0; length < payload.length; length++) {
      expect(() => unpack(payload.subarray(0, length), body.length, inflate)).toThrow(refused);
    }
    for (const extra of [[0], [0, 0, 0, 0], new Array(64).fill(0x20)]) {
      expect(() => unpack(Uint8Array.from([...payload, ...extra]), body.length, inflate)).toThrow(refused);
    }
  });

  test("bytes between the compressed data and a trailer that fits are refused", () => {
    const payload = pack(body, deflatePortably, { pad: false });
    for (const extra of [1, 8, 5000]) {
      const stuffed = new Uint8Array(payload.length + extra);
      stuffed.set(payload.subarray(0, -8));
      stuffed.set(payload.subarray(-8), stuffed.length - 8);
      expect(() => unpack(stuffed, body.length, inflate)).toThrow(refused);
    }
  });

  test("a second member is refused, though gunzip would join them", () => {
    const payload = pack(body, deflatePortably, { pad: false });
    const twice = Uint8Array.from([...payload, ...payload]);
    expect(() => unpack(twice, body.length, inflate)).toThrow(refused);
    expect(() => unpack(twice, 2 * body.length, inflate)).toThrow(refused);
    expect(() => unpackWithin(twice, 1_000_000, inflate)).toThrow(refused);
  });

  test("a bomb stops at the limit, whatever length it states", () => {
    const zeros = new Uint8Array(64 << 20);
    const bomb = pack(zeros, (bytes) => deflateRawSync(bytes, { level: 1 }), { pad: false });
    const trailer = new DataView(bomb.buffer, bomb.length - 4);
    for (const stated of [1024, zeros.length]) {
      trailer.setUint32(0, stated, true);
      const before = process.memoryUsage().arrayBuffers;
      expect(() => unpack(bomb, 1024, inflate)).toThrow(refused);
      expect(() => unpackWithin(bomb, 1024, inflate)).toThrow(refused);
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(32 << 20);
    }
  });
});

test("foreign headers are refused before anything is opened", () => {
  const never: Inflate = () => expect.unreachable();
  const foreign = [
    new Uint8Array(0),
    ascii("not gzip at all, but long enough to be looked at"),
    Uint8Array.from(gzipSync(body)),
    Uint8Array.from([
      ...pack(body, deflatePortably).subarray(0, 3),
      0x08,
      ...pack(body, deflatePortably).subarray(4),
    ]),
    Uint8Array.from([
      ...pack(body, deflatePortably).subarray(0, 3),
      0x18,
      ...pack(body, deflatePortably).subarray(4),
    ]),
    Uint8Array.of(
      0x1f,
      0x8b,
      8,
      0x10,
      0,
      0,
      0,
      0,
      2,
      3,
      ...ascii("a comment\0"),
      ...pack(body, deflatePortably).subarray(-300),
    ),
    Uint8Array.of(0x1f, 0x8b, 8, 0x10, 0, 0, 0, 0, 2, 3, ...new Array(300).fill(0x20)),
  ];
  for (const payload of foreign) expect(() => unpackWithin(payload, 1 << 20, never)).toThrow(refused);
});
