import { ConvosyncError, Exit, integrityError } from "../errors.ts";
import { type Config, failure, type Git, type GitResult } from "../git/git.ts";
import { listed } from "./safety.ts";

/** How one commit stands to another; `unknown` when one is missing here, or a shallow clone hides the answer. */
export type Relation = "equal" | "behind" | "ahead" | "diverged" | "unknown";

/** `behind`: `a` is an ancestor of `b`. */
export async function relation(git: Git, a: string, b: string): Promise<Relation> {
  for (const commit of [a, b]) checkedCommit(commit);
  if (a === b) return (await git.code(["cat-file", "-e", `${a}^{commit}`])) === 0 ? "equal" : "unknown";
  // 128: one of them is not here.
  const isAncestor = async (one: string, other: string): Promise<number> =>
    (await git.run(["merge-base", "--is-ancestor", one, other], { okCodes: [0, 1, 128] })).code;
  const forth = await isAncestor(a, b);
  if (forth !== 1) return forth === 0 ? "behind" : "unknown";
  if ((await isAncestor(b, a)) === 0) return "ahead";
  return (await git.text(["rev-parse", "--is-shallow-repository"])) === "true" ? "unknown" : "diverged";
}

/** Names come from other devices: what git itself takes for a branch, and nothing it would expand. */
export async function checkBranchName(git: Git, branch: string): Promise<string> {
  if (isPlainName(branch)) return branch;
  const answer = branch.includes("\0")
    ? { code: 1, stdout: "" }
    : await git.run(["check-ref-format", "--branch", branch], { okCodes: "any" });
  if (answer.code === 0 && answer.stdout.toString() === `${branch}\n`) return branch;
  throw integrityError("bad-branch-name", `not a branch name: '${branch}'`);
}

/** Names that need no asking: what git-check-ref-format(1) and `--branch` could object to does not occur in them. */
const isPlainName = (branch: string): boolean =>
  branch.length <= 200 &&
  branch !== "HEAD" &&
  branch.split("/").every((part) => /^[A-Za-z0-9_][A-Za-z0-9_-]*$/.test(part));

export async function branchExists(git: Git, branch: string): Promise<boolean> {
  await checkBranchName(git, branch);
  return (await git.code(["show-ref", "--verify", "--quiet", `refs/heads/${branch}`])) === 0;
}

/** Before the first commit a branch is only a name. */
export async function startUnborn(git: Git, branch: string): Promise<void> {
  await checkBranchName(git, branch);
  await git.run(["symbolic-ref", "HEAD", `refs/heads/${branch}`]);
}

export interface SwitchOptions {
  /** The commit a missing branch begins at. */
  readonly createFrom?: string;
  /** The remote whose branch of the same name a new branch follows. */
  readonly track?: string;
}

/** Switches to a branch, making it when `createFrom` is given. Local changes are carried along or git refuses. */
export async function switchTo(git: Git, branch: string, options: SwitchOptions = {}): Promise<void> {
  if (await branchExists(git, branch))
    return moveHead(git, ["switch", "--quiet", "--no-guess", branch], `refs/heads/${branch}`);
  if (options.createFrom === undefined) {
    throw new ConvosyncError("no-such-branch", Exit.stopped, `there is no branch '${branch}' here`, [
      "fetch it with: git fetch --all",
    ]);
  }
  const commit = checkedCommit(options.createFrom);
  await moveHead(
    git,
    ["switch", "--quiet", "--no-track", "--create", branch, commit],
    `refs/heads/${branch}`,
  );
  if (options.track !== undefined) await follow(git, branch, options.track);
}

/** Has a branch follow the one of its name on a remote. */
async function follow(git: Git, branch: string, remote: string): Promise<void> {
  // In this order: with the second alone git would not know what to pull, with the first alone nothing changes.
  await git.run(["config", `branch.${branch}.merge`, `refs/heads/${branch}`]);
  await git.run(["config", `branch.${branch}.remote`, remote]);
}

/**
 * What `git push -u` does after it: a branch that follows none follows the one it was pushed to. Not where the user pushes
 * to another place than they pull from, and not where the settings cannot be written.
 */
export async function followPushed(git: Git, config: Config, branch: string, remote: string): Promise<void> {
  const chosen = [`branch.${branch}.remote`, `branch.${branch}.pushremote`, "remote.pushdefault"];
  if (chosen.some((name) => config.has(name)) || !config.has(`remote.${remote}.fetch`)) return;
  // As of now: what was read when the repository was opened may be old.
  const upstream = await git.text(["for-each-ref", "--format=%(upstream)", `refs/heads/${branch}`]);
  if (upstream === "") await follow(git, branch, remote).catch(() => undefined);
}

/** Checks out a commit itself, on no branch. */
export async function checkoutDetached(git: Git, commit: string): Promise<void> {
  await moveHead(git, ["switch", "--quiet", "--detach", checkedCommit(commit)], null);
}

/**
 * Moves the checked-out branch forward to a commit. Local changes stay: where git would have to overwrite one
 * it refuses (`local-changes`, exit 4); a branch with commits of its own is `branches-diverged`, exit 5.
 */
