import { lastUse } from "../domains/head.ts";
import type { CatalogEntry } from "./catalog.ts";
import type { Settings } from "./repository.ts";
import { limitOf } from "./settings.ts";

/**
 * Retention: sessions that nobody has used for long go, so that a remote does not fill up with conversations nobody
 * will read again. Pinned ones never do, nor those this machine's agent is ahead of; and a copy on which another
 * device, not heard of yet, has gone on stays alive (docs/format.md, tombstones).
 */
export interface RetentionRule {
  /** Days without use; null for no limit. */
  readonly days: number | null;
  /** Sessions to keep; null for no limit. */
  readonly sessions: number | null;
}

export const retentionRule = (settings: Pick<Settings, "get">): RetentionRule => ({
  days: limitOf("retentionDays", settings.get("retentionDays")),
  sessions: limitOf("maxSessions", settings.get("maxSessions")),
});

export interface DueSession {
  readonly session: CatalogEntry;
  /** Not used for longer than the rule's days, or beyond the number it keeps. */
  readonly why: "age" | "number";
  /** When it was last active or saved, on any device that is known here. */
  readonly lastUse: string;
}

export const dayMs = 86_400_000;

/** What the rule says of these sessions. Pure. */
export function dueSessions(sessions: readonly CatalogEntry[], rule: RetentionRule, now: Date): DueSession[] {
  const used = sessions
    .filter((one) => !one.pinned)
    .map((session) => ({ session, lastUse: latestUse(session) }))
    .sort((a, b) =>
      a.lastUse < b.lastUse ? 1 : a.lastUse > b.lastUse ? -1 : a.session.key < b.session.key ? -1 : 1,
    );
  const horizon = rule.days === null ? "" : new Date(now.getTime() - rule.days * dayMs).toISOString();
  return used.flatMap((one, index): DueSession[] => {
    if (one.lastUse < horizon) return [{ ...one, why: "age" }];
    return rule.sessions !== null && index >= rule.sessions ? [{ ...one, why: "number" }] : [];
  });
}

const latestUse = (session: CatalogEntry): string =>
  session.copies.map(({ entry }) => lastUse(entry)).reduce((a, b) => (a > b ? a : b));
