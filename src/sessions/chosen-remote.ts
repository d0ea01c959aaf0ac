import { ConvosyncError, Exit } from "../errors.ts";
import { chooseRemote, normaliseRemote, type Remote } from "../worktree/remotes.ts";
import type { Context } from "./repository.ts";

/** The remote conversations go to. */
export interface ChosenRemote extends Remote {
  /** Names it in our own records: where it is pushed to, normalised, without credentials. */
  readonly key: string;
  /** Where it is fetched from, in the same form: by this other clones know the repository. */
  readonly origin: string;
}

export async function findRemote(context: Context, branch: string | null): Promise<ChosenRemote | null> {
  const remote = await chooseRemote(context.git, context.config, branch, context.settings.get("remote"));
  if (!remote) return null;
  // Where git starts a relative path: it is run in the top folder, wherever the user stands.
  const base = context.repo.root ?? context.repo.gitDir;
  return {
    ...remote,
    key: normaliseRemote(remote.pushUrl, base),
    origin: normaliseRemote(remote.url, base),
  };
}

/** The branch that is checked out, null when HEAD is detached. */
export async function currentBranch(context: Context): Promise<string | null> {
  const { stdout } = await context.git.run(["symbolic-ref", "--quiet", "--short", "HEAD"], {
    okCodes: [0, 1],
  });
  return stdout.toString().trim() || null;
}

export function noRemote(): ConvosyncError {
  return new ConvosyncError("no-remote", Exit.remote, "this repository has no remote", [
    "add one: git remote add origin <url>",
  ]);
}

export function unreachable(remote: ChosenRemote, text: string): ConvosyncError {
  return new ConvosyncError("remote-unreachable", Exit.remote, `cannot reach '${remote.name}': ${text}`, [
    `check the network and your access: git ls-remote ${remote.name}`,
  ]);
}
