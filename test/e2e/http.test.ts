// Over smart HTTP with a password, as most remotes are reached.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test } from "vitest";
import { done, lines, type Machine, one, type Sandbox, sandbox } from "./harness.ts";

const backend = join(execFileSync("git", ["--exec-path"], { encoding: "utf8" }).trim(), "git-http-backend");
const host = fileURLToPath(new URL("../fixtures/http-host.mjs", import.meta.url));

const ended: (() => void)[] = [];
afterEach(() => {
  for (const end of ended.splice(0)) end();
});

interface Hosted extends Sandbox {
  /** What the host lets in from now on. */
  password(text: string): void;
}

/** What a machine's credential helper says from now on. */
function credential(machine: Machine, password: string): void {
  const helper = `!f() { echo username=anna; echo password=${password}; }; f`;
  machine.git("config", "--global", "credential.helper", helper);
}

/** Two machines that reach their remote by http alone. */
async function hosted(): Promise<Hosted> {
  const box = sandbox();
  const secret = join(box.base, "password");
  const password = (text: string): void => writeFileSync(secret, `anna:${text}`);
  password("right");
  box.remoteGit("config", "http.receivepack", "true");
  const server = spawn(process.execPath, [host, box.base, backend, secret], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  ended.push(() => server.kill());
  const [port] = (await once(server.stdout, "data")) as [Buffer];
  const url = `url.http://anna@127.0.0.1:${port.toString().trim()}/.insteadOf`;
  for (const machine of [box.desktop, box.laptop]) {
    machine.with({ path: machine.home }).git("config", "--global", "--add", url, `file://${box.base}/`);
    machine.with({ path: machine.home }).git("config", "--global", "--add", url, `${box.base}/`);
    credential(machine.with({ path: machine.home }), "right");
  }
  await box.desktop.begin();
  await box.laptop.join();
  return { ...box, password };
}

describe.skipIf(!existsSync(backend))("over http (skipped where git has no git-http-backend)", () => {
  test("there and back, with more than fits into one request's buffer", async () => {
    const { desktop, laptop } = await hosted();
    expect(desktop.git("remote", "get-url", "origin")).toMatch(/^http:/);
    desktop.write("large.txt", Array.from({ length: 300_000 }, (_, n) => n * 7919).join("\n"));
    desktop.say(0, 2);
    done(await desktop.run("save", "There"));
    done(await laptop.run("resume"));
    laptop.hears(2);
    expect(laptop.head()).toBe(desktop.head());
    laptop.say(2, 3);
    laptop.write("work.txt", "two\n");
    done(await laptop.run("save", "Back"));
    done(await desktop.run("resume"));
    desktop.hears(3);
    done(await desktop.run("verify"));
  });

  test("a password that has expired: all waits, the code too, and goes once there is a new one", async () => {
    const { desktop, laptop, remoteGit, password } = await hosted();
    password("new");
    desktop.write("work.txt", "one\n");
    desktop.say(0, 1);
    const saved = await desktop.run("save", "Waits");
    expect(saved.exit).toBe(3);
    expect(saved.stderr).toMatch(
      /'origin' cannot be reached, so it waits.*\n.*\nhint: Authentication failed/,
    );
    expect(saved.stderr).not.toMatch(/anna:|right/);
    expect((await laptop.run("list", "--fetch")).stderr).toMatch(/Authentication failed/);
    for (const machine of [desktop, laptop]) credential(machine, "new");
    done(await desktop.run("sync"));
    expect(remoteGit("rev-parse", "main")).toBe(desktop.head());
    done(await laptop.run("resume"));
    laptop.hears(1);
  });

  test("a host that refuses: as over any other way", async () => {
    const { desktop, laptop, remote, remoteGit } = await hosted();
    const hook = join(remote, "hooks/pre-receive");
    writeFileSync(hook, "#!/bin/sh\necho not today >&2\nexit 1\n", { mode: 0o755 });
    desktop.write("work.txt", "one\n");
    desktop.say(0, 1);
    expect((await desktop.run("save", "Refused")).exit).toBe(3);
    expect(remoteGit("for-each-ref", "--format=%(refname)", "refs/convosync")).not.toMatch(/session/);
    writeFileSync(hook, "#!/bin/sh\n");
    done(await desktop.run("sync"));
    done(await laptop.run("sync"));
    const { document } = await laptop.json("list");
    expect(document["sessions"]).toMatchObject([{ id: one, messages: lines(1) }]);
  });
});
