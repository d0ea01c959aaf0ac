import { type SpawnSyncReturns, spawn, spawnSync } from "node:child_process";
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";

/** Machines with homes of their own around one bare remote, all in one folder that is removed afterwards. */

const cli = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));
const preload = new URL("preload.mjs", import.meta.url).href;

export const sessionId = "5e55104e-0000-4000-8000-c0ffee000001";

export interface Fault {
  /** Number of the step, from 1. */
  readonly at: number;
  readonly how: "before" | "after" | "orphan" | "ENOSPC" | "EACCES" | "EIO";
}

export interface Ran {
  /** Null when a signal ended the program. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** `<what>` of every step, in order; only of a run under `steps` or `fault`. */
  readonly steps: readonly string[];
}

export class Sandbox {
  readonly root = realpathSync(mkdtempSync(join(tmpdir(), "convosync-fault-")));
  readonly remote = join(this.root, "live", "remote.git");
  readonly #live = join(this.root, "live");
  #kept = 0;

  constructor() {
    mkdirSync(this.#live);
    must(spawnSync("git", ["init", "--quiet", "--bare", "--initial-branch=main", this.remote]));
  }

  machine(name: string): Machine {
    return new Machine(this, join(this.#live, name), name);
  }

  /** Keeps all machines and the remote as they are, for `rewind`. */
  keep(): string {
    const moment = join(this.root, `moment-${++this.#kept}`);
    mirror(this.#live, moment);
    return moment;
  }

  /** Brings back what was kept. Folders stay the same inodes, so a clone stays the clone it was. */
  rewind(moment: string): void {
    mirror(moment, this.#live);
  }

  remove(): void {
    rmSync(this.root, { recursive: true, force: true });
  }

  /** git on the bare remote. */
  git(...args: string[]): string {
    return this.bytes(...args)
      .toString()
      .trimEnd();
  }

  bytes(...args: string[]): Buffer {
    const result = spawnSync("git", ["-C", this.remote, ...args], { maxBuffer: 1 << 28 });
    must(result);
    return result.stdout;
  }
}

/** Makes `to` an exact copy of `from`, keeping folders that are there already. */
function mirror(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  for (const name of readdirSync(to)) {
    const keep = isFolder(join(to, name)) && isFolder(join(from, name));
    if (!keep) rmSync(join(to, name), { recursive: true, force: true });
  }
  for (const name of readdirSync(from)) {
    if (isFolder(join(from, name))) mirror(join(from, name), join(to, name));
    else {
      copyFileSync(join(from, name), join(to, name));
      const { atime, mtime } = lstatSync(join(from, name));
      utimesSync(join(to, name), atime, mtime);
    }
  }
}

const isFolder = (path: string): boolean =>
  lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true;

export class Machine {
  readonly home: string;
  readonly work: string;
  readonly name: string;
  readonly sandbox: Sandbox;
  readonly env: NodeJS.ProcessEnv;

  constructor(sandbox: Sandbox, home: string, name: string) {
    this.sandbox = sandbox;
    this.home = home;
    this.name = name;
    this.work = join(home, `code-of-${name}`, "shop");
    mkdirSync(join(home, `code-of-${name}`), { recursive: true });
    // Hooks would go on working while a moment is kept or brought back.
    const hooks = { CONVOSYNC_HOOKS: "false", CONVOSYNC_AGENT_HOOKS: "false" };
    this.env = { ...process.env, ...hooks, HOME: home, USER: name, CONVOSYNC_NO_INPUT: "1" };
  }

  git(...args: string[]): string {
    return output(spawnSync("git", args, { cwd: this.work, env: this.env, encoding: "utf8" }));
  }

  clone(): void {
    output(
      spawnSync("git", ["clone", "--quiet", this.sandbox.remote, this.work], {
        env: this.env,
        encoding: "utf8",
      }),
    );
  }

  write(path: string, text: string): void {
    writeFileSync(join(this.work, path), text);
  }

  /** Runs the program and expects this exit status, or one of these. */
  convosync(args: readonly string[], code: number | readonly number[] = 0): Ran {
    const { status, stdout, stderr } = spawnSync(process.execPath, [cli, ...args], {
      cwd: this.work,
      env: this.env,
      encoding: "utf8",
    });
    expect([code].flat(), `${args.join(" ")}\n${stdout}${stderr}`).toContain(status);
    return { code: status, stdout, stderr, steps: [] };
  }

  /** Runs the program with a fault, or merely counting its steps; waits also for what outlives it. */
  async faulty(args: readonly string[], fault: Fault | null): Promise<Ran> {
    const log = join(this.sandbox.root, "steps");
    rmSync(log, { force: true });
    const child = spawn(process.execPath, ["--import", preload, cli, ...args], {
      cwd: this.work,
      env: {
        ...this.env,
        FAULT_LOG: log,
        ...(fault && { FAULT_AT: String(fault.at), FAULT_HOW: fault.how }),
      },
      stdio: ["ignore", "pipe", "pipe", "pipe"],
    });
    let stdout = "";
    let stderr = "";
    child.stdout?.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr?.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    (child.stdio[3] as Readable).resume();
    const code = await new Promise<number | null>((done) => child.on("close", done));
    const lines = existsSync(log) ? readFileSync(log, "utf8").trimEnd().split("\n") : [];
    return { code, stdout, stderr, steps: lines.map((line) => line.slice(line.indexOf(" ") + 1)) };
  }

  get transcript(): string {
    return this.transcriptOf(sessionId);
  }

  transcriptOf(id: string): string {
    return join(this.home, ".claude", "projects", this.work.replace(/[^a-zA-Z0-9]/g, "-"), `${id}.jsonl`);
  }

  /** The transcript's bytes, null when there is none. */
  read(): string | null {
    return existsSync(this.transcript) ? readFileSync(this.transcript, "utf8") : null;
  }

  /** Appends `count` lines of conversation. */
  talk(from: number, count: number, id = sessionId): void {
    mkdirSync(join(this.transcriptOf(id), ".."), { recursive: true });
    appendFileSync(this.transcriptOf(id), conversation(this.work, from, count, id));
  }

  /** Appends one record of any kind. */
  say(record: { readonly type: string; readonly text?: string; readonly customTitle?: string }): void {
    const { text, ...fields } = record;
    const message = text === undefined ? {} : { message: { role: record.type, content: text } };
    appendFileSync(
      this.transcript,
      `${JSON.stringify({ ...fields, ...message, cwd: this.work, sessionId })}\n`,
    );
  }

  /** Writes a file beside the transcript. */
  sidecar(name: string, text: string): void {
    const path = join(this.transcript.replace(/\.jsonl$/, ""), name);
    mkdirSync(join(path, ".."), { recursive: true });
    writeFileSync(path, text);
  }

  /** Sidecars of the conversation: a subagent's stream, a tool result, a version of an edited file. */
  sidecars(round: number): void {
    const beside = this.transcript.replace(/\.jsonl$/, "");
    const history = join(this.home, ".claude", "file-history", sessionId);
    for (const folder of [join(beside, "subagents"), join(beside, "tool-results"), history]) {
      mkdirSync(folder, { recursive: true });
    }
    appendFileSync(join(beside, "subagents", "agent-scout.jsonl"), conversation(this.work, round * 10, 2));
    writeFileSync(join(beside, "tool-results", `result-${round}.txt`), `output ${round} in ${this.work}\n`);
    writeFileSync(join(history, `0123456789abcdef@v${round}`), `version ${round}\n`);
  }

  /**
   * Every file of the agent's store, by its path there, with this machine's places named as on no machine; without
   * what a restore has begun to write (`strays` tells of that).
   */
  store(): Map<string, string> {
    const root = join(this.home, ".claude");
    const places = (text: string): string =>
      text
        .replaceAll(this.work, "<work>")
        .replaceAll(this.work.replace(/[^a-zA-Z0-9]/g, "-"), "<key>")
        .replaceAll(this.home, "<home>");
    const whole = files(root).filter((path) => !path.endsWith(".tmp"));
    return new Map(whole.map((path) => [places(relative(root, path)), places(readFileSync(path, "utf8"))]));
  }

  /**
   * Every file below the home whose name says that it should not outlive the program. A torn pack of git's own
   * (`tmp_pack_…`) is not among them: it goes with git's next gc.
   */
  strays(): string[] {
    const stray =
      /\.tmp$|\.lock$|\/convosync\/lock$|\.breaking$|index\.convosync|convosync-(?:incoming|scratch)|fast_import_crash/;
    return files(this.home)
      .map((path) => relative(this.home, path))
      .filter((path) => stray.test(`/${path}`));
  }
}

export function conversation(work: string, from: number, count: number, id = sessionId): string {
  let text = "";
  for (let n = from; n < from + count; n++) {
    const type = n % 2 === 0 ? "user" : "assistant";
    const line = {
      type,
      cwd: work,
      sessionId: id,
      gitBranch: "feature/oauth",
      version: "2.1.300",
      uuid: `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`,
      timestamp: new Date(Date.UTC(2026, 0, 1, 10, 0, n)).toISOString(),
      message: {
        role: type,
        content: [{ type: "text", text: `line ${n}: look at ${work}/src/login.js, then log in again` }],
      },
    };
    text += `${JSON.stringify(line)}\n`;
  }
  return text;
}

/** All regular files below a folder. */
export function files(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? files(path) : [path];
  });
}

function must(result: SpawnSyncReturns<Buffer | string>): void {
  if (result.status !== 0) throw new Error(`exit status ${result.status}: ${String(result.stderr)}`);
}

function output(result: SpawnSyncReturns<string>): string {
  must(result);
  return result.stdout.trimEnd();
}

/** The desktop has a repository with a branch, code that is not committed, and a conversation. */
export function desktopAtWork(sandbox: Sandbox): Machine {
  const desktop = sandbox.machine("desktop");
  mkdirSync(desktop.work);
  desktop.git("init", "--quiet", "--initial-branch=main");
  desktop.git("remote", "add", "origin", sandbox.remote);
  desktop.write("README.md", "shop\n");
  desktop.git("add", ".");
  desktop.git("commit", "--quiet", "--message=first");
  desktop.git("push", "--quiet", "origin", "main");
  desktop.git("switch", "--quiet", "--create", "feature/oauth");
  desktop.write("auth.js", "one\n");
  desktop.talk(0, 20);
  desktop.sidecars(1);
  return desktop;
}

export const codeFile = (sandbox: Sandbox): string => join(sandbox.root, "live", "recovery-code.txt");

export function initialise(machine: Machine, ...more: string[]): void {
  machine.convosync(initArguments(machine, ...more));
}

export function initArguments(machine: Machine, ...more: string[]): string[] {
  const device = ["--device-name", `${machine.name} of mine`, "--device-type", "laptop"];
  return ["init", "--yes", "--recovery-file", codeFile(machine.sandbox), ...device, ...more];
}

/** A second machine: cloned, joined, nothing resumed yet. */
export function joinedLaptop(sandbox: Sandbox): Machine {
  const laptop = sandbox.machine("laptop");
  laptop.clone();
  initialise(laptop, "--join");
  return laptop;
}
