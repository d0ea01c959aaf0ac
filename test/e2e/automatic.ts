// What tests of the automatic room share: hooks whose worker runs when the test says so, in this process.

import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { hasConfiguredHooks } from "../../src/sessions/hooks.ts";
import { type Document, done, type Machine } from "./harness.ts";

/** Git starts hooks by its configuration (from 2.54 on), and needs no files for them. */
export const configuredHooks = hasConfiguredHooks(execFileSync("git", ["version"], { encoding: "utf8" }));

/** Git can turn a repository's refs into a reftable (from 2.46 on). */
export const migratesRefs = spawnSync("git", ["refs", "migrate", "-h"]).status === 129;

export const cloneDir = (machine: Machine): string =>
  join(machine.git("rev-parse", "--path-format=absolute", "--git-common-dir"), "convosync");

/** Installs the hooks, which from now on note what happens and start nothing. */
export async function installQuietHooks(machine: Machine): Promise<void> {
  done(await machine.run("hooks", "install"));
  machine.git("config", "convosync.autoPush", "false");
  startNothing(machine);
}

/** Hooks that find no program to start. */
function startNothing(machine: Machine): void {
  const script = join(cloneDir(machine), "hook.sh");
  writeFileSync(script, readFileSync(script, "utf8").replace(/^cli=.*$/m, "cli=/nonexistent/cli.js"));
}

/** The worker deals with what the hooks noted, as if that had been a while ago. Returns what they had noted. */
export async function work(machine: Machine): Promise<string[]> {
  const events = noted(machine);
  const path = join(cloneDir(machine), "events");
  const before = new Date(Date.now() - 60_000);
  if (existsSync(path)) utimesSync(path, before, before);
  done(await machine.run("hook", "worker", join(cloneDir(machine), ".."), "once"));
  if (existsSync(join(cloneDir(machine), "hook.sh"))) startNothing(machine);
  return events;
}

/** What hooks have noted and no worker has taken yet. */
export function noted(machine: Machine): string[] {
  const path = join(cloneDir(machine), "events");
  return existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(0, -1) : [];
}

/** Waits until a real worker has dealt with everything and ended. */
export async function untilIdle(machine: Machine): Promise<void> {
  const busy = ["events", "events.moving", "events.taken", "worker.pid", "worker.lock"];
  for (let tries = 0; tries < 400; tries++) {
    if (!busy.some((name) => existsSync(join(cloneDir(machine), name)))) return;
    await sleep(100);
  }
  throw new Error("the worker does not come to an end");
}

export async function shown(machine: Machine, id: string): Promise<Document> {
  return (await machine.json("show", id)).document;
}

/** The last background push was so long ago that the next may follow. */
export function longAgo(machine: Machine): void {
  const path = join(cloneDir(machine), "queue.json");
  const queue = JSON.parse(readFileSync(path, "utf8"));
  for (const one of Object.values<Document>(queue.remotes)) {
    if (one["background"]) one["background"].at = "2020-01-01T00:00:00.000Z";
  }
  writeFileSync(path, JSON.stringify(queue));
}
