// Repositories of every shape a user may have, for tests.

import { mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { discover, type Git, openGit, type Repository, repositoryGit } from "../git/git.ts";

export interface TestRepository {
  /** A temporary folder with a space and a letter beyond ASCII in its name; the repository is inside. */
  readonly folder: string;
  readonly git: Git;
  readonly repository: Repository;
  remove(): Promise<void>;
}

export async function temporaryFolder(): Promise<string> {
  return realpath(await mkdtemp(join(tmpdir(), "convosync tëst ")));
}

async function code(git: Git, folder: string): Promise<void> {
  for (const n of [1, 2, 3]) {
    await writeFile(join(folder, "code.txt"), `version ${n}\n`);
    await git.run(["add", "code.txt"]);
    await git.run(["commit", "--quiet", "-m", `version ${n}`]);
  }
}

/** Makes repositories as git users do; each answers the folder to work in. */
const shapes = {
  normal: async (folder: string) => {
    await openGit(folder).run(["init", "--quiet", "-b", "main", "repo"]);
    await code(openGit(join(folder, "repo")), join(folder, "repo"));
    return join(folder, "repo");
  },
  "SHA-256": async (folder: string) => {
    await openGit(folder).run(["init", "--quiet", "-b", "main", "--object-format=sha256", "repo"]);
    await code(openGit(join(folder, "repo")), join(folder, "repo"));
    return join(folder, "repo");
  },
  "linked worktree": async (folder: string) => {
    const main = await shapes.normal(folder);
    await openGit(main).run(["worktree", "add", "--quiet", join(folder, "linked")]);
    return join(folder, "linked");
  },
  bare: async (folder: string) => {
    const main = await shapes.normal(folder);
    await openGit(folder).run(["clone", "--quiet", "--bare", main, "bare.git"]);
    return join(folder, "bare.git");
  },
  "worktree of a bare repository": async (folder: string) => {
    const bare = await shapes.bare(folder);
    await openGit(bare).run(["worktree", "add", "--quiet", join(folder, "linked"), "main"]);
    return join(folder, "linked");
  },
  shallow: async (folder: string) => {
    const main = await shapes.normal(folder);
    await openGit(folder).run(["clone", "--quiet", "--depth=1", `file://${main}`, "shallow"]);
    return join(folder, "shallow");
  },
  partial: async (folder: string) => {
    const main = await shapes.normal(folder);
    await openGit(main).run(["config", "uploadpack.allowFilter", "true"]);
    await openGit(folder).run(["clone", "--quiet", "--filter=blob:none", `file://${main}`, "partial"]);
    return join(folder, "partial");
  },
  alternates: async (folder: string) => {
    const main = await shapes.normal(folder);
    await openGit(folder).run(["clone", "--quiet", "--shared", main, "shared"]);
    return join(folder, "shared");
  },
};

export type Shape = keyof typeof shapes;
export const allShapes = Object.keys(shapes) as Shape[];

export async function makeRepository(shape: Shape): Promise<TestRepository> {
  const folder = await temporaryFolder();
  const repository = await discover(await shapes[shape](folder));
  const remove = () => rm(folder, { recursive: true, force: true, maxRetries: 3 });
  return { folder, git: repositoryGit(repository), repository, remove };
}
