// What runs beside everything else: it sees what agents write and what other devices save, and tells of it.

import { type ChildProcess, spawn } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test } from "vitest";
import { newId } from "../../src/agents/codex/store.ts";
import { opening, openingLines, turnLines, turns } from "../fixtures/rollout.ts";
import { cloneDir, noted, shown, untilIdle } from "./automatic.ts";
import { type Document, done, lines, type Machine, one, pair, two } from "./harness.ts";
import {
  helper as opencodeHelper,
  id as opencodeId,
  turns as opencodeTurns,
  say,
  turn,
  withOpencode,
} from "./opencode-machine.ts";

const cli = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));

class Watching {
  readonly child: ChildProcess;
  text = "";

  constructor(machine: Machine, ...options: string[]) {
    const { cwd, env } = machine;
    this.child = spawn(process.execPath, [cli, "watch", ...options], {
      cwd,
      env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.child.stdout, this.child.stderr])
      stream!.setEncoding("utf8").on("data", (text: string) => (this.text += text));
  }

  async says(what: RegExp): Promise<void> {
    await until(
      () => what.test(this.text),
      () => `watch says ${what}, but it said:\n${this.text}`,
    );
  }

  /** Exit status after SIGTERM. */
  async stop(): Promise<number | null> {
    if (this.child.exitCode !== null) return this.child.exitCode;
    const ended = new Promise<number | null>((settle) => this.child.once("exit", settle));
    this.child.kill("SIGTERM");
    return ended;
  }
}

async function until(holds: () => boolean | Promise<boolean>, what: () => string): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    if (await holds()) return;
    await sleep(100);
  }
  throw new Error(`waited in vain: ${what()}`);
}

const running: Watching[] = [];
afterEach(async () => {
  for (const one of running.splice(0)) await one.stop();
});
function watching(machine: Machine, ...options: string[]): Watching {
  const one = new Watching(machine, ...options);
  running.push(one);
  return one;
}

async function savedLines(machine: Machine, id: string): Promise<number> {
  const { exit, document } = await machine.json("show", id);
  return exit === 0 ? document["snapshots"].at(-1).upto.main[0] : 0;
}

test("what an agent writes is sealed and sent, also into folders that appear and vanish meanwhile", async () => {
  const box = await pair();
  const { desktop, laptop } = box;
  // Its store does not exist yet.
  const watch = watching(desktop);
  await watch.says(/Watching/);
  const second = await desktop.json("watch");
  expect(second).toMatchObject({ exit: 1, document: { error: { code: "watched-already" } } });
  expect((await desktop.json("watch", "--status")).document["watched"]).toMatchObject([
    { pid: watch.child.pid },
  ]);

  desktop.say(0, 1);
  await until(
    async () => (await savedLines(desktop, one)) === lines(1),
    () => "one turn",
  );
  desktop.say(1, 2);
  await until(
    async () => (await savedLines(desktop, one)) === lines(2),
    () => "two turns",
  );
  rmSync(desktop.project, { recursive: true });
  desktop.say(0, 3, two);
  await until(
    async () => (await savedLines(desktop, two)) === lines(3),
    () => "another session",
  );
  expect((await shown(desktop, two))["snapshots"]).toMatchObject([{ via: "watch", message: "" }]);

  expect(await watch.stop()).toBe(0);
  expect(existsSync(join(cloneDir(desktop), "watch.lock"))).toBe(false);
  await untilIdle(desktop);
  expect((await desktop.json("status")).document["queue"]).toEqual([]);
  done(await laptop.run("resume", two));
  laptop.hears(3, two);
});

test("what opencode writes into its database is sealed", async () => {
  const desktop = withOpencode((await pair()).desktop);
  const watch = watching(desktop);
  await watch.says(/Watching/);
  for (const to of [1, 2]) {
    say(desktop, opencodeTurns(desktop, to));
    await until(
      async () => (await savedLines(desktop, opencodeId)) === 2 * to,
      () => `${to} turns`,
    );
  }
  expect(await watch.stop()).toBe(0);
});

test("of two opencode sessions that go on at once, both are sealed; one that rests is not", async () => {
  const desktop = withOpencode((await pair()).desktop);
  const [second, resting] = [opencodeHelper, "ses_ddd683a8fffexZ0heR68LdYRtD"];
  const secondTurns = (to: number) =>
    Array.from({ length: to }, (_, n) => turn(desktop, n, { session: second })).flat();
  say(desktop, [], { session: resting });
  say(desktop, opencodeTurns(desktop, 1));
  say(desktop, secondTurns(1), { session: second });
  const watch = watching(desktop);
  await watch.says(/Watching/);
  for (const to of [2, 3]) {
    say(desktop, opencodeTurns(desktop, to));
    say(desktop, secondTurns(to), { session: second });
    for (const id of [opencodeId, second])
      await until(
        async () => (await savedLines(desktop, id)) === 2 * to,
        () => `${to} turns of ${id}`,
      );
  }
  expect(await savedLines(desktop, resting)).toBe(0);
  expect(await watch.stop()).toBe(0);
});

