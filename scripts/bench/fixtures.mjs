// What several groups work on: a project with a vault, the reference conversation, real series of saves.
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { conversation, sessionId, take } from "./conversation.mjs";

/** Messages that a measured save adds. */
const step = 50;
const generatedSteps = 30;

/** A clone in which ConvoSync is set up: the first of a remote makes the vault, the others join it. */
export class Project {
  /**
   * @param {import("./lab.mjs").Lab} lab
   * @param {string} name Of machine, device and user.
   * @param {{ remote: string, code?: string } | Project} from A remote for a new vault, or a project whose vault is joined.
   */
  constructor(lab, name, from = { remote: lab.remote() }) {
    this.machine = lab.machine(name);
    this.remote = from.remote;
    this.work = this.machine.clone(this.remote);
    this.key = this.work.replace(/[^a-zA-Z0-9]/g, "-");
    this.code = from.code ?? join(this.machine.home, "recovery-code.txt");
    this.joins = from.code !== undefined;
  }

  /** Sets ConvoSync up. */
  init() {
    const { name } = this.machine;
    const about = ["--device-name", name, "--device-type", "desktop", "--recovery-file", this.code];
    this.convosync("init", "--yes", ...(this.joins ? ["--join"] : []), ...about);
    return this;
  }

  convosync(...args) {
    return this.machine.convosync(this.work, ...args);
  }

  git(...args) {
    return this.machine.git(this.work, ...args);
  }

  transcript(id) {
    return join(this.machine.home, ".claude", "projects", this.key, `${id}.jsonl`);
  }

  /** Lets the agent write these lines. */
  append(id, lines) {
    const path = this.transcript(id);
    mkdirSync(join(path, ".."), { recursive: true });
    appendFileSync(path, Buffer.isBuffer(lines) ? lines : lines.join(""), { mode: 0o600 });
  }

  /** Changes the code, so that a save has something to commit. */
  edit(text) {
    writeFileSync(join(this.work, "code.ts"), `export const change = ${JSON.stringify(text)};\n`);
  }
}

/**
 * A conversation that can be laid down on any machine.
 * @typedef {object} Reference
 * @property {string} id
 * @property {string} source
 * @property {number} lines
 * @property {readonly number[]} saves Lines at which it was really saved.
 * @property {(project: Project) => string[]} on Its lines with that project's paths, each with its line feed.
 */

/** The longest of the real series when CONVOSYNC_CORPUS names them, else the generated one. */
export function reference() {
  const [longest] = series().sort((a, b) => b.lines - a.lines);
  return longest ?? generated(1);
}

/** @returns {Reference[]} Real sessions with the places of their real saves; none without CONVOSYNC_CORPUS. */
export function series() {
  const corpus = process.env.CONVOSYNC_CORPUS;
  if (!corpus) return [];
  const folder = join(corpus, "claude-series");
  const names = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith(".jsonl")) : [];
  if (names.length === 0) throw new Error(`CONVOSYNC_CORPUS has no claude-series/*.jsonl: ${corpus}`);
  return names.sort().map((name) => {
    const text = readFileSync(join(folder, name), "utf8");
    const cwd = /"cwd":"((?:[^"\\]|\\.)*)"/.exec(text)?.[1] ?? "";
    const id = name.slice(0, -".jsonl".length);
    const { saves } = JSON.parse(readFileSync(join(folder, `${id}.saves.json`), "utf8"));
    return {
      id,
      source: `real, ${id.slice(0, 8)}`,
      lines: text.match(/\n/g)?.length ?? 0,
      saves: saves.map((save) => save.lines),
      on: (project) => text.replaceAll(cwd, project.work).match(/[^\n]*\n/g) ?? [],
    };
  });
}

/** @returns {Reference} Of 896 lines and some times 50 more. */
export function generated(seed) {
  const id = sessionId(seed);
  const lines = 896 + generatedSteps * step;
  return {
    id,
    source: "generated",
    lines,
    saves: [100, 300, 550, 750, 896, 946],
    on: (project) => take(conversation({ seed, session: id, cwd: project.work, branch: "main" }), lines),
  };
}

/**
 * The reference on one machine, cut into what was there before and the steps that follow.
 * @param {Reference} session
 * @param {Project} project
 * @param {number} steps
 * @returns {{ first: string[], next: (n: number) => string[] }}
 */
export function inSteps(session, project, steps) {
  const lines = session.on(project);
  const start = session.source === "generated" ? 896 : lines.length - steps * step;
  if (start < lines.length / 4) throw new Error(`the reference has too few lines for ${steps} steps`);
  return {
    first: lines.slice(0, start),
    next: (n) => lines.slice(start + n * step, start + (n + 1) * step),
  };
}
