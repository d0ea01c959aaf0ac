import { expect, test } from "vitest";
import { toHex } from "./encoding.ts";
import { ed25519PublicKey, ed25519Sign, ed25519Verify, hkdf, hmac, x25519PublicKey } from "./primitives.ts";

const hex = (text: string) => Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));

test("HKDF-SHA256, RFC 5869 A.1 and A.3", async () => {
  // The RFC's `info` of A.1 is not UTF-8 as a whole, so A.1 is taken as extract and A.3 as both steps.
  const okm = await hkdf(hex("0b".repeat(22)), new Uint8Array(0), "", 42);
  expect(toHex(okm)).toBe(
    "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
  );
  const prk = await hmac(hex("000102030405060708090a0b0c"), hex("0b".repeat(22)));
  expect(toHex(prk)).toBe("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
});

test("HMAC-SHA256, RFC 4231 case 2", async () => {
  const tag = await hmac(
    new TextEncoder().encode("Jefe"),
    new TextEncoder().encode("what do ya want for nothing?"),
  );
  expect(toHex(tag)).toBe("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
});

test.each([
  {
    name: "1",
    seed: "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    pub: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    message: "",
    signature:
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
  },
  {
    name: "2",
    seed: "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    pub: "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    message: "72",
    signature:
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
  },
])("Ed25519, RFC 8032 7.1 test $name", async ({ seed, pub, message, signature }) => {
  expect(toHex(await ed25519PublicKey(hex(seed)))).toBe(pub);
  expect(toHex(await ed25519Sign(hex(seed), hex(message)))).toBe(signature);
  expect(await ed25519Verify(hex(pub), hex(message), hex(signature))).toBe(true);
  expect(await ed25519Verify(hex(pub), hex(`${message}00`), hex(signature))).toBe(false);
});

test("a signature with S + L is refused, so nobody can respell one", async () => {
  const seed = hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
  const signature = await ed25519Sign(seed, new Uint8Array(0));
  const order = 2n ** 252n + 27742317777372353535851937790883648493n;
  const s = BigInt(`0x${toHex(signature.slice(32).reverse())}`) + order;
  const respelled = new Uint8Array([
    ...signature.slice(0, 32),
    ...hex(s.toString(16).padStart(64, "0")).reverse(),
  ]);
  expect(await ed25519Verify(await ed25519PublicKey(seed), new Uint8Array(0), respelled)).toBe(false);
});

test("what is no public key verifies nothing", async () => {
  expect(await ed25519Verify(new Uint8Array(31), new Uint8Array(0), new Uint8Array(64))).toBe(false);
});

test("X25519 public keys, RFC 7748 6.1", async () => {
  const alice = hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
  expect(toHex(await x25519PublicKey(alice))).toBe(
    "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
  );
});
