import { expect, test } from "vitest";
import type { Manifest, Snapshot } from "../packing/manifest.ts";
import { findSnapshot } from "./reading.ts";

const snapshots = ["abcd1111", "abcd2222", "abcd2222", "12340000"].map(
  (commit, at) => ({ n: at + 1, commit: commit.padEnd(40, "0") }) as Snapshot,
);
const manifest = { snapshots } as unknown as Manifest;

test("a snapshot by its number, or by the commit it was the first at", () => {
  expect(findSnapshot(manifest, "3").n).toBe(3);
  expect(findSnapshot(manifest, "abcd2").n).toBe(2);
  expect(findSnapshot(manifest, "1234").n).toBe(4);
});

test("digits that two commits begin with", () => {
  expect(() => findSnapshot(manifest, "abcd")).toThrowError(
    expect.objectContaining({
      code: "ambiguous-snapshot",
      exit: 2,
      message: "'abcd' could be 2 commits",
      hints: ["give more digits of the one you mean"],
    }),
  );
});
