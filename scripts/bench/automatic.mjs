// What happens by itself must not be felt: commits and rebases with the hooks against the same without any, and a
// `watch` that has nothing to do.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Project, reference } from "./fixtures.mjs";
import { interleave, rowsOf } from "./rows.mjs";

const times = rowsOf("automatic", "ms");
const sizes = rowsOf("automatic", "bytes");
const rebased = 50;
/** Commits are over in some milliseconds: many are needed to see five. */
const commitsPerRun = 8;

/**
 * @param {import("./lab.mjs").Lab} lab
 * @returns {import("./rows.mjs").Row[]}
 */
export default function automatic(lab) {
  const plain = new Project(lab, "plain").init();
  const hooked = new Project(lab, "hooked").init();
  // What no hook can beat: that git starts a shell for it, once for each commit, in a rebase too.
  const idle = new Project(lab, "idle").init();
  const projects = [plain, idle, hooked];
  const session = reference();
  for (const project of projects) {
    project.append(session.id, session.on(project).slice(0, 200));
    project.convosync("save", "First");
  }
  hooked.convosync("hooks", "install");
  doNothing(hooked, idle);
  const commit = (project) => () => {
    return project.machine.run(project.work, "git", ["commit", "-q", "--allow-empty", "-m", "Step"]).ms;
  };
  for (const project of projects) commit(project)();
  const commits = interleave(lab.options.runs * commitsPerRun, {
    plain: commit(plain),
    idle: commit(idle),
    hooked: commit(hooked),
  });
  settle(hooked);
  const rebase = (project) => () => {
    const args = ["rebase", "-q", "--force-rebase", `HEAD~${rebased}`];
    const { ms } = project.machine.run(project.work, "git", args);
    settle(project);
    return ms;
  };
  for (const project of projects) {
    const missing = rebased + 1 - Number(project.git("rev-list", "--count", "HEAD"));
    for (let n = 0; n < missing; n++) commit(project)();
    settle(project);
  }
  const rebases = interleave(lab.options.runs, {
    plain: rebase(plain),
    idle: rebase(idle),
    hooked: rebase(hooked),
  });
  const without = (samples) => ({ name: "without", samples });
  const empty = (samples) => ({ name: "hooks that do nothing", samples });
  const rebasing = `git rebase of ${rebased} commits with the hooks`;
  return [
    times("git commit with the hooks", without(commits.plain), commits.hooked, { plus: 5 }),
    times("git commit with the hooks", empty(commits.idle), commits.hooked, { plus: 5 }),
    times(rebasing, without(rebases.plain), rebases.hooked, { times: 1.5 }),
    times(rebasing, empty(rebases.idle), rebases.hooked, { times: 1.5 }),
    ...idleWatch(lab, hooked),
  ];
}

/** Gives `to` the hooks that `from` has, with nothing in them. */
function doNothing(from, to) {
  const hooks = (project) => join(project.work, ".git", "hooks");
  mkdirSync(hooks(to), { recursive: true });
  for (const name of readdirSync(hooks(from))) {
    if (!name.endsWith(".sample")) writeFileSync(join(hooks(to), name), "#!/bin/sh\n", { mode: 0o755 });
  }
}

/** Waits until the worker that the hooks have started is done. */
function settle(project) {
  const worker = join(project.work, ".git", "convosync", "worker.pid");
  for (let waited = 0; existsSync(worker); waited += 100) {
    if (waited > 120_000) throw new Error("the worker does not end");
    pause(100);
  }
}

const pause = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

/**
 * Only where the system tells of other processes (Linux). It looks at the remote every 30 s or less often, so that is
 * in the measure.
 * @returns {import("./rows.mjs").Row[]}
 */
function idleWatch(lab, project) {
  if (!existsSync("/proc/self/stat")) return [];
  const seconds = lab.options.quick ? 40 : 120;
  const { work, machine } = project;
  const child = spawn(process.execPath, [lab.cli, "watch"], { cwd: work, env: machine.env, stdio: "ignore" });
  try {
    pause(15_000);
    const before = used(child.pid);
    pause(seconds * 1000);
    const after = used(child.pid);
    const note = `${seconds} s`;
    const most = seconds * 1000 * 0.002;
    return [
      times("CPU of an idle watch", null, [after.cpu - before.cpu], { most }, { note }),
      sizes("memory of an idle watch", null, [after.rss], { most: 80_000_000 }),
    ];
  } finally {
    child.kill();
  }
}

/** CPU in ms, its finished children's too, in ticks of 10 ms; resident memory in bytes. proc(5). */
function used(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /s, "")
    .split(" ");
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
  const [, rss] = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return { cpu: ticks * 10, rss: Number(rss) * 1024 };
}
