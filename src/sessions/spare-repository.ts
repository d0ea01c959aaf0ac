import { randomBytes } from "node:crypto";
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { type Git, openGit, type Repository, repositoryGit } from "../git/git.ts";
import { processName, sweep } from "../leftovers.ts";

/** A repository that has nothing yet, with the remotes and settings of a clone. */
export interface SpareRepository {
  /** git on it, in the clone's folder, so that a remote's path means the same. */
  readonly git: Git;
  /**
   * Puts an object that has come, and that git has made a file of, into the clone, in the place of what is left of it there.
   * False where it has not come.
   */
  handOver(oid: string): boolean;
}

/**
 * Runs `work` with a spare repository in `folder`, which is gone afterwards. What is fetched into it comes whatever the
 * clone has, or takes itself to have: git asks for nothing that is in a pack of its, though it cannot read it there.
 *
 * @param folder within the clone's git directory, where the user's settings for that (`includeIf.gitdir:`) hold
 */
export async function withSpareRepository<T>(
  repository: Repository,
  env: NodeJS.ProcessEnv,
  folder: string,
  work: (spare: SpareRepository) => Promise<T>,
): Promise<T> {
  sweep(folder, prefix, suffix);
  const gitDir = join(folder, `${prefix}${processName()}${suffix}`);
  mkdirSync(gitDir, { mode: 0o700 });
  try {
    const init = ["init", "--quiet", "--bare", "--template=", `--object-format=${repository.objectFormat}`];
    await openGit(folder, env).run([...init, gitDir]);
    const git = repositoryGit({ ...repository, gitDir, commonDir: gitDir, explicit: true }, env);
    for (const path of [join(repository.commonDir, "config"), join(repository.gitDir, "config.worktree")])
      await git.run(["config", "--local", "--add", "include.path", path]);
    return await work({ git, handOver: (oid) => handOver(oid, gitDir, repository.commonDir) });
  } finally {
    rmSync(gitDir, { recursive: true, force: true, maxRetries: 3 });
  }
}

const prefix = ".spare.";
const suffix = ".tmp";

/** Where a repository keeps an object that is in no pack, gitrepository-layout(5). */
const loosePath = (gitDir: string, oid: string): string =>
  join(gitDir, "objects", oid.slice(0, 2), oid.slice(2));

function handOver(oid: string, from: string, to: string): boolean {
  if (!existsSync(loosePath(from, oid))) return false;
  const path = loosePath(to, oid);
  const folder = dirname(path);
  if (!existsSync(folder)) {
    mkdirSync(folder);
    // As in a repository that several users share.
    chmodSync(folder, statSync(dirname(folder)).mode);
  }
  // What a crash leaves under such a name git tidies up itself.
  const temporary = join(folder, `tmp_obj_${randomBytes(6).toString("hex")}`);
  const file = openSync(temporary, "wx", 0o444);
  try {
    try {
      writeFileSync(file, readFileSync(loosePath(from, oid)));
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  return true;
}
