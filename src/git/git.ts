// The one place that starts git.

import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { existsSync, realpathSync } from "node:fs";
import { resolve } from "node:path";
import { ConvosyncError, Exit, systemHints } from "../errors.ts";
import { childEnvironment, withoutRepository } from "./environment.ts";

/** What a git child left behind. `stderr` is empty when it was inherited. */
export interface GitResult {
  readonly code: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export interface RunOptions {
  /** Written to stdin, which is then closed; without it stdin is empty. */
  readonly input?: Uint8Array | string;
  /** Added to the environment of this child. */
  readonly env?: Readonly<Record<string, string>>;
  /** Exit statuses that are answers and not failures; default `[0]`. */
  readonly okCodes?: readonly number[] | "any";
  /** More output than this on stdout is a failure: `git-output-too-large`. */
  readonly maxBytes?: number;
  /** After this long the child is killed: `git-timeout`. */
  readonly timeoutMs?: number;
  /** Kills the child: `cancelled`. */
  readonly signal?: AbortSignal;
  /** git may ask for a password on the terminal; default false. */
  readonly prompt?: boolean;
  /** The user sees git's own messages and progress as they come. */
  readonly inherit?: "stderr";
}

export interface LongRunOptions extends Omit<RunOptions, "input" | "maxBytes"> {
  /** Streamed to stdin with back pressure; when it throws, the child is killed and the error passed on. */
  readonly input?: AsyncIterable<Uint8Array>;
}

/**
 * git, started in one folder with one environment. All methods fail with ConvosyncError: `git-failed` (message
 * from git's first line that says something, all of stderr in `cause`), `git-timeout`, `cancelled`,
 * `git-missing`.
 */
export interface Git {
  run(args: readonly string[], options?: RunOptions): Promise<GitResult>;
  /** stdout as text, without the final line feed. */
  text(args: readonly string[], options?: RunOptions): Promise<string>;
  /** stdout split at NUL, for commands with `-z`. */
  lines0(args: readonly string[], options?: RunOptions): Promise<string[]>;
  /** The exit status alone. */
  code(args: readonly string[], options?: RunOptions): Promise<number>;
  /** Like `run`, for what may take long (network, bulk imports): with its whole process group it can be ended. */
  runLong(args: readonly string[], options?: LongRunOptions): Promise<GitResult>;
  /** A program with the terminal to itself (an editor, a merge tool). Returns its exit status. */
  foreground(args: readonly string[]): Promise<number>;
  /** A child to talk with over pipes (`cat-file --batch`); the caller ends it. */
  spawn(args: readonly string[], options?: Pick<RunOptions, "env">): ChildProcessWithoutNullStreams;
}

/** A git repository as found from a folder. All paths are absolute and real. */
export interface Repository {
  /** Top folder of the work tree; null in a bare repository and inside `.git`. */
  readonly root: string | null;
  /** This work tree's own git directory. */
  readonly gitDir: string;
  /** What all work trees share: objects, refs, config. */
  readonly commonDir: string;
  readonly objectFormat: "sha1" | "sha256";
  /** From `root` to the folder we were started in: empty, or ending in a slash. */
  readonly prefix: string;
  readonly bare: boolean;
  readonly shallow: boolean;
  /** Not what git itself would find in `root`: the user named it (GIT_DIR, `git --git-dir`), or it is bare. */
  readonly explicit: boolean;
}

/** git in a folder; a surrounding hook's GIT_DIR, GIT_INDEX_FILE and so on have no effect on it. */
export function openGit(cwd: string, env: NodeJS.ProcessEnv = process.env): Git {
  return startGit({ cwd, env: withoutRepository(env), global: [] });
}

/**
 * git on a repository that was discovered before, in its top folder. `whileWaiting` is called whenever one has begun that
 * takes long and is not fed by us: what talks to a remote.
 */
export function repositoryGit(
  repository: Repository,
  env: NodeJS.ProcessEnv = process.env,
  whileWaiting?: () => void,
): Git {
  const { root, gitDir, explicit } = repository;
  // Named only when needed: with GIT_DIR set, a user's hook that makes a repository elsewhere would work on this.
  const global = explicit ? [`--git-dir=${gitDir}`, ...(root === null ? [] : [`--work-tree=${root}`])] : [];
  return startGit({ cwd: root ?? gitDir, env: withoutRepository(env), global, whileWaiting });
}

/** Finds the repository as git would: `GIT_DIR`, `GIT_WORK_TREE`, `git -C` and `git --git-dir` are honoured. */
export async function discover(cwd: string, env: NodeJS.ProcessEnv = process.env): Promise<Repository> {
  const git = startGit({ cwd, env, global: [] });
  // One call. `--show-toplevel` is last because it fails where there is no work tree, after the rest is printed.
  const questions = ["--is-bare-repository", "--is-shallow-repository", "--show-object-format"];
  const places = ["--absolute-git-dir", "--git-common-dir", "--show-prefix", "--show-toplevel"];
  const args = ["rev-parse", ...questions, ...places];
  const answer = await git.run(args, { okCodes: "any" });
  const lines = answer.stdout.toString().split("\n").slice(0, -1);
  const [bare, shallow, format, gitDir, commonDir, prefix, root] = lines;
  if (gitDir === undefined || commonDir === undefined || prefix === undefined || lines.length > 7) {
    if (/not a git repository/.test(answer.stderr)) {
      throw new ConvosyncError("not-a-repository", Exit.stopped, "not a git repository", [
        "run this inside the project's repository, or make one with: git init",
      ]);
    }
    throw failure(args, answer);
  }
  // Not as git prints them: where a disk does not tell cases apart, that is as the user typed them.
  const real = realpathSync.native;
  const workTree = root === undefined ? null : real(root);
  const { GIT_DIR, GIT_WORK_TREE, GIT_COMMON_DIR } = env;
  return {
    root: workTree,
    gitDir: real(gitDir),
    commonDir: real(resolve(cwd, commonDir)),
    objectFormat: format === "sha256" ? "sha256" : "sha1",
    prefix,
    bare: bare === "true",
    shallow: shallow === "true",
    explicit: workTree === null || Boolean(GIT_DIR || GIT_WORK_TREE || GIT_COMMON_DIR),
  };
}

/** The settings git would go by in this folder, its repository's included: as `readConfig`, before `discover`. */
export const configAround = (cwd: string, env: NodeJS.ProcessEnv, pattern: string): Promise<Config> =>
  readConfig(startGit({ cwd, env, global: [] }), pattern);

/** Names in lower case but for their middle part, with all their values in git's order. */
export type Config = ReadonlyMap<string, readonly string[]>;

/**
 * All values of the settings whose lower-case name matches `pattern` (an extended regular expression), in git's
 * order: the last one of a name wins. A name without a value is "true", as git reads it.
 */
export async function readConfig(git: Git, pattern: string): Promise<Config> {
  const settings = new Map<string, string[]>();
  for (const entry of await git.lines0(["config", "--null", "--get-regexp", pattern], { okCodes: [0, 1] })) {
    const end = entry.indexOf("\n");
    const name = end < 0 ? entry : entry.slice(0, end);
    const values = settings.get(name) ?? [];
    settings.set(name, [...values, end < 0 ? "true" : entry.slice(end + 1)]);
  }
  return settings;
}

/** Loads what the first network command or import needs, while something else is waited for. */
export function warmUp(): void {
  void import("./process-group.ts");
}

/** Takes user name and password out of every URL in a text. */
export function scrubUrl(text: string): string {
  return text.replace(/([a-z][a-z0-9+.-]*:\/\/)[^\s/@'"]*(?:@[^\s/@'"]*)*@/gi, "$1");
}

interface Start {
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  /** Options before the command. */
  readonly global: readonly string[];
  readonly whileWaiting?: (() => void) | undefined;
}

function startGit({ cwd, env, global, whileWaiting }: Start): Git {
  const environment = (options: Pick<RunOptions, "env" | "prompt">) => ({
    ...childEnvironment(env, options.prompt ?? false),
    ...options.env,
  });
  const line = (args: readonly string[]) => [...global, ...args];

  async function run(args: readonly string[], options: RunOptions = {}): Promise<GitResult> {
    const end = trace(env, line(args));
    const stdio = ["pipe", "pipe", options.inherit === "stderr" ? "inherit" : "pipe"] as const;
    const child = spawn("git", line(args), {
      cwd,
      env: environment(options),
      stdio: [...stdio],
      windowsHide: true,
    });
    const result = await collect(child, args, cwd, options);
    end();
    return accept(args, result, options.okCodes);
  }

  async function runLong(args: readonly string[], options: LongRunOptions = {}): Promise<GitResult> {
    const { runGroup } = await import("./process-group.ts");
    const end = trace(env, line(args));
    const ending = runGroup(line(args), { ...options, cwd, env: environment(options) });
    if (options.input === undefined) whileWaiting?.();
    const ended = await ending;
    end();
    switch (ended.how) {
      case "exit":
        return accept(args, ended, options.okCodes);
      case "cancelled":
        throw cancelled();
      case "timeout":
        throw timedOut(args, options.timeoutMs);
      case "not started":
        throw notStarted(cwd, ended.cause);
    }
  }

  return {
    run,
    runLong,
    text: async (args, options) => (await run(args, options)).stdout.toString().replace(/\n$/, ""),
    lines0: async (args, options) => {
      const lines = (await run(args, options)).stdout.toString().split("\0");
      if (lines.at(-1) === "") lines.pop();
      return lines;
    },
    code: async (args, options) => (await run(args, { ...options, okCodes: "any" })).code,
    foreground: (args) =>
      new Promise((settle, fail) => {
        trace(env, line(args))();
        const child = spawn("git", line(args), { cwd, env, stdio: "inherit" });
        child.on("error", (cause) => fail(notStarted(cwd, cause)));
        child.on("close", (code) => settle(code ?? -1));
      }),
    spawn: (args, options = {}) => {
      trace(env, line(args))();
      return spawn("git", line(args), { cwd, env: environment(options), windowsHide: true });
    },
  };
}

/** Waits for a child, reading all it says. */
function collect(
  child: ChildProcess,
  args: readonly string[],
  cwd: string,
  options: RunOptions,
): Promise<GitResult> {
  return new Promise((done, fail) => {
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    let bytes = 0;
    const giveUp = (why: ConvosyncError) => {
      finish();
      child.kill();
      fail(why);
    };
    const onAbort = () => giveUp(cancelled());
    const timer =
      options.timeoutMs === undefined
        ? undefined
        : setTimeout(() => giveUp(timedOut(args, options.timeoutMs)), options.timeoutMs);
    const finish = () => {
      clearTimeout(timer);
      options.signal?.removeEventListener("abort", onAbort);
    };
    child.on("error", (cause) => {
      finish();
      fail(notStarted(cwd, cause));
    });
    child.stdout?.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > (options.maxBytes ?? Number.POSITIVE_INFINITY)) giveUp(tooLarge(args, options.maxBytes));
      else out.push(chunk);
    });
    child.stderr?.on("data", (chunk: Buffer) => err.push(chunk));
    child.on("close", (code, signal) => {
      finish();
      const stderr = Buffer.concat(err).toString();
      done({
        code: code ?? -1,
        stdout: Buffer.concat(out),
        stderr: signal ? `${stderr}ended by ${signal}` : stderr,
      });
    });
    // A child that ends without reading its input is judged by its exit status.
    child.stdin?.on("error", () => {});
    child.stdin?.end(options.input);
    if (options.signal?.aborted) onAbort();
    else options.signal?.addEventListener("abort", onAbort, { once: true });
  });
}

