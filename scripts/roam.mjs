// Three devices and their conversations, for days: each goes on with any of them, saves, resumes in every way there is,
// takes back, deletes, while the remote comes and goes and machines crash. Whatever happens, no command may end in a way
// that is not documented for it, and in the end every line that was said must be somewhere in the vault, nowhere twice
// in one conversation, and all of it be proved. Run after a build:
//
//   node scripts/roam.mjs [--steps <n>] [--seed <n>] [--agents claude,codex,…] [--hooks] [--keep]
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { dialects, linesOf, sessionsOf } from "./dialects.mjs";
import { cli, introduce, machine, random, run } from "./simulation.mjs";

const { values: options } = parseArgs({
  options: {
    steps: { type: "string", default: "500" },
    seed: { type: "string", default: String(Date.now() % 100_000) },
    agents: { type: "string", default: "claude" },
    hooks: { type: "boolean", default: false },
    keep: { type: "boolean", default: false },
  },
});
const seed = Number(options.seed);
const steps = Number(options.steps);
const agents = options.agents.split(",");
const below = random(seed);
/** Either the remote goes back to what it was, or machines do: with both, what is lost need not be anywhere else. */
const remoteGoesBack = seed % 2 === 0;
const oneOf = (...things) => things[below(things.length)];
const say = (text) => process.stdout.write(`${text}\n`);

const base = realpathSync(mkdtempSync(join(tmpdir(), "convosync-roam-")));
const remote = join(base, "remote.git");
const code = join(base, "code.txt");
/** What was done so far, a line each. */
const diary = [];
const problems = [];
const problem = (text) => problems.push(`after step ${diary.length}: ${text}`);

/** The session each line was said in. */
const said = [];
const sessions = [];
/** The session each line was said in by a helper of its agent. */
const saidBeside = [];
/** Lines that an agent took back: who had not saved them had meant to. */
const takenBack = new Set();
/** Where each line was said, and each that a helper said. */
const saidOn = [];
const saidBesideOn = [];
/** What helpers said on a machine that was set back since. */
const setBack = new Set();
/** Deleted by somebody: what is gone of them is meant to be. */
const deleted = new Set();

/** What only that clone still had is nowhere, where the remote went back to what it was. */
let cloneGone = false;

/** What may be answered to whoever asks for the impossible, which happens all the time here. */
const mayFail = new RegExp(
  [
    "nothing was done here that",
    "no session matches",
    "no session has been saved",
    "no conversation (?:'[^']*' )?of .* belongs to",
    "Nothing found in",
    "cannot be undone",
    "cannot be copied",
    "are no branches of one conversation",
    "no snapshot of this session",
    "there is no template",
    "nobody says anything in this conversation",
    // Of a crash a moment ago.
    "another git process holds a lock",
  ].join("|"),
);

/** A crash takes the remote's end of a push with it, which lies on the same machine here. */
const halfPushed = /the device that saved it may still (?:be pushing|have to send it)/;

/** Of a server that was put back from a copy: who has seen what came after it. */
const rolledBack = /sync --retry/;

/** Agents that may go on in a folder of the project. */
const wanders = new Set(["claude", "qwen", "codex", "copilot"]);
const names = ["desktop", "laptop", "tablet"];
const strangers = ({ name }) => names.filter((other) => other !== name);
const hooks = options.hooks ? [] : ["--no-hooks"];

const nextId = () =>
  `${String(sessions.length).padStart(8, "0")}-0000-4000-8000-${String(seed).padStart(12, "0")}`;

/** Makes a folder what another one is, and leaves the folders in it the same ones. */
function mirror(from, to) {
  for (const name of readdirSync(to))
    if (!existsSync(join(from, name))) rmSync(join(to, name), { recursive: true });
  for (const one of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, one.name), join(to, one.name)];
    if (one.isDirectory() && existsSync(target)) mirror(source, target);
    else
      cpSync(source, target, {
        recursive: true,
        verbatimSymlinks: true,
        preserveTimestamps: true,
        force: true,
      });
  }
}

class Device {
  constructor(name, folder) {
    this.name = name;
    this.env = machine(base, name);
    this.checkout = join(this.env.HOME, folder);
    /** Another clone on the same device, once there is one. */
    this.clone = null;
    /** Work trees of the checkout, within it or beside it. */
    this.trees = [];
    /** Where its person is. */
    this.path = this.checkout;
    /** As it was once. */
    this.snapshot = null;
    /** `watch`, while it runs. */
    this.watch = null;
    mkdirSync(this.env.HOME);
    introduce(base, this.env);
  }

