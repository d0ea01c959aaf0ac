// What is sent by itself: seldom, never asking, never lost, and status tells how it stands.

import { chmodSync, cpSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { cloneDir, installQuietHooks, longAgo, noted, work } from "./automatic.ts";
import { type Document, done, lines, type Machine, one, pair, type Sandbox, two } from "./harness.ts";

async function hooked(): Promise<Sandbox> {
  const box = await pair();
  await installQuietHooks(box.desktop);
  box.desktop.git("config", "--unset", "convosync.autoPush");
  return box;
}

let made = 0;
function turn(machine: Machine, from: number, to: number): void {
  machine.say(from, to);
  machine.write("made.txt", `${++made}\n`);
  machine.commit(`turn ${to}`);
}

const queueOf = async (machine: Machine): Promise<Document[]> =>
  (await machine.json("status")).document["queue"];

const background = (machine: Machine): Document => {
  const { remotes } = JSON.parse(readFileSync(join(cloneDir(machine), "queue.json"), "utf8"));
  return (Object.values(remotes)[0] as Document)["background"];
};

/** As if the next attempt were due. */
function due(machine: Machine): void {
  const path = join(cloneDir(machine), "queue.json");
  writeFileSync(
    path,
    readFileSync(path, "utf8").replaceAll(/"next":"[^"]*"/g, '"next":"2020-01-01T00:00:00.000Z"'),
  );
  longAgo(machine);
}

test("a laptop that is offline for days keeps all of it, tries ever less often, and sends it in one go", async () => {
  const box = await hooked();
  const { desktop } = box;
  renameSync(box.remote, `${box.remote}.away`);
  const waits: number[] = [];
  for (let day = 0; day < 4; day++) {
    turn(desktop, day, day + 1);
    if (day > 0) due(desktop);
    await work(desktop);
    const { at, next, failures } = background(desktop);
    expect(failures).toBe(day + 1);
    waits.push(new Date(next).getTime() - new Date(at).getTime());
  }
  for (let day = 1; day < 4; day++) expect(waits[day]).toBeGreaterThan(waits[day - 1]! * 1.5);
  const [first] = await queueOf(desktop);
  expect(first).toMatchObject({
    since: expect.any(String),
    reason: expect.stringMatching(/./),
    next: expect.any(String),
  });
  expect((await desktop.run("status")).stdout).toMatch(
    /sent with the next commit or save, by itself in .* at the earliest/,
  );
  // Not due yet: nothing is tried.
  turn(desktop, 4, 5);
  await work(desktop);
  expect(background(desktop)["failures"]).toBe(4);

  renameSync(`${box.remote}.away`, box.remote);
  due(desktop);
  turn(desktop, 5, 6);
  await work(desktop);
  expect(await queueOf(desktop)).toEqual([]);
  expect(background(desktop)).toMatchObject({ failures: 0, next: null });
  desktop.git("push", "-q");
  done(await box.laptop.run("resume"));
  box.laptop.hears(6);
});

test("the user's own push sends ours after it, also before the next attempt is due", async () => {
  const box = await hooked();
  const { desktop } = box;
  renameSync(box.remote, `${box.remote}.away`);
  turn(desktop, 0, 1);
  await work(desktop);
  expect(background(desktop)).toMatchObject({ failures: 1 });
  renameSync(`${box.remote}.away`, box.remote);
  longAgo(desktop);
  desktop.git("push", "-q");
  expect(await work(desktop)).toEqual([`push ${desktop.path}`]);
  expect(await queueOf(desktop)).toEqual([]);
});

test("a remote that is away for a moment is asked again by the worker itself", async () => {
  const box = await hooked();
  const { desktop } = box;
  renameSync(box.remote, `${box.remote}.away`);
  turn(desktop, 0, 1);
  const worker = desktop.run("hook", "worker", join(desktop.path, ".git"));
  const queue = join(cloneDir(desktop), "queue.json");
  while (!existsSync(queue) || background(desktop)?.["failures"] !== 1) await sleep(100);
  renameSync(`${box.remote}.away`, box.remote);
  // The wait is between 24 and 30 s, and nothing else happens in it.
  done(await worker);
  expect(await queueOf(desktop)).toEqual([]);
  expect(background(desktop)).toMatchObject({ failures: 0, next: null });
});

test("what was noted when the machine went off is captured and sent by the next sync", async () => {
  const box = await hooked();
  const { desktop } = box;
  turn(desktop, 0, 1);
  expect(noted(desktop)).toHaveLength(1);
  done(await desktop.run("sync"));
  expect(noted(desktop)).toEqual([]);
  // The code is the user's to send, and the laptop says so.
  expect((await box.laptop.run("resume")).stderr).toContain("git convosync save");
  done(await desktop.run("save"));
  done(await box.laptop.run("resume"));
  box.laptop.hears(1);
});

test("the next save, and the next sync, flush what waits and end the back-off", async () => {
  const box = await hooked();
  const { desktop } = box;
  for (const command of ["save", "sync"]) {
    renameSync(box.remote, `${box.remote}.away`);
    turn(desktop, made, made + 1);
    due(desktop);
    await work(desktop);
    expect(await queueOf(desktop)).not.toEqual([]);
    renameSync(`${box.remote}.away`, box.remote);
    done(await desktop.run(command));
    expect(await queueOf(desktop)).toEqual([]);
    expect(background(desktop)).toMatchObject({ failures: 0, next: null });
  }
});

test("a remote that refuses is asked seldom, and its words are told", async () => {
  const box = await hooked();
  const { desktop } = box;
  const hook = join(box.remote, "hooks/pre-receive");
  writeFileSync(hook, "#!/bin/sh\necho 'no room here' >&2\nexit 1\n");
  chmodSync(hook, 0o755);
  turn(desktop, 0, 1);
  await work(desktop);
  const { at, next } = background(desktop);
  expect(new Date(next).getTime() - new Date(at).getTime()).toBeGreaterThan(5 * 60_000);
  expect((await queueOf(desktop))[0]).toMatchObject({
    reason: expect.stringMatching(/pre-receive hook declined/),
  });
});

test("an expired credential never asks: not at the terminal, not by a window", async () => {
  const box = await hooked();
  const { desktop } = box;
  const asked = join(box.base, "asked");
  const askpass = join(box.base, "askpass.sh");
  writeFileSync(askpass, `#!/bin/sh\necho "$@" >> '${asked}'\necho secret\n`);
  chmodSync(askpass, 0o755);
  const server = createServer((_request, response) => {
    response.writeHead(401, { "WWW-Authenticate": 'Basic realm="x"' }).end();
  });
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  try {
    const { port } = server.address() as { port: number };
    desktop.git("remote", "set-url", "origin", `http://127.0.0.1:${port}/shop.git`);
    desktop.git("config", "core.askPass", askpass);
    turn(desktop, 0, 1);
    await work(desktop.with({ env: { GIT_ASKPASS: askpass, SSH_ASKPASS: askpass, DISPLAY: ":0" } }));
    expect((await queueOf(desktop))[0]).toMatchObject({
      reason: expect.stringMatching(/could not read Username/),
    });
    expect(() => readFileSync(asked)).toThrow();
  } finally {
    server.close();
  }
});

test("two clones on one disk keep their queues apart, and push beside each other", async () => {
  const box = await hooked();
  const { desktop } = box;
  const second = desktop.with({ path: join(desktop.home, "code/shop-2") });
  second.clone();
  await second.init();
  await installQuietHooks(second);
  second.git("config", "--unset", "convosync.autoPush");
  renameSync(box.remote, `${box.remote}.away`);
  turn(desktop, 0, 1);
  second.say(0, 2, two);
  second.write("second.txt", "2\n");
  second.git("switch", "-q", "-c", "second");
  second.commit("second");
  await Promise.all([work(desktop), work(second)]);
  expect((await queueOf(desktop)).map((item) => item["what"])).toContain(one);
  expect((await queueOf(second)).map((item) => item["what"])).toContain(two);
  renameSync(`${box.remote}.away`, box.remote);
  done(await desktop.run("sync"));
  expect(await queueOf(desktop)).toEqual([]);
  expect(await queueOf(second)).not.toEqual([]);
  done(await second.run("sync"));
  done(await box.laptop.run("sync"));
  const listed = (await box.laptop.json("list")).document["sessions"];
  expect(listed.map((item: Document) => [item["id"], item["messages"]]).sort()).toEqual([
    [one, lines(1)],
    [two, lines(2)],
  ]);
});

test("a save by hand while a push by itself is under way: both arrive, nothing twice", async () => {
  const box = await hooked();
  const { desktop } = box;
  const hook = join(box.remote, "hooks/pre-receive");
  writeFileSync(hook, "#!/bin/sh\nsleep 1\n");
  chmodSync(hook, 0o755);
  turn(desktop, 0, 1);
  const working = work(desktop);
  // By then it has captured, most likely, and is talking to the remote.
  await new Promise((done) => setTimeout(done, 900));
  desktop.say(1, 2);
  done(await desktop.run("save", "By hand"));
  await working;
  done(await desktop.run("sync"));
  expect(await queueOf(desktop)).toEqual([]);
  const heads = box.remoteGit("for-each-ref", "--format=%(refname)", "refs/convosync").split("\n");
  expect(heads.filter((ref) => ref.includes("/head/"))).toHaveLength(1);
  done(await box.laptop.run("resume"));
  box.laptop.hears(2);
});

test("what failed by itself as the remote was put back is told until a sync has put that right", async () => {
  const { desktop, laptop, base, remote } = await hooked();
  turn(desktop, 0, 1);
  await work(desktop);
  done(await laptop.run("resume", "--stay-on-branch"));
  laptop.say(1, 2);
  done(await laptop.run("save", "--no-code"));
  const backup = join(base, "backup.git");
  cpSync(remote, backup, { recursive: true });
  laptop.say(2, 3);
  done(await laptop.run("save", "--no-code"));
  done(await desktop.run("resume", "--stay-on-branch"));
  desktop.say(3, 4);
  done(await desktop.run("save", "--no-code"));
  rmSync(remote, { recursive: true });
  renameSync(backup, remote);
  const failure = async (): Promise<string | null> => (await desktop.json("status")).document["failure"];
  longAgo(desktop);
  turn(desktop, 4, 5);
  await work(desktop);
  expect(await failure()).toContain("the remote shows an older state of Laptop");
  done(await desktop.run("sync", "--retry"));
  expect(await failure()).toBeNull();
  done(await desktop.run("verify"));
});
