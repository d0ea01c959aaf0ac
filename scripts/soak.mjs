// A day of work in minutes, with everything that may go wrong in it: commits, amends, rebases, worktrees, a second clone
// on the same machine, a second machine and a container that shares a clone, saves by hand side by side, killed workers, a remote that comes and goes, a
// fetch that overwrites our refs. In the end every line the agents wrote must be on the remote, exactly once. Run after
// a build:
//
//   node scripts/soak.mjs [--steps <n>] [--seed <n>] [--keep]
import { spawn, spawnSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
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
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { cli, idsOf, introduce, machine, random, run } from "./simulation.mjs";

const { values: options } = parseArgs({
  options: {
    steps: { type: "string", default: "2000" },
    seed: { type: "string", default: String(Date.now() % 100_000) },
    keep: { type: "boolean", default: false },
  },
});
const steps = Number(options.steps);
const seed = Number(options.seed);
const say = (text) => process.stdout.write(`${text}\n`);

const below = random(seed);
const base = realpathSync(mkdtempSync(join(tmpdir(), "convosync-soak-")));
const remote = join(base, "remote.git");
const code = join(base, "code.txt");
const [desktop, laptop, container] = ["home", "laptop", "container"].map((name) => machine(base, name));
const counts = {};
const count = (what) => {
  counts[what] = (counts[what] ?? 0) + 1;
};

/** A work tree with agents in it, each with a conversation. */
class Place {
  /** `common`: the git directory of the clone, which worktrees share. */
  constructor(env, path, common) {
    this.env = env;
    this.path = path;
    this.common = common;
    this.sessions = [];
    this.folder = join(env.HOME, ".claude/projects", path.replace(/[^a-zA-Z0-9]/g, "-"));
    mkdirSync(this.folder, { recursive: true });
    this.begin();
  }

  git(...args) {
    return run(this.path, this.env, "git", args).stdout.trim();
  }

  mayFail(...args) {
    return run(this.path, this.env, "git", args, { fails: true });
  }

  convosync(...args) {
    return run(this.path, this.env, process.execPath, [cli, ...args], { fails: true });
  }

  begin() {
    const n = all.length;
    const id = `${String(n).padStart(8, "0")}-0000-4000-8000-${String(seed).padStart(12, "0")}`;
    const session = { id, path: join(this.folder, `${id}.jsonl`), lines: 0 };
    this.sessions.push(session);
    all.push(session);
  }

  say(lines) {
    const session = this.sessions[below(this.sessions.length)];
    let text = "";
    for (let i = 0; i < lines; i++) {
      const record = {
        type: i % 2 ? "assistant" : "user",
        sessionId: session.id,
        cwd: this.path,
        timestamp: new Date().toISOString(),
        uuid: `${session.id}-${session.lines}`,
        message: { role: "user", content: `line ${session.lines++}: see ${this.path}/src/${below(1000)}.ts` },
      };
      text += `${JSON.stringify(record)}\n`;
    }
    appendFileSync(session.path, text, { mode: 0o600 });
  }

  change() {
    writeFileSync(join(this.path, `f${below(20)}.txt`), `${below(1e9)}\n`);
    this.git("add", "--all");
  }
}
const all = [];

function begin() {
  for (const env of [desktop, laptop, container]) {
    mkdirSync(env.HOME, { recursive: true });
    introduce(base, env);
  }
  run(base, desktop, "git", ["init", "-q", "--bare", "-b", "main", remote]);
  const path = join(base, "work tree");
  mkdirSync(path);
  run(path, desktop, "git", ["init", "-q", "-b", "main"]);
  const first = new Place(desktop, path, join(path, ".git"));
  first.git("remote", "add", "origin", remote);
  writeFileSync(join(path, "first.txt"), "first\n");
  first.git("add", ".");
  first.git("commit", "-q", "-m", "first");
  first.git("push", "-q", "-u", "origin", "main");
  setUp(first);
  const places = [first];
  for (const name of ["side", "other"]) {
    first.git("worktree", "add", "-q", "-b", name, join(base, name));
    places.push(new Place(desktop, join(base, name), first.common));
  }
  for (const [env, name] of [
    [desktop, "second clone"],
    [laptop, "laptop's"],
  ]) {
    const there = join(base, name);
    run(base, env, "git", ["clone", "-q", remote, there]);
    const place = new Place(env, there, join(there, ".git"));
    place.git("switch", "-q", "-c", name.replace(/\W/g, "-"));
    setUp(place, ...(env === laptop ? ["--join"] : []));
    places.push(place);
  }
  // The first one's clone once more, as from within a container.
  const inside = new Place(container, path, first.common);
  setUp(inside, "--join");
  return [...places, inside];
}

function setUp(place, ...more) {
  const made = place.convosync("init", "--yes", "--recovery-file", code, "--no-agent-hooks", ...more);
  if (made.status !== 0) throw new Error(made.stderr);
}

const cloneDir = (place) => join(place.common, "convosync");

function killWorker(place) {
  const file = join(cloneDir(place), "worker.pid");
  const pid = Number(existsSync(file) && readFileSync(file, "utf8"));
  // Its number may be another program's by now.
  const line =
    pid > 0 && existsSync(`/proc/${pid}/cmdline`) ? readFileSync(`/proc/${pid}/cmdline`, "utf8") : "";
  if (!line.includes(cli) || !line.includes(base)) return;
  try {
    process.kill(pid, "SIGKILL");
    count("killed workers");
  } catch {
    // It had ended.
  }
}

/** What an editor does by itself where the user has added a refspec for our refs, or made the clone a mirror. */
function overwriteRefs(place) {
  place.mayFail("fetch", "-q", "--prune", "--no-tags", "origin", "+refs/convosync/*:refs/convosync/*");
  count("overwritten refs");
}

let away = false;
function remoteComesAndGoes() {
  away = !away;
  chmodHook(away ? "#!/bin/sh\nexit 1\n" : null);
  count(away ? "remote refuses" : "remote is back");
}
function chmodHook(text) {
  const path = join(remote, "hooks/pre-receive");
  if (text === null) rmSync(path, { force: true });
  else {
    mkdirSync(join(remote, "hooks"), { recursive: true });
    writeFileSync(path, text);
    chmodSync(path, 0o755);
  }
}

const background = [];
/** A save by hand that goes on while other things happen. */
function saveBeside(place) {
  count("saves beside");
  background.push(
    new Promise((done) => {
      const child = spawn(process.execPath, [cli, "save", "--no-code"], {
        cwd: place.path,
        env: place.env,
        stdio: "ignore",
      });
      child.on("close", done);
      if (below(4) === 0)
        setTimeout(() => {
          child.kill("SIGKILL");
          count("killed saves");
        }, below(400));
    }),
  );
}

let bases = 0;
function rebase(place) {
  const branch = place.git("branch", "--show-current");
  const depth = 2 + below(4);
  if (place.mayFail("rev-parse", "--verify", "-q", `HEAD~${depth}`).status !== 0) return;
  place.git("switch", "-q", "--detach", `HEAD~${depth}`);
  writeFileSync(join(place.path, `base${++bases}.txt`), "base\n");
  place.git("add", "--all");
  place.git("commit", "-q", "-m", "base");
  const onto = place.git("rev-parse", "HEAD");
  place.git("switch", "-q", branch);
  if (place.mayFail("rebase", "-q", onto).status !== 0) place.mayFail("rebase", "--abort");
  count("rebases");
}

async function step(places) {
  const place = places[below(places.length)];
  const what = below(100);
  place.say(1 + below(6));
  if (what < 55) {
    place.change();
    place.mayFail("commit", "-q", "-m", `change ${below(1e6)}`);
    count("commits");
  } else if (what < 65) {
    place.change();
    place.mayFail("commit", "-q", "--amend", "--no-edit");
    count("amends");
  } else if (what < 70) rebase(place);
  else if (what < 74) saveBeside(place);
  else if (what < 78) killWorker(place);
  else if (what < 81) remoteComesAndGoes();
  else if (what < 84) {
    place.mayFail("push", "-q", "--force", "origin", "HEAD");
    count("pushes");
  } else if (what < 85 && all.length < 16) place.begin();
  else if (what < 86) {
    // An amended first commit has no ancestor in common with anybody.
    place.git("merge", "-q", "--no-edit", "--allow-unrelated-histories", "-s", "ours", "main");
    count("merges");
  } else if (what < 87) {
    // Nobody's refusal, no device locked out: not while another one writes, and not after refs were overwritten.
    const { status, stderr } = place.convosync("sync", "--no-code");
    if (![0, 3].includes(status)) throw new Error(`sync: ${status}\n${stderr}`);
    count("syncs");
  } else if (what < 88) overwriteRefs(place);
  else await sleep(below(60));
}

async function end(places) {
  if (away) remoteComesAndGoes();
  await Promise.all(background);
  const clones = [...new Map(places.map((place) => [`${place.common} ${place.env.HOME}`, place])).values()];
  // Whatever the hooks noted is dealt with; then the last words are saved by hand, which must find nothing amiss.
  for (const clone of clones) {
    for (let tries = 0; tries < 600; tries++) {
      const busy = ["events", "events.moving", "events.taken", "worker.pid"].some((name) =>
        existsSync(join(cloneDir(clone), name)),
      );
      if (!busy) break;
      if (tries % 100 === 99) clone.convosync("hook", "worker", clone.common);
      await sleep(200);
    }
  }
  for (const place of places) {
    place.say(1);
    const saved = place.convosync("save", "--all-sessions", "--no-code");
    if (saved.status !== 0) throw new Error(`the last save: ${saved.status}\n${saved.stderr}`);
  }
  for (const clone of clones) {
    const synced = clone.convosync("sync");
    if (synced.status !== 0) throw new Error(`the last sync: ${synced.status}\n${synced.stderr}`);
  }
}

/** What another machine gets to see. */
function judge() {
  const there = join(base, "there");
  const other = machine(base, "other-home");
  mkdirSync(other.HOME);
  run(base, other, "git", ["clone", "-q", remote, there]);
  const convo = (...args) =>
    spawnSync(process.execPath, [cli, ...args], {
      cwd: there,
      env: other,
      encoding: "utf8",
      maxBuffer: 1 << 28,
    });
  const joined = convo("init", "--yes", "--join", "--recovery-file", code, "--no-hooks", "--no-agent-hooks");
  if (joined.status !== 0) throw new Error(joined.stderr);
  convo("sync");
  const problems = [];
  const verified = convo("verify");
  if (verified.status !== 0) problems.push(`verify: ${verified.stdout}${verified.stderr}`);
  let lines = 0;
  for (const { id, path } of all) {
    if (!existsSync(path)) continue;
    const written = readFileSync(path, "utf8");
    const stored = convo("show", id, "--raw").stdout;
    const [wanted, found] = [idsOf(written), idsOf(stored)];
    lines += wanted.length;
    if (wanted.join() !== found.join())
      problems.push(
        `${id}: ${wanted.length} lines were written, ${found.length} are there (${new Set(found).size} different)`,
      );
  }
  return { lines, problems };
}

const begun = Date.now();
let places = [];
try {
  places = begin();
  for (let n = 1; n <= steps; n++) {
    await step(places);
    if (n % 250 === 0) say(`${n} steps, ${((Date.now() - begun) / 1000).toFixed(0)} s`);
  }
  await end(places);
  const { lines, problems } = judge();
  say(
    Object.entries(counts)
      .map(([what, n]) => `${n} ${what}`)
      .join(", "),
  );
  for (const one of problems) say(`✗ ${one}`);
  if (problems.length === 0)
    say(`✓ all ${lines} lines of ${all.length} conversations are on the remote, each once`);
  say(
    `seed ${seed}, ${steps} steps, ${((Date.now() - begun) / 1000).toFixed(0)} s${options.keep ? `, kept in ${base}` : ""}`,
  );
  process.exitCode = problems.length === 0 ? 0 : 1;
} catch (error) {
  say(`soak: ${error instanceof Error ? error.stack : error} (seed ${seed})`);
  process.exitCode = 1;
} finally {
  await Promise.all(background);
  for (const place of places) killWorker(place);
  // What the worker's git was writing when it was killed.
  await sleep(500);
  if (!options.keep) rmSync(base, { recursive: true, force: true, maxRetries: 5 });
}
