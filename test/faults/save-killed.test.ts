import { afterAll, describe, expect, test } from "vitest";
import { killAndMend, killPoints, type Scenario, spread } from "./kill.ts";
import { desktopAtWork, initialise, joinedLaptop, Sandbox } from "./sandbox.ts";

const sandbox = new Sandbox();
const desktop = desktopAtWork(sandbox);
initialise(desktop);
const laptop = joinedLaptop(sandbox);
desktop.convosync(["save", "one"]);
desktop.write("auth.js", "two\n");
desktop.write("new file.js", "new\n");
desktop.talk(20, 5);
desktop.sidecars(2);
const transcript = desktop.read();

const scenario: Scenario = {
  sandbox,
  start: sandbox.keep(),
  machine: desktop,
  args: ["save", "two"],
  allowed: [transcript],
  // The last test below looks at these.
  tolerated: /index\.convosync/,
  done() {
    expect(desktop.git("log", "--format=%s", "main..")).toBe("two [ConvoSync]\none [ConvoSync]");
    expect(desktop.git("status", "--porcelain")).toBe("");
    expect(sandbox.git("rev-parse", "feature/oauth")).toBe(desktop.git("rev-parse", "HEAD"));
    expect(desktop.convosync(["status", "--json"]).stdout).toContain('"queue":[]');
    laptop.convosync(["resume"]);
    expect(laptop.store()).toEqual(desktop.store());
  },
};
const points = await killPoints(scenario);
afterAll(() => sandbox.remove());

describe("save, killed", () => {
  test.each(spread(points, 8))("$how step $at ($what), loses nothing and is mended by the next", (fault) =>
    killAndMend(scenario, fault),
  );

  test("the copy of the index it had made goes with the next run that commits", async () => {
    const copied = points.find(({ what, how }) => how === "after" && what.startsWith("copyFile "))!;
    await killAndMend({ ...scenario, tolerated: /^$/ }, copied);
  });
});
