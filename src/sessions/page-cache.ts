import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { PageCache } from "../domains/sealed-objects.ts";
import type { ManifestPage } from "../packing/manifest.ts";
import { readChecked, writeChecked } from "./files.ts";
import type { Context } from "./repository.ts";

type CachedPages = readonly (readonly [string, ManifestPage])[];

const folderOf = (context: Context, repo: string): string => join(context.cacheDir, "pages", repo);

/**
 * The pages of manifests as they were opened before, a file for each version of a session: a save of a session that was
 * saved 200 times would open 30 of them else, each for a millisecond.
 */
export function pageCache(context: Context, repo: string): PageCache {
  const pathOf = (dir: string, replica: string): string =>
    join(folderOf(context, repo), `${dir}-${replica}.json`);
  return {
    load: async (dir, replica) => new Map(await readChecked<CachedPages>(pathOf(dir, replica))),
    keep: (dir, replica, pages) => {
      context.chores.later(() => writeChecked(pathOf(dir, replica), [...pages]));
    },
  };
}

/** For who is to look at everything once more. */
export const noPageCache: PageCache = { load: async () => new Map(), keep: () => undefined };

/** Forgets the pages of sessions that are deleted, by their names in refs. */
export async function forgetPages(context: Context, repo: string, dirs: ReadonlySet<string>): Promise<void> {
  // Some may be about to be kept.
  await context.chores.do();
  const folder = folderOf(context, repo);
  const names = await readdir(folder).catch(() => []);
  for (const name of names) {
    if (dirs.has(name.slice(0, name.indexOf("-")))) await rm(join(folder, name), { force: true });
  }
}
