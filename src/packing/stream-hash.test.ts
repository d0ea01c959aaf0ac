import { array, asyncProperty, assert as holds, nat, uint8Array } from "fast-check";
import { describe, expect, test } from "vitest";
import { StreamHash } from "./stream-hash.ts";

const sha256 = async (bytes: Uint8Array<ArrayBuffer>) =>
  new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
const hex = (bytes: Uint8Array) => Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
const ascii = (text: string) => new TextEncoder().encode(text);

test.each([
  ["", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
  ["abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"],
  [
    "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
  ],
])("the example %j of FIPS 180", (text, digest) => {
  expect(hex(StreamHash.start().update(ascii(text)).digest())).toBe(digest);
});

test("equals WebCrypto however the bytes are split, put aside and continued", async () => {
  const bytes = uint8Array({ maxLength: 1000 });
  await holds(
    asyncProperty(bytes, array(nat(1000), { maxLength: 6 }), async (whole, cuts) => {
      let hash = StreamHash.start();
      let from = 0;
      for (const cut of [...cuts.filter((c) => c <= whole.length).sort((a, b) => a - b), whole.length]) {
        hash = StreamHash.resume(hash.update(whole.subarray(from, cut)).save());
        from = cut;
      }
      expect(hash.length).toBe(whole.length);
      expect(hash.digest()).toEqual(await sha256(Uint8Array.from(whole)));
    }),
    { numRuns: 300 },
  );
});

test("every length around the padding's edges", async () => {
  for (let length = 0; length <= 200; length++) {
    const bytes = new Uint8Array(length).fill(length);
    expect(StreamHash.start().update(bytes).digest()).toEqual(await sha256(bytes));
  }
});

test("a digest does not end the hash", async () => {
  const hash = StreamHash.start().update(ascii("first line\n"));
  expect(hash.digest()).toEqual(hash.digest());
  hash.update(ascii("second line\n"));
  expect(hash.digest()).toEqual(await sha256(ascii("first line\nsecond line\n")));
});

test("a state of 512 MiB and five zeros goes on beyond 2^32 bits", () => {
  const state = "wZRTFg7QPhBOEGTpL4sGUuUndK0GXqIpycPCRg4MwHIAAAAAIAAABQAAAAAA";
  const hash = StreamHash.resume(state);
  expect(hash.length).toBe(2 ** 29 + 5);
  expect(hash.save()).toBe(state);
  expect(hex(hash.digest())).toBe("067afeb284bda066154edc29030dbfdb883432345edbb83b37c54f87fb33931e");
});

describe("a damaged state is refused", () => {
  const state = StreamHash.start().update(ascii("hello")).save();
  const overlong = StreamHash.start()
    .save()
    .replace(/.{11}$/, "_".repeat(11));
  test.each([
    ["nothing", ""],
    ["cut short", state.slice(0, -2)],
    ["too long", `${state}AA`],
    ["another alphabet", state.replace(/.$/, "+")],
    ["padding", `${state}=`],
    ["a length beyond integers", overlong],
  ])("%s", (_name, damaged) => {
    expect(() => StreamHash.resume(damaged)).toThrow(
      expect.objectContaining({ code: "bad-hash-state", exit: 6 }),
    );
  });
});
