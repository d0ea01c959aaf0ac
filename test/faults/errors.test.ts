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
  test.each(spread(await points(one), 4))("$how at step $at ($what)", async (fault) => {
    sandbox.rewind(start);
    const { machine, args } = one;
    const before = machine.read();
    const ran = await machine.faulty(args, fault);
    // A step that only tidies up or may be missing does not fail the command.
    expect([0, 1, 3, 4, 7, 8], ran.stderr).toContain(ran.code);
    if (ran.code !== 0) expect(ran.stderr).toMatch(/^error: ./m);
    unharmed(machine);
    if (ran.code !== 0)
      expect([before, laptop.read()?.replaceAll(laptop.work, machine.work)]).toContain(machine.read());
    machine.convosync(args);
    one.done();
    // What could not be removed goes with the next that wants its place: locks, indexes made for a commit.
    const stuck = ran.steps[fault.at - 1]?.startsWith("rm ")
      ? /fast_import_crash|\.lock$|\/index\.convosync-/
      : /fast_import_crash/;
    const strays = machine.strays().filter((path) => !stuck.test(path));
    expect(strays.join("\n")).toBe("");
  });
});

test("an error of the system is told as what it is, not as a bug", async () => {
  const all = await points(cases.save);
  // Not one of a cache, which is done without.
  const full = all.find(({ what }) => /^open (?!.*\/\.cache\/).*\.tmp$/.test(what))!;
  for (const [how, why] of [
    ["ENOSPC", /no space left/],
    ["EACCES", /permission denied/],
    ["EIO", /i\/o error/],
  ] as const) {
    sandbox.rewind(start);
    const { code, stdout } = await desktop.faulty(["save", "three", "--json"], { at: full.at, how });
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toEqual({
      convosync: 1,
      error: { code: "system", exit: 1, message: expect.stringMatching(why), hints: [expect.any(String)] },
    });
  }
});

test("git's report of an import that broke off is not left to the user", async () => {
  // While git imports, the new text is kept in a file of our own: there the disk is full.
  const all = await points(cases.save);
  const importing = all.findIndex(({ what }) => what === "git fast-import");
  const full = all.slice(importing).find(({ what }) => what === "write" || what.startsWith("open "))!;
  sandbox.rewind(start);
  await desktop.faulty(["save", "three"], { at: full.at, how: "ENOSPC" });
  expect(desktop.strays().join("\n")).not.toMatch(/fast_import_crash/);
});
