// Machines of one user around one bare remote: each with its own HOME, user name and path to the clone.

import { execFileSync, spawn } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { afterAll, expect } from "vitest";
import { main } from "../../src/main.ts";
import { linesPerTurn, type Scene, storeKey, turns } from "../fixtures/conversation.ts";

export const cli = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));

/** What a command left behind. */
export interface Outcome {
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
}

// biome-ignore lint/suspicious/noExplicitAny: tests look into documents of many shapes
export type Document = Record<string, any>;

export interface JsonOutcome {
  readonly exit: number;
  readonly document: Document;
  readonly stderr: string;
}

/** Ids of conversations. */
export const one = "11111111-1111-4111-8111-111111111111";
export const two = "22222222-2222-4222-8222-222222222222";
export const three = "33333333-3333-4333-8333-333333333333";

const bases: string[] = [];
afterAll(() => {
  for (const base of bases) rmSync(base, { recursive: true, force: true, maxRetries: 20 });
});

/** A temporary folder that goes away with the test file. */
export function temporaryFolder(): string {
  const base = realpathSync(mkdtempSync(join(tmpdir(), "convosync-e2e-")));
  bases.push(base);
  return base;
}

export interface SandboxOptions {
  readonly objectFormat?: "sha1" | "sha256";
  /** Where each machine's clone lies, below its HOME. */
  readonly folders?: { readonly desktop?: string; readonly laptop?: string; readonly tablet?: string };
}

export interface Sandbox {
  readonly base: string;
  /** Path of the bare repository. */
  readonly remote: string;
  /** Path of the file with the vault's recovery code. */
  readonly code: string;
  readonly desktop: Machine;
  readonly laptop: Machine;
  readonly tablet: Machine;
  /** Runs git on the remote. */
  remoteGit(...args: string[]): string;
}

/** Machines without clones around an empty remote. */
export function sandbox(options: SandboxOptions = {}): Sandbox {
  const base = temporaryFolder();
  const remote = join(base, "remote.git");
  const code = join(base, "recovery-code.txt");
  const { objectFormat = "sha1", folders = {} } = options;
  git(
    base,
    machineEnv(base),
    "init",
    "-q",
    "--bare",
    "-b",
    "main",
    `--object-format=${objectFormat}`,
    remote,
  );
  const world = { base, remote, code, objectFormat };
  return {
    base,
    remote,
    code,
    desktop: new Machine(world, "Desktop", join(base, "home/me"), folders.desktop ?? "code/shop"),
    laptop: new Machine(world, "Laptop", join(base, "Users/anna"), folders.laptop ?? "src/my-shop"),
    tablet: new Machine(world, "Tablet", join(base, "data/u0_a12"), folders.tablet ?? "shop"),
    remoteGit: (...args) => git(remote, machineEnv(base), ...args),
  };
}

/** A desktop with one commit and a vault, and a laptop that joined it. */
export async function pair(options: SandboxOptions = {}): Promise<Sandbox> {
  const made = sandbox(options);
  await made.desktop.begin();
  await made.laptop.join();
  return made;
}

interface Around {
  readonly base: string;
  readonly remote: string;
  readonly code: string;
  readonly objectFormat: string;
}

const types = { Desktop: "desktop", Laptop: "laptop", Tablet: "tablet" } as const;

export class Machine {
  readonly name: keyof typeof types;
  readonly home: string;
  /** The clone's work tree. */
  readonly path: string;
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly #around: Around;
  readonly #later: number;

  constructor(around: Around, name: keyof typeof types, home: string, folder: string, change: Change = {}) {
    this.#around = around;
    this.name = name;
    this.home = home;
    this.path = resolve(home, folder);
    this.cwd = resolve(this.path, change.cwd ?? "");
    this.env = { ...machineEnv(home), ...change.env };
    this.#later = change.days ?? 0;
    mkdirSync(home, { recursive: true });
    const config = join(home, ".gitconfig");
    if (!existsSync(config)) {
      const mail = `${name.toLowerCase()}@example.com`;
      writeFileSync(config, `[user]\n\tname = ${name}\n\temail = ${mail}\n[init]\n\tdefaultBranch = main\n`);
    }
  }

