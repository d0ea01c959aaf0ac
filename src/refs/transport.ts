// Refs to and from a remote, by `git push` and `git fetch`.

import { setTimeout as sleep } from "node:timers/promises";
import { ConvosyncError, Exit } from "../errors.ts";
import { failure, firstComplaint, type Git, type GitResult, scrubUrl } from "../git/git.ts";
import { isOid, type Oid } from "./object-database.ts";

interface NetworkOptions {
  /** A configured name or a URL. */
  readonly remote: string;
  /** Bound on the whole exchange; then the remote counts as unreachable. */
  readonly timeoutMs?: number;
  /** git and ssh may ask for passwords on the terminal; default false. */
  readonly prompt?: boolean;
  readonly signal?: AbortSignal;
}

export interface RemoteUpdate {
  /** Full name on the remote. */
  readonly ref: string;
  /** null deletes it. */
  readonly oid: Oid | null;
  /**
   * What the remote must have for the update to happen, which may then go anywhere (a re-root): null when it must
   * not have the ref. Undefined: any value the update is a descendant of.
   */
  readonly lease: Oid | null | undefined;
}

export interface PushRequest extends NetworkOptions {
  readonly updates: readonly RemoteUpdate[];
  /** The user's code, pushed along without force. */
  readonly branch?: { readonly commit: Oid | "HEAD"; readonly to: string };
  /** Run the user's pre-push hook: for pushes that carry code. */
  readonly verifyHooks: boolean;
  /** Refuse the branch where it needs commits of submodules that no remote of theirs has. */
  readonly checkSubmodules?: boolean;
}

export type RejectReason =
  /** Not at its lease (or hidden from us, which looks the same when the lease names a commit). */
  | "stale-lease"
  /** The remote branch has commits that this clone does not even know. */
  | "fetch-first"
  | "not-fast-forward"
  /** By a hook or a rule of the server. */
  | "declined"
  /** By the user's own pre-push hook. */
  | "pre-push"
  /** It needs commits of submodules that nobody could fetch. */
  | "submodules"
  /** The server keeps this namespace to itself. */
  | "hidden"
  /** Another push was faster or holds a lock: worth a retry. */
  | "locked"
  /** This clone has lost an object that was to be sent. */
  | "lost-object"
  /** Nothing wrong with this ref: another one of the push was refused. */
  | "atomic"
  | "other";

export interface RefOutcome {
  readonly ok: boolean;
  /** Only when not ok. */
  readonly reason?: RejectReason;
  /** git's or the server's words, credentials taken out; text from outside. */
  readonly text: string;
}

export type PushResult =
  | { readonly status: "pushed" }
  | {
      readonly status: "rejected";
      readonly refs: ReadonlyMap<string, RefOutcome>;
      /** What the server, or the user's own hook, says to it, line by line; text from outside, credentials taken out. */
      readonly words: readonly string[];
    }
  | { readonly status: "unreachable"; readonly text: string }
  | { readonly status: "not-atomic-capable" };

/**
 * Pushes the branch and all updates in one atomic push: all of it, or nothing. One exception, found with git 2.39: a
 * server that hides our namespace (`receive.hideRefs`) drops our refs before it counts, and takes the branch; then
 * `refs` says so. A push that is repeated after an
 * answer was lost is harmless: a ref that already is where it should be counts as pushed.
 */
export function push(git: Git, request: PushRequest): Promise<PushResult> {
  // One ref goes whole or not at all, on a server that knows nothing of atomic pushes, too.
  const several = request.updates.length + (request.branch ? 1 : 0) > 1;
  return pushOnce(git, request, several ? ["--atomic"] : []);
}

/**
 * For a remote without atomic pushes: the code first, and our refs only when it arrived, in the order given, so that
 * no conversation names a commit that nobody can fetch. Each answer stands for its part; the second is null when
 * it was not tried.
 */
