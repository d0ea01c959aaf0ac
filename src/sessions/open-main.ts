import { dirname } from "node:path";
import { ConvosyncError } from "../errors.ts";
import { withoutRepository } from "../git/environment.ts";
import { type Context, openRepository, type World } from "./repository.ts";

/**
 * The repository as seen from a work tree of this clone. Null when that has gone, or is another clone's by now: a
 * work tree that was removed takes no conversation with it, as the next event of another one shows.
 */
export async function openAt(world: World, commonDir: string, path: string): Promise<Context | null> {
  // A repository that only GIT_DIR and GIT_WORK_TREE tie to its files is found by them alone.
  for (const env of [withoutRepository(world.env), world.env]) {
    const context = await openRepository({ ...world, cwd: path, env }).catch((error) => {
      const gone = error instanceof ConvosyncError && ["not-a-repository", "no-folder"].includes(error.code);
      if (gone) return null;
      throw error;
    });
    if (context?.repo.commonDir === commonDir) return context;
    await context?.close();
  }
  return null;
}

/** The clone as such, from whichever of its folders exists. */
export async function openMain(world: World, commonDir: string): Promise<Context | null> {
  const besides = dirname(commonDir);
  return (await openAt(world, commonDir, besides)) ?? (await openAt(world, commonDir, commonDir));
}
