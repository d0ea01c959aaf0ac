import { assert as holds, property, uint8Array } from "fast-check";
import { describe, expect, test } from "vitest";
import {
  chacha20poly1305,
  hkdf,
  hmac,
  randomBytes,
  scalarMult,
  scalarMultBase,
  scrypt,
  sha256,
} from "./noble.ts";

const hex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(/\s/g, ""), "hex"));
const ascii = (text: string) => new TextEncoder().encode(text);

describe("ChaCha20-Poly1305", () => {
  const key = randomBytes(32);
  const nonce = randomBytes(12);
  const { encrypt, decrypt } = chacha20poly1305(key, nonce);

  test("seals as RFC 8439 does", () => {
    // Its section 2.8.2; the tag is that of no associated data, as noble-ciphers 2 makes it.
    const key = Uint8Array.from({ length: 32 }, (_, i) => 0x80 + i);
    const sealed = hex(`
      d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b
      1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc
      3ff4def08e4b7a9de576d26586cec64b61166a23a4681fd59456aea1d29f82477216`);
    const plaintext = ascii(
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
    );
    const cipher = chacha20poly1305(key, hex("070000004041424344454647"));
    expect(cipher.encrypt(plaintext)).toEqual(sealed);
    expect(cipher.decrypt(sealed)).toEqual(plaintext);
  });

  test("opens what it sealed, of every length", async () => {
    await holds(
      property(uint8Array({ maxLength: 300 }), (plaintext) => {
        const sealed = encrypt(plaintext);
        expect(sealed).toHaveLength(plaintext.length + 16);
        expect(decrypt(sealed)).toEqual(plaintext);
      }),
    );
  });

  test("notices every altered byte and every cut", () => {
    const sealed = encrypt(ascii("a file key"));
    for (let at = 0; at < sealed.length; at++) {
      const altered = sealed.slice();
      altered[at]! ^= 1;
      expect(() => decrypt(altered)).toThrow();
      expect(() => decrypt(sealed.subarray(0, at))).toThrow();
    }
  });
});

test("HMAC and HKDF are those of RFC 4231 (case 2) and RFC 5869 (cases 1 and 3)", () => {
  expect(hmac(sha256, ascii("Jefe"), ascii("what do ya want for nothing?"))).toEqual(
    hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
  );
  const secret = new Uint8Array(22).fill(0x0b);
  expect(hkdf(sha256, secret, hex("000102030405060708090a0b0c"), hex("f0f1f2f3f4f5f6f7f8f9"), 42)).toEqual(
    hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"),
  );
  expect(hkdf(sha256, secret, undefined, undefined, 42)).toEqual(
    hex("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"),
  );
});

test("scrypt is that of RFC 7914, and has the memory that a recovery file asks for", () => {
  const salt = ascii("SodiumChloride");
  expect(scrypt("pleaseletmein", salt, { N: 2 ** 14, r: 8, p: 1, dkLen: 64 })).toEqual(
    hex(`7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2
         d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887`),
  );
  expect(scrypt("code", salt, { N: 2 ** 18, r: 8, p: 1, dkLen: 32 })).toHaveLength(32);
});

test("X25519 is that of RFC 7748, section 6.1, and refuses a point of low order", async () => {
  const alice = hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
  const bob = hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
  expect(await scalarMultBase(alice)).toEqual(
    hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"),
  );
  expect(await scalarMult(alice, bob)).toEqual(
    hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"),
  );
  await expect(scalarMult(alice, new Uint8Array(32))).rejects.toThrow();
  await expect(scalarMult(alice, alice.subarray(1))).rejects.toThrow();
});
