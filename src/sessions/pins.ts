import { type Pin, pinsIn } from "../domains/head.ts";
import { type CatalogEntry, catalog, findSession, type Heads, tombstonesOf } from "./catalog.ts";
import type { ChosenRemote } from "./chosen-remote.ts";
import { withFreshHeads } from "./fresh-heads.ts";
import { writeIndex } from "./index-writer.ts";
import { note } from "./operations.ts";
import type { PublishResult } from "./publish.ts";
import { publishSettled } from "./replica.ts";
import type { Context } from "./repository.ts";
import { ownReplica } from "./vault.ts";

export interface PinResult {
  /** All that were named. */
  readonly sessions: readonly CatalogEntry[];
  /** Those of them that were not as they should be. */
  readonly changed: readonly CatalogEntry[];
  readonly remote: ChosenRemote | null;
  readonly publish: PublishResult | null;
}

/**
 * Pins sessions, or unpins them: the user's word, kept in this replica's index, so that a session can be pinned
 * whichever device has it.
 */
export async function pinSessions(
  context: Context,
  names: readonly string[],
  pinned: boolean,
  options: { note?: boolean } = {},
): Promise<PinResult> {
  return withFreshHeads(context, async ({ vault, heads, remote }) => {
    const known = catalog(heads, vault);
    const sessions = [...new Set(names.map((name) => findSession(known, name)))];
    const changed = sessions.filter((one) => one.pinned !== pinned);
    if (changed.length === 0) return { sessions, changed, remote, publish: null };
    const replica = await ownReplica(context, vault);
    const when = context.world.now();
    const pins = pinsNow(heads, changed, pinned, when);
    await writeIndex(context, vault, { heads, replica, when, change: () => ({ pins }) });
    if (options.note !== false)
      await note(context, { kind: "pin", sessions: changed.map((one) => one.key), pinned });
    const sent = remote && (await publishSettled(context, vault, replica, remote));
    return { sessions, changed, remote, publish: sent };
  });
}

/** Pins that count from now on: later than all that is known, also where another device's clock is ahead. */
function pinsNow(
  heads: Heads,
  sessions: readonly CatalogEntry[],
  pinned: boolean,
  when: Date,
): Record<string, Pin> {
  const known = pinsIn(heads.all.map((one) => one.head));
  const gone = tombstonesOf(heads.all);
  return Object.fromEntries(
    sessions.map(({ key }): [string, Pin] => {
      const before = [known.get(key)?.[0], gone.get(key)?.at].map((time) => Date.parse(time ?? "") + 1 || 0);
      return [key, [new Date(Math.max(when.getTime(), ...before)).toISOString(), pinned]];
    }),
  );
}
