import { existsSync } from "node:fs";
import { join } from "node:path";
import { readSession } from "../domains/reader.ts";
import { ConvosyncError } from "../errors.ts";
import { sweepAll } from "../leftovers.ts";
import { vaultPrefix } from "../refs/names.ts";
import type { Oid, RefUpdate } from "../refs/object-database.ts";
import { outlastLocks } from "../refs/ref-locks.ts";
import { refOf } from "./catalog.ts";
import { loadHeads } from "./heads.ts";
import { allQueues } from "./queue.ts";
import type { Context } from "./repository.ts";
import { type OpenVault, openVault } from "./vault.ts";

/**
 * Puts right what a crash of the machine leaves behind while git moves refs, which it does one after another: locks that
 * nobody holds, and sessions that are ahead of this replica's index, which moves after them. They go back to what the
 * index names. Nothing is lost by that: the save they come from had not ended, and the next one captures the same again.
 * What was left half written beside a cache is removed.
 * To be run under the clone's lock, by whoever finds it abandoned.
 */
export async function recover(context: Context): Promise<void> {
  await outlastLocks(join(context.repo.commonDir, "refs"));
  try {
    const vault = await openVault(context);
    sweepCaches(context, vault.repo);
    const updates = await sessionsAhead(context, vault);
    if (updates.length > 0) await context.db.update(updates);
  } catch (error) {
    // Where the vault cannot be opened or the index is damaged, whoever comes next says so better.
    if (!(error instanceof ConvosyncError)) throw error;
  }
}

/** What was being written beside a cache of a stream that may not be written for long. */
function sweepCaches(context: Context, repo: string): void {
  for (const kind of ["heads", "index", "pages"]) {
    const folder = join(context.cacheDir, kind, repo);
    if (existsSync(folder)) sweepAll(folder, ".tmp");
  }
}

async function sessionsAhead(context: Context, vault: OpenVault): Promise<RefUpdate[]> {
  const { own, replica } = await loadHeads(context, vault);
  const local = await context.db.refs(vaultPrefix(vault.ref));
  const queues = await allQueues(context);
  const updates: RefUpdate[] = [];
  for (const entry of own?.entries ?? []) {
    const ref = refOf(vault.ref, replica!, entry);
    const tip = local.get(ref);
    const isNamed = async (commit: Oid): Promise<boolean> => {
      try {
        await readSession(vault, replica!, entry, { commit, files: await context.db.files(commit) });
        return true;
      } catch (error) {
        if (error instanceof ConvosyncError) return false;
        throw error;
      }
    };
    if (entry.a || !tip || (await isNamed(tip))) continue;
    const [before] = await context.db.parents(tip);
    const sent = queues.flatMap((queue) => [
      queue.confirmed[ref],
      queue.sent?.[ref],
      queue.sentBefore?.[ref],
    ]);
    for (const commit of [before, ...sent]) {
      if (commit === undefined || !(await isNamed(commit))) continue;
      updates.push({ ref, from: tip, to: commit });
      break;
    }
  }
  return updates;
}
