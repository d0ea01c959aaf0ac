import { assert as holds, integer, property } from "fast-check";
import { expect, test } from "vitest";
import { paddedLength } from "./padme.ts";

test.each([
  [0, 256],
  [1, 256],
  [255, 256],
  [256, 256],
  [257, 272],
  [272, 272],
  [273, 288],
  [1000, 1024],
  [1024, 1024],
  [1025, 1088],
  [65_535, 65_536],
  [65_537, 67_584],
  [1_048_577, 1_081_344],
  [2 ** 32, 2 ** 32],
  [2 ** 32 + 1, 2 ** 32 + 2 ** 26],
])("%d bytes are padded to %d", (n, padded) => {
  expect(paddedLength(n)).toBe(padded);
});

test("padding never shortens, grows with the length, is stable and costs at most one eighth", async () => {
  await holds(
    property(integer({ min: 256, max: 2 ** 40 }), (n) => {
      const padded = paddedLength(n);
      expect(padded).toBeGreaterThanOrEqual(n);
      expect(padded).toBeLessThanOrEqual(paddedLength(n + 1));
      expect(paddedLength(padded)).toBe(padded);
      expect(padded - n).toBeLessThan(n / 8);
    }),
  );
});

test("few sizes are left to tell apart", () => {
  const sizes = new Set<number>();
  for (let n = 1024; n < 4 * 1024 * 1024; n += 61) sizes.add(paddedLength(n));
  expect(sizes.size).toBeLessThan(300);
});
