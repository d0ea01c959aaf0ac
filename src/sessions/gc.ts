import { join } from "node:path";
import * as v from "valibot";
import { catalog } from "./catalog.ts";
import type { ChosenRemote } from "./chosen-remote.ts";
import { compact } from "./compact.ts";
import { forgetUnusedCursors } from "./cursor.ts";
import { readCache, writeAtomic } from "./files.ts";
import { fold } from "./fold.ts";
import { withFreshHeads } from "./fresh-heads.ts";
import { dropGenerations } from "./generations.ts";
import { loadHeads } from "./heads.ts";
import { noteDeletion } from "./operations.ts";
import type { PublishResult } from "./publish.ts";
import { dropIncoming } from "./remote.ts";
import { publishSettled } from "./replica.ts";
import type { Context } from "./repository.ts";
import { type DueSession, dueSessions, type RetentionRule, retentionRule } from "./retention.ts";
import { type KeptSession, retire, sparedHere } from "./retire.ts";
import { buryDeleted } from "./tombstones.ts";
import { ownReplica } from "./vault.ts";

export interface GcOptions {
  /** Leave out retention. */
  readonly noRetention?: boolean;
  /** Find out what retention would do, and do nothing at all. */
  readonly dryRun?: boolean;
}

export interface GcResult {
  readonly folded: number;
  readonly compacted: number;
  /** Sessions of which old generations of the transcript were dropped. */
  readonly generations: number;
  readonly rule: RetentionRule;
  /** What retention deleted; with `dryRun`, would delete. */
  readonly due: readonly DueSession[];
  /** What the rule would have go and what stays all the same. */
  readonly kept: readonly KeptSession[];
  /** The remote did not answer, so nobody knows what other devices still use. */
  readonly postponed: boolean;
  readonly remote: ChosenRemote | null;
  readonly publish: PublishResult | null;
}

/**
 * Tidies what this replica keeps: honours deletions, applies retention, folds old sessions into archives, repacks
 * streams of very many small segments, and sends the result. Each step leaves everything readable; a killed run is
 * simply run again. `sure` is asked before retention deletes for the first time in this clone, and after that only where
 * nothing has been used for so long: then somebody was away, or the clock is wrong.
 */
export async function gc(
  context: Context,
  options: GcOptions,
  sure: (due: readonly DueSession[], rule: RetentionRule, everything: boolean) => Promise<void>,
): Promise<GcResult> {
  return withFreshHeads(context, async ({ vault, heads: before, remote, offline }) => {
    let heads = before;
    const postponed = offline !== null;
    await dropIncoming(context, "refs/convosync-incoming/");
    const rule = retentionRule(context.settings);
    const sessions = catalog(heads, vault);
    const ruled = options.noRetention || postponed ? [] : dueSessions(sessions, rule, context.world.now());
    const everything = ruled.length === sessions.filter((one) => !one.pinned).length;
    const { due, kept } = await sparedHere(context, vault, heads, ruled, rule, remote);
    const found = { rule, due, kept, postponed, remote };
    if (options.dryRun) return { folded: 0, compacted: 0, generations: 0, ...found, publish: null };
    if (due.length > 0 && (everything || !(await agreed(context)))) {
      await sure(due, rule, everything);
      await writeAtomic(agreementPath(context), JSON.stringify({ v: 1, at: context.world.now() }));
    }
    await buryDeleted(context, vault, heads, remote?.key ?? null);
    let replica = heads.replica;
    if (due.length > 0) {
      replica = await ownReplica(context, vault);
      heads = await loadHeads(context, vault);
      const gone = due.map((one) => one.session);
      await noteDeletion(context, vault, heads, gone, "retention");
      await retire(context, vault, heads, replica, due, remote);
    }
    const generations =
      options.noRetention || postponed || rule.days === null
        ? 0
        : await dropGenerations(context, vault, await loadHeads(context, vault), rule.days, remote);
    const compacted = await compact(context, vault, await loadHeads(context, vault));
    const folded = await fold(context, vault, await loadHeads(context, vault), remote?.key ?? null);
    forgetUnusedCursors(context);
    const sent = remote && (await publishSettled(context, vault, replica, remote));
    return { folded, compacted, generations, ...found, publish: sent };
  });
}

const agreementPath = (context: Context): string => join(context.cloneDir, "retention.json");

/** Whether somebody has agreed, in this clone, to what retention does. */
async function agreed(context: Context): Promise<boolean> {
  return (await readCache(agreementPath(context), v.object({ v: v.literal(1), at: v.string() }))) !== null;
}
