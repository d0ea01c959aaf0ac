import type { Git } from "../git/git.ts";
import { cumulativePatchId, patchIdOf } from "./patch-id.ts";

/** A commit as a link records it, without the line from which on it holds. */
export interface LinkedCommit {
  readonly commit: string;
  readonly branch: string | null;
  readonly tree: string;
  readonly parent: string | null;
  readonly authorDate: string;
  readonly authorEmail: string;
  readonly patchId: string | null;
  /** Where its branch left the main one; null on the main one itself. */
  readonly base: string | null;
  /** Of all the branch changed since then, as one change. */
  readonly cumulativePatchId: string | null;
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
  const [[header, ...paths], patchId, whole] = await Promise.all([
    git.lines0(["show", "--name-only", "-z", "--no-show-signature", "--format=%T%n%P%n%aI%n%ae", commit]),
    patchIdOf(git, commit),
    wholeBranch(git, commit, branch),
  ]);
  const [tree = "", parents = "", authorDate = "", authorEmail = ""] = (header ?? "").split("\n");
  return {
    commit,
    branch,
    tree,
    parent: parents.split(" ")[0] || null,
    authorDate,
    authorEmail,
    patchId,
    ...whole,
    modified: paths
      .map((path) => path.replace(/^\n/, ""))
      .filter((path) => path !== "")
      .slice(0, modifiedLimit),
    rewritten: [],
  };
}

const mainBranches = [
  "refs/remotes/*/HEAD",
  "refs/remotes/*/main",
  "refs/remotes/*/master",
  "refs/heads/main",
  "refs/heads/master",
];

/** What a squash merge of the branch would be known by. */
async function wholeBranch(
  git: Git,
  commit: string,
  branch: string | null,
): Promise<Pick<LinkedCommit, "base" | "cumulativePatchId">> {
  const none = { base: null, cumulativePatchId: null };
  if (branch === null || branch === "main" || branch === "master") return none;
  const refs = (await git.text(["for-each-ref", "--format=%(refname)", ...mainBranches])).split("\n");
  const main =
    refs.find((ref) => ref.endsWith("/HEAD")) ??
    refs.find((ref) => ref.startsWith("refs/remotes/")) ??
    refs[0];
  if (!main || main === `refs/heads/${branch}`) return none;
  const found = await git.run(["merge-base", main, commit], { okCodes: "any" });
  const base = found.code === 0 ? found.stdout.toString().trim() : "";
  if (base === "" || base === commit) return none;
  return { base, cumulativePatchId: await cumulativePatchId(git, base, commit) };
}
