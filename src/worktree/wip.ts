import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConvosyncError, Exit, integrityError } from "../errors.ts";
import { type Git, type Repository, scrubUrl } from "../git/git.ts";
import { type CommitPlan, copyIndex } from "./commit.ts";
import { applyStash, intendToAdd, listed } from "./stash.ts";

/** More than this is no work in progress but something to commit. */
const wipLimit = 256 << 20;

const identity = {
  GIT_AUTHOR_NAME: "convosync",
  GIT_AUTHOR_EMAIL: "convosync@invalid",
  GIT_COMMITTER_NAME: "convosync",
  GIT_COMMITTER_EMAIL: "convosync@invalid",
};

/**
 * Uncommitted work as a git bundle that `git stash apply` understands: a commit of the work tree whose parents are HEAD, a
 * commit of the index, and one of the untracked files that the plan names. Branch, index, work tree and `refs/stash` stay
 * exactly as they are, and nothing is left in the repository: indexes and objects are temporary. Null when there is
 * nothing uncommitted.
 */
export async function bundleWork(
  git: Git,
  repository: Repository,
  plan: CommitPlan,
  base: string,
): Promise<Uint8Array | null> {
  const folder = await mkdtemp(join(tmpdir(), "convosync-wip-"));
  try {
    const index = join(folder, "index");
    const env = {
      GIT_INDEX_FILE: index,
      GIT_OBJECT_DIRECTORY: join(folder, "objects"),
      GIT_ALTERNATE_OBJECT_DIRECTORIES: join(repository.commonDir, "objects"),
    };
    const tree = async (): Promise<string> => git.text(["write-tree"], { env });
    const commit = (of: string, parents: readonly string[], message: string): Promise<string> =>
      git.text(["commit-tree", ...parents.flatMap((one) => ["-p", one]), of], {
        env: { ...env, ...identity },
        input: `${message}\n`,
      });

    await mkdir(env.GIT_OBJECT_DIRECTORY);
    copyIndex(join(repository.gitDir, "index"), index);
    const staged = await tree();
    if (plan.tracked) await git.run(["add", "--update", "--sparse", "--", ":/"], { env });
    const work = await tree();
    const baseTree = await git.text(["rev-parse", "--verify", `${base}^{tree}`]);
    if (staged === baseTree && work === baseTree && plan.add.length === 0) return null;

    const parents = [base, await commit(staged, [base], "index of work in progress")];
    if (plan.add.length > 0) {
      await git.run(["read-tree", "--empty"], { env });
      await git.run(["--literal-pathspecs", "add", "--sparse", ...listed], {
        env,
        input: plan.add.join("\0"),
      });
      parents.push(await commit(await tree(), [], "untracked files of work in progress"));
    }
    const tip = await commit(work, parents, "work in progress");
    const options = ["--revs", "--stdout", "--thin", "--delta-base-offset", "--quiet"];
    const pack = await git.run(["pack-objects", ...options], {
      env,
      input: `${tip}\n^${base}\n`,
      maxBytes: wipLimit,
    });
    return Buffer.concat([Buffer.from(header(repository, tip, base)), pack.stdout]);
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

const wipRef = "refs/convosync-wip";

/** As gitformat-bundle(5) has it, so that stock git reads it too. */
const header = ({ objectFormat }: Repository, tip: string, base: string): string =>
  objectFormat === "sha1"
    ? `# v2 git bundle\n-${base}\n${tip} ${wipRef}\n\n`
    : `# v3 git bundle\n@object-format=${objectFormat}\n-${base}\n${tip} ${wipRef}\n\n`;

export interface Work {
  /** The commit that `git stash apply` takes. */
  readonly tip: string;
  readonly base: string;
}

/** Unpacks a bundle of `bundleWork`, from another device: git checks every object, and the commit's shape is proved. */
export async function unbundleWork(git: Git, bundle: Uint8Array, base: string): Promise<Work> {
  const bytes = Buffer.from(bundle.buffer, bundle.byteOffset, bundle.length);
  const end = bytes.indexOf("\n\n");
  const text = bytes.subarray(0, Math.max(0, end)).toString("latin1");
  const parsed =
    /^# v(?:2 git bundle|3 git bundle\n@object-format=sha256)\n-([0-9a-f]{40,64})\n([0-9a-f]{40,64}) refs\/convosync-wip$/.exec(
      text,
    );
  const [, named, tip] = parsed ?? [];
  if (!tip || named !== base) throw badWork("it is made for another commit");
  const pack = bytes.subarray(end + 2);
  const result = await git.run(["index-pack", "--stdin", "--fix-thin", "--strict"], {
    input: pack,
    okCodes: "any",
  });
  if (result.code !== 0) throw badWork(scrubUrl(result.stderr).split("\n")[0] ?? "git refuses it");
  const parents = (await git.text(["rev-list", "--parents", "-n", "1", tip], { okCodes: [0, 128] })).split(
    " ",
  );
  if (parents[0] !== tip || parents[1] !== base || parents.length < 3 || parents.length > 4)
    throw badWork("it is no work in progress on its commit");
  return { tip, base };
}

const badWork = (why: string): ConvosyncError =>
  integrityError("bad-work-in-progress", `the work in progress of the session is damaged: ${why}`);

/**
 * Puts work into the work tree as `git stash apply --index` does, where that is sure to be clean: nothing of it may be
 * uncommitted, changed since its commit, or in the way here. Else it becomes an entry of `git stash`, unless all of it is
 * committed by now.
 */
export async function applyWork(
  git: Git,
  { tip, base }: Work,
  message: string,
): Promise<"applied" | "stashed" | "committed"> {
  const names = (a: string, b: string, ...filter: string[]): Promise<string[]> =>
    git.lines0(["diff-tree", "-r", "-z", "--name-only", "--no-renames", ...filter, a, b]);
  const dirty = await git.lines0(["status", "--porcelain", "-z", "--untracked-files=no"]);
  const moved = new Set(await names(base, "HEAD"));
  const changed = await names(base, tip);
  const staged = await names(base, `${tip}^2`);
  const clean = dirty.length === 0 && ![...changed, ...staged].some((path) => moved.has(path));
  if (clean && (await applyStash(git, tip))) {
    await intendToAdd(git, await names(`${tip}^2`, tip, "--diff-filter=A"));
    return "applied";
  }
  const other = new Set(await names(tip, "HEAD"));
  const untracked =
    (await git.code(["rev-parse", "--verify", "--quiet", `${tip}^3`])) === 0 ? [`${tip}^3`] : [];
  const lacking = await Promise.all(untracked.map((tree) => names(tree, "HEAD", "--diff-filter=a")));
  const isCommitted =
    staged.every((path) => changed.includes(path)) &&
    !changed.some((path) => other.has(path)) &&
    lacking.flat().length === 0;
  if (isCommitted) return "committed";
  await git.run(["stash", "store", "--message", message, tip]);
  return "stashed";
}

export const unbornWork = (): ConvosyncError =>
  new ConvosyncError(
    "nothing-committed",
    Exit.stopped,
    "there is no commit yet that work in progress could stand on",
    [
      "make the first one: git convosync save",
      "or save the conversation alone: git convosync save --no-code",
    ],
  );