function accept(args: readonly string[], result: GitResult, ok: RunOptions["okCodes"] = [0]): GitResult {
  if (ok !== "any" && !ok.includes(result.code)) throw failure(args, result);
  return result;
}

/** What git says of troubles of the system's. */
const systemTroubles: readonly (readonly [words: RegExp, code: keyof typeof systemHints])[] = [
  [/out of diskspace|no space left on device/i, "ENOSPC"],
  [/disk quota exceeded/i, "EDQUOT"],
  [/read-only file system/i, "EROFS"],
  [/insufficient permission for adding an object/i, "EACCES"],
  [/unable to create (?:directory for |'.+': permission denied)/i, "EACCES"],
];

/** The error for a git command that failed; for callers that judge exit statuses themselves. */
export function failure(args: readonly string[], { code, stderr }: GitResult): ConvosyncError {
  const text = scrubUrl(stderr);
  const advice = [...text.matchAll(/^\t(git .+)$/gm)].map((hint) => hint[1] ?? "");
  const trouble = systemTroubles.find(([words]) => words.test(text));
  const hints = trouble ? [...advice, systemHints[trouble[1]]] : advice;
  const cause = new Error(`git ${scrubUrl(args.join(" "))}: exit status ${code}\n${text}`);
  return new ConvosyncError(
    "git-failed",
    Exit.failed,
    `git ${verb(args)}: ${firstComplaint(text) ?? `exit status ${code}`}`,
    hints,
    cause,
  );
}

