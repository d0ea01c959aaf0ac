import { rm } from "node:fs/promises";
import { join } from "node:path";
import { vaultPrefix } from "../refs/names.ts";
import type { RefUpdate } from "../refs/object-database.ts";
import { withLock } from "./files.ts";
import { type CatalogEntry, catalog, findSession, type Heads, loadHeads } from "./heads.ts";
import { writeIndex } from "./index-writer.ts";
import { type PublishResult, publish } from "./publish.ts";
import { updateQueue } from "./queue.ts";
import { type ChosenRemote, currentBranch, fetchHeads, findRemote } from "./remote.ts";
import { settleReplica } from "./replica.ts";
import type { Context } from "./repository.ts";
import { inDirs } from "./tombstones.ts";
import { type OpenVault, openVault, ownReplica } from "./vault.ts";

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
  const opened = await openVault(context);
  const remote = await findRemote(context, await currentBranch(context));
  return withLock(join(context.cloneDir, "lock"), 60_000, async () => {
    const fetched = remote ? await fetchHeads(context, opened, remote) : null;
    const vault = fetched?.vault ?? opened;
    const heads = fetched?.heads ?? (await loadHeads(context, vault));
    const known = catalog(heads, vault);
    const sessions = [...new Set(names.map((name) => findSession(known, name).session))];
    if (!(await sure(sessions))) return { deleted: [], remote, publish: null };
    const replica = await ownReplica(context, vault);
    const dirs = new Set(sessions.map((one) => one.newest.entry.d));
    await bury(
      context,
      vault,
      heads,
      replica,
      sessions.map((one) => one.key),
      dirs,
      sessions.flatMap((one) => one.copies.map((copy) => copy.ref)),
      remote,
    );
    for (const { key } of sessions)
      await rm(join(context.cloneDir, "cursors", `${key.replace(":", "-")}.json`), { force: true });
    let result = remote ? await publish(context, vault, replica, remote, null) : null;
    if (remote && result?.status === "queued" && result.reason === "replica-taken") {
      const settled = await settleReplica(context, vault, replica, remote);
      result = await publish(context, settled.vault, settled.replica, remote, null);
    }
    return { deleted: sessions.map((one) => one.id), remote, publish: result };
  });
}

async function bury(
  context: Context,
  vault: OpenVault,
  heads: Heads,
  replica: string,
  keys: readonly string[],
  dirs: ReadonlySet<string>,
  remoteRefs: readonly string[],
  remote: ChosenRemote | null,
): Promise<void> {
  const local = await context.db.refs(vaultPrefix(vault.ref));
  const doomed = [...local].filter(([ref]) => inDirs(ref, dirs));
  if (remote) {
    await updateQueue(context, remote.key, (queue) => {
      for (const ref of remoteRefs) {
        queue.deletions[ref] = context.world.now().toISOString();
        delete queue.confirmed[ref];
      }
    });
  }
  const updates = doomed.map(([ref, from]): RefUpdate => ({ ref, from, to: null }));
  await writeIndex(context, vault, {
    heads,
    replica,
    when: context.world.now(),
    change: () => ({ bury: keys }),
    updates,
  });
}
