import type { Entry } from "../domains/head.ts";
import { pageSize } from "../domains/head.ts";
import { formatRef, vaultPrefix } from "../refs/names.ts";
import type { NewFile, Oid, RefUpdate } from "../refs/object-database.ts";
import type { Heads } from "./catalog.ts";
import { writeIndex } from "./index-writer.ts";
import { updateQueue } from "./queue.ts";
import type { Context } from "./repository.ts";
import { localCopy } from "./session-fetch.ts";
import { limitOf } from "./settings.ts";
import type { OpenVault } from "./vault.ts";

/**
 * Folding (docs/format.md): every ref of ours costs everybody's push of anything about 115 bytes, so old sessions
 * move from refs of their own into archives. The archive's commit has the sessions' tips as parents: what the
 * remote has is not sent again, and folding one session costs a few hundred bytes.
 */

/** A replica among many keeps at least so many. */
const leastHotRefs = 16;
/** Folding takes the oldest until this share of the limit is left, so that it is seldom due. */
const keptShare = 0.75;
const archiveSessions = pageSize;
const archiveBytes = 32 << 20;
/** Bytes of a transcript for one byte of its sealed segments: for the archive's size, which need only be about right. */
const usualRatio = 6;

/** Objects an archive may hold; readers refuse trees of 65,536 entries. */
const archiveObjects = 40_000;

/** Own sessions that have a ref of their own although the limit wants them folded, oldest first; none when not due. */
function dueForFolding(heads: Heads, refs: number): Entry[] {
  const limit = Math.max(leastHotRefs, Math.floor(refs / Math.max(1, heads.all.length)));
  const hot = (heads.own?.entries ?? []).filter((entry) => !entry.a);
  if (hot.length <= limit) return [];
  const oldestFirst = hot.sort((a, b) => (a.u < b.u ? -1 : 1));
  return oldestFirst.slice(0, hot.length - Math.floor(limit * keptShare));
}

/** An archive that is being filled. */
interface Filling {
  readonly n: number;
  readonly tip: Oid | null;
  /** Folder of a session → its files. */
  readonly folders: Map<string, NewFile[]>;
  readonly parents: Oid[];
  readonly entries: Entry[];
  bytes: number;
  objects: number;
}

/**
 * Folds what is due. Returns how many sessions moved. The remote learns of it with the next push. The setting
 * `convosync.hotRefs` says how many session refs all replicas together should stay below.
 */
export async function fold(
  context: Context,
  vault: OpenVault,
  heads: Heads,
  remote: string | null,
): Promise<number> {
  const wanted = limitOf("hotRefs", context.settings.get("hotRefs")) ?? limitOf("hotRefs", undefined)!;
  const due = dueForFolding(heads, wanted);
  const own = heads.own;
  if (due.length === 0 || !own) return 0;
  const when = context.world.now();
  const local = await context.db.refs(vaultPrefix(vault.ref));
  const put: Entry[] = [];
  const updates: RefUpdate[] = [];
  const gone: string[] = [];

  const archiveRef = (n: number): string =>
    formatRef({ kind: "archive", vault: vault.ref, replica: own.replica, n });
  const seal = async (filling: Filling): Promise<void> => {
    if (filling.entries.length === 0) return;
    const { n, tip, folders, parents, entries } = filling;
    const commit = await context.db.commit({ parents, files: [...folders.values()].flat(), when });
    const trees = await context.db.folders(commit);
    for (const entry of entries) put.push({ ...entry, a: { n, t: trees.get(entry.d)! } });
    updates.push({ ref: archiveRef(n), from: tip, to: commit });
  };

  const newest = Math.max(0, ...own.entries.flatMap((entry) => (entry.a ? [entry.a.n] : [])));
  let filling = await openArchive(context, newest, local.get(archiveRef(newest)) ?? null, own.entries);
  for (const entry of due) {
    const ref = formatRef({ kind: "session", vault: vault.ref, dir: entry.d, replica: own.replica });
    const stored = await localCopy(
      vault,
      { replica: own.replica, device: vault.device.id, entry, ref },
      local,
    );
    if (!stored?.commit) continue;
    const bytes = entry.b / usualRatio;
    const full =
      filling.folders.size >= archiveSessions ||
      filling.objects + stored.files.size > archiveObjects ||
      filling.bytes + bytes > archiveBytes;
    if (full && filling.folders.size > 0) {
      await seal(filling);
      const n = filling.n + 1;
      filling = await openArchive(context, n, local.get(archiveRef(n)) ?? null, own.entries);
    }
    // An earlier copy of the same session, from before it was taken up again, gives way.
    const files = [...stored.files].map(
      ([path, content]): NewFile => ({ path: `${entry.d}/${path}`, content }),
    );
    filling.folders.set(entry.d, files);
    filling.parents.push(stored.commit);
    filling.entries.push(entry);
    filling.bytes += bytes;
    filling.objects += files.length;
    updates.push({ ref, from: stored.commit, to: null });
    gone.push(ref);
  }
  await seal(filling);
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
  // All pages are new: a device that comes to this later must not fetch the old ones as well.
  await writeIndex(context, vault, { heads, replica: own.replica, when, change, updates, cut: true });
  return put.length;
}

async function openArchive(
  context: Context,
  n: number,
  tip: Oid | null,
  known: readonly Entry[],
): Promise<Filling> {
  const folders = new Map<string, NewFile[]>();
  const files = tip ? await context.db.files(tip) : new Map<string, Oid>();
  for (const [path, content] of files) {
    const dir = path.slice(0, path.indexOf("/"));
    folders.set(dir, [...(folders.get(dir) ?? []), { path, content }]);
  }
  const inside = known.filter((entry) => entry.a?.n === n);
  const bytes = inside.reduce((sum, entry) => sum + entry.b / usualRatio, 0);
  return { n, tip, folders, parents: tip ? [tip] : [], entries: [], bytes, objects: files.size };
}