  git(...args) {
    return run(this.path, this.env, "git", args, { fails: true });
  }

  convosync(...args) {
    const { status, signal, stdout, stderr } = run(this.path, this.env, process.execPath, [cli, ...args], {
      fails: true,
    });
    const said = `${stdout}${stderr}`;
    this.#judge(args, status ?? signal, said);
    return { status, stdout, said };
  }

  /** Nothing may end in a way that is not documented for what has happened. */
  #judge(args, status, said) {
    this.note(`${args.join(" ")}: ${status}`);
    const isKnown =
      [0, 3, 4, 5].includes(status) ||
      (status === 1 && mayFail.test(said)) ||
      (status === 6 && (halfPushed.test(said) || (wentBack && rolledBack.test(said))));
    if (/unexpected:/.test(said) || !isKnown)
      problem(`${this.name}: ${args.join(" ")} ended with ${status}\n${said}`);
  }

  /** The same beside others that run at the same time, in this clone and elsewhere. */
  async alongside(...args) {
    const { path: cwd, env } = this;
    const child = spawn(process.execPath, [cli, ...args], { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (said += data));
    await once(child, "close");
    this.#judge(args, child.exitCode ?? child.signalCode, said);
  }

  /** The same, in the middle of which the power fails: it ends, and whatever it has started. */
  async crash(...args) {
    const after = 50 + below(350);
    const { path: cwd, env } = this;
    const child = spawn(process.execPath, [cli, ...args], { cwd, env, stdio: "ignore", detached: true });
    const off = setTimeout(() => {
      try {
        process.kill(-child.pid, "SIGKILL");
      } catch {
        // It had ended, and only its output was still to be closed.
      }
    }, after);
    await once(child, "close");
    clearTimeout(off);
    this.note(`${args.join(" ")}: ${child.signalCode === null ? child.exitCode : "crashed"}`);
  }

  /** Has what agents write saved by itself for a while. */
  async watches() {
    if (this.watch === null) {
      this.watch = spawn(process.execPath, [cli, "watch"], {
        cwd: this.path,
        env: this.env,
        stdio: "ignore",
      });
      this.note(`watches ${this.path}`);
      return;
    }
    const { watch } = this;
    this.watch = null;
    if (watch.exitCode === null && watch.signalCode === null) {
      const ended = once(watch, "close");
      watch.kill(oneOf("SIGINT", "SIGKILL"));
      await ended;
    }
    const status = watch.exitCode;
    if (status !== null && ![0, 1, 130].includes(status)) problem(`${this.name}: watch ended with ${status}`);
    this.note(`watches no more: ${status ?? watch.signalCode}`);
  }

  /** A person who has lost the keys, and the device's state with them, and joins anew. */
  async losesKeys() {
    for (const folder of [".config/convosync", ".local/state/convosync", ".local/share/convosync"])
      rmSync(join(this.env.HOME, folder), { recursive: true, force: true });
    this.note("loses the keys");
    const joining = ["init", "--yes", "--join", "--recovery-file", code, ...hooks, "--no-agent-hooks"];
    if (this.convosync(...joining).status === 0) return;
    // A lock that a crash has left counts as held for a while; one of the user's own is theirs to remove, as they are told.
    await sleep(11_000);
    const [, lock] = /remove it: rm '(.+\.lock)'/.exec(this.convosync(...joining).said) ?? [];
    if (lock === undefined) return;
    rmSync(lock, { force: true });
    this.convosync(...joining);
  }

  note(what) {
    diary.push(`${this.name}: ${what}`);
  }

  /** Where in the project an agent can be: at its root, or in a folder of it. */
  get folder() {
    return { env: this.env, path: join(this.path, "src") };
  }

  sessions() {
    const found = new Map();
    for (const place of [this, this.folder])
      for (const agent of agents) for (const one of sessionsOf(place, agent)) found.set(one.path, one);
    return [...found.values()];
  }

  say({ id, path, agent }, lines, place = below(5) === 0 && wanders.has(agent) ? this.folder : this) {
    let text = existsSync(path) ? readFileSync(path, "utf8") : "";
    const before = text.length;
    // A project that was moved: its people have ConvoSync bring what was said before to where it is now.
    const isHere = this.places.some((one) => text.includes(`"${one}`));
    if (before > 0 && text.includes(`${this.env.HOME}/`) && !isHere) return;
    // What Codex or Copilot takes from one clone to another, both tell: each in its own way, until one has heard of the other.
    const isTheClone = (path) => this.clone !== null && path?.startsWith(this.clone);
    const first = /"cwd":"([^"]*)"/.exec(text)?.[1];
    const hasOnce = agent === "codex" || agent === "copilot";
    if (hasOnce && before > 0 && isTheClone(first) !== isTheClone(this.path)) return;
    if (before === 0) text = dialects[agent].opening(place, id, new Date().toISOString());
    for (let i = 0; i < lines; i++) {
      const content = `line ${said.length} on ${this.name}: see ${this.path}/src/${below(1000)}.ts`;
      const about = { id, n: said.length, type: oneOf("user", "assistant"), content };
      text += dialects[agent].line(place, { ...about, before: text, timestamp: new Date().toISOString() });
      said.push(id);
      saidOn.push(this.name);
    }
    mkdirSync(dirname(path), { recursive: true });
    appendFileSync(path, text.slice(before), { mode: 0o600 });
    this.note(`says ${lines} in ${id.slice(0, 8)}`);
  }

  /** What a helper of Claude Code writes beside the conversation. */
  sayBeside({ id, path, agent }) {
    if (agent !== "claude") return;
    // Each is begun in one place, and goes on there: of one that went on in two, one is kept where nobody reads.
    const place = this.path === this.clone ? "-clone" : "";
    const file = join(
      path.replace(/\.jsonl$/, ""),
      "subagents",
      `agent-${this.name}${place}${below(2)}.jsonl`,
    );
    mkdirSync(dirname(file), { recursive: true });
    const content = `beside ${saidBeside.length} on ${this.name}: see ${this.path}/src`;
    const message = { role: "assistant", content: [{ type: "text", text: content }] };
    const record = { isSidechain: true, sessionId: id, cwd: this.path, type: "assistant", message };
    appendFileSync(file, `${JSON.stringify(record)}\n`, { mode: 0o600 });
    saidBeside.push(id);
    saidBesideOn.push(this.name);
    this.note(`says one beside ${id.slice(0, 8)}`);
  }

  /** What an agent does that begins a conversation with all that another one has. */
  branchOff({ id: from, path, agent }) {
    if (agent !== "claude" && agent !== "qwen") return;
    const id = nextId();
    sessions.push(id);
    const text = readFileSync(path, "utf8").replaceAll(`"sessionId":"${from}"`, `"sessionId":"${id}"`);
    writeFileSync(join(dirname(path), `${id}.jsonl`), text, { mode: 0o600 });
    this.note(`branches ${id.slice(0, 8)} off ${from.slice(0, 8)}`);
  }

  begin() {
    const id = nextId();
    const agent = oneOf(...agents);
    sessions.push(id);
    const { folder, path } = dialects[agent];
    const place = below(4) === 0 && wanders.has(agent) ? this.folder : this;
    this.say({ id, agent, path: path(folder(place), id) }, 2, place);
  }

  /** Every place where the project is on this device. */
  get places() {
    return [this.checkout, ...this.trees, ...(this.clone === null ? [] : [this.clone])];
  }

  /** A person who moves the project elsewhere; what the agent had of it is known by where it was. */
  move() {
    this.leaveAll();
    this.path = this.checkout;
    if (this.sessions().length > 0) this.convosync("save", "--all-sessions", "--no-code", "--force");
    const to = join(this.env.HOME, `place ${diary.length}`, "shop");
    mkdirSync(dirname(to), { recursive: true });
    renameSync(this.checkout, to);
    this.checkout = to;
    this.path = to;
    this.note(`moves to ${to}`);
  }

  /** A person who begins with a new clone, of which all is on the remote; what the agent has stays where it is. */
  async cloneAnew() {
    if (this.watch !== null) await this.watches();
    // What was never saved of a work tree that is gone is not known to the new clone.
    for (const tree of this.trees) {
      this.path = tree;
      this.convosync("save", "--all-sessions", "--no-code", "--force");
    }
    this.leaveAll();
    this.path = this.checkout;
    if (this.convosync("sync", "--no-code").status !== 0) return;
    rmSync(this.path, { recursive: true, maxRetries: 20, retryDelay: 100 });
    run(base, this.env, "git", ["clone", "-q", remote, this.path]);
    this.note("clones anew");
    cloneGone = true;
    this.convosync("init", "--yes", ...hooks, "--no-agent-hooks");
  }

  /** A person who has a second clone beside the first, or a copy of the first. */
  cloneBeside() {
    if (this.clone !== null) return;
    const to = join(this.env.HOME, `second ${diary.length}`);
    const copies = below(2) === 0;
    if (copies) {
      this.leaveAll();
      cpSync(this.checkout, to, { recursive: true });
    } else {
      const how = oneOf([], ["--depth", "1"], ["--filter=blob:none"], ["--single-branch"]);
      const from = `file://${remote}`;
      if (run(base, this.env, "git", ["clone", "-q", ...how, from, to], { fails: true }).status !== 0) return;
    }
    this.clone = to;
    this.path = to;
    this.note(`${copies ? "copies the clone" : "clones again"} to ${to}`);
    if (!copies) this.convosync("init", "--yes", ...hooks, "--no-agent-hooks");
  }

  /** A person in the middle of something with git, who comes to its end the next time. */
  halfway() {
    const { stdout } = this.git("for-each-ref", "--format=%(refname)", "refs/heads", "refs/remotes/origin");
    const other = oneOf(...stdout.trim().split("\n"));
    const begun = oneOf(
      ["merge", "-q", "--no-commit", "--no-ff", other],
      ["rebase", "-q", other],
      ["cherry-pick", "-n", other],
      ["revert", "--no-commit", "HEAD"],
      ["bisect", "start", "HEAD", "HEAD~2"],
      ["stash"],
      ["add", "-A"],
    );
    this.git(...begun);
    this.note(`begins ${begun.join(" ")}`);
  }

  getsThrough() {
    for (const what of ["merge", "rebase", "cherry-pick", "revert"])
      this.git(what, oneOf("--abort", "--quit"));
    this.git("bisect", "reset");
    this.note("comes to an end of it");
  }

  /** A machine whose state is kept, and set back to it another time: what it had not sent since is no more. */
  setBack() {
    if (remoteGoesBack || this.watch !== null || options.hooks) return;
    const snapshot = join(base, `${this.name}.snapshot`);
    const places = this.places.join();
    if (this.snapshot?.places !== places || below(3) === 0) {
      rmSync(snapshot, { recursive: true, force: true });
      cpSync(this.env.HOME, snapshot, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
      this.snapshot = { places, path: this.path, lines: said.length, beside: saidBeside.length };
      this.note("is kept as it is");
      return;
    }
    this.endWorkers();
    mirror(snapshot, this.env.HOME);
    const { lines, beside } = this.snapshot;
    for (let n = lines; n < said.length; n++) if (saidOn[n] === this.name) takenBack.add(n);
    for (let n = beside; n < saidBeside.length; n++) if (saidBesideOn[n] === this.name) setBack.add(n);
    this.path = this.snapshot.path;
    this.note("is set back");
  }

  /** No process outlives its machine: one that did would find a lock of its own that it has given back. */
  endWorkers() {
    for (const place of this.places) {
      const file = join(place, ".git/convosync/worker.pid");
      const pid = existsSync(file) ? readFileSync(file, "utf8").trim() : "";
      const runs = `/proc/${pid}/cmdline`;
      if (/^[1-9]\d*$/.test(pid) && existsSync(runs) && readFileSync(runs, "utf8").includes(cli))
        process.kill(Number(pid), "SIGKILL");
    }
  }

  /** A person who goes on elsewhere on the device. */
  hop() {
    const to = oneOf(...this.places);
    if (to === this.path) return;
    this.path = to;
    this.note(`goes to ${to}`);
  }

  /** A person who goes on in a new work tree, within the checkout, as many keep them, or beside it. */
  enter() {
    if (this.path !== this.checkout || this.trees.length > 2) return;
    appendFileSync(join(this.path, ".git/info/exclude"), ".worktrees\n");
    const name = `tree-${diary.length}`;
    const to = below(2) === 0 ? join(this.checkout, ".worktrees", name) : `${this.checkout}-${name}`;
    this.git("worktree", "add", "-q", "-b", name, to);
    if (!existsSync(to)) return;
    this.trees.push(to);
    this.path = to;
    this.note(`goes to ${to}`);
  }

  /** Removes the work tree its person is in, who goes on in the checkout. */
  leave() {
    if (!this.trees.includes(this.path)) return;
    // What Cursor has of a directory is found from there alone.
    for (const { id } of sessionsOf(this, "cursor"))
      this.convosync("save", "--no-code", "--session", id, "--force");
    const gone = this.path;
    this.path = this.checkout;
    this.git("worktree", "remove", "--force", gone);
    if (existsSync(gone)) rmSync(gone, { recursive: true });
    this.trees = this.trees.filter((one) => one !== gone);
    this.note(`comes back from ${gone}`);
  }

  leaveAll() {
    const before = this.path;
    for (const tree of [...this.trees]) {
      this.path = tree;
      this.leave();
    }
    this.path = existsSync(before) ? before : this.checkout;
  }

  /** Moves the work tree its person is in. */
  moveTree() {
    if (!this.trees.includes(this.path)) return;
    const from = this.path;
    for (const { id } of sessionsOf(this, "cursor"))
      this.convosync("save", "--no-code", "--session", id, "--force");
    const to = `${this.checkout} moved ${diary.length}`;
    if (this.git("worktree", "move", from, to).status !== 0) return;
    this.trees = this.trees.map((one) => (one === from ? to : one));
    this.path = to;
    this.note(`moves ${from} to ${to}`);
  }

  /** What the agent, or a copy that is put back, makes of its file: lines of its end are no more. */
  takeBack({ id, path }) {
    const lines = readFileSync(path, "utf8").split("\n").slice(0, -1);
    const left = lines.filter((line) => linesOf(line).length === 0).length + 1;
    const kept = lines.slice(0, Math.max(left, lines.length - 1 - below(3)));
    for (const n of linesOf(lines.slice(kept.length).join("\n"))) takenBack.add(n);
    writeFileSync(path, `${kept.join("\n")}\n`);
    this.note(`takes back ${lines.length - kept.length} of ${id.slice(0, 8)}`);
  }

  /** What the agent would stumble over. */
  look() {
    for (const { id, path } of this.sessions()) {
      const text = readFileSync(path, "utf8");
      const lines = text.split("\n").slice(0, -1);
      const numbers = linesOf(text);
      // One that was deleted, and saved by others since, can have been told from elsewhere the second time.
      if (new Set(numbers).size !== numbers.length && !deleted.has(id))
        problem(`${this.name} has lines of ${id} twice`);
      const strange = strangers(this).find((name) => text.includes(join(base, name)));
      if (strange) problem(`${this.name} has a path of ${strange} in ${id}`);
      if (!text.endsWith("\n") || lines.some((line) => !line.startsWith("{") || !line.endsWith("}")))
        problem(`${this.name} has half a line in ${id}`);
    }
  }
}

