import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Keyring } from "../crypto/keyring.ts";
import { buried, type Entry, type Head, lastUse, type Pin, pinsIn, tombstonesIn } from "./head.ts";
import type { ReplicaHead } from "./replica-heads.ts";
import type { Vault } from "./sealed-objects.ts";
import { nextHead } from "./writer.ts";

const day = (n: number): string => new Date(Date.UTC(2026, 10, 1 + n)).toISOString();
const session = fc.constantFrom("claude:a", "claude:b", "claude:c");
const time = fc.nat(5).map(day);
const gone = fc.array(
  fc.oneof(fc.tuple(session, time), fc.tuple(session, time, time)) as fc.Arbitrary<Head["gone"][number]>,
  { maxLength: 4 },
);
const pins = fc.dictionary(session, fc.tuple(time, fc.boolean()) as fc.Arbitrary<Pin>, {
  noNullPrototype: true,
});
const words = fc.array(fc.record({ gone, pins }), { maxLength: 4 });

describe("tombstones", () => {
  test("do not depend on the order of arrival; the latest decides, and none is forgotten", () => {
    fc.assert(
      fc.property(words, (heads) => {
        const found = tombstonesIn(heads);
        expect(tombstonesIn([...heads].reverse())).toEqual(found);
        for (const [s, at] of heads.flatMap((one) => one.gone)) expect(found.get(s)!.at >= at).toBe(true);
      }),
    );
  });

  test("of one time the one that buries more counts", () => {
    const bounded: Head["gone"] = [["claude:a", day(3), day(1)]];
    const whole: Head["gone"] = [["claude:a", day(3)]];
    for (const heads of [
      [{ gone: bounded }, { gone: whole }],
      [{ gone: whole }, { gone: bounded }],
    ])
      expect(tombstonesIn(heads).get("claude:a")).toEqual({ at: day(3) });
  });

  const entry = (more: Partial<Entry>): Entry => ({ u: day(1), ...more }) as Entry;
  test.for([
    ["never deleted", entry({}), undefined, false],
    ["deleted", entry({}), { at: day(3) }, true],
    ["brought back since", entry({ back: day(3) }), { at: day(3) }, false],
    ["brought back, then deleted again", entry({ back: day(2) }), { at: day(3) }, true],
    ["retired as it was", entry({}), { at: day(3), upto: day(1) }, true],
    ["gone on with, unknown to retention", entry({ u: day(2) }), { at: day(3), upto: day(1) }, false],
    ["saved since, unknown to retention", entry({ at: day(2) }), { at: day(3), upto: day(1) }, false],
  ] as const)("%s", ([, one, tombstone, dead]) => expect(buried(one, tombstone)).toBe(dead));

  test("the last use is the later of activity and save", () => {
    expect(lastUse(entry({}))).toBe(day(1));
    expect(lastUse(entry({ at: day(2) }))).toBe(day(2));
    expect(lastUse(entry({ at: day(0) }))).toBe(day(1));
  });
});

describe("pins", () => {
  test("are the same in any order, and the latest word that counts", () => {
    fc.assert(
      fc.property(words, (heads) => {
        const found = pinsIn(heads);
        expect(pinsIn([...heads].reverse())).toEqual(found);
        const deleted = tombstonesIn(heads);
        for (const [s, [at, pinned]] of heads.flatMap((one) => Object.entries(one.pins))) {
          const known = found.get(s);
          if (at <= (deleted.get(s)?.at ?? "")) continue;
          expect(known![0] >= at).toBe(true);
          if (known![0] === at && pinned) expect(known![1]).toBe(true);
        }
        for (const [s, pin] of found)
          expect(heads.some((one) => String(one.pins[s]) === String(pin))).toBe(true);
      }),
    );
  });

  test("hearing of more heads never brings an older word back", () => {
    fc.assert(
      fc.property(words, words, (some, more) => {
        const before = pinsIn(some);
        for (const [s, [at]] of pinsIn([...some, ...more]))
          expect(at >= (before.get(s)?.[0] ?? "")).toBe(true);
      }),
    );
  });
});

/** A head of a replica, as if it had been opened. */
function opened(replica: string, head: Partial<Head>, listed: readonly string[]): ReplicaHead {
  const entries = listed.map((s) => ({ s, u: day(0), q: 1 }) as unknown as Entry);
  const whole = { seq: 1, gone: [], pages: [], sessions: entries, domains: {}, ...head } as unknown as Head;
  return { replica, commit: replica, head: whole, hash: replica, pages: [], entries };
}

describe("the next head", () => {
  const vault = { repo: "r", keyring: { vault: "v", epoch: 1, seq: 0, hash: "h" } as Keyring } as Vault;
  const next = (
    previous: ReplicaHead,
    others: readonly ReplicaHead[],
    pinned: Record<string, Pin> = {},
  ): Head =>
    nextHead(vault, { replica: "me", device: "d", previous, others, now: new Date(day(9)) }, { pins: pinned })
      .head;

  test("carries pins on, of others' sessions too, until the session is deleted or nobody has it", () => {
    const mine = opened("me", { pins: { "claude:a": [day(1), true], "claude:b": [day(1), true] } }, [
      "claude:a",
    ]);
    const theirs = opened("you", {}, ["claude:b"]);
    expect(next(mine, [theirs]).pins).toEqual(mine.head.pins);
    expect(next(mine, [theirs], { "claude:b": [day(2), false] }).pins).toEqual({
      "claude:a": [day(1), true],
      "claude:b": [day(2), false],
    });
    const deleted = opened("you", { gone: [["claude:b", day(2)]] }, []);
    expect(next(mine, [deleted]).pins).toEqual({ "claude:a": [day(1), true] });
    const back = opened("you", { gone: [["claude:b", day(0)]] }, ["claude:b"]);
    expect(next(mine, [back]).pins).toEqual(mine.head.pins);
    expect(next(mine, []).pins).toEqual({ "claude:a": [day(1), true] });
    expect(next(opened("me", {}, []), [theirs])).not.toHaveProperty("pins");
  });
});