export async function pushInOrder(
  git: Git,
  request: PushRequest,
): Promise<{ code: PushResult; refs: PushResult | null }> {
  const { branch, ...rest } = request;
  const code: PushResult =
    branch === undefined ? { status: "pushed" } : await pushOnce(git, { ...request, updates: [] }, []);
  if (code.status !== "pushed") return { code, refs: null };
  return { code, refs: await pushOnce(git, { ...rest, verifyHooks: false }, []) };
}

async function pushOnce(git: Git, request: PushRequest, options: readonly string[]): Promise<PushResult> {
  const { remote, updates, branch, verifyHooks } = request;
  const submodules = branch !== undefined && request.checkSubmodules ? "check" : "no";
  const leases = updates.flatMap(({ ref, lease }) =>
    lease === undefined ? [] : [`--force-with-lease=${ref}:${lease ?? ""}`],
  );
  const refspecs = updates.map(({ ref, oid }) => `${oid ?? ""}:${ref}`);
  if (branch !== undefined) refspecs.unshift(`${branch.commit}:${branch.to}`);
  if (refspecs.length === 0) return { status: "pushed" };
  const args = [
    ...overrides(remote, "mirror=false"),
    ...["push", "--porcelain", ...options, "--no-follow-tags", `--recurse-submodules=${submodules}`],
    ...(verifyHooks ? [] : ["--no-verify"]),
    ...leases,
    ...["--", remote, ...refspecs],
  ];
  const result = await network(git, args, request);
  if (typeof result === "string") return { status: "unreachable", text: result };
  const wanted = [...(branch === undefined ? [] : [branch.to]), ...updates.map(({ ref }) => ref)];
  const lost = await lostHere(git, result);
  if (lost) {
    const outcome: RefOutcome = { ok: false, reason: "lost-object", text: lost.message };
    return refusedAll(wanted, outcome);
  }
  return judge(args, result, wanted, verifyHooks);
}

/** What git says, with exit status 1 like a hook's refusal, when http breaks off in the middle of a push. */
const NETWORK =
  /RPC failed|hung up|unexpected disconnect|expected flush|unable to access|could not read from remote/i;

/**
 * What a push did. Only the lines about refs count: `Done` and the exit status are missing or wrong in some
 * rejections over http, and a ref without a line was not pushed.
 */
function judge(
  args: readonly string[],
  result: GitResult,
  wanted: readonly string[],
  verify: boolean,
): PushResult {
  const { code, stderr } = result;
  const outcomes = parsePorcelain(result.stdout.toString());
  if (outcomes.size === 0) {
    if (/does not support --atomic push/.test(stderr)) return { status: "not-atomic-capable" };
    const submodules = unpushedSubmodules(stderr);
    if (submodules !== null) {
      const refusal: RefOutcome = { ok: false, reason: "submodules", text: submodules };
      return refusedAll(wanted, refusal);
    }
    if (/^error: src refspec|^fatal: (?:bad|invalid|ambiguous) |^usage: /m.test(stderr))
      throw failure(args, result);
    if (verify && code === 1 && !NETWORK.test(stderr)) {
      const refusal: RefOutcome = { ok: false, reason: "pre-push", text: "declined by the pre-push hook" };
      return refusedAll(wanted, refusal, wordsIn(`${result.stdout}\n${stderr}`));
    }
    return { status: "unreachable", text: complaint(stderr, code) };
  }
  const missing: RefOutcome = { ok: false, reason: "other", text: "the remote did not say" };
  const refs = new Map(wanted.map((ref) => [ref, outcomes.get(ref) ?? missing]));
  if ([...refs.values()].some(({ ok }) => !ok))
    return { status: "rejected", refs, words: wordsIn(stderr).filter((line) => line.startsWith("remote: ")) };
  // One of several push URLs took everything and another did not answer.
  if (code !== 0) return { status: "unreachable", text: complaint(stderr, code) };
  return { status: "pushed" };
}

const refusedAll = (refs: readonly string[], why: RefOutcome, words: readonly string[] = []): PushResult => ({
  status: "rejected",
  refs: new Map(refs.map((ref) => [ref, why])),
  words,
});

