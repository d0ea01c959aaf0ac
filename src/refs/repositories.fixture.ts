// Repositories of every shape a user may have, for tests.

import { mkdtemp, realpath, rm } from "node:fs/promises";
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

/** git in a folder, without the sample hooks that make each new repository slow. */
const start = (folder: string, ...args: string[]) =>
  openGit(folder).run(["-c", "init.templateDir=", ...args]);

/** Three commits of code on main, checked out. */
async function withCode(folder: string, ...options: string[]): Promise<string> {
  const repo = join(folder, "repo");
  await start(folder, "init", "--quiet", "-b", "main", ...options, "repo");
  const git = openGit(repo);
  const commits = [1, 2, 3].map((n) => {
    const text = `version ${n}\n`;
    const who = `committer Test <test@example.com> ${1_700_000_000 + n} +0000`;
    return `commit refs/heads/main\n${who}\ndata ${text.length}\n${text}M 100644 inline code.txt\ndata ${text.length}\n${text}\n`;
  });
  await git.run(["fast-import", "--quiet"], { input: commits.join("") });
  await git.run(["reset", "--quiet", "--hard"]);
  return repo;
}

/** Makes repositories as git users do; each answers the folder to work in. */
const shapes = {
  normal: (folder: string) => withCode(folder),
  "SHA-256": (folder: string) => withCode(folder, "--object-format=sha256"),
  "linked worktree": async (folder: string) => {
    await start(await withCode(folder), "worktree", "add", "--quiet", join(folder, "linked"));
    return join(folder, "linked");
  },
  bare: async (folder: string) => {
    await start(folder, "clone", "--quiet", "--bare", await withCode(folder), "bare.git");
    return join(folder, "bare.git");
  },
  "worktree of a bare repository": async (folder: string) => {
    await start(await shapes.bare(folder), "worktree", "add", "--quiet", join(folder, "linked"), "main");
    return join(folder, "linked");
  },
  shallow: async (folder: string) => {
    await start(folder, "clone", "--quiet", "--depth=1", `file://${await withCode(folder)}`, "shallow");
    return join(folder, "shallow");
  },
  partial: async (folder: string) => {
    const main = await withCode(folder);
    await start(main, "config", "uploadpack.allowFilter", "true");
    await start(folder, "clone", "--quiet", "--filter=blob:none", `file://${main}`, "partial");
    return join(folder, "partial");
  },
  alternates: async (folder: string) => {
    await start(folder, "clone", "--quiet", "--shared", await withCode(folder), "shared");
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