function begin() {
  const devices = [
    new Device("desktop", "code/shop"),
    new Device("laptop", "my work/shop"),
    new Device("tablet", "s"),
  ];
  const [first] = devices;
  run(base, first.env, "git", ["init", "-q", "--bare", "-b", "main", remote]);
  for (const one of devices) {
    run(base, one.env, "git", ["clone", "-q", remote, one.path]);
    if (one === first) {
      writeFileSync(join(one.path, "README.md"), "# Shop\n");
      for (const args of [
        ["add", "."],
        ["commit", "-q", "-m", "first"],
        ["push", "-q", "origin", "HEAD:main"],
      ])
        run(one.path, one.env, "git", args);
    }
    const more = one === first ? [] : ["--join"];
    const made = one.convosync(
      "init",
      "--yes",
      "--recovery-file",
      code,
      ...hooks,
      "--no-agent-hooks",
      ...more,
    );
    if (made.status !== 0) throw new Error("it cannot be set up");
  }
  first.begin();
  first.convosync("save", "--no-code");
  return devices;
}

/** The remote as it was, and whether it has become so again. */
const copy = join(base, "copy.git");
let wentBack = false;

/** A server of which a copy is kept, which is all there is of it one day. */
function backUp() {
  if (!remoteGoesBack) return;
  if (!existsSync(copy) || below(2) === 0) {
    rmSync(copy, { recursive: true, force: true });
    cpSync(remote, copy, { recursive: true });
    diary.push("the remote is copied");
    return;
  }
  rmSync(remote, { recursive: true, force: true });
  cpSync(copy, remote, { recursive: true });
  wentBack = true;
  away = existsSync(join(remote, "hooks/pre-receive"));
  diary.push("the remote is put back as it was");
}

