import fc from "fast-check";
import { expect, test } from "vitest";
import { backOff, nextPush } from "./background.ts";
import type { RemoteQueue } from "./queue.ts";

const queue = (background?: RemoteQueue["background"]): RemoteQueue => ({
  confirmed: {},
  deletions: {},
  branches: {},
  since: null,
  reason: null,
  contact: null,
  background,
});
const at = "2026-11-25T10:00:00.000Z";
const later = (ms: number): Date => new Date(new Date(at).getTime() + ms);

test("one push in thirty seconds, and none before its time after a failure", () => {
  expect(nextPush(queue(), later(0))).toBeNull();
  expect(nextPush(queue({ at, failures: 0, next: null }), later(1_000))).toEqual(later(30_000));
  expect(nextPush(queue({ at, failures: 0, next: null }), later(30_000))).toBeNull();
  const failed = queue({ at, failures: 3, next: later(120_000).toISOString() });
  expect(nextPush(failed, later(60_000))).toEqual(later(120_000));
  expect(nextPush(failed, later(120_000))).toBeNull();
});

test("a clock that was wrong does not hold pushes up for years", () => {
  expect(nextPush(queue({ at, failures: 1, next: "2099-01-01T00:00:00.000Z" }), later(60_000))).toBeNull();
  expect(nextPush(queue({ at: "2099-01-01T00:00:00.000Z", failures: 0, next: null }), later(0))).toBeNull();
});

test("waiting grows with failures, within bounds, and a refusal waits longer than an absence", () => {
  const reasons = fc.constantFrom("offline" as const, "refused" as const, "conversation-refused" as const);
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1000 }),
      reasons,
      fc.double({ min: 0, max: 1, noNaN: true }),
      (n, why, chance) => {
        const wait = backOff(n, why, chance);
        expect(wait).toBeGreaterThanOrEqual(24_000);
        expect(wait).toBeLessThanOrEqual(6 * 3_600_000);
        expect(backOff(n + 1, why, 1)).toBeGreaterThanOrEqual(backOff(n, why, 1));
        expect(backOff(n, "refused", chance)).toBeGreaterThan(backOff(n, "offline", chance));
      },
    ),
  );
});
