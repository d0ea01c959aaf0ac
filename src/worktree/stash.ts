import type { Git } from "../git/git.ts";

/** Work that was put aside. */
export interface Aside {
  /** The stash commit. */
  readonly commit: string;
}

/** Puts changes of tracked files aside, as `git stash` does; untracked files stay. Null when there were none. */
export async function putAside(git: Git, message: string): Promise<Aside | null> {
  const before = await stashTip(git);
  await git.run(["stash", "push", "--quiet", "--message", message]);
  const commit = await stashTip(git);
  return commit && commit !== before ? { commit } : null;
}

async function stashTip(git: Git): Promise<string | null> {
  const { code, stdout } = await git.run(["rev-parse", "--verify", "--quiet", "refs/stash"], {
    okCodes: [0, 1],
  });
  return code === 0 ? stdout.toString().trim() : null;
}

/**
 * Takes work back where that cannot conflict: no path of it was changed between the commit it was made on and HEAD.
 * Else it stays in the stash, and the answer is false.
 */
export async function takeBack(git: Git, { commit }: Aside): Promise<boolean> {
  const changed = async (from: string, to: string): Promise<string[]> =>
    git.lines0(["diff-tree", "-r", "-z", "--name-only", "--no-renames", from, to]);
  const moved = new Set(await changed(`${commit}^1`, "HEAD"));
  const mine = [...(await changed(`${commit}^1`, commit)), ...(await changed(`${commit}^1`, `${commit}^2`))];
  if (mine.some((path) => moved.has(path))) return false;
  if (!(await applyStash(git, commit))) return false;
  // Whoever stashed something else in the meantime keeps it.
  if ((await stashTip(git)) === commit) await git.run(["stash", "drop", "--quiet"]);
  return true;
}

/** Applies a stash commit, what was staged as staged; false where git refuses. */
export async function applyStash(git: Git, commit: string): Promise<boolean> {
  // git patches the index with `git apply`, which would mend, or not look at, white space as its user has set.
  const asItIs = ["-c", "apply.whitespace=nowarn", "-c", "apply.ignoreWhitespace=no"];
  return (await git.code([...asItIs, "stash", "apply", "--quiet", "--index", commit])) === 0;
}
