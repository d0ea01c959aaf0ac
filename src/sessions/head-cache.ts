import { join } from "node:path";
import { allEntries } from "../domains/head.ts";
import type { ReplicaHead } from "../domains/replica-heads.ts";
import type { Oid } from "../refs/object-database.ts";
import { readChecked, writeChecked } from "./files.ts";
import type { Context } from "./repository.ts";

/**
 * Heads that were opened and authenticated before, by the commit that holds them: a commit's name vouches for
 * its content, so that opening it again can only give the same. What a head is worth is judged anew each time.
 */
type CachedHead = Pick<ReplicaHead, "commit" | "hash" | "head" | "pages">;

const pathOf = (context: Context, repo: string, replica: string): string =>
  join(context.cacheDir, "heads", repo, `${replica}.json`);

/** The head as it was opened before, or null. */
export async function cachedReplicaHead(
  context: Context,
  repo: string,
  replica: string,
  commit: Oid,
): Promise<ReplicaHead | null> {
  const known = await readChecked<CachedHead>(pathOf(context, repo, replica));
  if (!known || known.commit !== commit || known.head.replica !== replica || known.head.repo !== repo)
    return null;
  const { head, hash, pages } = known;
  return { replica, commit, head, hash, pages, entries: allEntries(head, pages) };
}

export async function rememberReplicaHead(
  context: Context,
  repo: string,
  opened: ReplicaHead,
): Promise<void> {
  const { replica, commit, head, hash, pages } = opened;
  const cached: CachedHead = { commit, hash, head, pages };
  await writeChecked(pathOf(context, repo, replica), cached);
}
