// Where the measuring is done: a temporary folder with simulated machines and bare remotes, removed at the end.
import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const project = fileURLToPath(new URL("../..", import.meta.url));
const usage = fileURLToPath(new URL("./usage.cjs", import.meta.url));

/**
 * @typedef {object} Run One whole process, measured from outside.
 * @property {number} ms From its start to its end.
 * @property {Buffer} stdout
 * @property {number} cpu User and system time of the process itself, in ms; NaN where it was not asked for.
 * @property {number | null} children The same of the git children, in ticks of 10 ms; null where unknown.
 * @property {number} rss Peak resident memory, in bytes.
 */

/**
 * @typedef {object} Options
 * @property {boolean} quick Smaller numbers of everything, for a look.
 * @property {number} runs Samples of each timed row.
 */

export class Lab {
  /** @param {Options} options */
  constructor(options) {
    this.options = options;
    this.dir = realpathSync(mkdtempSync(join(tmpdir(), "convosync-bench-")));
    // A copy, so that a build that goes on meanwhile does not change what is measured.
    const dist = join(project, "dist");
    if (!existsSync(join(dist, "cli.js")))
      throw new Error("there is no dist/cli.js: run 'npm run build' first");
    cpSync(dist, join(this.dir, "program", "dist"), { recursive: true });
    cpSync(join(project, "git-hooks"), join(this.dir, "program", "git-hooks"), { recursive: true });
    cpSync(join(project, "package.json"), join(this.dir, "program", "package.json"));
    this.cli = join(this.dir, "program", "dist", "cli.js");
    this.once = once();
    this.#names = 0;
  }

  /** @type {number} */
  #names;

  dispose() {
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }

  /** A folder of its own for each use. */
  folder(name) {
    const folder = join(this.dir, `${++this.#names}-${name}`);
    mkdirSync(folder);
    return folder;
  }

  /** A file with this content. */
  file(name, content) {
    const path = join(this.folder("file"), name);
    writeFileSync(path, content);
    return path;
  }

  /** A bare repository with one commit on `main`. */
  remote() {
    const remote = join(this.folder("remote"), "shop.git");
    const seed = new Machine(this, "seed");
    seed.git(this.dir, "init", "-q", "--bare", "-b", "main", remote);
    const work = seed.clone(remote);
    writeFileSync(join(work, "README.md"), "# Shop\n");
    seed.git(work, "add", ".");
    seed.git(work, "commit", "-q", "-m", "First commit");
    seed.git(work, "push", "-q", "origin", "HEAD:refs/heads/main");
    return remote;
  }

  /** @param {string} name */
  machine(name) {
    return new Machine(this, name);
  }
}

/** Fixtures that several groups share are made by the first that needs them. */
function once() {
  const made = new Map();
  return (name, make) => {
    if (!made.has(name)) made.set(name, make());
    return made.get(name);
  };
}

/** A HOME of its own, and programs started as its user. */
export class Machine {
  /**
   * @param {Lab} lab
   * @param {string} name
   */
  constructor(lab, name) {
    this.lab = lab;
    this.name = name;
    this.home = lab.folder(name);
    /** Milliseconds by which the clock of what is measured is ahead. */
    this.later = 0;
    const kept = ["TMPDIR", "TEMP", "TMP", "SystemRoot", "ComSpec", "PATH"];
    this.env = {
      ...Object.fromEntries(kept.filter((one) => process.env[one]).map((one) => [one, process.env[one]])),
      CONVOSYNC_HOOKS: "false",
      CONVOSYNC_AGENT_HOOKS: "false",
      HOME: this.home,
      USERPROFILE: this.home,
      LC_ALL: "C.UTF-8",
      NO_COLOR: "1",
      GIT_CONFIG_NOSYSTEM: "1",
      GIT_CONFIG_GLOBAL: join(this.home, ".gitconfig"),
      GIT_TERMINAL_PROMPT: "0",
      GIT_AUTHOR_NAME: name,
      GIT_AUTHOR_EMAIL: `${name}@example.org`,
      GIT_COMMITTER_NAME: name,
      GIT_COMMITTER_EMAIL: `${name}@example.org`,
    };
    // Maintenance that git starts by itself, in the background or not, would fall into one sample out of many.
    writeFileSync(join(this.home, ".gitconfig"), "[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n");
  }

  /**
   * @param {string} cwd
   * @param {string} command
   * @param {readonly string[]} args
   * @param {Record<string, string>} [env]
   * @returns {Run}
   */
  run(cwd, command, args, env = {}, input = undefined) {
    const options = { cwd, env: { ...this.env, ...env }, maxBuffer: 2 ** 30, input };
    const start = performance.now();
    const child = spawnSync(command, args, options);
    const ms = performance.now() - start;
    if (child.error) throw child.error;
    if (child.status !== 0) {
      const line = [command, ...args].join(" ");
      throw new Error(
        `'${line}' ended with ${child.status ?? child.signal}:\n${child.stderr}${child.stdout}`,
      );
    }
    return { ms, stdout: child.stdout, cpu: Number.NaN, children: null, rss: Number.NaN };
  }

  /** git's answer, without the line feed. */
  git(cwd, ...args) {
    return this.run(cwd, "git", args).stdout.toString().trimEnd();
  }

  /** A work tree of the remote; over a protocol, as from elsewhere. */
  clone(remote, folder = "shop") {
    const work = join(this.home, folder);
    this.git(this.home, "clone", "-q", pathToFileURL(remote).href, work);
    return work;
  }

  /** node with this script or these options, without any preload: for what is over in a moment. */
  node(cwd, ...args) {
    return this.run(cwd, process.execPath, args);
  }

  /** Our command line, with what it used. */
  convosync(cwd, ...args) {
    return this.measured(cwd, [this.lab.cli, ...args]);
  }

  /** node, with what it used. */
  measured(cwd, args) {
    const report = join(this.home, "usage.json");
    const run = this.run(cwd, process.execPath, ["--require", usage, ...args], {
      BENCH_USAGE: report,
      BENCH_LATER: String(this.later),
    });
    return { ...run, ...JSON.parse(readFileSync(report, "utf8")) };
  }
}
