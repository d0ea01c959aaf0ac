import fc from "fast-check";
import { expect, test } from "vitest";
import {
  base32lower,
  concat,
  equalBytes,
  fromBase64url,
  fromUtf8,
  toBase64url,
  toHex,
  utf8,
} from "./encoding.ts";
import { randomBytes, sha256 } from "./primitives.ts";

const bytes = fc.uint8Array({ maxLength: 100 });

test("base32 is RFC 4648's in lower case without padding", () => {
  expect(["", "f", "fo", "foo", "foob", "fooba", "foobar"].map((text) => base32lower(utf8(text)))).toEqual([
    "",
    "my",
    "mzxq",
    "mzxw6",
    "mzxw6yq",
    "mzxw6ytb",
    "mzxw6ytboi",
  ]);
});

test("base64url returns what went in", () => {
  expect(toBase64url(Uint8Array.of(0xfb, 0xff, 0xbf))).toBe("-_-_");
  fc.assert(fc.property(bytes, (some) => equalBytes(fromBase64url(toBase64url(some)), some)));
});

test("base64url has one spelling for each value", () => {
  for (const text of ["AA==", "AB", "A", "AAA=", "A A", "AA\n", "+/+/", "AAé", "AAAA AAAA"]) {
    expect(() => fromBase64url(text), text).toThrow(expect.objectContaining({ code: "bad-encoding" }));
  }
  const alphabet = fc.string({
    unit: fc.constantFrom(..."ABQgw09-_=+/ \n"),
    maxLength: 12,
  });
  fc.assert(
    fc.property(alphabet, (text) => {
      try {
        return toBase64url(fromBase64url(text)) === text;
      } catch {
        return true;
      }
    }),
  );
});

test("UTF-8 is decoded exactly or not at all", () => {
  expect(fromUtf8(utf8("\ufeffé"))).toBe("\ufeffé");
  for (const bad of [[0xff], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xe2, 0x82]]) {
    expect(() => fromUtf8(Uint8Array.from(bad))).toThrow(expect.objectContaining({ code: "bad-encoding" }));
  }
});

test("equalBytes compares content and length", () => {
  fc.assert(fc.property(bytes, bytes, (a, b) => equalBytes(a, b) === (toHex(a) === toHex(b))));
  expect(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 2, 3))).toBe(false);
});

test("hex, concat, SHA-256 and random bytes", async () => {
  expect(toHex(concat(Uint8Array.of(0, 1), Uint8Array.of(), Uint8Array.of(255)))).toBe("0001ff");
  expect(toHex(await sha256(utf8("abc")))).toBe(
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
  );
  expect(randomBytes(16)).toHaveLength(16);
  expect(equalBytes(randomBytes(16), randomBytes(16))).toBe(false);
});