let away = false;
function remoteComesAndGoes() {
  away = !away;
  const hook = join(remote, "hooks/pre-receive");
  if (away) {
    mkdirSync(join(remote, "hooks"), { recursive: true });
    writeFileSync(hook, "#!/bin/sh\nexit 1\n");
    chmodSync(hook, 0o755);
  } else rmSync(hook, { force: true });
  diary.push(`the remote ${away ? "refuses" : "takes"} everything`);
}

const flags = {
  save: [
    ["--no-code"],
    ["--no-code"],
    ["A message"],
    ["--no-push", "--no-code"],
    ["--stash"],
    ["--all-sessions", "--no-code"],
  ],
  resume: [[], [], ["--merge"], ["--merge"], ["--theirs"], ["--mine"], ["--fork"]],
  code: [
    [],
    ["--stay-on-branch"],
    ["--stay-on-branch"],
    ["--stash"],
    ["--commit"],
    ["--code", "merge"],
    ["--exact"],
  ],
};

async function step(devices) {
  const device = oneOf(...devices);
  const here = device.sessions();
  const mine = here.length > 0 ? oneOf(...here) : null;
  const any = oneOf(...sessions);
  /** One in six ends early. */
  const perhaps = async (...args) => (below(6) === 0 ? device.crash(...args) : device.convosync(...args));
  const what = below(164);
  if (what < 28) {
    if (mine) device.say(mine, 1 + below(4));
  } else if (what < 30) {
    if (sessions.length < 5) device.begin();
  } else if (what < 52) {
    const how = oneOf(...flags.save);
    const which = mine && !how.includes("--all-sessions") && below(2) === 0 ? ["--session", mine.id] : [];
    await perhaps("save", ...how, ...which, ...(below(8) === 0 ? ["--force"] : []));
  } else if (what < 76) await perhaps("resume", any, ...oneOf(...flags.resume), ...oneOf(...flags.code));
  else if (what < 81) await perhaps("sync", ...oneOf([], ["--no-code"]), ...(wentBack ? ["--retry"] : []));
  else if (what < 84) await perhaps("gc", "--no-retention");
  else if (what < 87) device.convosync("undo");
  else if (what < 90) {
    writeFileSync(join(device.path, `f${below(3)}.txt`), `${below(1e9)}\n`);
    device.note("changes code");
    if (below(2) === 0) device.git("commit", "-q", "-a", "-m", "change");
  } else if (what < 92) remoteComesAndGoes();
  else if (what < 93) device.convosync("verify", "--local");
  else if (what < 94) device.convosync(oneOf("pin", "unpin"), any);
  else if (what < 95) device.git("switch", "-q", "main");
  else if (what < 96) device.git("switch", "-q", "-c", `side-${diary.length}`);
  else if (what < 97) {
    device.convosync("delete", any, "--yes");
    deleted.add(any);
  } else if (what < 98) device.convosync("search", "line");
  else if (what < 99) device.convosync("list", "--fetch");
  else if (what < 100) {
    if (here.length < 8) await perhaps("fork", oneOf(any, `${any}@1`, `${any}@2`));
  } else if (what < 102) {
    if (mine) await perhaps("merge", any, mine.id);
  } else if (what < 104) {
    if (!away) await device.cloneAnew();
  } else if (what < 107) {
    if (below(3) > 0) device.enter();
    else device.leave();
  } else if (what < 109) {
    if (mine) device.takeBack(mine);
  } else if (what < 114) {
    if (mine) device.sayBeside(mine);
  } else if (what < 115) device.move();
  else if (what < 117) {
    device.git(...oneOf(["commit", "-q", "--amend", "-m", "other"], ["reset", "-q", "--hard", "HEAD~1"]));
    device.note("changes what was committed");
  } else if (what < 118) device.git("switch", "-q", "--detach");
  else if (what < 120) device.git("pull", "-q", "--rebase", "origin", "main");
  else if (what < 122) device.git("push", "-q", "origin", "HEAD");
  else if (what < 126) device.hop();
  else if (what < 127) device.moveTree();
  else if (what < 128) {
    if (!away) device.cloneBeside();
  } else if (what < 130) device.convosync("watch", "--once");
  else if (what < 133) await device.watches();
  else if (what < 134) {
    if (!away) await device.losesKeys();
  } else if (what < 135) {
    device.git(...oneOf(["gc", "-q", "--prune=now"], ["pack-refs", "--all"], ["fetch", "-q", "--prune"]));
    device.note("tidies up");
  } else if (what < 137) device.convosync(oneOf("status", "doctor"));
  else if (what < 146) await together(devices);
  else if (what < 148) {
    if (mine && sessions.length < 8) device.branchOff(mine);
  } else if (what < 150) backUp();
  else if (what < 152) {
    run(remote, device.env, "git", oneOf(["gc", "-q", "--prune=now"], ["repack", "-qad"]), { fails: true });
    diary.push("the remote tidies up");
  } else if (what < 154) device.halfway();
  else if (what < 156) device.getsThrough();
  else if (what >= 160) device.setBack();
  else if (what < 157) device.convosync("template", "save", `t${below(3)}`, "--from", any);
  else if (what < 158) device.convosync("template", oneOf("show", "delete", "start"), `t${below(3)}`);
  else if (here.length < 8) {
    const bundle = join(base, "talk.convosync");
    const { status } = device.convosync("export", any, "-o", bundle, "--force");
    if (status === 0) oneOf(...devices).convosync("import", bundle);
  }
  device.look();
}

