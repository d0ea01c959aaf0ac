// What the long tests share: numbers that look random, simulated machines, programs that are run on them.
import { spawnSync } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const cli = fileURLToPath(new URL("../dist/cli.js", import.meta.url));

/** Whole numbers below `n` that look random and are the same for the same seed. */
export function random(seed) {
  let state = seed;
  return (n) => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor((state / 2_147_483_648) * n);
  };
}

/** The environment of a machine whose HOME is `name` below `base`. */
export const machine = (base, name) => ({
  PATH: process.env.PATH,
  HOME: join(base, name),
  GIT_CONFIG_NOSYSTEM: "1",
  LC_ALL: "C.UTF-8",
  TMPDIR: tmpdir(),
  GIT_EDITOR: "true",
});

/** What a program says and how it ends; unless it may, it must not fail. */
export function run(cwd, env, command, args, { fails = false } = {}) {
  const result = spawnSync(command, args, { cwd, env, encoding: "utf8", maxBuffer: 1 << 28 });
  if (result.status !== 0 && !fails)
    throw new Error(`${command} ${args.join(" ")}: ${result.status}\n${result.stdout}${result.stderr}`);
  return result;
}

/** Settings of git that every simulated person has. */
export function introduce(base, env) {
  for (const [name, value] of [
    ["user.name", "Soak"],
    ["user.email", "soak@example.com"],
    ["gc.auto", "0"],
  ])
    run(base, env, "git", ["config", "--global", name, value]);
}

/** Of each line of a Claude Code transcript its own id, in order; paths in it differ from machine to machine. */
export const idsOf = (transcript) => [...transcript.matchAll(/"uuid":"([^"]+)"/g)].map(([, id]) => id);
