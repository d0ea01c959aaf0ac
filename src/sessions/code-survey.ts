import { ConvosyncError, Exit } from "../errors.ts";
import type { Link, Manifest } from "../packing/manifest.ts";
import type { Oid } from "../refs/object-database.ts";
import { fetch } from "../refs/transport.ts";
import { checkBranchName, type Relation, relation } from "../worktree/branches.ts";
import type { CodeState } from "../worktree/code-state.ts";
import { remoteNames, rootCommits } from "../worktree/remotes.ts";
import { type ChosenRemote, otherRemotes } from "./chosen-remote.ts";
import { lookAtCode } from "./code-here.ts";
import type { RepoRecord } from "./keyring-tree.ts";
import type { Context } from "./repository.ts";

// What git, and the remote, are asked about the code of a conversation.

const fetchTimeoutMs = 10 * 60_000;
/** A remote that nobody has asked for may be one that is long gone. */
const elsewhereTimeoutMs = 60_000;

/** What git says of where the code is, and of where it is to be: null where that has to be fetched first. */
export interface CodeSurvey {
  readonly state: CodeState;
  readonly found: readonly [upstream: Oid | null, commit: Oid | null] | null;
}

/** What a plan is to know of the remote: whether it can be reached, and the branch fetched from it already. */
export interface RemoteKnown {
  readonly online: boolean;
  readonly fetched: string | null;
}

/** Asks git all that can be asked at once. */
export async function surveyCode(
  context: Context,
  { snapshots }: Pick<Manifest, "snapshots">,
  remote: ChosenRemote | null,
  { online, fetched }: RemoteKnown,
  { stayOnBranch }: { readonly stayOnBranch?: boolean },
): Promise<CodeSurvey> {
  const { commit = null, branch = null } = snapshots.at(-1) ?? {};
  const late = online && branch !== fetched;
  const [state, found] = await Promise.all([
    lookAtCode(context),
    late || stayOnBranch ? null : findCode(context, commit, branch, remote),
  ]);
  return { state, found };
}

export function findCode(
  context: Context,
  commit: Oid | null,
  branch: string | null,
  remote: ChosenRemote | null,
): Promise<[upstream: Oid | null, commit: Oid | null]> {
  return Promise.all([
    branch && remote ? resolveCommit(context, trackingRef(remote, branch)) : null,
    commit ? resolveCommit(context, commit) : null,
  ]);
}

export interface FoundCommit {
  readonly commit: Oid;
  /** Where its branch was found, if that is another remote than the one asked for; it is fetched. */
  readonly elsewhere?: { readonly remote: ChosenRemote; readonly upstream: Oid };
}

/**
 * A commit that is not here: fetched by its name, under the one it was rewritten to, or with its branch from whatever
 * remote has that. Exit 4 when it is not to be had.
 */
export async function findCommit(
  context: Context,
  commit: Oid,
  branch: string | null,
  links: readonly Link[],
  remote: ChosenRemote | null,
  online: boolean,
): Promise<FoundCommit> {
  const rewritten = await renamed(context, commit, links, null);
  if (rewritten) return { commit: rewritten };
  if (online && remote) {
    // Protocol v2 serves any commit by its name, also one that no branch holds any more.
    await fetch(context.git, {
      remote: remote.name,
      refspecs: [commit],
      timeoutMs: fetchTimeoutMs,
      prompt: true,
    });
    if (await resolveCommit(context, commit)) return { commit };
    for (const other of branch === null ? [] : await otherRemotes(context, remote)) {
      await fetchBranch(context, other, branch!, { prompt: false, timeoutMs: elsewhereTimeoutMs }).catch(
        unlessCancelled,
      );
      const [upstream, there] = await findCode(context, commit, branch, other);
      if (upstream && there) return { commit, elsewhere: { remote: other, upstream } };
    }
  }
  const several = remoteNames(context.config).length > 1;
  const where = branch
    ? `commit ${commit.slice(0, 10)} of branch '${branch}'`
    : `commit ${commit.slice(0, 10)}`;
  throw new ConvosyncError(
    "commit-missing",
    Exit.stopped,
    `the conversation belongs to ${where}, which is neither here nor on ${several ? "any" : "the"} remote`,
    [
      "push it from the machine that saved it: git convosync save",
      "where it is on a remote that this clone does not know, fetch it from there, then resume again",
      ...(context.repo.shallow ? ["this clone is shallow: git fetch --unshallow"] : []),
      "bring back the conversation alone: git convosync resume --stay-on-branch",
    ],
  );
}

/** A remote that is of no use is no reason to stop. */
function unlessCancelled(error: unknown): void {
  if (!(error instanceof ConvosyncError) || error.exit === Exit.cancelled) throw error;
}

/** What the commit of a session was rewritten to, if `tip` leads to it. */
export async function renamed(
  context: Context,
  commit: Oid,
  links: readonly Link[],
  tip: Oid | null,
): Promise<Oid | null> {
  const link = links.findLast((one) => one.commit === commit);
  if (!link) return null;
  const { resolveCommit: find } = await import("./link-resolution.ts");
  const found = await find(context.git, link, links);
  if (!found || found.how === "ancestor" || found.commit === commit) return null;
  const inside = tip === null || ["equal", "behind"].includes(await standing(context, found.commit, tip));
  return inside ? found.commit : null;
}

const trackingRef = (remote: ChosenRemote, branch: string): string => `refs/remotes/${remote.name}/${branch}`;

/** Brings the remote-tracking branch up to date. The name comes from another device. */
export async function fetchBranch(
  context: Context,
  remote: ChosenRemote,
  branch: string,
  { prompt = true, timeoutMs = fetchTimeoutMs } = {},
): Promise<void> {
  await checkBranchName(context.git, branch);
  const isNamed = remoteNames(context.config).includes(remote.name);
  await fetch(context.git, {
    remote: remote.name,
    // A mere URL has no branches of its own here.
    refspecs: [`+refs/heads/${branch}${isNamed ? `:${trackingRef(remote, branch)}` : ""}`],
    timeoutMs,
    prompt,
  });
}

export async function resolveCommit(context: Context, name: string): Promise<Oid | null> {
  const { code, stdout } = await context.git.run(["rev-parse", "--verify", "--quiet", `${name}^{commit}`], {
    okCodes: [0, 1, 128],
  });
  return code === 0 ? stdout.toString().trim() : null;
}

/** How one commit that is here stands to another; git need not be asked about the same one. */
export const standing = (context: Context, one: Oid, other: Oid): Promise<Relation> | Relation =>
  one === other ? "equal" : relation(context.git, one, other);

/**
 * Stops when this is another repository than the one the vault was made in: neither the remote nor any root commit
 * is the same. Where either is, it has only been moved.
 */
export async function checkSameRepository(
  context: Context,
  record: RepoRecord,
  remote: ChosenRemote | null,
): Promise<void> {
  if (!remote || record.roots.length === 0 || record.origins.includes(remote.origin) || context.repo.shallow)
    return;
  const roots = await rootCommits(context.git);
  if (roots.length === 0 || roots.some((root) => record.roots.includes(root))) return;
  throw new ConvosyncError(
    "other-repository",
    Exit.stopped,
    `these conversations belong to another repository (${record.origins.join(", ") || "without a remote"})`,
    [
      "resume them in a clone of that one",
      "or bring back the conversation alone: git convosync resume --stay-on-branch --force",
    ],
  );
}
