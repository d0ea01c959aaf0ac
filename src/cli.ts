#!/usr/bin/env node
// The entry: refuses a Node that is too old, and loads the rest only then.
import { isAbsolute, join } from "node:path";
import { loadProgram } from "./code-cache.ts";
import { userCacheDir } from "./user-directories.ts";
import { version } from "./version.ts";

declare const __BUILD__: string;

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 12)) {
  process.stderr.write(`error: convosync needs Node 20.12 or newer; this is ${process.versions.node}\n`);
  process.exit(1);
}

const argv = process.argv.slice(2);
if (argv.length === 1 && (argv[0] === "--version" || argv[0] === "-V")) {
  process.stdout.write(`git-convosync version ${version}\n`);
} else {
  void run();
}

async function run(): Promise<void> {
  const { env } = process;
  // Node's own switch for its own cache of compiled code.
  const off = env["NODE_DISABLE_COMPILE_CACHE"];
  // It is code: never from a folder below the one we are in, which may be somebody else's repository.
  const folder = join(userCacheDir(env), "code");
  const cache = !off && isAbsolute(folder) ? folder : null;
  const verb = /^[a-z]{1,20}$/.test(argv[0] ?? "") ? argv[0]! : "other";
  const path = join(import.meta.dirname, "program.cjs");
  const program = loadProgram(path, __BUILD__, cache, verb);
  const { main } = program.exports as typeof import("./main.ts");
  // If nothing is left to wait for before it has ended, as Node has it for its own modules. Said at the very end: commander
  // takes an exit status that is set for its own.
  let ended = false;
  process.once("exit", (status) => {
    if (!ended && status === 0) process.exitCode = 13;
  });
  process.exitCode = await main(argv, {
    // Asked for where it is wanted: of a work tree that was removed it is gone, and a shell may still be there.
    get cwd() {
      return process.cwd();
    },
    env,
    now: () => new Date(),
    streams: {
      // Made when it is read from: that takes 2 ms, and most commands do not.
      get stdin() {
        return process.stdin;
      },
      stdout: process.stdout,
      stderr: process.stderr,
    },
  });
  ended = true;
  // What ends otherwise may not have been a verb at all.
  if (process.exitCode === 0) program.keep();
  // All that was begun is done. Taking itself apart would cost Node 7 ms, for what the system takes back anyway; only what a
  // stream still holds, as those to pipes may where they are asynchronous, is waited for.
  if (process.stdout.writableLength === 0 && process.stderr.writableLength === 0) process.exit();
}
