import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { byteSize, plural, relativeTime } from "./time.ts";

const now = new Date("2026-11-21T12:00:00Z");
const ago = (seconds: number): string => relativeTime(new Date(now.getTime() - seconds * 1000), now);

describe("relativeTime", () => {
  test.for([
    [0, "just now"],
    [59, "just now"],
    [60, "1 minute ago"],
    [3599, "60 minutes ago"],
    [3600, "1 hour ago"],
    [86_400, "yesterday"],
    [3 * 86_400, "3 days ago"],
    [7 * 86_400, "last week"],
    [30 * 86_400, "last month"],
    [365 * 86_400, "last year"],
    [-30, "just now"],
    [-7200, "in 2 hours"],
    [-86_400, "tomorrow"],
  ] as const)("%i seconds ago is %j", ([seconds, said]) => expect(ago(seconds)).toBe(said));

  test("says something of any two times", () => {
    const date = fc.date({ min: new Date(0), max: new Date("2100-01-01"), noInvalidDate: true });
    fc.assert(
      fc.property(date, date, (a, b) => {
        expect(relativeTime(a, b)).toMatch(/^[a-z0-9][a-z0-9, ]*$/i);
      }),
    );
  });
});

describe("byteSize", () => {
  test.for([
    [0, "0 B"],
    [1, "1 B"],
    [999, "999 B"],
    [1000, "1.0 KB"],
    [3_739_512, "3.7 MB"],
    [99_949, "99.9 KB"],
    [512_000, "512 KB"],
    [999_499, "999 KB"],
    [999_500, "1.0 MB"],
    [2_500_000_000, "2.5 GB"],
    [5_000_000_000_000, "5000 GB"],
  ] as const)("%i is %j", ([bytes, said]) => expect(byteSize(bytes)).toBe(said));
});

test("plural", () => {
  expect([0, 1, 2, 1234].map((count) => plural(count, "message"))).toEqual([
    "0 messages",
    "1 message",
    "2 messages",
    "1,234 messages",
  ]);
});
