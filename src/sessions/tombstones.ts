import { buried, type Entry, lastUse, type Tombstone } from "../domains/head.ts";
import { parseRef, vaultPrefix } from "../refs/names.ts";
import type { NewFile, RefUpdate } from "../refs/object-database.ts";
import { type CatalogEntry, type Copy, catalog, type Heads, refOf, tombstonesOf } from "./catalog.ts";
import { writeIndex } from "./index-writer.ts";
import { forgetPages } from "./page-cache.ts";
import { updateQueue } from "./queue.ts";
import type { Context } from "./repository.ts";
import { forgetIndexed, keepIndexed } from "./search-index.ts";
import type { OpenVault } from "./vault.ts";

/**
 * Buries sessions: their refs go, of all replicas, here and with the next push on the remote; they leave this
 * replica's archives; and its head carries tombstones that every device honours. Copies in other replicas'
 * archives are theirs to drop, which they do when they see the tombstone. `tombstones` are those that are repeated,
 * `spared` refs that stay.
 */
export async function bury(
  context: Context,
  vault: OpenVault,
  heads: Heads,
  replica: string,
  sessions: readonly Pick<CatalogEntry, "key" | "copies">[],
  remote: string | null,
  tombstones: ReadonlyMap<string, Tombstone> = new Map(),
  spared: ReadonlySet<string> = new Set(),
): Promise<void> {
  const when = context.world.now();
  const dirs = new Set(sessions.flatMap((one) => one.copies.map((copy) => copy.entry.d)));
  const refs = sessions
    .flatMap((one) => one.copies.map((copy) => copy.ref))
    .filter((ref) => inDirs(ref, dirs));
  const updates = [
    ...(await dropRefs(context, vault, dirs, spared)),
    ...(await dropFromArchives(context, vault, replica, dirs)),
  ];
  const emptied = updates.filter(({ ref, to }) => to === null && parseRef(ref)?.kind === "archive");
  if (remote) {
    await updateQueue(context, remote, (queue) => {
      for (const ref of [...refs, ...emptied.map((one) => one.ref)]) {
        queue.deletions[ref] = when.toISOString();
        delete queue.confirmed[ref];
      }
    });
  }
  await forgetIndexed(context, vault.repo, dirs);
  await forgetPages(context, vault.repo, dirs);
  const keys = new Map(sessions.map(({ key }) => [key, tombstones.get(key) ?? { at: when.toISOString() }]));
  const change = () => ({ bury: keys, rebuild: true });
  await writeIndex(context, vault, { heads, replica, when, change, updates, cut: true });
}

/**
 * Honours other devices' tombstones: drops this clone's copies of what they deleted, and buries it in this
 * replica's own index too. Nothing is revived; a session that was saved again on purpose carries a later mark than
 * its tombstone.
 */
export async function buryDeleted(
  context: Context,
  vault: OpenVault,
  heads: Heads,
  remote: string | null,
): Promise<void> {
  const tombstones = tombstonesOf(heads.all);
  if (tombstones.size === 0) return;
  const living = catalog(heads, vault);
  const alive = new Set(living.flatMap((one) => one.copies.map((copy) => copy.ref)));
  if (remote) {
    await keepRefs(context, remote, alive);
    await sendAgain(context, remote, living, heads);
  }
  const dead = new Map<string, Copy[]>();
  for (const one of heads.all) {
    for (const entry of one.entries) {
      if (!buried(entry, tombstones.get(entry.s))) continue;
      const ref = refOf(vault.ref, one.replica, entry);
      const copy = { replica: one.replica, device: one.head.device, entry, ref };
      dead.set(entry.s, [...(dead.get(entry.s) ?? []), copy]);
    }
  }
  const own = heads.own;
  const sessions = [...dead].map(([key, copies]) => ({ key, copies }));
  const ours = sessions.filter(({ copies }) => copies.some((copy) => copy.replica === own?.replica));
  if (own && ours.length > 0) await bury(context, vault, heads, own.replica, ours, remote, tombstones, alive);
  const dirs = new Set(sessions.flatMap(({ copies }) => copies.map((copy) => copy.entry.d)));
  await keepIndexed(context, vault.repo, new Set(living.map((one) => one.newest.entry.d)));
  await forgetPages(context, vault.repo, dirs);
  const updates = await dropRefs(context, vault, dirs, alive);
  if (updates.length > 0) await context.db.update(updates);
}

