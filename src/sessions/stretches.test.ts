import fc from "fast-check";
import { expect, test } from "vitest";
import type { Manifest } from "../packing/manifest.ts";
import { stretchesOf } from "./stretches.ts";

type Taken = { to: number; commit: string | null; branch: string; gen?: number };

const manifestOf = (snapshots: readonly Taken[], gen = 0): Manifest =>
  ({
    streams: [{ name: "main", gen, lines: 99 }],
    snapshots: snapshots.map(({ to, ...one }) => ({ ...one, upto: { main: [to, to * 10] } })),
  }) as unknown as Manifest;

test("a conversation that moved to a branch", () => {
  const main = { commit: "abc111", branch: "main" };
  const feature = { commit: "abc222", branch: "feature/oauth" };
  expect(
    stretchesOf(
      manifestOf([
        { to: 2, ...main },
        { to: 9, ...feature },
        { to: 15, ...feature },
      ]),
    ),
  ).toEqual([
    { from: 1, to: 2, ...main },
    { from: 3, to: 15, ...feature },
  ]);
});

test("commits without a word in between count as the last of them; other generations do not count", () => {
  const at = (commit: string) => ({ commit, branch: "main" });
  expect(
    stretchesOf(
      manifestOf([
        { to: 4, ...at("a") },
        { to: 4, ...at("b") },
      ]),
    ),
  ).toEqual([{ from: 1, to: 4, ...at("b") }]);
  expect(
    stretchesOf(
      manifestOf(
        [
          { to: 4, ...at("a") },
          { to: 7, ...at("b"), gen: 1 },
        ],
        1,
      ),
    ),
  ).toEqual([{ from: 1, to: 7, ...at("b") }]);
});

test("stretches follow each other without gap or overlap", () => {
  const taken = fc.record({
    to: fc.nat(50),
    commit: fc.constantFrom("a", "b", null),
    branch: fc.constantFrom("main", "side"),
  });
  fc.assert(
    fc.property(fc.array(taken), (snapshots) => {
      const stretches = stretchesOf(manifestOf(snapshots));
      let next = 1;
      for (const { from, to } of stretches) {
        expect(from).toBe(next);
        expect(to).toBeGreaterThanOrEqual(from);
        next = to + 1;
      }
      expect(next - 1).toBe(Math.max(0, ...snapshots.map((one) => one.to)));
    }),
  );
});
