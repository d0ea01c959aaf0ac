import { appendFileSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import { killAndMend, killPoints, type Scenario, spread } from "./kill.ts";
import { conversation, desktopAtWork, initialise, joinedLaptop, Sandbox, sessionId } from "./sandbox.ts";

// A conversation that went on on both sides, and is settled here.

const sandbox = new Sandbox();
const desktop = desktopAtWork(sandbox);
initialise(desktop);
const laptop = joinedLaptop(sandbox);
desktop.convosync(["save", "one"]);
laptop.convosync(["resume"]);
desktop.talk(20, 5);
desktop.sidecars(2);
desktop.convosync(["save", "two"]);
const parted = sandbox.keep();
afterAll(() => sandbox.remove());

const lines = (from: number, count: number): string[] =>
  Array.from({ length: count }, (_, n) => `line ${from + n}: look at`);

/** Whether this is said in the conversation as it stands, or in one of its snapshots. */
function expectKept(said: readonly string[]): void {
  const { snapshots } = JSON.parse(laptop.convosync(["log", sessionId, "--json"]).stdout);
  const shown = snapshots.map(
    ({ n }: { n: number }) => laptop.convosync(["show", `${sessionId}@${n}`]).stdout,
  );
  const all = [laptop.read(), ...shown].join("\n");
  expect(said.filter((one) => !all.includes(one))).toEqual([]);
}

/** What the laptop has, whatever becomes of the command. */
function settled(title: string, talk: () => void, args: readonly string[], done: () => void): void {
  describe(title, async () => {
    sandbox.rewind(parted);
    talk();
    const allowed = [laptop.read()];
    const scenario: Scenario = {
      ...{ sandbox, start: sandbox.keep(), machine: laptop, args, allowed, done },
      tolerated: /^\.claude\//,
    };
    const all = await killPoints(scenario);
    allowed.push(laptop.read());
    test.each(spread(all, 5))("$how step $at ($what), is mended by the next", (fault) =>
      killAndMend(scenario, fault),
    );
  });
}

settled(
  "resume where nobody went on here, killed",
  () => {
    const answer = { type: "assistant", message: { role: "assistant", content: "It is saved." } };
    appendFileSync(laptop.transcript, `${JSON.stringify({ ...answer, cwd: laptop.work, sessionId })}\n`);
  },
  ["resume"],
  () => {
    expect(laptop.read()).toBe(conversation(laptop.work, 0, 25));
    expectKept([...lines(0, 25), "It is saved."]);
  },
);

settled(
  "resume --theirs, killed",
  () => laptop.talk(40, 4),
  ["resume", "--theirs"],
  () => {
    expect(laptop.read()).toBe(conversation(laptop.work, 0, 25));
    expectKept([...lines(0, 25), ...lines(40, 4)]);
  },
);

settled(
  "resume --merge, killed",
  () => laptop.talk(40, 4),
  ["resume", "--merge"],
  () => {
    const said = [...lines(0, 25), ...lines(40, 4)];
    expect(said.filter((one) => !laptop.read()?.includes(one))).toEqual([]);
    expectKept(said);
  },
);
