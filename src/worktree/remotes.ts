import { resolve } from "node:path";
import { ConvosyncError, Exit } from "../errors.ts";
import type { Config, Git } from "../git/git.ts";

export interface Remote {
  /** As `git push` takes it: the remote's name, or a URL where the setting held one. */
  readonly name: string;
  /** After `url.*.insteadOf`. May hold credentials: for git, never for printing. */
  readonly url: string;
  readonly pushUrl: string;
}

/** Matches the names of the settings that choose a remote and say how to push there, for `readConfig`. */
export const remoteSettings =
  "remote\\.|url\\.|branch\\..+\\.(merge|(push)?remote)$|push\\.recursesubmodules$|submodule\\.recurse$";

/**
 * Whether the user has git push submodules along, or see to it that they have been. Along with a push of ours it cannot:
 * it passes what is pushed on to them, where there is nothing of the kind.
 */
export function mindsSubmodules(config: Config): boolean {
  const push = config.get("push.recursesubmodules")?.at(-1);
  if (push !== undefined) return ["check", "on-demand", "only"].includes(push);
  return /^(?:true|yes|on|1)$/i.test(config.get("submodule.recurse")?.at(-1) ?? "");
}

/**
 * The remote for a branch: `configured`, else branch.<b>.pushRemote > remote.pushDefault > branch.<b>.remote >
 * origin > the only one. Null when there is none. A remote that was asked for by name and
 * does not exist is `unknown-remote`, exit 4.
 */
export async function chooseRemote(
  git: Git,
  settings: Config,
  branch: string | null,
  configured?: string,
): Promise<Remote | null> {
  const names = remoteNames(settings);
  if (configured !== undefined) {
    if (names.includes(configured)) return remoteNamed(git, settings, configured);
    if (isUrl(configured)) return { name: configured, url: configured, pushUrl: configured };
    throw new ConvosyncError("unknown-remote", Exit.stopped, `no remote is named '${configured}'`, [
      "see the remotes there are with: git remote --verbose",
      "choose one with: git config convosync.remote <name>",
    ]);
  }
  return (await remoteOfBranch(git, settings, branch)) ?? usualRemote(git, settings);
}

/** Where git is told to push this branch: branch.<b>.pushRemote > remote.pushDefault > branch.<b>.remote. */
export async function remoteOfBranch(
  git: Git,
  settings: Config,
  branch: string | null,
): Promise<Remote | null> {
  const setting = (name: string): string | undefined => settings.get(name)?.at(-1) || undefined;
  const ofBranch = (key: string) => (branch === null ? undefined : setting(`branch.${branch}.${key}`));
  const names = remoteNames(settings);
  for (const name of [ofBranch("pushremote"), setting("remote.pushdefault"), ofBranch("remote")]) {
    if (name === undefined || name === ".") continue;
    if (names.includes(name)) return remoteNamed(git, settings, name);
    if (isUrl(name)) return { name, url: name, pushUrl: name };
  }
  return null;
}

/**
 * What this branch follows, where that is one of another name: git pushes it nowhere then without being told. Unless it
 * pushes elsewhere than it pulls from.
 */
