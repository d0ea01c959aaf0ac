// Loaded into the program with `node --import`: numbers every step that leaves a trace on disk or starts git or an agent, and
// at one chosen step kills the process or makes the step fail.
//
//   FAULT_LOG   file that gets one line per step, `<n> <what>`
//   FAULT_AT    number of the step, from 1; none: only count
//   FAULT_HOW   before | after   SIGKILL before or after the step
//               orphan           SIGKILL while its git runs on, alone
//               ENOSPC | EACCES | EIO   the step fails with this error (a git: exits 128, saying so)
import childProcess from "node:child_process";
import fs from "node:fs";
import fsp from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";

const { FAULT_LOG, FAULT_AT, FAULT_HOW = "before" } = process.env;
const appendFileSync = fs.appendFileSync.bind(fs);
const spawn = childProcess.spawn.bind(childProcess);
let steps = 0;

/** Node's own synchronous functions call each other: only the outermost is a step. */
let inside = false;

function next(what) {
  steps++;
  const outer = inside;
  inside = true;
  appendFileSync(FAULT_LOG, `${steps} ${what}\n`);
  inside = outer;
  return String(steps) === FAULT_AT ? FAULT_HOW : "go";
}

const die = () => process.kill(process.pid, "SIGKILL");
const isError = (how) => /^E[A-Z]+$/.test(how);

function refuse(how, what) {
  const texts = { ENOSPC: "no space left on device", EACCES: "permission denied", EIO: "i/o error" };
  return Object.assign(new Error(`${how}: ${texts[how]}, ${what}`), { code: how, errno: -1, syscall: what });
}

/** Wraps an asynchronous function whose calls are steps unless `matters` says otherwise. */
function wrap(owner, name, matters = () => true) {
  const original = owner[name];
  owner[name] = async function (...args) {
    if (!matters(...args)) return original.apply(this, args);
    // A path tells where; what a file handle is given is content.
    const how = next(owner === fsp ? `${name} ${args[0]}` : name);
    if (how === "before") die();
    if (isError(how)) throw refuse(how, name);
    try {
      return await original.apply(this, args);
    } finally {
      if (how === "after") die();
    }
  };
}

/** The same for a synchronous one. */
function wrapSync(name, matters = () => true) {
  const original = fs[`${name}Sync`];
  fs[`${name}Sync`] = function (...args) {
    if (inside || !matters(...args)) return original.apply(this, args);
    const how = next(typeof args[0] === "string" ? `${name} ${args[0]}` : name);
    if (how === "before") die();
    if (isError(how)) throw refuse(how, name);
    inside = true;
    try {
      return original.apply(this, args);
    } finally {
      inside = false;
      if (how === "after") die();
    }
  };
}

const writes = (_path, flags = "r") =>
  typeof flags === "number"
    ? (flags & (fs.constants.O_WRONLY | fs.constants.O_RDWR)) !== 0
    : /[wa+]/.test(flags);
for (const name of ["rename", "link", "unlink", "rm", "mkdir", "copyFile", "writeFile", "utimes"])
  wrap(fsp, name);
wrap(fsp, "open", writes);
const handle = await fsp.open(process.execPath, "r");
for (const name of ["writeFile", "write", "sync", "truncate"]) wrap(Object.getPrototypeOf(handle), name);
await handle.close();
const changes = [
  "rename",
  "link",
  "unlink",
  "rm",
  "mkdir",
  "copyFile",
  "writeFile",
  "utimes",
  "write",
  "fsync",
];
for (const name of changes) wrapSync(name);
wrapSync("open", writes);

childProcess.spawn = (file, args, options) => {
  if (file !== "git" && file !== "opencode") return spawn(file, args, options);
  const verb = args.find((arg, at) => !arg.startsWith("-") && args[at - 1] !== "-c");
  const how = next(`${file} ${verb}`);
  if (how === "before") die();
  if (isError(how)) {
    const script = `echo "fatal: ${refuse(how, verb).message}" >&2; exit 128`;
    return spawn("sh", ["-c", script], options);
  }
  if (how === "orphan") {
    // The test waits for the end of descriptor 3, which the orphan holds.
    const { stdio = "pipe" } = options;
    spawn(file, args, {
      ...options,
      stdio: [...(typeof stdio === "string" ? [stdio, stdio, stdio] : stdio), 3],
    });
    die();
  }
  const child = spawn(file, args, options);
  if (how === "after") child.prependOnceListener("exit", die);
  return child;
};
syncBuiltinESMExports();
