import { join } from "node:path";
import * as v from "valibot";
import { allEntries, headSchema, pageSchema } from "../domains/head.ts";
import type { ReplicaHead } from "../domains/reader.ts";
import type { Oid } from "../refs/object-database.ts";
import { readCache, writeCache } from "./files.ts";
import type { Context } from "./repository.ts";

/**
 * Heads that were opened and authenticated before, by the commit that holds them: a commit's name vouches for
 * its content, so that opening it again can only give the same. What a head is worth is judged anew each time.
 */
const cachedHead = v.object({
  v: v.literal(1),
  commit: v.string(),
  hash: v.string(),
  head: headSchema,
  pages: v.array(pageSchema),
});

const pathOf = (context: Context, repo: string, replica: string): string =>
  join(context.cacheDir, "heads", repo, `${replica}.json`);

/** The head as it was opened before, or null. */
export async function cachedReplicaHead(
  context: Context,
  repo: string,
  replica: string,
  commit: Oid,
): Promise<ReplicaHead | null> {
  const known = await readCache(pathOf(context, repo, replica), cachedHead);
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
  await writeCache(pathOf(context, repo, replica), JSON.stringify({ v: 1, commit, hash, head, pages }));
}