/** Two or three commands at once, on one device or on several. */
async function together(devices) {
  const about = () => [
    ["save", ...oneOf(...flags.save)],
    ["save", "--all-sessions", "--no-code"],
    ["resume", oneOf(...sessions), ...oneOf(...flags.resume), ...oneOf(...flags.code)],
    ["resume", oneOf(...sessions), "--stay-on-branch"],
    ["sync"],
    ["sync", "--no-code"],
    ["gc", "--no-retention"],
    ["undo"],
    ["list", "--fetch"],
    ["watch", "--once"],
    ["pin", oneOf(...sessions)],
    ["verify", "--local"],
    ["search", "line"],
  ];
  const one = oneOf(...devices);
  const others = Array.from({ length: 1 + below(2) }, () => (below(2) === 0 ? one : oneOf(...devices)));
  await Promise.all([one, ...others].map((device) => device.alongside(...oneOf(...about()))));
}

const must = (device, ...args) => {
  const { status, stdout, said } = device.convosync(...args);
  if (status !== 0) problem(`${device.name}: ${args.join(" ")} must not end with ${status}\n${said}`);
  return stdout;
};
const listed = (device, ...args) =>
  JSON.parse(must(device, "list", "--all", "--json", ...args)).sessions.map(({ id }) => id);

