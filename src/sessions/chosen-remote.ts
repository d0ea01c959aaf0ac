import { ConvosyncError, Exit } from "../errors.ts";
import { scrubUrl } from "../git/git.ts";
import {
  chooseRemote,
  normaliseRemote,
  type Remote,
  remoteNamed,
  remoteNames,
  remoteOfBranch,
  usualRemote,
} from "../worktree/remotes.ts";
import { remotesHolding } from "./queue.ts";
import type { Context } from "./repository.ts";

/** The remote conversations go to. */
export interface ChosenRemote extends Remote {
  /** Its name for people: without what a URL may hold of credentials. */
  readonly title: string;
  /** Names it in our own records: where it is pushed to, normalised, without credentials. */
  readonly key: string;
  /** Where it is fetched from, in the same form: by this other clones know the repository. */
  readonly origin: string;
}

/**
 * Where conversations go: always the same remote, whatever branch is checked out. The one that is set, else one that is
 * known to have the vault, else the branch's. Another branch's remote, perhaps somebody else's, is given nothing, and what
 * one remote lacks is not looked for there.
 */
export async function findRemote(context: Context, branch: string | null): Promise<ChosenRemote | null> {
  const { git, config, settings } = context;
  const configured = settings.get("remote");
  const names = remoteNames(config);
  const chosen = await chooseRemote(git, config, branch, configured);
  const isOnly = names.length < 2 && (!chosen || names.includes(chosen.name));
  if (configured !== undefined || isOnly) return chosen && keyed(context, chosen);
  const holders = await remotesHolding(context);
  const candidates = names.includes("origin") ? ["origin", ...names] : names;
  for (const name of holders.length > 0 ? candidates : []) {
    const remote = keyed(context, await remoteNamed(git, config, name));
    if (holders.includes(remote.key)) return remote;
  }
  // A mere URL is where somebody's pull request came from.
  const usual = chosen && !names.includes(chosen.name) ? await usualRemote(git, config) : null;
  const remote = usual ?? chosen;
  return remote && keyed(context, remote);
}

/** Where the code of a branch goes: where git is told to push it, else where conversations go. */
export async function findCodeRemote(
  context: Context,
  branch: string,
  conversations: ChosenRemote,
): Promise<ChosenRemote> {
  if (context.settings.get("remote") !== undefined) return conversations;
  const remote = await remoteOfBranch(context.git, context.config, branch);
  return remote ? keyed(context, remote) : conversations;
}

/** All remotes but this one. */
export async function otherRemotes(context: Context, remote: ChosenRemote): Promise<ChosenRemote[]> {
  const { git, config } = context;
  const all = await Promise.all(remoteNames(config).map((name) => remoteNamed(git, config, name)));
  return all.map((one) => keyed(context, one)).filter(({ name }) => name !== remote.name);
}

function keyed({ repo }: Context, remote: Remote): ChosenRemote {
  // Where git starts a relative path: it is run in the top folder, wherever the user stands.
  const base = repo.root ?? repo.gitDir;
  return {
    ...remote,
    title: scrubUrl(remote.name),
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
  return new ConvosyncError("remote-unreachable", Exit.remote, `cannot reach '${remote.title}': ${text}`, [
    `check the network and your access: git ls-remote ${remote.title}`,
  ]);
}
