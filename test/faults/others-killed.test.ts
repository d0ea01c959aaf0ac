import { existsSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { killAndMend, killPoints, type Scenario, spread } from "./kill.ts";
import {
  codeFile,
  conversation,
  desktopAtWork,
  initArguments,
  initialise,
  joinedLaptop,
  Sandbox,
  sessionId,
} from "./sandbox.ts";

const boxes: Sandbox[] = [];
function box(): Sandbox {
  const sandbox = new Sandbox();
  boxes.push(sandbox);
  return sandbox;
}
afterAll(() => {
  for (const sandbox of boxes) sandbox.remove();
});

describe("sync of what waited, killed", async () => {
  const sandbox = box();
  const desktop = desktopAtWork(sandbox);
  initialise(desktop);
  const laptop = joinedLaptop(sandbox);
  renameSync(sandbox.remote, `${sandbox.remote}.away`);
  desktop.convosync(["save", "offline"], 3);
  renameSync(`${sandbox.remote}.away`, sandbox.remote);
  const scenario: Scenario = {
    sandbox,
    start: sandbox.keep(),
    machine: desktop,
    args: ["sync"],
    allowed: [conversation(desktop.work, 0, 20)],
    done() {
      expect(sandbox.git("rev-parse", "feature/oauth")).toBe(desktop.git("rev-parse", "HEAD"));
      expect(desktop.convosync(["status", "--json"]).stdout).toContain('"queue":[]');
      laptop.convosync(["resume"]);
      expect(laptop.store()).toEqual(desktop.store());
    },
  };
  const points = spread(await killPoints(scenario), 4);
  test.each(points)("$how step $at ($what), is mended by the next", (fault) => killAndMend(scenario, fault));
});

describe("delete, killed", async () => {
  const sandbox = box();
  const desktop = desktopAtWork(sandbox);
  initialise(desktop);
  const laptop = joinedLaptop(sandbox);
  desktop.convosync(["save", "one"]);
  laptop.convosync(["resume"]);
  laptop.talk(20, 2);
  laptop.convosync(["save", "more"]);
  desktop.convosync(["resume"]);
  const scenario: Scenario = {
    sandbox,
    start: sandbox.keep(),
    machine: desktop,
    args: ["delete", "--yes", sessionId],
    // A deletion that had come as far as the tombstone is finished by the next contact.
    again: ["sync"],
    allowed: [conversation(desktop.work, 0, 22)],
    done() {
      if (desktop.convosync(["list", "--json"]).stdout.includes(sessionId)) {
        // Killed before anything was written down: then it did not happen at all, and is asked for again.
        expect(sandbox.git("for-each-ref", "refs/convosync/*/session/**").split("\n")).toHaveLength(2);
        desktop.convosync(["delete", "--yes", sessionId]);
      }
      expect(sandbox.git("for-each-ref", "refs/convosync/*/session/**")).toBe("");
      expect(desktop.git("for-each-ref", "refs/convosync/*/session/**")).toBe("");
      laptop.convosync(["sync"]);
      expect(laptop.git("for-each-ref", "refs/convosync/*/session/**")).toBe("");
      expect(sandbox.git("for-each-ref", "refs/convosync/*/session/**")).toBe("");
      expect(laptop.convosync(["list", "--json"]).stdout).toContain('"sessions":[]');
      // The agents' own files are nobody's to delete.
      expect(desktop.read()).toBe(conversation(desktop.work, 0, 22));
    },
  };
  const points = spread(await killPoints(scenario), 4);
  test.each(points)("$how step $at ($what), is mended by the next", (fault) => killAndMend(scenario, fault));
});

describe("init --join, killed", async () => {
  const sandbox = box();
  const desktop = desktopAtWork(sandbox);
  initialise(desktop);
  desktop.convosync(["save", "one"]);
  const laptop = sandbox.machine("laptop");
  laptop.clone();
  const scenario: Scenario = {
    sandbox,
    start: sandbox.keep(),
    machine: laptop,
    args: initArguments(laptop, "--join"),
    allowed: [null],
    done() {
      laptop.convosync(["resume"]);
      expect(laptop.store()).toEqual(desktop.store());
      desktop.convosync(["sync"]);
      // Both, and no third device that nobody has the keys of.
      const { devices } = JSON.parse(desktop.convosync(["status", "--json"]).stdout) as {
        devices: unknown[];
      };
      expect(devices).toHaveLength(2);
    },
  };
  const points = spread(await killPoints(scenario), 4);
  test.each(points)("$how step $at ($what), is mended by the next", (fault) => killAndMend(scenario, fault));
});

describe("init of a new vault, killed", async () => {
  const sandbox = box();
  const desktop = desktopAtWork(sandbox);
  const laptop = sandbox.machine("laptop");
  laptop.clone();
  const scenario: Scenario = {
    sandbox,
    start: sandbox.keep(),
    machine: desktop,
    args: initArguments(desktop),
    allowed: [conversation(desktop.work, 0, 20)],
    // Of a vault that came to nothing, halves of its keyring's copy.
    tolerated: /\.config\/convosync\/vault\//,
    mend() {
      // A code that was written down for a vault that was not made is nobody's but the user's to remove.
      const made = existsSync(join(desktop.home, ".config", "convosync", "device.txt"));
      if (!made) rmSync(codeFile(sandbox), { force: true });
    },
    done() {
      desktop.convosync(["save", "one"]);
      initialise(laptop, "--join");
      laptop.convosync(["resume"]);
      expect(laptop.store()).toEqual(desktop.store());
    },
  };
  const points = spread(await killPoints(scenario), 4);
  test.each(points)("$how step $at ($what), is mended by the next", (fault) => killAndMend(scenario, fault));
});

describe("sync that brings two histories of the keyring together, killed", async () => {
  const sandbox = box();
  const desktop = desktopAtWork(sandbox);
  initialise(desktop);
  desktop.convosync(["save", "one"]);
  const keyring = sandbox.git("for-each-ref", "--format=%(refname)", "refs/convosync/*/keyring");
  const before = sandbox.git("rev-parse", keyring);
  const laptop = joinedLaptop(sandbox);
  // As if the laptop had joined in another repository of the vault.
  sandbox.git("update-ref", keyring, before);
  const tablet = sandbox.machine("tablet");
  tablet.clone();
  initialise(tablet, "--join");
  const scenario: Scenario = {
    sandbox,
    start: sandbox.keep(),
    machine: laptop,
    args: ["sync"],
    allowed: [null],
    done() {
      for (const machine of [tablet, desktop, laptop, tablet]) machine.convosync(["sync"]);
      for (const machine of [tablet, desktop, laptop]) {
        machine.convosync(["verify"]);
        const { devices } = JSON.parse(machine.convosync(["status", "--json"]).stdout) as {
          devices: unknown[];
        };
        expect(devices).toHaveLength(3);
      }
      laptop.convosync(["resume"]);
      expect(laptop.store()).toEqual(desktop.store());
    },
  };
  const points = spread(await killPoints(scenario), 4);
  test.each(points)("$how step $at ($what), is mended by the next", (fault) => killAndMend(scenario, fault));
});