  /** The same machine, seen from another folder, another clone or with more in its environment. */
  with(change: Change & { path?: string }): Machine {
    const merged = { ...change, cwd: change.cwd ?? "", env: { ...this.env, ...change.env } };
    return new Machine(this.#around, this.name, this.home, change.path ?? this.path, merged);
  }

  /** Moves the project to another folder of the home directory; the machine as it is seen from there. */
  movedTo(folder: string): Machine {
    const there = this.with({ path: join(this.home, folder) });
    mkdirSync(dirname(there.path), { recursive: true });
    renameSync(this.path, there.path);
    return there;
  }

  /** Makes the repository, pushes its first commit, and sets the vault up. */
  async begin(): Promise<void> {
    mkdirSync(this.path, { recursive: true });
    this.git("init", "-q", `--object-format=${this.#around.objectFormat}`);
    this.git("remote", "add", "origin", this.#around.remote);
    this.write("README.md", "# Shop\n");
    this.commit("first");
    this.git("push", "-q", "--set-upstream", "origin", "main");
    await this.init("--recovery-file", this.#around.code);
  }

  clone(...options: string[]): void {
    mkdirSync(dirname(this.path), { recursive: true });
    // By URL, because git takes a local path as leave to ignore --depth.
    git(this.home, this.env, "clone", "-q", ...options, `file://${this.#around.remote}`, this.path);
  }

  /** Clones the remote and joins its vault. */
  async join(): Promise<void> {
    this.clone();
    await this.init("--join", "--recovery-file", this.#around.code);
  }

  /** `convosync init` with this machine's name; must succeed. */
  async init(...options: string[]): Promise<Outcome> {
    const who = ["--device-name", this.name, "--device-type", types[this.name]];
    return done(await this.run("init", "--yes", ...who, ...options));
  }

  /** Runs the program in this process; with SPAWN=1 as one of its own, wherever the clock need not be another. */
  async run(...argv: string[]): Promise<Outcome> {
    if (process.env["SPAWN"] === "1" && this.#later === 0) return this.spawn(...argv);
    const stdout = new Sink();
    const stderr = new Sink();
    const stdin = Readable.from([]);
    const { cwd, env } = this;
    const exit = await main(argv, {
      cwd,
      env: { ...env },
      now: () => new Date(Date.now() + this.#later * 86_400_000),
      streams: { stdin, stdout, stderr },
    });
    return { exit, stdout: stdout.text, stderr: stderr.text };
  }

  /** The same with `--json`: stdout must be exactly one document. */
  async json(...argv: string[]): Promise<JsonOutcome> {
    const { exit, stdout, stderr } = await this.run(...argv, "--json");
    expect(stdout).toMatch(/^\{.*\}\n$/);
    const document = JSON.parse(stdout) as Document;
    expect(document["convosync"]).toBe(1);
    return { exit, document, stderr };
  }

  /** Runs the built program as a process of its own. */
  spawn(...argv: string[]): Promise<Outcome> {
    return new Promise((settle, fail) => {
      const child = spawn(process.execPath, [cli, ...argv], { cwd: this.cwd, env: this.env });
      let stdout = "";
      let stderr = "";
      child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
      child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
      child.stdin.end();
      child.on("error", fail);
      child.on("close", (code) => settle({ exit: code ?? -1, stdout, stderr }));
    });
  }

  git(...args: string[]): string {
    return git(this.cwd, this.env, ...args);
  }

  /** Exit status of a git command that may fail. */
  gitFails(...args: string[]): boolean {
    try {
      this.git(...args);
      return false;
    } catch {
      return true;
    }
  }

  head(): string {
    return this.git("rev-parse", "HEAD");
  }

  branch(): string {
    return this.git("branch", "--show-current");
  }

  write(name: string, content: string | Uint8Array): void {
    const path = resolve(this.path, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  }

  read(name: string): string {
    return readFileSync(resolve(this.path, name), "utf8");
  }

  has(name: string): boolean {
    return existsSync(resolve(this.path, name));
  }

  commit(message: string): string {
    this.git("add", "--all");
    this.git("commit", "-q", "-m", message);
    return this.head();
  }

  /** Claude Code's folder for the conversations of the current folder. */
  get project(): string {
    return join(
      this.env["CLAUDE_CONFIG_DIR"] ?? join(this.home, ".claude"),
      "projects",
      storeKey(this.scene.cwd),
    );
  }

  /** As Claude Code sees it: the real path. */
  get scene(): Scene {
    return { home: this.home, cwd: existsSync(this.cwd) ? realpathSync(this.cwd) : this.cwd };
  }

  transcript(id = one): string {
    return join(this.project, `${id}.jsonl`);
  }

  /** Claude Code goes on with a conversation: turns `from` to `to` are appended to its transcript. */
  say(from: number, to: number, id = one, voice = ""): void {
    mkdirSync(this.project, { recursive: true });
    appendFileSync(this.transcript(id), turns(this.scene, id, from, to, voice), { mode: 0o600 });
  }

  /** What the transcript of `to` turns looks like on this machine. */
  told(to: number, id = one, voice = "", from = 0): string {
    return turns(this.scene, id, from, to, voice);
  }

  heard(id = one): string {
    return readFileSync(this.transcript(id), "utf8");
  }

  /** Asserts that this machine's transcript is the conversation up to turn `to`, told with this machine's paths. */
  hears(to: number, id = one, voice = ""): void {
    expectTranscript(this.heard(id), this.told(to, id, voice));
  }

  /**
   * Everything of the user's that a refused command must leave alone: HEAD, branches, index, work tree, and the
   * agent's store, with the times of its files.
   */
  footprint(): Record<string, string> {
    const found: Record<string, string> = {};
    const gitDir = this.git("rev-parse", "--absolute-git-dir");
    found["HEAD"] = readFileSync(join(gitDir, "HEAD"), "utf8");
    found["refs"] = this.git("for-each-ref", "refs/heads", "refs/tags", "refs/stash");
    const index = join(gitDir, "index");
    found["index"] = existsSync(index) ? readFileSync(index).toString("base64") : "none";
    found["config"] = readFileSync(
      join(this.git("rev-parse", "--git-common-dir"), "config").replace(/^\.git/, join(this.path, ".git")),
      "utf8",
    );
    record(this.path, "work tree", found, false);
    record(join(this.home, ".claude"), "store", found, true);
    return found;
  }
}

interface Change {
  /** Relative to the clone. */
  readonly cwd?: string;
  /** By how many days its clock is ahead. */
  readonly days?: number;
  readonly env?: NodeJS.ProcessEnv;
}

/** Asserts success; what the command said is shown when it failed. */
export function done(outcome: Outcome): Outcome {
  if (outcome.exit !== 0) throw new Error(`exit ${outcome.exit}\n${outcome.stdout}\n${outcome.stderr}`);
  return outcome;
}

/** Asserts that a transcript is exactly this text; a failure shows the first line that differs, not all of them. */
export function expectTranscript(actual: string, expected: string): void {
  if (actual === expected) return;
  const [found, wanted] = [actual.split("\n"), expected.split("\n")];
  const at = wanted.findIndex((line, index) => line !== found[index]);
  expect({ line: at, of: found.length, text: found[at] }).toEqual({
    line: at,
    of: wanted.length,
    text: wanted[at],
  });
}

/** Lines of so many turns. */
export const lines = (count: number): number => count * linesPerTurn;

export function git(cwd: string, env: NodeJS.ProcessEnv, ...args: string[]): string {
  return execFileSync("git", args, { cwd, env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).replace(
    /\n$/,
    "",
  );
}

function machineEnv(home: string): NodeJS.ProcessEnv {
  return {
    PATH: process.env["PATH"],
    HOME: home,
    TZ: "UTC",
    LC_ALL: "C.UTF-8",
    GIT_CONFIG_NOSYSTEM: "1",
    TMPDIR: tmpdir(),
    // Tests that are about hooks install them.
    CONVOSYNC_HOOKS: "false",
    CONVOSYNC_AGENT_HOOKS: "false",
  };
}

/** A stream that keeps what is written to it. */
class Sink extends Writable {
  text = "";
  override _write(chunk: Buffer, _encoding: string, next: () => void): void {
    this.text += chunk.toString("utf8");
    next();
  }
}

function record(folder: string, label: string, into: Record<string, string>, times: boolean): void {
  for (const entry of existsSync(folder)
    ? readdirSync(folder, { recursive: true, withFileTypes: true })
    : []) {
    const path = join(entry.parentPath, entry.name);
    const name = relative(folder, path);
    if (name === ".git" || name.startsWith(".git/")) continue;
    const { mtimeMs, mode } = lstatSync(path);
    const content = entry.isFile()
      ? readFileSync(path).toString("base64")
      : entry.isSymbolicLink()
        ? readlinkSync(path)
        : "folder";
    into[`${label}: ${name}`] = `${mode.toString(8)} ${times && entry.isFile() ? mtimeMs : ""} ${content}`;
  }
}
