import type { Entry } from "../domains/head.ts";
import { pageSize } from "../domains/head.ts";
import { formatRef, vaultPrefix } from "../refs/names.ts";
import type { NewFile, Oid, RefUpdate } from "../refs/object-database.ts";
import type { Heads } from "./catalog.ts";
import { writeIndex } from "./index-writer.ts";
import { updateQueue } from "./queue.ts";
import type { Context } from "./repository.ts";
import { localCopy } from "./session-fetch.ts";
import type { OpenVault } from "./vault.ts";

/**
 * Folding (format.md 2): every ref of ours costs everybody's push of anything about 115 bytes, so old sessions
 * move from refs of their own into archives. The archive's commit has the sessions' tips as parents: what the
 * remote has is not sent again, and folding one session costs a few hundred bytes.
 */

/** Session refs all replicas together should stay below. */
const hotRefs = 160;
/** A replica among many keeps at least so many. */
const leastHotRefs = 16;
/** Folding takes the oldest until this share of the limit is left, so that it is seldom due. */
const keptShare = 0.75;
const archiveSessions = pageSize;
const archiveBytes = 32 << 20;
/** Bytes of a transcript for one byte of its sealed segments: for the archive's size, which need only be about right. */
const usualRatio = 6;

/** Own sessions that have a ref of their own although the limit wants them folded, oldest first; none when not due. */
export function dueForFolding(heads: Heads): Entry[] {
  const limit = Math.max(leastHotRefs, Math.floor(hotRefs / Math.max(1, heads.all.length)));
  const hot = (heads.own?.entries ?? []).filter((entry) => !entry.a);
  if (hot.length <= limit) return [];
  const oldestFirst = hot.sort((a, b) => (a.u < b.u ? -1 : 1));
  return oldestFirst.slice(0, hot.length - Math.floor(limit * keptShare));
}

/** Folds what is due. Returns how many sessions moved. The remote learns of it with the next push. */
export async function fold(
  context: Context,
  vault: OpenVault,
  heads: Heads,
  remote: string | null,
): Promise<number> {
  const due = dueForFolding(heads);
  const own = heads.own;
  if (due.length === 0 || !own) return 0;
  const when = context.world.now();
  const local = await context.db.refs(vaultPrefix(vault.ref));
  const put: Entry[] = [];
  const updates: RefUpdate[] = [];
  const gone: string[] = [];
  for (const archive of plan(own.entries, due)) {
    const ref = formatRef({ kind: "archive", vault: vault.ref, replica: own.replica, n: archive.n });
    const tip = local.get(ref) ?? null;
    const files: NewFile[] = tip
      ? [...(await context.db.files(tip))].map(([path, content]) => ({ path, content }))
      : [];
    const parents: Oid[] = tip ? [tip] : [];
    const folded: Entry[] = [];
    for (const entry of archive.sessions) {
      const session = formatRef({ kind: "session", vault: vault.ref, dir: entry.d, replica: own.replica });
      const stored = await localCopy(
        vault,
        { replica: own.replica, device: vault.device.id, entry, ref: session },
        local,
      );
      if (!stored?.commit) continue;
      // An earlier copy of the same session, from before it was taken up again, gives way.
      const others = files.filter(({ path }) => !path.startsWith(`${entry.d}/`));
      files.splice(0, files.length, ...others);
      for (const [path, content] of stored.files) files.push({ path: `${entry.d}/${path}`, content });
      parents.push(stored.commit);
      updates.push({ ref: session, from: stored.commit, to: null });
      gone.push(session);
      folded.push(entry);
    }
    const commit = await context.db.commit({ parents, files, when });
    const folders = await context.db.folders(commit);
    for (const entry of folded) put.push({ ...entry, a: { n: archive.n, t: folders.get(entry.d)! } });
    updates.push({ ref, from: tip, to: commit });
  }
  if (put.length === 0) return 0;
  if (remote) {
    await updateQueue(context, remote, (queue) => {
      for (const ref of gone) {
        if (queue.confirmed[ref] !== undefined) queue.deletions[ref] = when.toISOString();
        delete queue.confirmed[ref];
      }
    });
  }
  const change = () => ({ put, rebuild: true });
  await writeIndex(context, vault, { heads, replica: own.replica, when, change, updates });
  return put.length;
}

/** Spreads the sessions over archives: the newest archive is filled up first. */
function plan(entries: readonly Entry[], due: readonly Entry[]): { n: number; sessions: Entry[] }[] {
  const numbers = entries.flatMap((entry) => (entry.a ? [entry.a.n] : []));
  let n = Math.max(0, ...numbers);
  const inside = entries.filter((entry) => entry.a?.n === n);
  let count = inside.length;
  let bytes = inside.reduce((sum, entry) => sum + entry.b / usualRatio, 0);
  let sessions: Entry[] = [];
  const archives = [{ n, sessions }];
  for (const entry of due) {
    if (count >= archiveSessions || (count > 0 && bytes + entry.b / usualRatio > archiveBytes)) {
      sessions = [];
      archives.push({ n: ++n, sessions });
      count = 0;
      bytes = 0;
    }
    sessions.push(entry);
    count++;
    bytes += entry.b / usualRatio;
  }
  return archives.filter((archive) => archive.sessions.length > 0);
}