export async function fastForward(git: Git, branch: string, to: string): Promise<void> {
  if ((await headRef(git)) !== `refs/heads/${branch}`) {
    throw new ConvosyncError("not-on-branch", Exit.stopped, `the work tree is not on '${branch}'`, [
      `git switch '${branch}'`,
    ]);
  }
  const commit = checkedCommit(to);
  const args = ["merge", "--ff-only", "--no-autostash", "--no-stat", "--quiet", commit];
  const result = await git.run(args, { okCodes: "any" });
  if (result.code === 0) return;
  if ((await relation(git, commit, await head(git))) === "diverged") {
    throw new ConvosyncError(
      "branches-diverged",
      Exit.conflict,
      `'${branch}' has commits the session lacks`,
      [
        `look at both: git log --oneline --graph HEAD ${commit.slice(0, 12)}`,
        `join them: git merge ${commit.slice(0, 12)}`,
      ],
    );
  }
  throw refusal(args, result);
}

/**
 * Merges a commit into the checked-out branch. Conflicts leave the merge begun, as git does, and are returned; whatever
 * else stands in the way is an error and changes nothing.
 */
export async function mergeInto(git: Git, commit: string, message: string): Promise<readonly string[]> {
  const args = [
    "merge",
    "--quiet",
    "--no-stat",
    "--no-autostash",
    "--no-edit",
    "-m",
    message,
    checkedCommit(commit),
  ];
  const result = await git.run(args, { okCodes: "any" });
  if (result.code === 0) return [];
  const paths = await git.lines0(["diff", "--name-only", "-z", "--diff-filter=U"]);
  if (paths.length > 0) return paths;
  throw refusal(args, result);
}

/**
 * Moves a branch to another line of history. Its old tip is kept under a branch of its own, whose name is returned; local
 * changes stay, or git refuses.
 */
export async function replaceBranch(git: Git, branch: string, to: string): Promise<string> {
  await checkBranchName(git, branch);
  const commit = checkedCommit(to);
  const old = await git.text(["rev-parse", "--verify", `refs/heads/${branch}`]);
  const backup = `${branch}-backup-${old.slice(0, 7)}`;
  await git.run(["update-ref", "-m", "convosync: kept before resuming", `refs/heads/${backup}`, old]);
  if ((await headRef(git)) === `refs/heads/${branch}`) {
    const args = ["reset", "--quiet", "--keep", commit];
    const result = await git.run(args, { okCodes: "any" });
    if (result.code !== 0) throw refusal(args, result);
  } else {
    await git.run(["update-ref", "-m", "convosync: resumed", `refs/heads/${branch}`, commit, old]);
  }
  return backup;
}

/** How many commits each of two has that the other lacks. */
export async function countApart(git: Git, a: string, b: string): Promise<[number, number]> {
  const range = `${checkedCommit(a)}...${checkedCommit(b)}`;
  const [left, right] = (await git.text(["rev-list", "--left-right", "--count", range])).split("\t");
  return [Number(left), Number(right)];
}

/** How many commits of HEAD no remote branch has. */
export async function countUnpushed(git: Git): Promise<number> {
  return Number(await git.text(["rev-list", "--count", "HEAD", "--not", "--remotes"]));
}

/** A hook that fails after the switch does not undo it: where HEAD is decides. */
async function moveHead(git: Git, args: readonly string[], ref: string | null): Promise<void> {
  const result = await git.run(args, { okCodes: "any" });
  if (result.code === 0) return;
  const arrived =
    ref === null
      ? (await head(git)) === args.at(-1) && (await headRef(git)) === null
      : (await headRef(git)) === ref;
  if (!arrived) throw refusal(args, result);
}

const head = (git: Git): Promise<string> => git.text(["rev-parse", "--verify", "HEAD"]);

async function headRef(git: Git): Promise<string | null> {
  return (await git.text(["symbolic-ref", "--quiet", "HEAD"], { okCodes: [0, 1] })) || null;
}

function checkedCommit(commit: string): string {
  if (/^[0-9a-f]{40}(?:[0-9a-f]{24})?$/.test(commit)) return commit;
  throw integrityError("bad-commit", `not a commit id: '${commit}'`);
}

/** git's own refusal, with the files it names. */
function refusal(args: readonly string[], result: GitResult): ConvosyncError {
  const cause = failure(args, result);
  const files = [...result.stderr.matchAll(/^\t(.+)$/gm)].map((match) => match[1]!);
  if (/would be overwritten/.test(result.stderr)) {
    return new ConvosyncError(
      "local-changes",
      Exit.stopped,
      `local changes stand in the way, in ${files.length === 1 ? "1 file" : `${files.length} files`}`,
      ["put them aside: git stash --include-untracked", "or commit them: git commit --all", ...listed(files)],
      cause,
    );
  }
  const elsewhere = /(?:already checked out|already used by worktree) at '(.+)'/.exec(result.stderr)?.[1];
  const hints = elsewhere ? [`go on there: cd '${elsewhere}'`] : cause.hints;
  return new ConvosyncError("switch-refused", Exit.stopped, cause.message, hints, cause);
}
