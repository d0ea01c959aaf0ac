import type { Git } from "../git/git.ts";
import type { Link } from "../packing/manifest.ts";
import type { Oid } from "../refs/object-database.ts";
import { patchIdsOf } from "./patch-id.ts";

/**
 * Where the commit of a link is now. Its name is lost when history is rewritten (amend, rebase, squash, a merge on
 * the server), so it is looked for by what survives each of those, the surest first (docs/format.md, section 10).
 */
export interface Resolution {
  readonly commit: Oid;
  readonly how: HowResolved;
}

export type HowResolved =
  /** It is there under its own name. */
  | "itself"
  /** A hook recorded what it became. */
  | "rewritten"
  /** The one commit with its author date and address, committed anew since. */
  | "author"
  /** The one commit with its content. */
  | "tree"
  /** The one commit with its change. */
  | "patch"
  /** The one commit with the change of its whole branch. */
  | "squash"
  /** It is gone; this is the nearest commit before it that is left. */
  | "ancestor";

/** What is asked of a link; links of a conversation have more. */
type Known = Pick<
  Link,
  "commit" | "tree" | "parent" | "authorDate" | "authorEmail" | "patchId" | "branch" | "rewritten"
> &
  Partial<Pick<Link, "upto" | "base" | "cumulativePatchId">>;

/** A commit that branches, tags or HEAD lead to. */
export interface Candidate {
  readonly commit: Oid;
  readonly tree: string;
  /** Seconds. */
  readonly authored: number;
  /** Seconds. */
  readonly committed: number;
  readonly email: string;
  /** HEAD leads to it. */
  readonly onHead: boolean;
}

/** Finds the commit of a link in the repository as it is now; null when nothing of it is left. */
export async function resolveCommit(
  git: Git,
  link: Known,
  links: readonly Known[] = [link],
): Promise<Resolution | null> {
  return (await openCommitFinder(git, links)).resolve(link);
}

export interface CommitFinder {
  resolve(link: Known): Promise<Resolution | null>;
  /** Whether `commit` is, or comes before, `tip`. */
  leadsTo(commit: Oid, tip: Oid): Promise<boolean>;
}

/** So far back changes are compared; that costs some milliseconds per commit. */
const comparedCommits = 500;
const daySeconds = 86_400;

/** Looks at the repository once for all links of a conversation. */
export async function openCommitFinder(git: Git, links: readonly Known[]): Promise<CommitFinder> {
  const tips = ["--branches", "--remotes", "--tags", ...((await hasHead(git)) ? ["HEAD"] : [])];
  const oldest = Math.min(...links.map((one) => secondsOf(one.authorDate)).filter(Number.isFinite));
  // A rewritten commit is committed later than it was written. A day makes up for clocks that disagree.
  const since = Number.isFinite(oldest) ? [`--since=${Math.max(0, oldest - daySeconds)}`] : [];
  const candidates = await candidatesOf(git, [...since, ...tips]);
  const byName = new Map(candidates.map((one) => [one.commit, one]));
  let changes: Promise<Map<string, Oid[]>> | null = null;
  const leadsTo = async (commit: Oid, tip: Oid): Promise<boolean> =>
    (await git.code(["merge-base", "--is-ancestor", commit, tip])) === 0;
  const reachable = async (commit: Oid): Promise<boolean> => byName.has(commit) || isReachable(git, commit);
  const unique = async ({ parent }: Known, found: readonly Candidate[]): Promise<Oid | null> => {
    // A branch that was rebased and one that was not may both be here: what HEAD leads to is what is worked on.
    const onHead = found.filter((one) => one.onHead);
    const [one, ...others] = found.length > 1 ? onHead : found;
    if (!one || others.length > 0) return null;
    // What was there before the commit was is not what became of it, however alike they are.
    return parent !== null && (await leadsTo(one.commit, parent)) ? null : one.commit;
  };
  const named = (commits: readonly Oid[]): Candidate[] => commits.flatMap((one) => byName.get(one) ?? []);

  async function resolve(link: Known): Promise<Resolution | null> {
    if (await reachable(link.commit)) return { commit: link.commit, how: "itself" };
    for (const commit of rewritesOf(link, links).reverse()) {
      if (await reachable(commit)) return { commit, how: "rewritten" };
    }
    const author = await unique(link, sameAuthor(link, candidates));
    if (author) return { commit: author, how: "author" };
    const tree = await unique(
      link,
      candidates.filter((one) => one.tree === link.tree),
    );
    if (tree) return { commit: tree, how: "tree" };
    const branch = wholeBranch(link, links);
    if (link.patchId || branch.length > 0) {
      changes ??= (await isPartial(git))
        ? Promise.resolve(new Map())
        : patchIdsOf(git, [`--max-count=${comparedCommits}`, ...since, ...tips]);
      const known = await changes;
      const patch = link.patchId ? await unique(link, named(known.get(link.patchId) ?? [])) : null;
      if (patch) return { commit: patch, how: "patch" };
      for (const id of branch) {
        const squash = await unique(link, named(known.get(id) ?? []));
        if (squash) return { commit: squash, how: "squash" };
      }
    }
    const ancestor = await nearestAncestor(git, link, links, tips, reachable);
    return ancestor ? { commit: ancestor, how: "ancestor" } : null;
  }
  return { resolve, leadsTo };
}

