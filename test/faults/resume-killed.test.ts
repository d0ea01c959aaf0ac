import { afterAll, describe, expect, test } from "vitest";
import { killAndMend, killPoints, type Scenario, spread } from "./kill.ts";
import { conversation, desktopAtWork, initialise, joinedLaptop, Sandbox } from "./sandbox.ts";

const sandbox = new Sandbox();
const desktop = desktopAtWork(sandbox);
initialise(desktop);
const laptop = joinedLaptop(sandbox);
afterAll(() => sandbox.remove());

const atEnd = (lines: number): string => conversation(laptop.work, 0, lines);
const arrived = (): void => {
  expect(laptop.store()).toEqual(desktop.store());
  expect(laptop.git("rev-parse", "HEAD")).toBe(desktop.git("rev-parse", "HEAD"));
  expect(laptop.git("symbolic-ref", "--short", "HEAD")).toBe("feature/oauth");
  expect(laptop.git("status", "--porcelain")).toBe("");
};

describe("resume on a machine that has nothing yet, killed", async () => {
  desktop.convosync(["save", "one"]);
  const scenario: Scenario = {
    sandbox,
    start: sandbox.keep(),
    machine: laptop,
    args: ["resume"],
    allowed: [null, atEnd(20)],
    // The last test below looks at these.
    tolerated: /^\.claude\//,
    done: arrived,
  };
  const all = await killPoints(scenario);
  test.each(spread(all, 5))("$how step $at ($what), is mended by the next", (fault) =>
    killAndMend(scenario, fault),
  );
});

describe("resume on a machine that is behind, killed", async () => {
  laptop.convosync(["resume"]);
  desktop.write("auth.js", "two\n");
  desktop.talk(20, 5);
  desktop.sidecars(2);
  desktop.convosync(["save", "two"]);
  const scenario: Scenario = {
    sandbox,
    start: sandbox.keep(),
    machine: laptop,
    args: ["resume"],
    allowed: [atEnd(20), atEnd(25)],
    // The last test below looks at these.
    tolerated: /^\.claude\//,
    done: arrived,
  };
  const all = await killPoints(scenario);
  test.each(spread(all, 5))("$how step $at ($what), is mended by the next", (fault) =>
    killAndMend(scenario, fault),
  );

  test("what it had begun to write beside the agent's files goes with the next run", async () => {
    const begun = all
      .filter(({ what, how }) => how === "after" && /^open .*\.claude\/.*\.tmp$/.test(what))
      .at(-1)!;
    await killAndMend({ ...scenario, tolerated: /^$/ }, begun);
  });
});
