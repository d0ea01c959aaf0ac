// Over ssh, for which a program stands in that runs what the host would.

import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { done, one, type Sandbox, sandbox } from "./harness.ts";

interface Hosted extends Sandbox {
  /** How many connections there were. */
  connections(): number;
  /** What ssh says when it gives up, from now on; null when it does not. */
  fails(saying: string | null): void;
}

/** Two machines that reach their remote by ssh alone. */
async function hosted(): Promise<Hosted> {
  const box = sandbox();
  const [program, calls, failure] = ["ssh", "calls", "failure"].map((name) => join(box.base, name));
  writeFileSync(
    program!,
    `#!/bin/sh
[ ! -e '${failure}' ] || { cat '${failure}' >&2; exit 255; }
echo "$@" >> '${calls}'
for command; do :; done
exec sh -c "$command"
`,
  );
  chmodSync(program!, 0o755);
  for (const machine of [box.desktop, box.laptop]) {
    const home = machine.with({ path: machine.home });
    home.git("config", "--global", "core.sshCommand", program!);
    const url = `url.anna@git.example:${box.base}/.insteadOf`;
    for (const instead of [`file://${box.base}/`, `${box.base}/`])
      home.git("config", "--global", "--add", url, instead);
  }
  await box.desktop.begin();
  await box.laptop.join();
  return {
    ...box,
    connections: () => (existsSync(calls!) ? readFileSync(calls!, "utf8").split("\n").length - 1 : 0),
    fails: (saying) => (saying === null ? rmSync(failure!) : writeFileSync(failure!, saying)),
  };
}

test("there and back; a save takes one connection", async () => {
  const { desktop, laptop, connections } = await hosted();
  expect(desktop.git("remote", "get-url", "origin")).toMatch(/^anna@git\.example:/);
  for (const turns of [1, 2]) {
    desktop.write("work.txt", `${turns}\n`);
    desktop.say(turns - 1, turns);
    const before = connections();
    done(await desktop.run("save"));
    expect(connections() - before).toBe(1);
  }
  done(await laptop.run("resume"));
  laptop.hears(2);
  laptop.say(2, 3);
  done(await laptop.run("save"));
  done(await desktop.run("resume"));
  desktop.hears(3);
  expect(desktop.head()).toBe(laptop.head());
  done(await desktop.run("verify"));
});

const gitsOwn = `fatal: Could not read from remote repository.

Please make sure you have the correct access rights
and the repository exists.
`;

test.each([
  ["Host key verification failed", "Host key verification failed.\r\n"],
  [
    "anna@git.example: Permission denied",
    "Welcome to git.example!\nanna@git.example: Permission denied (publickey).\r\n",
  ],
  [
    "kex_exchange_identification: Connection closed by remote host",
    "kex_exchange_identification: Connection closed by remote host\r\n",
  ],
  [
    "FATAL: W any shop anna DENIED by fallthru",
    "FATAL: W any shop anna DENIED by fallthru\n(or you mis-spelled the reponame)\n",
  ],
  ["ERROR: Repository not found", "ERROR: Repository not found.\n"],
  ["Could not read from remote repository", ""],
])("that gives up is told in its own words: %s", async (told, saying) => {
  const { desktop, laptop, fails, remoteGit } = await hosted();
  desktop.write("work.txt", "one\n");
  desktop.say(0, 1);
  fails(saying);
  const saved = await desktop.run("save");
  expect(saved.exit).toBe(3);
  expect(saved.stderr).toMatch(/'origin' cannot be reached, so it waits.*\n.*\n/);
  expect(saved.stderr).toContain(`hint: ${told}`);
  expect(saved.stderr).not.toContain(gitsOwn);
  expect(await desktop.run("sync")).toMatchObject({ exit: 8, stderr: expect.stringContaining(told) });
  fails(null);
  done(await desktop.run("sync"));
  expect(remoteGit("rev-parse", "main")).toBe(desktop.head());
  done(await laptop.run("resume"));
  laptop.hears(1, one);
});