/** The first line of git's stderr that says what went wrong, without its prefix. */
export function firstComplaint(stderr: string): string | undefined {
  const lines = stderr.split("\n").map((line) => line.trim());
  const loud = lines.find((line) => /^(?:fatal|error): ./.test(line));
  const other = lines.find((line) => line !== "" && !/^(?:hint|warning):/.test(line));
  return (loud ?? other)?.replace(/^(?:fatal|error): /, "").replace(/\.$/, "");
}

function verb(args: readonly string[]): string {
  const at = args.findIndex((arg, i) => !arg.startsWith("-") && args[i - 1] !== "-c");
  return args[at] ?? "";
}

function notStarted(cwd: string, cause: unknown): ConvosyncError {
  // Node reports a missing working folder as if the program were missing.
  if (!existsSync(cwd))
    return new ConvosyncError("no-folder", Exit.failed, `no such folder: ${cwd}`, [], cause);
  const hints = ["install git 2.39 or newer: https://git-scm.com/downloads"];
  return new ConvosyncError("git-missing", Exit.failed, "git could not be started", hints, cause);
}

function cancelled(): ConvosyncError {
  return new ConvosyncError("cancelled", Exit.cancelled, "cancelled");
}

function timedOut(args: readonly string[], ms = 0): ConvosyncError {
  return new ConvosyncError("git-timeout", Exit.failed, `git ${verb(args)}: no answer within ${ms / 1000} s`);
}

function tooLarge(args: readonly string[], bytes = 0): ConvosyncError {
  return new ConvosyncError(
    "git-output-too-large",
    Exit.failed,
    `git ${verb(args)}: more than ${bytes} bytes of output`,
  );
}

/** With CONVOSYNC_DEBUG=1 each git command and its time go to stderr; never what goes in or comes out. */
function trace({ CONVOSYNC_DEBUG }: NodeJS.ProcessEnv, args: readonly string[]): () => void {
  if (CONVOSYNC_DEBUG !== "1") return () => {};
  const start = performance.now();
  return () => {
    const ms = (performance.now() - start).toFixed(0);
    process.stderr.write(`convosync: git ${scrubUrl(args.join(" "))} (${ms} ms)\n`);
  };
}