test("what Codex writes is sealed, in a store that appears meanwhile; other projects of its start nothing", async () => {
  const { desktop } = await pair();
  const watch = watching(desktop);
  await watch.says(/Watching/);
  const id = newId();
  const day = join(desktop.home, ".codex/sessions", ...localDay(new Date()));
  const path = join(day, `rollout-2026-11-20T22-58-31-${id}.jsonl`);
  desktop.write(path, opening(desktop.scene, id) + turns(desktop.scene, 0, 1));
  await until(
    async () => (await savedLines(desktop, id)) === openingLines + turnLines,
    () => "one turn",
  );
  const other = newId();
  const elsewhere = { ...desktop.scene, cwd: desktop.home };
  desktop.write(join(day, `rollout-2026-11-20T22-58-31-${other}.jsonl`), opening(elsewhere, other));
  appendFileSync(path, turns(desktop.scene, 1, 2));
  await until(
    async () => (await savedLines(desktop, id)) === openingLines + 2 * turnLines,
    () => "two turns",
  );
  expect(watch.text).toContain(id.slice(0, 8));
  expect(watch.text).not.toContain(other.slice(-12));
  expect(await watch.stop()).toBe(0);
});

/** Year, month and day as the machine's clock has them. */
const localDay = (at: Date): string[] =>
  [at.getFullYear(), at.getMonth() + 1, at.getDate()].map((n) => String(n).padStart(2, "0"));

test("what another device saves is told: here, on the desktop, and after a checkout", async () => {
  const box = await pair();
  const { desktop, laptop } = box;
  const notice = join(box.base, "notice");
  const script = join(box.base, "notify me.sh");
  writeFileSync(
    script,
    `#!/bin/sh\nprintf '%s\\n' "$@" "$CONVOSYNC_TEXT" > '${notice}.new' && mv '${notice}.new' '${notice}'\n`,
  );
  chmodSync(script, 0o755);
  laptop.git("config", "convosync.notifyCommand", `'${script}' --now`);
  desktop.say(0, 2);
  desktop.write("a.txt", "a\n");
  done(await desktop.run("save", "At the desk"));
  const watch = watching(laptop);
  await watch.says(
    /a conversation on this branch went on on Desktop \(.* UTC\): git convosync resume 11111111/,
  );
  await until(
    () => existsSync(notice),
    () => "a notice",
  );
  const [flag, title, text, variable] = readFileSync(notice, "utf8").split("\n");
  expect([flag, title, variable]).toEqual(["--now", "ConvoSync", text]);
  expect(await watch.stop()).toBe(0);
  const status = (await laptop.json("status")).document;
  expect(status["waiting"]).toMatchObject([{ session: one, device: "Desktop" }]);
  const file = join(cloneDir(laptop), "waiting");
  expect(readFileSync(file, "utf8")).toMatch(
    /^main\tconvosync: a conversation on this branch went on on Desktop/,
  );
  // What has been resumed waits no more.
  await untilIdle(laptop);
  done(await laptop.run("resume"));
  expect(readFileSync(file, "utf8")).toBe("");
  expect((await laptop.json("status")).document["waiting"]).toEqual([]);
});

test("--once does one round; --all finds every repository of this device; one that has gone ends its watch", async () => {
  const box = await pair();
  const { desktop } = box;
  desktop.say(0, 1);
  expect((await desktop.spawn("watch", "--once")).exit).toBe(0);
  expect(await savedLines(desktop, one)).toBe(lines(1));
  expect(noted(desktop)).toEqual([]);

  const other = desktop.with({ path: join(desktop.home, "other") });
  mkdirSync(other.path, { recursive: true });
  other.git("init", "-q");
  other.write("a", "a");
  other.commit("first");
  await other.init();
  const watch = watching(desktop.with({ path: desktop.home }), "--all");
  await watch.says(new RegExp(`Watching ${desktop.path}\n`));
  await watch.says(new RegExp(`Watching ${other.path}\n`));
  other.say(0, 2, two);
  await until(
    async () => (await savedLines(other, two)) === lines(2),
    () => "the other repository",
  );
  await untilIdle(other);
  renameSync(other.path, `${other.path}-moved`);
  await watch.says(/other is gone/);
  desktop.say(1, 2);
  await until(
    async () => (await savedLines(desktop, one)) === lines(2),
    () => "the first repository",
  );
});

