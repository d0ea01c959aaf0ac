import { readHead } from "../domains/replica-heads.ts";
import type { Vault } from "../domains/sealed-objects.ts";
import { formatRef } from "../refs/names.ts";
import type { Oid } from "../refs/object-database.ts";
import { allQueues, isOf } from "./queue.ts";
import type { Context } from "./repository.ts";

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
