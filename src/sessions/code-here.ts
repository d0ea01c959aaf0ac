import { dirname } from "node:path";
import { homeOf } from "../user-directories.ts";
import { type CodeState, inspectCode } from "../worktree/code-state.ts";
import { isWithin } from "./real-paths.ts";
import type { Context } from "./repository.ts";

/** Why what git does not track here is none of this repository's. */
export type Untracked = "hidden" | "home";

/**
 * `hidden`: the user has git not look at it (`status.showUntrackedFiles=no`, as with dotfiles in a bare repository).
 * `home`: the work tree holds the home directory, and what lies there is no more the repository's than that of any other.
 */
export function untrackedApart({ config, repo, world }: Context): Untracked | null {
  const shown = config.get("status.showuntrackedfiles")?.at(-1)?.toLowerCase();
  if (shown !== undefined && ["no", "false", "off", "0"].includes(shown)) return "hidden";
  return repo.root !== null && isWithin(homeOf(world.env), repo.root) ? "home" : null;
}

/** Whether a file would be taken along by whoever commits all that is new in the work tree. */
export async function mayBeCommitted(context: Context, path: string): Promise<boolean> {
  const { root } = context.repo;
  if (root === null || untrackedApart(context) !== null || !isWithin(dirname(path), root)) return false;
  return (await context.git.code(["check-ignore", "--quiet", "--", path])) !== 0;
}

/** The state of the user's code, of untracked files only those that may be this repository's. */
export const lookAtCode = (context: Context): Promise<CodeState> =>
  inspectCode(context.git, context.repo, { untracked: untrackedApart(context) === null });
