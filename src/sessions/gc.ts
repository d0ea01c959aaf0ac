import { type ChosenRemote, currentBranch, findRemote } from "./chosen-remote.ts";
import { compact } from "./compact.ts";
import { fold } from "./fold.ts";
import { loadHeads } from "./heads.ts";
import { type PublishResult, publish } from "./publish.ts";
import { dropIncoming, fetchHeads } from "./remote.ts";
import { type Context, withCloneLock } from "./repository.ts";
import { buryDeleted } from "./tombstones.ts";
import { openVault } from "./vault.ts";

export interface GcResult {
  readonly folded: number;
  readonly compacted: number;
  readonly remote: ChosenRemote | null;
  readonly publish: PublishResult | null;
}

/**
 * Tidies what this replica keeps: honours deletions, folds old sessions into archives, repacks streams of very many
 * small segments, and sends the result. Each step leaves everything readable; a killed run is simply run again.
 */
export async function gc(context: Context): Promise<GcResult> {
  const remote = await findRemote(context, await currentBranch(context));
  return withCloneLock(context, async () => {
    const opened = await openVault(context);
    await dropIncoming(context, "refs/convosync-incoming/");
    const fetched = remote ? await fetchHeads(context, opened, remote) : null;
    const vault = fetched?.vault ?? opened;
    const heads = fetched?.heads ?? (await loadHeads(context, vault));
    await buryDeleted(context, vault, heads, remote?.key ?? null);
    const compacted = await compact(context, vault, await loadHeads(context, vault));
    const folded = await fold(context, vault, await loadHeads(context, vault), remote?.key ?? null);
    const result = remote ? await publish(context, vault, heads.replica, remote, null) : null;
    return { folded, compacted, remote, publish: result };
  });
}