/** Most lines of a server or a hook that are passed on; the last ones, as tests and linters end with what failed. */
const mostWords = 20;
/** Of each, most characters: it is remembered in the queue. */
const longestWord = 300;

/** The lines that say something, without what git itself adds to each failed push, and without progress. */
function wordsIn(output: string): string[] {
  const isWord = (line: string) =>
    /\S/.test(line.replace(/^remote:/, "")) &&
    !/^error: failed to push|^hint: |^remote: [\w ]+: +\d+% \(/.test(line);
  return scrubUrl(output)
    .split(/[\r\n]+/)
    .map((line) => line.trimEnd().slice(0, longestWord))
    .filter(isWord)
    .slice(-mostWords);
}

/** What git says of submodules whose commits are on no remote of theirs, in a sentence; null when it says nothing. */
function unpushedSubmodules(stderr: string): string | null {
  const paths = /can\s+not be found on any remote:\n((?: {2}.*\n)+)/.exec(stderr)?.[1];
  if (paths === undefined) return null;
  const names = paths
    .trimEnd()
    .split("\n")
    .map((path) => `'${path.slice(2)}'`);
  return `the branch needs commits of ${names.length === 1 ? "submodule" : "submodules"} ${names.join(", ")} that no remote has`;
}

/**
 * Reads `git push --porcelain`: `<flag> TAB <from>:<to> TAB <summary>[ (<reason>)]` for each ref, under a `To <url>`
 * for each push URL. A ref is ok when it is ok at every URL.
 */
export function parsePorcelain(stdout: string): Map<string, RefOutcome> {
  const refs = new Map<string, RefOutcome>();
  for (const line of stdout.split("\n")) {
    const parts = /^([ +*=!-])\t[^\t]*?:(refs\/[^\t:]+)\t(.*)$/.exec(line);
    if (parts === null) continue;
    const [, flag, ref = "", summary = ""] = parts;
    if (refs.get(ref)?.ok === false) continue;
    const text = scrubUrl(summary);
    refs.set(ref, flag === "!" ? { ok: false, reason: reasonOf(text), text } : { ok: true, text });
  }
  return refs;
}

function reasonOf(summary: string): RejectReason {
  const why = /\((.*)\)\s*$/.exec(summary)?.[1] ?? summary;
  if (/^atomic push fail/.test(why)) return "atomic";
  if (/stale info|incorrect old value|reference already exists|is at \S+ but expected/.test(why))
    return "stale-lease";
  if (/fetch first/.test(why)) return "fetch-first";
  if (/non-fast-forward/.test(why)) return "not-fast-forward";
  if (/hidden ref/.test(why)) return "hidden";
  if (/lock|failed to update ref|atomic transaction failed/.test(why)) return "locked";
  if (
    /declined|denied|den(?:y|ies)|protected|prohibited|not allowed|refus|forbidden|funny refname/.test(why)
  ) {
    return "declined";
  }
  return "other";
}

export interface FetchRequest extends NetworkOptions {
  /** `+<remote ref or pattern>:<local>` or `^<pattern>`; patterns may match nothing, exact names must exist. */
  readonly refspecs: readonly string[];
  /** What comes is ours, and encrypted. */
  readonly sealed?: boolean;
  /**
   * All of it comes, whatever is here already, and each object becomes a file of its own: the remote takes everything below
   * a commit that is here for known.
   */
  readonly whole?: boolean;
}

/**
 * Ciphertext is not compressed once more. Each loose object costs an fsync, about 1 ms: of more than a few git keeps
 * the pack they came in, as of 100 by default; fewer do not make a pack each, of which git would soon tidy up.
 */
const SEALED = ["-c", "core.compression=0", "-c", "fetch.unpackLimit=20"];

export type FetchResult =
  | { readonly status: "ok" }
  | { readonly status: "missing"; readonly ref: string }
  | { readonly status: "unreachable"; readonly text: string };

/**
 * Fetches exactly what the refspecs name: none of the remote's configured ones, no tags, no pruning, FETCH_HEAD and
 * everything else of the user's left alone, whole objects also into a partial clone.
 */
export async function fetch(git: Git, request: FetchRequest): Promise<FetchResult> {
  const { remote, refspecs, sealed, whole } = request;
  const args = [
    ...overrides(remote, "followRemoteHEAD=never"),
    ...["-c", "protocol.version=2"],
    ...["-c", "core.fsync=loose-object,pack,pack-metadata,reference"],
    ...["-c", "core.hooksPath=/dev/null"],
    ...["-c", "core.logAllRefUpdates=true"],
    ...(sealed ? SEALED : []),
    ...(whole ? ["-c", "fetch.negotiationAlgorithm=noop", "-c", "fetch.unpackLimit=2147483647"] : []),
    ...[
      "fetch",
      "--quiet",
      "--no-tags",
      "--no-write-fetch-head",
      "--no-recurse-submodules",
      "--no-auto-maintenance",
      // Fetches of code and of conversations run side by side, and each would want its lock.
      "--no-write-commit-graph",
    ],
    ...["--no-prune", "--no-filter", "--no-show-forced-updates", "--refmap="],
    ...["--", remote, ...refspecs],
  ];
  let result = await network(git, args, request);
  for (const pause of pauses) {
    if (typeof result === "string" || !(raced(result) || overtaken(result, refspecs))) break;
    await sleep(pause);
    result = await network(git, args, request);
  }
  if (typeof result !== "string" && raced(result)) {
    const { refLocked, removeStaleLocks } = await import("./ref-locks.ts");
    if (await removeStaleLocks(git, result.stderr)) result = await network(git, args, request);
    const locked = typeof result !== "string" && raced(result) ? await refLocked(git, result.stderr) : null;
    if (locked) throw locked;
  }
  if (typeof result === "string") return { status: "unreachable", text: result };
  if (result.code === 0) return { status: "ok" };
  const ref = /couldn't find remote ref (\S+)/.exec(result.stderr)?.[1];
  if (ref !== undefined) return { status: "missing", ref };
  const lost = await lostHere(git, result);
  if (lost) throw lost;
  if (blamesRemote(result.stderr))
    return { status: "unreachable", text: complaint(result.stderr, result.code) };
  throw failure(args, result);
}

/** The error for a failure that is due to an object this clone has lost. What finds that out is loaded when something fails. */
async function lostHere(git: Git, { code, stderr }: GitResult): Promise<ConvosyncError | null> {
  return code === 0 ? null : (await import("./lost-objects.ts")).lostHere(git, stderr);
}

/** Between tries, in ms. */
const pauses = [100, 300, 900];

/** Whether another fetch, an editor's say, moved the same ref at the same moment, or is about to. */
const raced = ({ code, stderr }: GitResult): boolean =>
  code !== 0 &&
  /^(?:error|fatal): .*cannot lock ref(?:erences| '.*': (?:is at|reference already exists|Unable to create))/m.test(
    stderr,
  );

/** Whether what the remote had just named is no ref's any more: somebody has put another in its place, or deleted it. */
const overtaken = ({ code, stderr }: GitResult, refspecs: readonly string[]): boolean =>
  code !== 0 && /\bnot our ref\b/.test(stderr) && refspecs.every((one) => one.includes("refs/"));

export type Probe =
  | { readonly status: "same" | "moved" }
  | { readonly status: "unreachable"; readonly text: string };

/**
 * Whether a fetch with these refspecs, of our own refs to their local names, would move any. It moves none itself and
 * costs one small exchange (0.2 KB up, 1 KB down) while nothing is new.
 */
export async function probe(git: Git, request: FetchRequest): Promise<Probe> {
  const { remote, refspecs } = request;
  const args = [
    ...overrides(remote, "followRemoteHEAD=never"),
    ...["-c", "protocol.version=2", "-c", "core.hooksPath=/dev/null"],
    ...["fetch", "--dry-run", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"],
    ...["--no-auto-maintenance", "--no-prune", "--no-filter", "--no-show-forced-updates", "--refmap="],
    ...["--", remote, ...refspecs],
  ];
  const result = await network(git, args, request);
  if (typeof result === "string") return { status: "unreachable", text: result };
  if (result.code !== 0) return { status: "unreachable", text: complaint(result.stderr, result.code) };
  return { status: / -> refs\/convosync/.test(result.stderr) ? "moved" : "same" };
}

export type RemoteRefs =
  | { readonly status: "ok"; readonly refs: ReadonlyMap<string, Oid> }
  | { readonly status: "unreachable"; readonly text: string };

/**
 * The remote's refs whose full name starts with `prefix`, which ends in a slash, or the one of that name. git
 * downloads the names of *all* the remote's refs for this (about 80 bytes each), since `ls-remote` asks the server
 * for a prefix only for branches and tags: to poll, fetch instead.
 */
export async function remoteRefs(
  git: Git,
  request: NetworkOptions & { prefix: string },
): Promise<RemoteRefs> {
  const { remote, prefix } = request;
  const pattern = prefix.endsWith("/") ? `${prefix}*` : prefix;
  const args = ["-c", "protocol.version=2", "ls-remote", "--refs", "--quiet", "--", remote, pattern];
  const result = await network(git, args, request);
  if (typeof result === "string") return { status: "unreachable", text: result };
  if (result.code !== 0) return { status: "unreachable", text: complaint(result.stderr, result.code) };
  const lines = result.stdout.toString().split("\n");
  const refs = lines.map((line): [string, Oid] => [
    line.slice(line.indexOf("\t") + 1),
    line.split("\t", 1)[0] ?? "",
  ]);
  const ours = (ref: string) => ref === prefix || (prefix.endsWith("/") && ref.startsWith(prefix));
  return { status: "ok", refs: new Map(refs.filter(([ref, oid]) => ours(ref) && isOid(oid))) };
}

/** The failure of a command that needed the remote. */
export function unreachable(remote: string, text: string): ConvosyncError {
  const name = scrubUrl(remote);
  const hints = [`check that this works: git ls-remote ${name}`];
  return new ConvosyncError("remote-unreachable", Exit.remote, `cannot reach ${name}: ${text}`, hints);
}

/** A git command that talks to a remote; a text when there was no answer in time. */
async function network(
  git: Git,
  args: readonly string[],
  options: NetworkOptions,
): Promise<GitResult | string> {
  const { timeoutMs, prompt, signal } = options;
  try {
    return await git.runLong(args, {
      okCodes: "any",
      ...(timeoutMs !== undefined && { timeoutMs }),
      ...(prompt !== undefined && { prompt }),
      ...(signal !== undefined && { signal }),
    });
  } catch (error) {
    if (!(error instanceof ConvosyncError) || error.code !== "git-timeout") throw error;
    return `no answer within ${(timeoutMs ?? 0) / 1000} s`;
  }
}

/** For a remote with a name: its settings that would turn our command into another one. */
function overrides(remote: string, setting: string): string[] {
  return /^[\w.-]+$/.test(remote) ? ["-c", `remote.${remote}.${setting}`] : [];
}

function blamesRemote(stderr: string): boolean {
  return /^fatal: (?!bad |invalid |refusing |cannot lock|could not set)|^ssh: |RPC failed|hung up|^remote: /m.test(
    stderr,
  );
}

function complaint(stderr: string, code: number): string {
  const lines = stderr.split("\n").map((line) => line.trim());
  // What ssh, or the program in its place, said last, before git could only say that nothing came.
  const broken = lines.findIndex((line) => line.startsWith("fatal: Could not read from remote repository"));
  const specific =
    lines.find((line) => /^(?:ssh: |.*Permission denied|remote: |ERROR: |FATAL: |error: RPC)/.test(line)) ??
    lines.slice(0, Math.max(0, broken)).findLast((line) => line !== "");
  return scrubUrl(specific ?? firstComplaint(stderr) ?? `git gave up with exit status ${code}`);
}
