import { expect, test } from "vitest";
import type { Heads } from "./catalog.ts";
import { liveElsewhere } from "./leases.ts";

const now = new Date("2026-11-25T10:00:00.000Z");
const ago = (minutes: number): string => new Date(now.getTime() - minutes * 60_000).toISOString();

/** Heads as far as leases look at them. */
const heads = (own: [string, string, string][], ...others: [string, string, string][][]): Heads => {
  const head = (live: [string, string, string][], at: number) => ({
    replica: `r${at}`,
    head: { device: `d${at}`, live },
  });
  const all = [own, ...others].map(head);
  return { all, replica: "r0", own: all[0], others: all.slice(1) } as unknown as Heads;
};

test("the device that was seen last with it, while that is not long ago", () => {
  const found = liveElsewhere(
    heads([], [["claude:a", ago(90), ago(10)]], [["claude:a", ago(30), ago(2)]]),
    "claude:a",
    now,
  );
  expect(found).toEqual({ replica: "r2", device: "d2", since: new Date(ago(30)), seen: new Date(ago(2)) });
});

test("not one's own, not another session, not an old one, not one from far in the future", () => {
  expect(liveElsewhere(heads([["claude:a", ago(5), ago(1)]]), "claude:a", now)).toBeNull();
  expect(liveElsewhere(heads([], [["claude:b", ago(5), ago(1)]]), "claude:a", now)).toBeNull();
  expect(liveElsewhere(heads([], [["claude:a", ago(90), ago(16)]]), "claude:a", now)).toBeNull();
  expect(liveElsewhere(heads([], [["claude:a", ago(5), ago(-60)]]), "claude:a", now)).toBeNull();
  expect(liveElsewhere(heads([], [["claude:a", ago(5), ago(-2)]]), "claude:a", now)).not.toBeNull();
});
