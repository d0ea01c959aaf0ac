import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Entry } from "../domains/head.ts";
import type { CatalogEntry, Copy } from "./catalog.ts";
import { dueSessions, type RetentionRule, retentionRule } from "./retention.ts";

const now = new Date("2026-11-25T00:00:00.000Z");
const ago = (days: number): string => new Date(now.getTime() - days * 86_400_000).toISOString();

/** A session whose copies were last used so many days ago. */
function session(id: string, days: readonly number[], pinned = false): CatalogEntry {
  const copies = days.map((one) => ({ entry: { u: ago(one) } as Entry }) as Copy);
  return { key: `claude:${id}`, agent: "claude", id, copies, newest: copies[0]!, pinned };
}

const many = fc
  .array(fc.record({ days: fc.array(fc.nat(90), { minLength: 1, maxLength: 3 }), pinned: fc.boolean() }))
  .map((all) => all.map(({ days, pinned }, at) => session(String(at), days, pinned)));
const limit = fc.option(fc.nat(60), { nil: null });

describe("dueSessions", () => {
  test("never a pinned one; none within both limits; all beyond either; whatever the order", () => {
    fc.assert(
      fc.property(many, limit, limit, (all, days, sessions) => {
        const rule: RetentionRule = { days, sessions };
        const due = new Map(dueSessions(all, rule, now).map((one) => [one.session, one.why]));
        const reversed = dueSessions([...all].reverse(), rule, now);
        expect(new Set(reversed.map((one) => one.session))).toEqual(new Set(due.keys()));
        const last = (one: CatalogEntry): string =>
          one.copies.reduce((a, copy) => (copy.entry.u > a ? copy.entry.u : a), "");
        const staying = all.filter((one) => !one.pinned && !due.has(one));
        if (sessions !== null) expect(staying.length).toBeLessThanOrEqual(sessions);
        for (const one of all) {
          if (one.pinned) expect(due.has(one)).toBe(false);
          else if (days !== null && last(one) < ago(days)) expect(due.get(one)).toBe("age");
          else if (due.has(one)) {
            expect(due.get(one)).toBe("number");
            expect(staying).toHaveLength(sessions!);
            for (const other of staying) expect(last(other) >= last(one)).toBe(true);
          }
        }
      }),
    );
  });

  test("the settings: 30 days and 100 sessions, none where 0, never or nonsense stands", () => {
    const rule = (values: Record<string, string>): RetentionRule =>
      retentionRule({ get: (name) => values[name] });
    expect(rule({})).toEqual({ days: 30, sessions: 100 });
    expect(rule({ retentionDays: "7", maxSessions: "5" })).toEqual({ days: 7, sessions: 5 });
    for (const none of ["0", "never", "NEVER", "30d", "-1", "", "1e3"])
      expect(rule({ retentionDays: none, maxSessions: none })).toEqual({ days: null, sessions: null });
  });
});
