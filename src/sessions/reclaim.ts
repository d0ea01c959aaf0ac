import { existsSync } from "node:fs";
import { type ReplicaHead, readHead } from "../domains/replica-heads.ts";
import type { Vault } from "../domains/sealed-objects.ts";
import { formatRef, vaultPrefix } from "../refs/names.ts";
import type { Oid } from "../refs/object-database.ts";
import type { Heads } from "./catalog.ts";
import { isHere, partsOf } from "./holdings.ts";
import { type CloneIdentity, cloneIdentity } from "./key-store.ts";
import { allQueues, isOf } from "./queue.ts";
import type { Context } from "./repository.ts";
import type { OpenVault } from "./vault.ts";

/** The newest index that a clone has written, as its device remembers it. */
export interface OwnMark {
  readonly replica: string;
  /** SHA-256 of the signed line. */
  readonly hash: string;
}

/**
 * Puts this clone's refs right after somebody has put them back or removed them: a `git fetch` with a refspec that covers
 * them (a mirror, or one that the user added), `git update-ref`, a `.git` out of a backup. What was last sent, or tried to,
 * says where they were; as long as git has the objects nothing is lost. Else the clone goes on as a new replica: under its old
 * name it would sign a second state with the same number, or take back what others have seen. What was saved and not sent
 * is then read from the agent once more.
 */
export async function reclaim(
  context: Context,
  vault: Vault & { readonly ref: string },
  mark: OwnMark,
): Promise<void> {
  const head = formatRef({ kind: "head", vault: vault.ref, replica: mark.replica });
  for (const { confirmed, sent, deletions } of await allQueues(context)) {
    const refs = new Map(
      Object.entries({ ...confirmed, ...sent }).filter(
        ([ref]) => isOf(ref, mark.replica) && deletions[ref] === undefined,
      ),
    );
    const commit = refs.get(head);
    if (commit === undefined) continue;
    const found = await readHead(vault, mark.replica, commit).catch(() => null);
    if (found?.hash === mark.hash && (await moved(context, refs))) return;
  }
  await context.keys.update((state) => {
    const repo = state.repos[vault.repo];
    if (!repo) return;
    repo.clones = repo.clones.filter((one) => one.replica !== mark.replica);
    // It may never have left this clone, so that no remote will ever show it.
    delete repo.heads[mark.replica];
  });
}

/**
 * Has a clone that has written nothing go on as one whose directory is no more, where it has all that this one wrote: what
 * was copied to another disk and removed, or put back from a copy in its place, is still the same clone, with what it has
 * not sent. While both are there the copy is another one. Whether it is.
 */
export async function takeUp(context: Context, vault: OpenVault, { others }: Heads): Promise<boolean> {
  const here = cloneIdentity(context.repo.commonDir);
  const { clones = [], heads = {} } = (await context.keys.state()).repos[vault.repo] ?? {};
  const gone = new Map(clones.filter((one) => isGone(one, here)).map((one) => [one.replica, one]));
  const refs = gone.size > 0 ? await context.db.refs(vaultPrefix(vault.ref)) : new Map<string, Oid>();
  for (const one of others) {
    const before = gone.get(one.replica);
    if (!before || heads[one.replica]?.hash !== one.hash) continue;
    if (!(await hasAll(vault, one, refs))) continue;
    let isTaken = false;
    await context.keys.update((state) => {
      const repo = state.repos[vault.repo];
      const known = repo?.clones.find(({ replica }) => replica === one.replica);
      isTaken = known !== undefined && known.dir === before.dir && known.born === before.born;
      if (repo && isTaken)
        repo.clones = [...repo.clones.filter((clone) => clone !== known), { replica: one.replica, ...here }];
    });
    return isTaken;
  }
  return false;
}

const isGone = ({ dir }: CloneIdentity, here: CloneIdentity): boolean => dir === here.dir || !existsSync(dir);

async function hasAll(vault: OpenVault, one: ReplicaHead, refs: ReadonlyMap<string, Oid>): Promise<boolean> {
  const parts = partsOf(vault, one);
  if (!parts.every(({ ref }) => refs.has(ref))) return false;
  for (const part of parts) if (!(await isHere(vault, one, part, refs))) return false;
  return true;
}

/** Moves all refs, or none where git lacks an object. */
async function moved(context: Context, refs: ReadonlyMap<string, Oid>): Promise<boolean> {
  const local = await context.db.refs(...refs.keys());
  const updates = [...refs]
    .map(([ref, to]) => ({ ref, to, from: local.get(ref) ?? null }))
    .filter(({ to, from }) => to !== from);
  return context.db.update(updates).then(
    () => true,
    () => false,
  );
}