export function otherUpstream(settings: Config, branch: string): string | null {
  const setting = (name: string): string | undefined => settings.get(name)?.at(-1) || undefined;
  if (setting(`branch.${branch}.pushremote`) ?? setting("remote.pushdefault")) return null;
  const upstream = setting(`branch.${branch}.merge`)?.replace(/^refs\/heads\//, "");
  return upstream === undefined || upstream === branch ? null : upstream;
}

/** The remote of no branch in particular: origin, else the only one. */
export async function usualRemote(git: Git, settings: Config): Promise<Remote | null> {
  const names = remoteNames(settings);
  const name = names.includes("origin") ? "origin" : names.length === 1 ? names[0]! : null;
  return name === null ? null : remoteNamed(git, settings, name);
}

/** The remotes that have a URL, in the order of git's configuration. */
export function remoteNames(settings: Config): string[] {
  const names = [...settings.keys()].map((key) => /^remote\.(.+)\.(?:push)?url$/s.exec(key)?.[1]);
  return [...new Set(names.filter((name) => name !== undefined))];
}

/**
 * The remotes whose configured refspecs have a plain `git fetch` write our refs: as the remote has them, over what has not
 * been sent. A mirror does, and who adds a refspec to look at them.
 */
export function fetchingOurs(settings: Config): string[] {
  const ours = "refs/convosync/";
  const before = (pattern: string): string => pattern.split("*", 1)[0]!;
  const found: string[] = [];
  for (const [key, refspecs] of settings) {
    const name = /^remote\.(.+)\.fetch$/s.exec(key)?.[1];
    const spared = refspecs.some((one) => one.startsWith("^") && ours.startsWith(before(one.slice(1))));
    const targets = refspecs.map((one) => before(/^\+?[^^:][^:]*:(.+)$/.exec(one)?.[1] ?? "refs/heads/"));
    if (name && !spared && targets.some((to) => ours.startsWith(to) || to.startsWith(ours))) found.push(name);
  }
  return found;
}

/** git is asked only where it would say more than the settings do: it rewrites URLs, and an empty one clears a list. */
export async function remoteNamed(git: Git, settings: Config, name: string): Promise<Remote> {
  const [urls, pushUrls] = ["url", "pushurl"].map((key) => settings.get(`remote.${name}.${key}`) ?? []);
  const rewritten = [...settings.keys()].some((key) => key.startsWith("url."));
  const [url] = urls!;
  if (url && !rewritten && ![...urls!, ...pushUrls!].includes("")) {
    return { name, url, pushUrl: pushUrls![0] ?? url };
  }
  return askedOf(git, name);
}

async function askedOf(git: Git, name: string): Promise<Remote> {
  const [url, pushUrl] = await Promise.all([
    git.text(["remote", "get-url", "--end-of-options", name]),
    git.text(["remote", "get-url", "--push", "--end-of-options", name]),
  ]);
  return { name, url, pushUrl };
}

const isUrl = (text: string): boolean => !text.startsWith("-") && /[/\\:]/.test(text);

/**
 * One form for all the URLs of a repository, for comparing: `host/path` for https, ssh, git and scp-like ones,
 * without credentials, port, `.git` and final slashes; `file:/absolute/path` for local ones. `base` is where
 * relative paths start. Not a URL: never given to git.
 */
export function normaliseRemote(url: string, base = process.cwd()): string {
  const text = url.trim();
  const full = /^([a-z][a-z0-9+.-]*):\/\/(?:[^/?#]*@)?(\[[^\]]*\]|[^/:?#]*)(?::[0-9]*)?(.*)$/is.exec(text);
  if (full) {
    const [, scheme, host, path] = full;
    if (scheme!.toLowerCase() === "file") return local(decoded(path!), base);
    return joined(host!, decoded(path!));
  }
  // A colon before any slash, as git has it; one letter is a Windows drive.
  const scp = /^(?:[^/\\@]*@)?(\[[^\]]*\]|[^/\\:@]{2,}):(?!:)(.*)$/s.exec(text);
  if (scp) return joined(scp[1]!, scp[2]!);
  return /^[a-z0-9-]+::/i.test(text) ? text : local(text, base);
}

function joined(host: string, path: string): string {
  return `${host.toLowerCase().replace(/\.$/, "")}/${trimmed(path).replace(/^\/+/, "")}`;
}

const local = (path: string, base: string): string => `file:${trimmed(resolve(base, path))}`;

const trimmed = (path: string): string =>
  path
    .replace(/\/+$/, "")
    .replace(/(?<=[^/])\.git$/i, "")
    .replace(/\/+$/, "");

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/** The commits without parents that HEAD descends from, sorted; none on an unborn branch or in a shallow clone. */
export async function rootCommits(git: Git): Promise<string[]> {
  if ((await git.text(["rev-parse", "--is-shallow-repository"])) === "true") return [];
  if ((await git.code(["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])) !== 0) return [];
  return (await git.text(["rev-list", "--max-parents=0", "HEAD"])).split("\n").sort();
}
