import type { Git } from "../git/git.ts";

/** A commit as a link records it, without the line from which on it holds. */
export interface LinkedCommit {
  readonly commit: string;
  readonly branch: string | null;
  readonly tree: string;
  readonly parent: string | null;
  readonly authorDate: string;
  readonly authorEmail: string;
  readonly patchId: null;
  readonly modified: string[];
  readonly rewritten: string[];
}

/** Most paths a link names; a vendored import must not make every later save heavier. */
const modifiedLimit = 50;

/**
 * What identifies a commit beyond its name, so that the link between conversation and code can be found again
 * after an amend, a rebase or a squash (docs/format.md).
 */
export async function describeCommit(git: Git, commit: string, branch: string | null): Promise<LinkedCommit> {
  const [header, ...paths] = await git.lines0([
    "show",
    "--name-only",
    "-z",
    "--no-show-signature",
    "--format=%T%n%P%n%aI%n%ae",
    commit,
  ]);
  const [tree = "", parents = "", authorDate = "", authorEmail = ""] = (header ?? "").split("\n");
  return {
    commit,
    branch,
    tree,
    parent: parents.split(" ")[0] || null,
    authorDate,
    authorEmail,
    patchId: null,
    modified: paths
      .map((path) => path.replace(/^\n/, ""))
      .filter((path) => path !== "")
      .slice(0, modifiedLimit),
    rewritten: [],
  };
}
