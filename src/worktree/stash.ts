import type { Git } from "../git/git.ts";

/** Work that was put aside. */
export interface Aside {
  /** The stash commit. */
  readonly commit: string;
  /** Paths that were only meant to be added. */
  readonly intended: readonly string[];
}

/** Puts changes of tracked files aside, as `git stash` does; untracked files stay. Null when there were none. */
export async function putAside(git: Git, message: string): Promise<Aside | null> {
  const before = await stashTip(git);
  // Files that are only meant to be added, as which no others show here, are untracked until then: git refuses to stash them.
  const intended = await git.lines0(["diff-files", "-z", "--name-only", "--no-renames", "--diff-filter=A"]);
  await unmark(git, intended);
  let commit: string | null = null;
  try {
    await git.run(["stash", "push", "--quiet", "--message", message]);
    commit = await stashTip(git);
  } finally {
    if (commit === null || commit === before) await intendToAdd(git, intended);
  }
  return commit && commit !== before ? { commit, intended } : null;
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
export async function takeBack(git: Git, { commit, intended }: Aside): Promise<boolean> {
  const changed = async (from: string, to: string): Promise<string[]> =>
    git.lines0(["diff-tree", "-r", "-z", "--name-only", "--no-renames", from, to]);
  const moved = new Set(await changed(`${commit}^1`, "HEAD"));
  const mine = [...(await changed(`${commit}^1`, commit)), ...(await changed(`${commit}^1`, `${commit}^2`))];
  if (mine.some((path) => moved.has(path))) return false;
  if (!(await applyStash(git, commit))) return false;
  await intendToAdd(git, intended);
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

/** Marks files as `git add --intent-to-add` does, which git keeps in no commit of an index. */
export async function intendToAdd(git: Git, paths: readonly string[]): Promise<void> {
  await unmark(git, paths);
  const add = ["--literal-pathspecs", "add", "--intent-to-add", "--sparse", "--force", ...listed];
  if (paths.length > 0) await git.run(add, { input: paths.join("\0") });
}

async function unmark(git: Git, paths: readonly string[]): Promise<void> {
  const remove = ["update-index", "--force-remove", "-z", "--stdin"];
  if (paths.length > 0) await git.run(remove, { input: paths.join("\0") });
}

/** The paths come on the standard input. */
export const listed = ["--pathspec-from-file=-", "--pathspec-file-nul"];