/** All names a commit was given by rewriting, in the order they were given. */
export function rewritesOf(link: Known, links: readonly Known[]): Oid[] {
  const found = new Set<Oid>();
  const queue: Oid[] = [link.commit];
  for (const name of queue) {
    for (const { commit, rewritten } of links) {
      if (commit !== name) continue;
      for (const next of rewritten) {
        if (found.has(next) || next === link.commit) continue;
        found.add(next);
        queue.push(next);
      }
    }
  }
  return [...found];
}

/**
 * Rewriting keeps the author's date and sets the committer's. Where both are the same, a commit was never rewritten: it
 * is another one of the same second, as scripts and agents make them.
 */
function sameAuthor(link: Known, candidates: readonly Candidate[]): Candidate[] {
  const authored = secondsOf(link.authorDate);
  return candidates.filter(
    (one) => one.authored === authored && one.committed > authored && one.email === link.authorEmail,
  );
}

/**
 * Changes of the branch as a whole, as they stood with this link and with later ones of the same branch: when the
 * branch was squashed, what came after this commit was in it too.
 */
function wholeBranch(link: Known, links: readonly Known[]): string[] {
  const later = links.filter(
    (one) =>
      one !== link &&
      one.branch === link.branch &&
      one.base != null &&
      one.base === link.base &&
      (one.upto ?? 0) >= (link.upto ?? 0),
  );
  return [link, ...later.reverse()].flatMap((one) => one.cumulativePatchId ?? []);
}

async function nearestAncestor(
  git: Git,
  link: Known,
  links: readonly Known[],
  tips: readonly string[],
  reachable: (commit: Oid) => Promise<boolean>,
): Promise<Oid | null> {
  if ((await git.code(["cat-file", "-e", `${link.commit}^{commit}`])) === 0) {
    const list = [
      "rev-list",
      "--topo-order",
      "--boundary",
      "--max-count=10000",
      link.commit,
      "--not",
      ...tips,
    ];
    const boundary = (await git.text(list, { okCodes: "any" }))
      .split("\n")
      .find((line) => line.startsWith("-"));
    if (boundary) return boundary.slice(1);
  }
  // The commit itself is not here: its recorded parents are followed as far as links tell of them.
  const seen = new Set<Oid>();
  for (let at: Oid | null = link.parent; at !== null && !seen.has(at); ) {
    if (await reachable(at)) return at;
    seen.add(at);
    at = links.find((one) => one.commit === at)?.parent ?? null;
  }
  return null;
}

async function candidatesOf(git: Git, log: readonly string[]): Promise<Candidate[]> {
  const format = "--format=%H %T %at %ct %ae";
  const list = async (args: readonly string[]): Promise<string[]> =>
    (await git.text(["log", "--no-show-signature", "--max-count=50000", ...args], { okCodes: "any" })).split(
      "\n",
    );
  const head = log.includes("HEAD")
    ? new Set(await list(["--format=%H", ...log.filter((one) => one.startsWith("--since")), "HEAD"]))
    : new Set<string>();
  return (await list([format, ...log])).flatMap((line): Candidate[] => {
    const [commit, tree, authored, committed, ...email] = line.split(" ");
    if (!commit || !tree) return [];
    const when = { authored: Number(authored), committed: Number(committed) };
    return [{ commit, tree, ...when, email: email.join(" "), onHead: head.has(commit) }];
  });
}

async function isReachable(git: Git, commit: Oid): Promise<boolean> {
  const refs = ["refs/heads", "refs/remotes", "refs/tags"];
  const found = await git.run(["for-each-ref", "--count=1", `--contains=${commit}`, ...refs], {
    okCodes: "any",
  });
  if (found.code === 0 && found.stdout.length > 0) return true;
  return (await git.code(["merge-base", "--is-ancestor", commit, "HEAD"])) === 0;
}

const hasHead = async (git: Git): Promise<boolean> =>
  (await git.code(["rev-parse", "--verify", "--quiet", "HEAD"])) === 0;

/** In a partial clone, comparing changes would fetch what they changed, file by file. */
const isPartial = async (git: Git): Promise<boolean> =>
  (await git.code(["config", "--get-regexp", "^remote\\..*\\.promisor$"])) === 0;

const secondsOf = (date: string): number => Math.floor(Date.parse(date) / 1000);