/** Takes back the deletion, not sent yet, of what another device has gone on with in the meantime. */
async function keepRefs(context: Context, remote: string, alive: ReadonlySet<string>): Promise<void> {
  await updateQueue(context, remote, (queue) => {
    for (const ref of Object.keys(queue.deletions)) if (alive.has(ref)) delete queue.deletions[ref];
  });
}

/**
 * Has copies of this replica sent once more that outlived a deletion elsewhere: it may have taken their refs from the
 * remote, which had confirmed them before. Where it has not, that changes nothing.
 */
async function sendAgain(
  context: Context,
  remote: string,
  living: readonly CatalogEntry[],
  { replica, others }: Heads,
): Promise<void> {
  // Each replica that buries a session removes refs of it, whenever it comes to push that.
  const deletions = new Map<string, string[]>();
  for (const { replica: by, head } of others) {
    for (const [session, at] of head.gone)
      deletions.set(session, [...(deletions.get(session) ?? []), `${by} ${at}`]);
  }
  const outlived = new Map<string, string>();
  for (const { key, copies } of living) {
    const own = copies.find((one) => one.replica === replica && !one.entry.a);
    const by = deletions.get(key);
    if (own && by) outlived.set(own.ref, by.sort().join());
  }
  await updateQueue(context, remote, (queue) => {
    for (const [ref, by] of outlived) if (queue.outlived?.[ref] !== by) delete queue.confirmed[ref];
    if (outlived.size > 0) queue.outlived = Object.fromEntries(outlived);
    else delete queue.outlived;
  });
}

/** Whether a ref is a replica's copy of one of these sessions, named by their directories. */
function inDirs(ref: string, dirs: ReadonlySet<string>): boolean {
  const name = parseRef(ref);
  return name?.kind === "session" && dirs.has(name.dir);
}

async function dropRefs(
  context: Context,
  vault: OpenVault,
  dirs: ReadonlySet<string>,
  spared: ReadonlySet<string>,
): Promise<RefUpdate[]> {
  const local = await context.db.refs(vaultPrefix(vault.ref));
  return [...local]
    .filter(([ref]) => inDirs(ref, dirs) && !spared.has(ref))
    .map(([ref, from]): RefUpdate => ({ ref, from, to: null }));
}

/** Writes this replica's archives anew without these sessions: as re-roots, so that the bytes become unreachable. */
async function dropFromArchives(
  context: Context,
  vault: OpenVault,
  replica: string,
  dirs: ReadonlySet<string>,
): Promise<RefUpdate[]> {
  const updates: RefUpdate[] = [];
  for (const [ref, from] of await context.db.refs(`${vaultPrefix(vault.ref)}archive/${replica}/`)) {
    const all = await context.db.files(from);
    const files = [...all].map(([path, content]): NewFile => ({ path, content }));
    const kept = files.filter(({ path }) => !dirs.has(path.slice(0, path.indexOf("/"))));
    if (kept.length === files.length) continue;
    const when = context.world.now();
    const to = kept.length === 0 ? null : await context.db.commit({ parents: [], files: kept, when });
    updates.push({ ref, from, to });
  }
  return updates;
}

/**
 * The tombstones of sessions that are brought back, to be stated with them: copies that were deleted stay so, wherever
 * their refs are gone by now. One that went on, on a device nobody had heard of, is alive.
 */
export function overridden(heads: Heads, keys: readonly string[]): Map<string, Tombstone> {
  const tombstones = tombstonesOf(heads.all);
  const found = new Map<string, Tombstone>();
  for (const key of keys) {
    const tombstone = tombstones.get(key);
    if (!tombstone) continue;
    const dead = entriesOf(heads, key).filter((entry) => buried(entry, tombstone));
    const upto = dead.map(lastUse).sort().at(-1) ?? tombstone.upto ?? tombstone.at;
    found.set(key, { at: tombstone.at, upto });
  }
  return found;
}

const entriesOf = (heads: Heads, key: string): Entry[] =>
  heads.all.flatMap(({ entries }) => entries.filter((one) => one.s === key));