test("--install writes a service for the system and starts it; --uninstall takes it away", async () => {
  const box = await pair();
  const bin = join(box.base, "bin");
  const log = join(box.base, "systemctl.log");
  mkdirSync(bin);
  writeFileSync(join(bin, "systemctl"), `#!/bin/sh\necho "$@" >> '${log}'\n`);
  chmodSync(join(bin, "systemctl"), 0o755);
  const { desktop } = box;
  const machine = desktop.with({ env: { PATH: `${bin}:${process.env["PATH"]}` } });
  if (process.platform !== "linux") return;
  const { document } = await machine.json("watch", "--install");
  const unit = readFileSync(document["path"], "utf8");
  expect(unit).toContain(`WorkingDirectory=${desktop.path}\n`);
  expect(unit).toMatch(/^ExecStart=".*" ".*cli\.js" "watch"$/m);
  const name = document["path"].split("/").at(-1);
  expect(readFileSync(log, "utf8").split("\n")).toEqual([
    "--user daemon-reload",
    `--user enable ${name}`,
    `--user restart ${name}`,
    "",
  ]);
  expect((await machine.json("watch", "--status")).document).toMatchObject({
    installed: true,
    watched: [{ pid: null }],
  });
  done(await machine.run("watch", "--uninstall"));
  expect(existsSync(document["path"])).toBe(false);
  writeFileSync(join(bin, "systemctl"), "#!/bin/sh\necho 'Failed to connect to bus' >&2\nexit 1\n");
  const failed = await machine.json("watch", "--install");
  expect(failed).toMatchObject({ exit: 1, document: { error: { code: "service-failed" } } });
  expect(existsSync(document["path"])).toBe(false);
});

describe("a conversation that is open elsewhere", () => {
  /** Claude Code, as this machine's registry shows it: the process is this one. */
  function open(machine: Machine, id: string): string {
    const path = join(machine.home, `.claude/sessions/${process.pid}.json`);
    mkdirSync(join(path, ".."), { recursive: true });
    const started = Date.now() - 60_000;
    const entry = {
      pid: process.pid,
      sessionId: id,
      cwd: machine.path,
      startedAt: started,
      updatedAt: Date.now(),
    };
    writeFileSync(path, JSON.stringify(entry));
    return path;
  }

  const note = async (machine: Machine, event: string): Promise<void> => {
    writeFileSync(join(cloneDir(machine), "events"), `agent claude ${event} ${one} ${machine.path}\n`);
    done(await machine.run("hook", "worker", join(machine.path, ".git")));
    done(await machine.run("sync"));
  };

  test("is said by status, list and resume, until it is saved by hand, closed, or forced", async () => {
    const { desktop, laptop } = await pair();
    desktop.git("config", "convosync.autoPush", "false");
    desktop.say(0, 1);
    open(desktop, one);
    await note(desktop, "stop");
    const refused = await laptop.run("resume");
    expect(refused.exit).toBe(4);
    expect(refused.stderr).toMatch(
      /error: this conversation is open on Desktop since .* UTC, and goes on there/,
    );
    const { document } = await laptop.json("resume");
    expect(document["error"]).toMatchObject({ code: "session-open-elsewhere", exit: 4 });
    for (const flag of ["--fork", "--read-only", "--force"])
      expect(refused.stderr).toContain(`git convosync resume 11111111 ${flag}`);
    expect((await laptop.json("status")).document["open"]).toMatchObject([
      { session: one, device: "Desktop" },
    ]);
    expect((await laptop.json("list")).document["sessions"]).toMatchObject([{ id: one, openOn: "Desktop" }]);
    expect((await laptop.run("list")).stdout).toContain("open on Desktop");
    done(await laptop.run("resume", "--force"));

    // Saved by hand it is handed over, though the agent still runs.
    desktop.say(1, 2);
    done(await desktop.run("save", "Going home"));
    done(await laptop.run("resume"));
    laptop.hears(2);

    desktop.say(2, 3);
    await note(desktop, "stop");
    expect((await laptop.run("resume")).exit).toBe(4);
    await note(desktop, "session-end");
    done(await laptop.run("resume"));
    expect((await laptop.json("list")).document["sessions"]).toMatchObject([{ openOn: null }]);
  });
});

test("after a push, and only then, save tells an address that something was saved, and nothing else", async () => {
  const { desktop } = await pair();
  const heard: { method: string | undefined; body: string; headers: string }[] = [];
  let status = 200;
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (text: string) => (body += text));
    request.on("end", () => {
      heard.push({ method: request.method, body, headers: JSON.stringify(request.headers) });
      response.writeHead(status).end();
    });
  });
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  const { port } = server.address() as { port: number };
  const saved = async (...options: string[]): Promise<Document> => {
    desktop.write("a.txt", String(Math.random()));
    return (await desktop.json("save", "Secret plan", ...options)).document;
  };
  try {
    desktop.say(0, 1);
    done(await desktop.run("sync"));
    expect((await saved())["notified"]).toBe(false);
    desktop.git("config", "convosync.notifyUrl", `http://127.0.0.1:${port}/topic`);
    desktop.write("b.txt", "b\n");
    const text = await desktop.run("save", "Secret plan");
    expect(text.stderr).toContain("Notified 1 device");
    expect(heard).toMatchObject([{ method: "POST", body: expect.stringMatching(/^[A-Za-z0-9_-]{22}$/) }]);
    expect(JSON.stringify(heard)).not.toMatch(/Secret|Desktop|main|11111111/);
    expect((await saved("--no-notify"))["notified"]).toBe(false);
    expect((await saved("--no-push"))["notified"]).toBe(false);
    expect(heard).toHaveLength(1);
    status = 500;
    expect(await saved()).toMatchObject({ pushed: true, notified: false });
  } finally {
    server.close();
  }
  expect(await saved()).toMatchObject({ pushed: true, notified: false });
});
