import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Keyring } from "../crypto/keyring.ts";
import { ConvosyncError } from "../errors.ts";
import type { Entry, Head } from "./head.ts";
import { acceptHeads, type Marks, type ReplicaHead } from "./replica-heads.ts";

const members = new Map([
  ["desktop", { name: "Desktop" }],
  ["laptop", { name: "Laptop" }],
  ["stolen", { name: "Stolen", removedAt: "2026-11-20T00:00:00Z", cut: { repo: { s: [3, "s3"] } } }],
]);
const keyring = { seq: 2, hashes: ["k0", "k1", "k2"], merged: new Set(), members } as unknown as Keyring;

interface Made extends Partial<Head> {
  readonly entries?: readonly string[];
  readonly hash?: string;
}

/** A head of a replica, as if it had been opened. */
function head(replica: string, device: string, seq: number, more: Made = {}): ReplicaHead {
  const { entries = [], hash = `${replica}${seq}`, ...rest } = more;
  const time = new Date(Date.UTC(2026, 10, 21, 0, seq)).toISOString();
  const base = { device, replica, repo: "repo", seq, ts: time, kr: [2, "k2"], seen: {}, gone: [] };
  return {
    replica,
    commit: `commit-${replica}-${seq}`,
    head: { ...base, ...rest } as unknown as Head,
    hash,
    pages: [],
    entries: entries.map((s) => ({ s }) as unknown as Entry),
  };
}

const mark = (device: string, seq: number, hash: string): Marks[string] => ({ seq, hash, device });

function refusal(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (!(error instanceof ConvosyncError)) throw error;
    expect(error.exit).toBe(6);
    return error.code;
  }
  return "accepted";
}

const accept = (heads: readonly ReplicaHead[], marks: Marks = {}, before: readonly ReplicaHead[] = []) =>
  acceptHeads(keyring, heads, marks, new Map(before.map((one) => [one.replica, one])));

describe("acceptHeads", () => {
  test("remembers what it accepts, and forgets nothing", () => {
    const marks = accept([head("d", "desktop", 4), head("l", "laptop", 7, { seen: { d: [4, "d4"] } })]);
    expect(marks).toEqual({ d: mark("desktop", 4, "d4"), l: mark("laptop", 7, "l7") });
    const partial = acceptHeads(keyring, [head("d", "desktop", 5)], marks, new Map(), { partial: true });
    expect(partial).toEqual({ d: mark("desktop", 5, "d5"), l: mark("laptop", 7, "l7") });
  });

  const known = { d: mark("desktop", 4, "d4") };
  test.for([
    ["rollback", [head("d", "desktop", 3)], known],
    ["equivocation", [head("d", "desktop", 4, { hash: "other" })], known],
    ["wrong-replica", [head("d", "laptop", 5)], known],
    ["replica-missing", [head("l", "laptop", 1)], known],
    ["stale-keyring", [head("d", "desktop", 5, { kr: [3, "k3"] })], {}],
    ["keyring-fork", [head("d", "desktop", 5, { kr: [1, "other"] })], {}],
    ["revoked-signer", [head("s", "stolen", 4)], {}],
    ["revoked-signer", [head("s", "stolen", 3, { hash: "other" })], {}],
    ["revoked-signer", [head("x", "stolen", 1)], {}],
    ["accepted", [head("s", "stolen", 3)], {}],
    ["accepted", [head("s", "stolen", 2)], {}],
    ["accepted", [head("d", "desktop", 4)], known],
    ["rollback", [head("d", "desktop", 4), head("l", "laptop", 1, { seen: { d: [5, "d5"] } })], {}],
    ["equivocation", [head("d", "desktop", 4), head("l", "laptop", 1, { seen: { d: [4, "x"] } })], {}],
    ["replica-missing", [head("l", "laptop", 1, { seen: { d: [1, "d1"] } })], {}],
    ["accepted", [head("d", "desktop", 6), head("l", "laptop", 1, { seen: { d: [4, "x"] } })], {}],
  ] as const)("%s", ([code, heads, marks]) => {
    expect(refusal(() => accept(heads, marks))).toBe(code);
  });

  test("a session is dropped only with a tombstone, from whichever replica", () => {
    const before = [head("d", "desktop", 4, { entries: ["claude:a", "claude:b"] })];
    const next = (more: Made) => head("d", "desktop", 5, more);
    expect(refusal(() => accept([next({ entries: ["claude:a"] })], known, before))).toBe("session-dropped");
    expect(
      refusal(() => accept([next({ entries: ["claude:a"], gone: [["claude:b", "t"]] })], known, before)),
    ).toBe("accepted");
    const other = head("l", "laptop", 1, { gone: [["claude:b", "t"]] });
    expect(refusal(() => accept([next({ entries: ["claude:a"] }), other], known, before))).toBe("accepted");
  });

  test("histories that only go on are accepted whatever the order; marks only rise", () => {
    const turns = fc.array(fc.constantFrom("d", "l"), { maxLength: 20 });
    fc.assert(
      fc.property(turns, fc.boolean(), (writers, swapped) => {
        const heads = new Map([
          ["d", head("d", "desktop", 1)],
          ["l", head("l", "laptop", 1)],
        ]);
        let marks: Marks = {};
        for (const writer of writers) {
          const [other] = [...heads.values()].filter((one) => one.replica !== writer) as [ReplicaHead];
          const mine = heads.get(writer) as ReplicaHead;
          const seen = { [other.replica]: [other.head.seq, other.hash] as const };
          const before = new Map(heads);
          heads.set(writer, head(writer, mine.head.device, mine.head.seq + 1, { seen: { ...seen } }));
          const all = [...heads.values()];
          const next = acceptHeads(keyring, swapped ? all.reverse() : all, marks, before);
          for (const [replica, one] of Object.entries(marks))
            expect(next[replica]?.seq).toBeGreaterThanOrEqual(one.seq);
          marks = next;
        }
      }),
    );
  });

  test("any older head of a known replica is refused", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 1000 }), fc.nat(999), (seq, back) => {
        const older = Math.max(1, seq - 1 - back);
        expect(
          refusal(() => accept([head("d", "desktop", older)], { d: mark("desktop", seq, `d${seq}`) })),
        ).toBe("rollback");
      }),
    );
  });
});
