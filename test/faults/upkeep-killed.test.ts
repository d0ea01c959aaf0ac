// What keeps the sessions few, killed: nothing is half gone, nothing half back.

import { chmodSync, mkdirSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { killAndMend, killPoints, type Scenario, spread } from "./kill.ts";
import {
  conversation,
  desktopAtWork,
  initialise,
  joinedLaptop,
  type Machine,
  Sandbox,
  sessionId,
} from "./sandbox.ts";

const other = "0e4a11ed-0000-4000-8000-c0ffee000002";

const boxes: Sandbox[] = [];
function box(): Sandbox {
  const sandbox = new Sandbox();
  boxes.push(sandbox);
  return sandbox;
}
afterAll(() => {
  for (const sandbox of boxes) sandbox.remove();
});

const listed = (machine: Machine): string[] =>
  (JSON.parse(machine.convosync(["list", "--json"]).stdout) as { sessions: { id: string }[] }).sessions
    .map((one) => one.id)
    .sort();

/** Two saved conversations, of which the other one was used last. */
function twoSaved(sandbox: Sandbox): { desktop: Machine; laptop: Machine } {
  const desktop = desktopAtWork(sandbox);
  const path = join(dirname(desktop.transcript), `${other}.jsonl`);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, conversation(desktop.work, 0, 4, other));
  initialise(desktop);
  const laptop = joinedLaptop(sandbox);
  desktop.convosync(["save", "--session", sessionId, "one"]);
  desktop.convosync(["save", "--session", other, "--no-code", "two"]);
  return { desktop, laptop };
}

describe("retention, killed", async () => {
  const sandbox = box();
  const { desktop, laptop } = twoSaved(sandbox);
  desktop.git("config", "convosync.maxSessions", "1");
  const scenario: Scenario = {
    sandbox,
    start: sandbox.keep(),
    machine: desktop,
    args: ["gc", "--yes"],
    allowed: [conversation(desktop.work, 0, 20)],
    done() {
      expect(listed(desktop)).toEqual([other]);
      laptop.convosync(["sync"]);
      expect(listed(laptop)).toEqual([other]);
      expect(sandbox.git("for-each-ref", "refs/convosync/*/session/**").split("\n")).toHaveLength(1);
      laptop.convosync(["resume", other]);
      laptop.convosync(["verify"]);
    },
  };
  const points = spread(await killPoints(scenario), 4);
  test.each(points)("$how step $at ($what), is mended by the next", (fault) => killAndMend(scenario, fault));
});

describe("undo of a deletion, killed", async () => {
  const sandbox = box();
  const { desktop, laptop } = twoSaved(sandbox);
  desktop.convosync(["delete", "--yes", sessionId]);
  const scenario: Scenario = {
    sandbox,
    start: sandbox.keep(),
    machine: desktop,
    args: ["undo"],
    // One that had come as far as the refs is finished by the next contact.
    again: ["sync"],
    allowed: [conversation(desktop.work, 0, 20)],
    done() {
      if (!listed(desktop).includes(sessionId)) desktop.convosync(["undo"]);
      expect(listed(desktop)).toEqual([other, sessionId].sort());
      laptop.convosync(["sync"]);
      expect(listed(laptop)).toEqual([other, sessionId].sort());
      laptop.convosync(["resume", sessionId]);
      expect(laptop.read()).toBe(conversation(laptop.work, 0, 20));
      laptop.convosync(["verify"]);
    },
  };
  const points = spread(await killPoints(scenario), 4);
  test.each(points)("$how step $at ($what), is mended by the next", (fault) => killAndMend(scenario, fault));
});

describe("doctor --fix, killed", async () => {
  const sandbox = box();
  const { desktop } = twoSaved(sandbox);
  const [ref] = desktop.git("for-each-ref", "--format=%(refname)", "refs/convosync/*/session/**").split("\n");
  const torn = [`${ref}:manifest.age`, `${ref}:segment/00/00.age`, `${ref}:segment`, `${ref}^{tree}`];
  for (const oid of desktop.git("rev-parse", ...torn).split("\n")) {
    const file = join(desktop.work, ".git/objects", oid.slice(0, 2), oid.slice(2));
    chmodSync(file, 0o600);
    truncateSync(file, statSync(file).size >> 1);
  }
  const scenario: Scenario = {
    sandbox,
    start: sandbox.keep(),
    machine: desktop,
    args: ["doctor", "--fix", "--yes"],
    harmed: true,
    allowed: [conversation(desktop.work, 0, 20)],
    done() {
      desktop.convosync(["verify"]);
      desktop.git("gc", "--quiet", "--prune=now");
      expect(listed(desktop)).toEqual([other, sessionId].sort());
    },
  };
  const points = spread(await killPoints(scenario), 4);
  test.each(points)("$how step $at ($what), is mended by the next", (fault) => killAndMend(scenario, fault));
});
