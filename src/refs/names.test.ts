import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatRef, incomingRef, outgoingRef, parseRef, type RefName, vaultPrefix } from "./names.ts";

const base32 = (length: number) =>
  fc
    .array(fc.constantFrom(..."abcdefghijklmnopqrstuvwxyz234567"), { minLength: length, maxLength: length })
    .map((c) => c.join(""));
const id = base32(13);
const names: fc.Arbitrary<RefName> = fc.oneof(
  fc.record({ kind: fc.constant("keyring" as const), vault: id }),
  fc.record({ kind: fc.constant("head" as const), vault: id, replica: id }),
  fc.record({ kind: fc.constant("session" as const), vault: id, dir: base32(16), replica: id }),
  fc.record({
    kind: fc.constant("archive" as const),
    vault: id,
    replica: id,
    n: fc.nat({ max: 999_999_999_999_999 }),
  }),
  fc.record({ kind: fc.constant("join" as const), vault: id, slot: base32(20) }),
);

const vault = "abcdefghijk23";
const replica = "zyxwvutsrqp76";

describe("ref names", () => {
  test("are exactly those of the format", () => {
    expect(formatRef({ kind: "keyring", vault })).toBe("refs/convosync/abcdefghijk23/keyring");
    expect(formatRef({ kind: "head", vault, replica })).toBe(
      "refs/convosync/abcdefghijk23/head/zyxwvutsrqp76",
    );
    expect(formatRef({ kind: "session", vault, dir: "aaaabbbbccccdddd", replica })).toBe(
      "refs/convosync/abcdefghijk23/session/aaaabbbbccccdddd/zyxwvutsrqp76",
    );
    expect(formatRef({ kind: "archive", vault, replica, n: 12 })).toBe(
      "refs/convosync/abcdefghijk23/archive/zyxwvutsrqp76/12",
    );
    expect(formatRef({ kind: "join", vault, slot: "aaaabbbbccccddddeeee" })).toBe(
      "refs/convosync/abcdefghijk23/join/aaaabbbbccccddddeeee",
    );
    expect(vaultPrefix(vault)).toBe("refs/convosync/abcdefghijk23/");
  });

  test("parse to what was formatted", () => {
    fc.assert(
      fc.property(names, (name) => {
        expect(parseRef(formatRef(name))).toEqual(name);
      }),
    );
  });

  test("format to what was parsed, or are not ours", () => {
    const edits = fc.tuple(
      names.map(formatRef),
      fc.nat(),
      fc.constantFrom("", "/", "A", "1", "0", "a", ".", "\n", "é", "*"),
    );
    fc.assert(
      fc.property(edits, ([ref, at, piece]) => {
        const edited = ref.slice(0, at % ref.length) + piece + ref.slice((at % ref.length) + 1);
        const name = parseRef(edited);
        if (name !== null) expect(formatRef(name)).toBe(edited);
      }),
    );
  });

  test.each([
    "refs/convosync/abcdefghijk23",
    "refs/convosync/abcdefghijk23/",
    "refs/convosync/abcdefghijk23/keyring/",
    "refs/convosync/abcdefghijk23/keyring\n",
    "refs/convosync/ABCDEFGHIJK23/keyring",
    "refs/convosync/abcdefghijk21/keyring",
    "refs/convosync/abcdefghijk23/head/short",
    "refs/convosync/abcdefghijk23/archive/zyxwvutsrqp76/012",
    "refs/convosync/abcdefghijk23/archive/zyxwvutsrqp76/-1",
    "refs/convosync/abcdefghijk23/archive/zyxwvutsrqp76/9007199254740993",
    "refs/convosync-incoming/abcdefghijk23/keyring",
    "refs/heads/convosync",
    "",
  ])("refuse %j", (ref) => expect(parseRef(ref)).toBeNull());

  test("are not made from parts that could not be read back", () => {
    expect(() => formatRef({ kind: "head", vault, replica: "../../heads/x" })).toThrow(RangeError);
    expect(() => formatRef({ kind: "keyring", vault: "" })).toThrow(RangeError);
    for (const n of [-1, 1.5, Number.NaN, 1e21]) {
      expect(() => formatRef({ kind: "archive", vault, replica, n })).toThrow(RangeError);
    }
  });

  test("have a quarantine twin and back", () => {
    fc.assert(
      fc.property(names.map(formatRef), (ref) => {
        expect(incomingRef(ref)).toMatch(/^refs\/convosync-incoming\//);
        expect(parseRef(incomingRef(ref))).toBeNull();
        expect(outgoingRef(incomingRef(ref))).toBe(ref);
      }),
    );
    expect(() => incomingRef("refs/heads/main")).toThrow(RangeError);
    expect(() => outgoingRef("refs/convosync/x")).toThrow(RangeError);
  });
});
