import { afterAll, describe, expect, test } from "vitest";
import { spread, unharmed } from "./kill.ts";
import { desktopAtWork, type Fault, initialise, joinedLaptop, type Machine, Sandbox } from "./sandbox.ts";

// A full disk, a folder that may not be written, a broken disk: one step fails, the program says so and stops.

const sandbox = new Sandbox();
const desktop = desktopAtWork(sandbox);
initialise(desktop);
const laptop = joinedLaptop(sandbox);
desktop.convosync(["save", "one"]);
laptop.convosync(["resume"]);
laptop.talk(20, 5);
laptop.convosync(["save", "two"]);
desktop.write("auth.js", "two\n");
desktop.sidecars(2);
afterAll(() => sandbox.remove());
const start = sandbox.keep();

interface Case {
  readonly machine: Machine;
  readonly args: readonly string[];
  done(): void;
}

const cases: Record<"save" | "resume", Case> = {
  save: {
    machine: desktop,
    args: ["save", "three"],
    done() {
      expect(sandbox.git("rev-parse", "feature/oauth")).toBe(desktop.git("rev-parse", "HEAD"));
      expect(desktop.git("status", "--porcelain")).toBe("");
      expect(desktop.convosync(["status", "--json"]).stdout).toContain('"queue":[]');
    },
  },
  resume: {
    machine: desktop,
    args: ["resume", "--stay-on-branch"],
    done() {
      expect(desktop.read()?.replaceAll(desktop.work, "")).toBe(laptop.read()?.replaceAll(laptop.work, ""));
    },
  },
};

/** Each step that writes, with each error in turn, so that all steps and all errors occur. */
async function points({ machine, args }: Case): Promise<(Fault & { what: string })[]> {
  sandbox.rewind(start);
  const ran = await machine.faulty(args, null);
  expect(ran.code, ran.stderr).toBe(0);
  const errors = ["ENOSPC", "EACCES", "EIO"] as const;
  return ran.steps.map((what, index) => ({ at: index + 1, how: errors[index % errors.length]!, what }));
}

describe.each(["save", "resume"] as const)("%s, when a step fails", async (name) => {
  const one = cases[name];
  test.each(spread(await points(one), 6))("$how at step $at ($what)", async (fault) => {
    sandbox.rewind(start);
    const { machine, args } = one;
    const before = machine.read();
    const ran = await machine.faulty(args, fault);
    // A step that only tidies up or may be missing does not fail the command.
    expect([0, 1, 3, 4, 7, 8], ran.stderr).toContain(ran.code);
    expect(ran.stderr).not.toMatch(/bug in convosync|unexpected/);
    if (ran.code !== 0) expect(ran.stderr).toMatch(/^error: ./m);
    unharmed(machine);
    if (ran.code !== 0)
      expect([before, laptop.read()?.replaceAll(laptop.work, machine.work)]).toContain(machine.read());
    machine.convosync(args);
    one.done();
    expect(machine.strays().join("\n")).toBe("");
  });
});
