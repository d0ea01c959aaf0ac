import { type CatalogEntry, catalog, findSession } from "./catalog.ts";
import type { ChosenRemote } from "./chosen-remote.ts";
import { forgetCursor } from "./cursor.ts";
import { withFreshHeads } from "./fresh-heads.ts";
import { noteDeletion } from "./operations.ts";
import type { PublishResult } from "./publish.ts";
import { publishSettled } from "./replica.ts";
import type { Context } from "./repository.ts";
import { bury } from "./tombstones.ts";
import { ownReplica } from "./vault.ts";

export interface DeleteResult {
  readonly deleted: readonly string[];
  readonly remote: ChosenRemote | null;
  readonly publish: PublishResult | null;
}

/**
 * Deletes sessions: every replica's ref, here and on the remote, and a tombstone that every device honours. The
 * agent's own files are not touched. `sure` is asked once, with what would go.
 */
export async function deleteSessions(
  context: Context,
  names: readonly string[],
  sure: (sessions: readonly CatalogEntry[]) => Promise<boolean>,
): Promise<DeleteResult> {
  return withFreshHeads(context, async ({ vault, heads, remote }) => {
    const known = catalog(heads, vault);
    const sessions = [...new Set(names.map((name) => findSession(known, name)))];
    if (!(await sure(sessions))) return { deleted: [], remote, publish: null };
    const replica = await ownReplica(context, vault);
    await noteDeletion(context, vault, heads, sessions, "delete");
    await bury(context, vault, heads, replica, sessions, remote?.key ?? null);
    for (const { key } of sessions) forgetCursor(context, key);
    const sent = remote && (await publishSettled(context, vault, replica, remote));
    return { deleted: sessions.map((one) => one.id), remote, publish: sent };
  });
}
