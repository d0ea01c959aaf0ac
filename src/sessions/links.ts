import type { Git } from "../git/git.ts";
import type { Link } from "../packing/manifest.ts";
import { cumulativePatchId, patchIdOf } from "./patch-id.ts";

/** A commit with the line of the main stream from which on the work tree was at it. */
export interface TimedLink {
  readonly upto: number;
  /** Generation of the main stream, where it is not the first. */
  readonly gen?: number;
  readonly link: LinkedCommit;
}

/** Name of a commit → names that rewrites (amend, rebase, squash) gave it since. */
export type Rewrites = ReadonlyMap<string, readonly string[]>;

/**
 * The timeline with new commits at its end and with the new names of rewritten ones. A commit it ends with is not
 * repeated, no link goes back before the one before it, and what is unchanged stays the same object. Pure.
 */
export function extendLinks(
  before: readonly Link[],
  found: readonly TimedLink[],
  rewrites: Rewrites = new Map(),
): Link[] {
  const links: Link[] = [...before];
  for (const { upto, gen = 0, link } of found) {
    const last = links.at(-1);
    if (last && last.commit === link.commit && last.branch === link.branch) continue;
    const least = last && (last.gen ?? 0) === gen ? last.upto : 0;
    links.push({ upto: Math.max(upto, least), ...(gen > 0 && { gen }), ...link });
  }
  return rewriteLinks(links, rewrites);
}

/** Links whose commit, or whose latest name, was rewritten get the new name too; the others stay the same objects. */
export function rewriteLinks(links: readonly Link[], rewrites: Rewrites): Link[] {
  if (rewrites.size === 0) return [...links];
  return links.map((link) => {
    const names = new Set(link.rewritten);
    // A rewrite of a rewrite comes later in the list: what was added on the way is looked at too.
    for (const name of [link.commit, ...names]) follow(name, names, rewrites);
    names.delete(link.commit);
    return names.size === link.rewritten.length ? link : { ...link, rewritten: [...names] };
  });
}

function follow(name: string, names: Set<string>, rewrites: Rewrites): void {
  for (const next of rewrites.get(name) ?? []) {
    if (names.has(next)) continue;
    names.add(next);
    follow(next, names, rewrites);
  }
}

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
