import { type CatalogEntry, catalog, findSession } from "./catalog.ts";
import { type ChosenRemote, currentBranch, findRemote } from "./chosen-remote.ts";
import { forgetCursor } from "./cursor.ts";
import { loadHeads } from "./heads.ts";
import { noteDeletion } from "./operations.ts";
import { type PublishResult, publish } from "./publish.ts";
import { fetchHeads } from "./remote.ts";
import { settleReplica } from "./replica.ts";
import { type Context, withCloneLock } from "./repository.ts";
import { bury } from "./tombstones.ts";
import { openVault, ownReplica } from "./vault.ts";

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
  const remote = await findRemote(context, await currentBranch(context));
  return withCloneLock(context, async () => {
    const opened = await openVault(context);
    const fetched = remote ? await fetchHeads(context, opened, remote) : null;
    const vault = fetched?.vault ?? opened;
    const heads = fetched?.heads ?? (await loadHeads(context, vault));
    const known = catalog(heads, vault);
    const sessions = [...new Set(names.map((name) => findSession(known, name).session))];
    if (!(await sure(sessions))) return { deleted: [], remote, publish: null };
    const replica = await ownReplica(context, vault);
    await noteDeletion(context, vault, heads, sessions, "delete");
    await bury(context, vault, heads, replica, sessions, remote?.key ?? null);
    for (const { key } of sessions) await forgetCursor(context, key);
    let result = remote ? await publish(context, vault, replica, remote, null) : null;
    if (remote && result?.status === "queued" && result.reason === "replica-taken") {
      const settled = await settleReplica(context, vault, replica, remote);
      result = await publish(context, settled.vault, settled.replica, remote, null);
    }
    return { deleted: sessions.map((one) => one.id), remote, publish: result };
  });
}
