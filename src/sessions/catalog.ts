import { buried, type Entry, pinsIn, type Tombstone, tombstonesIn } from "../domains/head.ts";
import type { ReplicaHead } from "../domains/replica-heads.ts";
import { ConvosyncError, Exit } from "../errors.ts";
import { formatRef } from "../refs/names.ts";

/** The heads of all replicas as this clone has accepted them. */
export interface Heads {
  readonly all: readonly ReplicaHead[];
  /** This clone's replica id and head; null before its first write. */
  readonly replica: string | null;
  readonly own: ReplicaHead | null;
  readonly others: readonly ReplicaHead[];
}

export function splitOwn(all: readonly ReplicaHead[], replica: string | null): Heads {
  return {
    all,
    replica,
    own: all.find((one) => one.replica === replica) ?? null,
    others: all.filter((one) => one.replica !== replica),
  };
}

/** One replica's entry for a session. */
export interface Copy {
  readonly replica: string;
  readonly device: string;
  readonly entry: Entry;
  readonly ref: string;
}

/** A session as the user knows it: all replicas' copies of it, the most recently active one first. */
export interface CatalogEntry {
  /** `<agent>:<id>` */
  readonly key: string;
  readonly agent: string;
  readonly id: string;
  readonly copies: readonly Copy[];
  readonly newest: Copy;
  /** Kept from retention. */
  readonly pinned: boolean;
}

/** Every session that no replica has buried, the most recently active first. */
export function catalog(heads: Heads, vault: { readonly ref: string }): CatalogEntry[] {
  const tombstones = tombstonesOf(heads.all);
  const pins = pinsIn(heads.all.map((one) => one.head));
  const groups = new Map<string, Copy[]>();
  for (const one of heads.all) {
    for (const entry of one.entries) {
      if (buried(entry, tombstones.get(entry.s))) continue;
      const ref = refOf(vault.ref, one.replica, entry);
      const group = groups.get(entry.s) ?? [];
      group.push({ replica: one.replica, device: one.head.device, entry, ref });
      groups.set(entry.s, group);
    }
  }
  const found = [...groups].map(([key, copies]): CatalogEntry => {
    copies.sort(byProgress);
    const colon = key.indexOf(":");
    // Entries have a field of their own for it, which says it where no head does.
    const pinned = pins.get(key)?.[1] ?? copies.some(({ entry }) => entry.pin);
    return { key, agent: key.slice(0, colon), id: key.slice(colon + 1), copies, newest: copies[0]!, pinned };
  });
  return found.sort((a, b) => byProgress(a.newest, b.newest));
}

/** The ref that holds a session: its own, or the archive it was folded into. */
export function refOf(vault: string, replica: string, entry: Entry): string {
  return entry.a
    ? formatRef({ kind: "archive", vault, replica, n: entry.a.n })
    : formatRef({ kind: "session", vault, dir: entry.d, replica });
}

/** Latest tombstone of each session over all replicas. */
export function tombstonesOf(heads: readonly ReplicaHead[]): Map<string, Tombstone> {
  return tombstonesIn(heads.map((one) => one.head));
}

/** The sessions that were deleted on purpose. What retention dropped is saved again, when work on it has gone on. */
export function buriedAmong<
  Chosen extends { readonly key: string; readonly found: { readonly updatedAt: Date } },
>(heads: Heads, chosen: readonly Chosen[]): Chosen[] {
  const tombstones = tombstonesOf(heads.all);
  return chosen.filter(({ key, found }) => {
    const tombstone = tombstones.get(key);
    if (
      !tombstone ||
      heads.all.some(({ entries }) => entries.some((entry) => entry.s === key && !buried(entry, tombstone)))
    )
      return false;
    return tombstone.upto === undefined || found.updatedAt.toISOString() <= tombstone.upto;
  });
}

const byProgress = (a: Copy, b: Copy): number =>
  a.entry.u === b.entry.u ? b.entry.b - a.entry.b || b.entry.k - a.entry.k : a.entry.u < b.entry.u ? 1 : -1;

export interface SessionName {
  readonly session: CatalogEntry;
  /** The part behind `@`: a snapshot's number or a commit. */
  readonly at: string | null;
}

/** Finds the session a person means, where only a whole one will do. Exit 2 for `<session>@<snapshot>`. */
export function findSession(sessions: readonly CatalogEntry[], given: string): CatalogEntry {
  const { session, at } = findSnapshotName(sessions, given);
  if (at === null) return session;
  const name = session.id.slice(0, 8);
  throw new ConvosyncError("usage", Exit.usage, `'${given}' is a snapshot; this is for whole sessions`, [
    `all of it: ${name}`,
    `make a session of that snapshot: git convosync fork ${name}@${at}`,
  ]);
}

/**
 * Finds the session a person means by an id, a unique prefix of it, with or without `<agent>:` before it, and `@` with a
 * snapshot behind it.
 */
export function findSnapshotName(sessions: readonly CatalogEntry[], given: string): SessionName {
  const [name = "", at = null] = given.split("@", 2);
  const hits = sessions.filter((one) => one.id.startsWith(name) || one.key.startsWith(name));
  const exact = hits.find((one) => one.id === name || one.key === name);
  const session = exact ?? (hits.length === 1 ? hits[0] : undefined);
  if (session && name !== "") return { session, at };
  if (hits.length > 1 && name !== "") {
    throw new ConvosyncError(
      "ambiguous-session",
      Exit.usage,
      `'${name}' could be ${hits.length} sessions`,
      hits.slice(0, 5).map((one) => `${one.id}  ${one.newest.entry.t}`),
    );
  }
  throw new ConvosyncError("session-not-found", Exit.failed, `no session matches '${given}'`, [
    "see what is saved: git convosync list",
    "fetch what other devices saved: git convosync sync",
    "one that was not saved yet: git convosync save --session <id>",
  ]);
}
