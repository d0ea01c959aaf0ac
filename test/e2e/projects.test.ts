// Three devices set up three projects of one vault, in whatever order, each hearing of the others when it happens to.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { done, git, type Machine, sandbox } from "./harness.ts";

/** The same numbers for the same seed (Lehmer's generator, as Park and Miller have it). */
function dice(seed: number): (sides: number) => number {
  let state = seed;
  return (sides) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % sides;
  };
}

const projects = ["shop", "blog", "tool"] as const;

// SEED=<n> walks another way, STEPS=<n> a longer one.
const seeds = process.env["SEED"] ? [Number(process.env["SEED"])] : [1, 2, 3];
const steps = Number(process.env["STEPS"] ?? 45);

test.each(seeds)("whoever joins where, all find each other and no command stops (seed %i)", async (seed) => {
  const { base, desktop, laptop, tablet, code } = sandbox();
  const roll = dice(seed);
  const one = <T>(of: readonly T[]): T => of[roll(of.length)]!;
  for (const name of projects) {
    git(base, desktop.env, "init", "-q", "--bare", "-b", "main", `${name}.git`);
    git(base, desktop.env, "init", "-q", `first-${name}`);
    const first = join(base, `first-${name}`);
    git(first, desktop.env, "commit", "-q", "--allow-empty", "-m", "first");
    git(first, desktop.env, "push", "-q", join(base, `${name}.git`), "HEAD:main");
  }
  const clones = new Map<string, Machine>();
  const members = new Set<string>();
  const begun = new Set<string>();
  let said = 0;

  /** A clone of the project, set up as a person would: with the code where the vault is there and the device is not. */
  async function setUp(device: Machine, name: string): Promise<void> {
    if (members.size > 0 && !members.has(device.name) && !begun.has(name)) return;
    const path = join(device.home, name);
    git(device.home, device.env, "clone", "-q", `file://${join(base, `${name}.git`)}`, path);
    const clone = device.with({ path });
    if (members.size === 0) await clone.init("--recovery-file", code);
    else if (members.has(device.name)) await clone.init();
    else await clone.init("--join", "--recovery-file", code);
    members.add(device.name);
    begun.add(name);
    clones.set(`${device.name} ${name}`, clone);
  }

  for (let step = 0; step < steps; step++) {
    const device = one([desktop, laptop, tablet]);
    const name = one(projects);
    const clone = clones.get(`${device.name} ${name}`);
    if (!clone) {
      await setUp(device, name);
      continue;
    }
    const command = one([["save"], ["sync"], ["list", "--fetch"], ["status"]]);
    if (command[0] === "save") clone.say(said++, said);
    done(await clone.run(...command));
  }
  for (let round = 0; round < 3; round++) for (const clone of clones.values()) done(await clone.run("sync"));
  for (const clone of clones.values()) {
    done(await clone.run("verify"));
    const { devices, queue } = (await clone.json("status")).document;
    expect(queue).toEqual([]);
    expect(devices.map((each: { name: string }) => each.name).sort()).toEqual([...members].sort());
  }
  // The newest copy of the keyring is everybody's.
  const heard = [desktop, laptop, tablet]
    .filter(({ name }) => members.has(name))
    .map(({ home }) => Object.values(vaults(join(home, ".config/convosync/state.json"))));
  for (const each of heard) expect(each).toEqual(heard[0]);
});

function vaults(path: string): Record<string, { kr: unknown }> {
  return JSON.parse(readFileSync(path, "utf8")).vaults;
}