/** Locks in a folder and below, where pushes that crashed may still be at work. */
function lockedIn(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true }).flatMap((one) => {
    const path = join(folder, one.name);
    if (one.isDirectory()) return lockedIn(path);
    return one.name.endsWith(".lock") ? [path] : [];
  });
}

/** Everybody saves what there is, and brings together what went on separately. */
async function end(devices) {
  if (away) remoteComesAndGoes();
  const again = wentBack ? ["--retry"] : [];
  // Locks that a crash left count as held for a while: those on our refs for seconds, those on the user's for ever.
  await sleep(5_500);
  for (const name of lockedIn(remote)) rmSync(name, { force: true });
  for (const device of devices) if (device.watch !== null) await device.watches();
  const places = devices.flatMap((device) => {
    device.leaveAll();
    return [device.checkout, ...(device.clone === null ? [] : [device.clone])].map((path) => ({
      device,
      path,
    }));
  });
  for (const { device, path } of places) {
    device.path = path;
    for (const what of ["merge", "rebase", "cherry-pick"]) device.git(what, "--abort");
    device.git("stash");
    for (const file of ["index", "HEAD", "packed-refs"])
      rmSync(join(device.path, `.git/${file}.lock`), { force: true });
    const { status, said } = device.convosync("save", "--all-sessions", "--no-code", "--force");
    if (status !== 0 && !/no conversation of/.test(said) && !(wentBack && rolledBack.test(said)))
      problem(`${device.name}: what there is cannot be saved: ${status}\n${said}`);
    // Where the remote was put back, some may have to wait for others to fill it again.
    if (wentBack) device.convosync("sync", "--no-code", ...again);
    else must(device, "sync", "--no-code");
  }
  for (const { device, path } of wentBack ? places : []) {
    device.path = path;
    must(device, "sync", "--no-code", ...again);
  }
  for (const { device, path } of [...places, ...places]) {
    device.path = path;
    must(device, "sync", "--no-code", ...again);
    for (const id of listed(device)) {
      // Not every agent can go on with both in one, or with a copy; in the vault, both are there all the same.
      const ways = ["--merge", "--fork", "--theirs"];
      let isGone = false;
      const isElsewhere = ({ said }) => said.includes("has this conversation in another directory");
      const brought = ways.some((way) => {
        const resumed = device.convosync("resume", id, way, "--stay-on-branch");
        isGone = wentBack && cloneGone && /has the conversation \S+ no more/.test(resumed.said);
        return resumed.status === 0 || (device.clone !== null && isElsewhere(resumed));
      });
      if (isGone) {
        must(device, "delete", id, "--yes");
        deleted.add(id);
        continue;
      }
      if (!brought) problem(`${device.name}: ${id} cannot be brought together`);
      if (!device.sessions().some((one) => one.id === id)) continue;
      const { status, said } = device.convosync("save", "--no-code", "--session", id);
      if (status !== 0 && !(device.clone !== null && /no conversation '/.test(said)))
        problem(`${device.name}: ${id} cannot be saved: ${status}\n${said}`);
    }
    device.look();
  }
  for (const { device, path } of places) {
    device.path = path;
    must(device, "verify");
  }
}

/** What a new device gets to see: every snapshot of every session. */
function judge() {
  const other = new Device("new one", "shop");
  run(base, other.env, "git", ["clone", "-q", remote, other.path]);
  must(other, "init", "--yes", "--join", "--recovery-file", code, "--no-hooks", "--no-agent-hooks");
  must(other, "sync", ...(wentBack ? ["--retry"] : []));
  const found = new Set();
  for (const id of listed(other)) {
    const { snapshots } = JSON.parse(must(other, "log", id, "--json"));
    const versions = [id, ...snapshots.map(({ n }) => `${id}@${n}`)];
    for (const one of versions)
      for (const line of linesOf(must(other, "show", one, "--raw"))) found.add(line);
  }
  judgeHelpers(other);
  const lost = [...said.entries()].filter(
    ([line, id]) => !found.has(line) && !deleted.has(id) && !takenBack.has(line),
  );
  for (const [line, id] of lost.slice(0, 5)) problem(`line ${line} of ${id} is lost`);
  return found.size;
}

/** What helpers said comes with the conversation it belongs to. */
function judgeHelpers(other) {
  const found = new Set();
  const all = listed(other);
  const folder = join(other.env.HOME, ".claude/projects");
  for (const id of all) {
    const { snapshots } = JSON.parse(must(other, "log", id, "--json"));
    const ways = snapshots.map(({ n }) => ["fork", `${id}@${n}`]);
    for (const way of [["resume", id, "--theirs", "--stay-on-branch"], ...ways]) {
      rmSync(folder, { recursive: true, force: true });
      if (other.convosync(...way).status !== 0) continue;
      if (!existsSync(folder)) continue;
      for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" }))
        if (/subagents.agent-[\w-]+\.jsonl$/.test(name)) {
          const text = readFileSync(join(folder, name), "utf8");
          const numbers = [...text.matchAll(/"beside (\d+) on /g)].map(([, one]) => Number(one));
          if (new Set(numbers).size !== numbers.length) problem(`${name} has lines twice`);
          for (const one of numbers) found.add(one);
        }
    }
  }
  const lost = [...saidBeside.entries()].filter(
    ([n, id]) => !found.has(n) && !deleted.has(id) && !setBack.has(n),
  );
  for (const [n, id] of lost.slice(0, 5)) problem(`what a helper said of ${id}, ${n}, is lost`);
}

const begun = Date.now();
const made = [];
try {
  const devices = begin();
  made.push(...devices);
  for (let n = 1; n <= steps && problems.length === 0; n++) {
    await step(devices);
    if (n % 100 === 0) say(`${n} steps, ${((Date.now() - begun) / 1000).toFixed(0)} s`);
  }
  if (problems.length === 0) await end(devices);
  const found = problems.length === 0 ? judge() : 0;
  if (problems.length > 0) for (const line of diary.slice(-30)) say(`  ${line}`);
  for (const one of problems) say(`✗ ${one}`);
  if (problems.length === 0)
    say(`✓ all ${found} lines of ${sessions.length} conversations are there, each once`);
  if (options.keep) writeFileSync(join(base, "diary.txt"), `${diary.join("\n")}\n`);
  const kept = options.keep ? `, kept in ${base}` : "";
  say(`seed ${seed}, ${steps} steps, ${((Date.now() - begun) / 1000).toFixed(0)} s${kept}`);
  process.exitCode = problems.length === 0 ? 0 : 1;
} catch (error) {
  say(`roam: ${error instanceof Error ? error.stack : error} (seed ${seed})`);
  process.exitCode = 1;
} finally {
  for (const { watch } of made) watch?.kill("SIGKILL");
  if (!options.keep) rmSync(base, { recursive: true, force: true, maxRetries: 5 });
}
