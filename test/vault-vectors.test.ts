// A whole vault of version 0.1.0, never regenerated: what fails here breaks repositories that exist.

import { chmodSync, copyFileSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { done, git, type Machine, one, sandbox } from "./e2e/harness.ts";

const vector = (name: string): string => fileURLToPath(new URL(`./vectors/${name}`, import.meta.url));
const expected = JSON.parse(readFileSync(vector("vault-1/expected.json"), "utf8"));

/** A machine that has joined a vault as it was kept. */
async function joined(vault: string): Promise<Machine> {
  const box = sandbox();
  rmSync(box.remote, { recursive: true });
  const machine = box.tablet;
  git(box.base, machine.env, "clone", "-q", "--mirror", vector(`${vault}/remote.bundle`), box.remote);
  const keys = join(machine.home, ".config/convosync");
  mkdirSync(keys, { recursive: true });
  copyFileSync(vector(`${vault}/device.txt`), join(keys, "device.txt"));
  chmodSync(join(keys, "device.txt"), 0o600);
  machine.clone();
  done(await machine.run("init", "--join"));
  done(await machine.run("sync"));
  return machine;
}

let machine: Machine;
beforeAll(async () => {
  machine = await joined("vault-1");
});

test("heads: sessions, pins, tombstones, an archive", async () => {
  const { document } = await machine.json("list", "--all");
  const { sessions } = document as { sessions: Record<string, unknown>[] };
  expect(sessions).toHaveLength(expected.sessions.length);
  for (const wanted of expected.sessions)
    expect(sessions.find(({ id }) => id === wanted.id)).toMatchObject(wanted);
});

test("every object, by its signature and its hash", async () => {
  done(await machine.run("verify"));
});

test("a manifest with pages: snapshots, links, work in progress, variables, a subagent", async () => {
  const { document } = await machine.json("log", one);
  expect(document["snapshots"]).toMatchObject(expected.log);
  const resumed = await machine.json("resume", one);
  expect(resumed.document).toMatchObject({ work: "applied", variables: ["SHOP_MODE"], code: "same" });
  machine.hears(30);
  expect(machine.read("auth.js")).toBe("auth, better\n");
  const side = machine.transcript(one).replace(/\.jsonl$/, "");
  expect(machine.read(join(side, "subagents/agent-a1.jsonl"))).toBe(machine.told(1));
});

test("a session out of the archive", async () => {
  machine.git("checkout", "-q", "--", "auth.js");
  done(await machine.run("resume", expected.archived));
  machine.hears(1, expected.archived);
});

test("records of a domain", async () => {
  const { document } = await machine.json("template", "list");
  expect(document["templates"]).toMatchObject(expected.templates);
});

test("a manifest whose pages name pages, gone on with by another device, and again here", async () => {
  const tablet = await joined("vault-2");
  done(await tablet.run("verify"));
  done(await tablet.run("resume", one, "--stay-on-branch"));
  tablet.hears(56);
  const { document } = await tablet.json("log", one);
  const messages = (document["snapshots"] as { message: string }[]).map(({ message }) => message);
  expect(messages).toEqual(Array.from({ length: 56 }, (_, n) => `Turn ${56 - n}`));
  tablet.say(56, 57);
  done(await tablet.run("save", "--no-code"));
  done(await tablet.run("verify"));
});
