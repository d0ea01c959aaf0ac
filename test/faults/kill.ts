import { lstatSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { type Fault, files, type Machine, type Sandbox, sessionId } from "./sandbox.ts";

/** A command, the state it starts from, and what must be true once it has been run again to the end. */
export interface Scenario {
  readonly sandbox: Sandbox;
  /** From `sandbox.keep()`. */
  readonly start: string;
  readonly machine: Machine;
  readonly args: readonly string[];
  /** Arguments of the run that mends what the killed one left; default the same. */
  readonly again?: readonly string[];
  /** What it starts from is harmed: what is left has to be sound only when it has been run again. */
  readonly harmed?: boolean;
  /** What the user has to do before that. */
  mend?(): void;
  /** The transcripts that may be seen after the kill, before anything is mended: old or new. */
  readonly allowed: readonly (string | null)[];
  /** What may be left for good. */
  readonly tolerated?: RegExp;
  /** Checks the end: all that was to happen has happened, once. */
  done(): void;
}

/** Every place where the command can be killed: before and after each step, and beside each git that runs on. */
export async function killPoints({
  sandbox,
  start,
  machine,
  args,
  done,
}: Scenario): Promise<(Fault & { what: string })[]> {
  sandbox.rewind(start);
  const ran = await machine.faulty(args, null);
  expect(ran.code, ran.stdout + ran.stderr).toBe(0);
  done();
  return ran.steps.flatMap((what, index) => {
    const hows = /^(?:git|opencode) /.test(what)
      ? (["before", "orphan", "after"] as const)
      : (["before", "after"] as const);
    return hows.map((how) => ({ at: index + 1, how, what }));
  });
}

/** A spread over all of them that is the same every time; all of them with SLOW=1. */
export function spread<T>(all: readonly T[], count: number): T[] {
  if (process.env["SLOW"] === "1" || all.length <= count) return [...all];
  return Array.from({ length: count }, (_, n) => all[Math.floor(((n + 0.5) * all.length) / count)]!);
}

/** Kills the command there, looks at what is left, runs it again, and looks at the end. */
export async function killAndMend(scenario: Scenario, fault: Fault & { what: string }): Promise<void> {
  const { sandbox, start, machine, args } = scenario;
  sandbox.rewind(start);
  const commits = machine.git("log", "--format=%H", "--all", "--not", "--glob=refs/convosync").split("\n");
  let ran = await machine.faulty(args, fault);
  // Steps that run at the same time change places: then another one bears this number, and may be none to kill so.
  for (let tries = 1; ran.code === 0 && tries < 5; tries++) {
    sandbox.rewind(start);
    ran = await machine.faulty(args, fault);
  }
  expect(ran.code, `killed at ${fault.at} (${fault.what})\n${ran.stderr}`).toBeNull();
  if (!scenario.harmed) unharmed(machine);
  for (const commit of commits) if (commit) machine.git("cat-file", "-e", commit);
  expect(scenario.allowed).toContain(machine.read());
  scenario.mend?.();
  machine.convosync(scenario.again ?? args);
  unharmed(machine);
  scenario.done();
  // What lies beside a file goes when that file is next written: here, by a save of something new.
  machine.write("auth.js", "three\n");
  machine.talk(900, 1);
  machine.convosync(["save", "--session", sessionId, "--force", "three"]);
  const strays = machine.strays().filter((path) => !scenario.tolerated?.test(path));
  expect(strays.join("\n")).toBe("");
}

/** Fetches; a fetch that the killed one had running may still be moving the same refs: then once more, after it. */
function fetched(machine: Machine): void {
  for (let tries = 1; ; tries++) {
    try {
      machine.git("fetch", "--quiet");
      return;
    } catch (error) {
      if (tries === 5 || !/cannot lock ref/.test(String(error))) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
    }
  }
}

/** The repository is sound, and the user's own git works in it. */
export function unharmed(machine: Machine): void {
  machine.git("fsck", "--strict", "--no-dangling", "--no-progress");
  machine.git("status", "--porcelain");
  fetched(machine);
  machine.git("log", "--oneline", "--all");
  const refs = join(machine.work, ".git", "refs");
  for (const ref of files(refs))
    if (!ref.endsWith(".lock")) expect(lstatSync(ref).size, ref).toBeGreaterThan(0);
}
