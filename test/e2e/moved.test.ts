// A project that is somewhere else on its machine now. What the agent has of it stays where the project was: the agent
// itself no longer finds it.

import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { opening, rolloutId, turns, writeRollout } from "../fixtures/rollout.ts";
import { installQuietHooks, work } from "./automatic.ts";
import {
  done,
  expectTranscript,
  lines,
  type Machine,
  one,
  pair,
  type Sandbox,
  three,
  two,
} from "./harness.ts";

let box: Sandbox;
beforeEach(async () => {
  box = await pair();
});

describe("a conversation of Claude Code that nobody saved to its end", () => {
  let there: Machine;
  beforeEach(async () => {
    const { desktop } = box;
    desktop.say(0, 2);
    done(await desktop.run("save"));
    desktop.say(2, 3);
    there = desktop.movedTo("work/shop");
  });

  test("is resumed to its end where the project is now, and goes on from there", async () => {
    const { laptop } = box;
    const { exit, document } = await there.json("resume");
    expect({ exit, where: document["workingDirectory"] }).toEqual({ exit: 0, where: there.path });
    there.hears(3);
    there.say(3, 4);
    done(await there.run("save"));
    done(await laptop.run("resume"));
    laptop.hears(4);
  });

  test("is what status tells of, and what a save means", async () => {
    const { laptop } = box;
    const { current } = (await there.json("status")).document as Record<string, object>;
    expect(current).toMatchObject({ session: one, saved: true, unsaved: true });
    expect((await there.json("save")).document).toMatchObject({ session: one, pushed: true });
    done(await laptop.run("resume"));
    laptop.hears(3);
  });

  test("comes together with what another device said meanwhile", async () => {
    const { laptop } = box;
    done(await laptop.run("resume"));
    laptop.say(2, 3, one, " elsewhere");
    done(await laptop.run("save"));
    const { document } = await there.json("resume");
    expect(document["error"]).toMatchObject({ code: "conversation-diverged", exit: 5 });
    done(await there.run("resume", "--merge"));
    const heard = there.heard();
    expect(heard).toContain("elsewhere");
    expect(heard).toContain(there.told(3, one, "", 2).split("\n")[0]!.slice(-200));
    expect(heard).not.toContain(box.desktop.path);
  });

  test("gives way to one that is begun where the project is now; all of them are saved", async () => {
    there.say(0, 1, two);
    expect((await there.json("save")).document).toMatchObject({ session: two });
    done(await there.run("save", "--all-sessions"));
    const { document } = await there.json("list");
    const messages = document["sessions"].map((each: { messages: number }) => each.messages);
    expect(messages.sort((a: number, b: number) => a - b)).toEqual([4, 12]);
  });

  test("stays that project's while there is another one where it was", async () => {
    rmSync(there.path, { recursive: true });
    const { desktop } = box;
    desktop.clone();
    done(await desktop.run("init", "--yes"));
    const second = desktop.with({ path: join(desktop.home, "second/shop") });
    second.clone();
    done(await second.run("init", "--yes"));
    expect((await second.json("status")).document["current"]).toBeNull();
    expect((await desktop.json("status")).document["current"]).toMatchObject({ session: one });
  });
});

test("of a work tree that was removed, what nobody saved is told of, and saved with the others", async () => {
  const { desktop, laptop } = box;
  const beside = desktop.with({ path: join(desktop.home, "code/shop-feat") });
  desktop.git("worktree", "add", "-q", "-b", "feat", beside.path);
  beside.say(0, 2, two);
  done(await beside.run("save"));
  desktop.say(0, 1);
  done(await desktop.run("save"));
  desktop.git("worktree", "remove", "--force", beside.path);
  const unsaved = async (): Promise<string[]> => {
    const { document } = await desktop.json("status");
    return document["unsaved"].map((each: { session: string }) => each.session).sort();
  };
  expect(await unsaved()).toEqual([]);
  beside.say(2, 3, two);
  beside.say(0, 1, three);
  expect(await unsaved()).toEqual([two, three]);
  const saved = await desktop.run("save", "--no-code");
  expect(saved.stderr).toContain("2 other conversations here are not");
  done(await desktop.run("save", "--all-sessions"));
  expect(await unsaved()).toEqual([]);
  done(await laptop.run("resume", two));
  laptop.hears(3, two);
  done(await desktop.run("resume", two));
  desktop.hears(3, two);
  expect(await unsaved()).toEqual([]);
});

describe.each([
  ["git worktree remove", (at: Machine, path: string) => at.git("worktree", "remove", "--force", path)],
  ["rm -r", (_: Machine, path: string) => rmSync(path, { recursive: true })],
])("of a work tree that went with %s, what nobody ever saved", (_, remove) => {
  test("is told of, and saved with the others, but is not what a save means without a name", async () => {
    const { desktop, laptop } = box;
    const beside = desktop.with({ path: join(desktop.home, "code/shop-feat") });
    desktop.git("worktree", "add", "-q", "-b", "feat", beside.path);
    beside.say(0, 2, two);
    done(await desktop.run("status"));
    remove(desktop, beside.path);
    const { document } = await desktop.json("status");
    expect(document).toMatchObject({ current: null, unsaved: [{ session: two }] });
    const saved = await desktop.run("save");
    expect(saved).toMatchObject({ exit: 1 });
    expect(saved.stderr).toContain(`${beside.path}, which is gone: git convosync save --all-sessions`);
    done(await desktop.run("save", "--all-sessions"));
    expect((await desktop.json("status")).document["unsaved"]).toEqual([]);
    done(await laptop.run("resume"));
    laptop.hears(2, two);
  });
});

describe("what hooks noted a moment before", () => {
  test("the project was moved is saved where it is now, though nothing was before", async () => {
    const { desktop, laptop } = box;
    await installQuietHooks(desktop);
    desktop.say(0, 1);
    desktop.with({ env: { CLAUDE_CODE_SESSION_ID: one } }).git("commit", "-q", "--allow-empty", "-m", "x");
    const there = desktop.movedTo("work/shop");
    expect(await work(there)).toHaveLength(1);
    done(await there.run("sync"));
    done(await laptop.run("resume", "--stay-on-branch"));
    laptop.hears(1);
  });

  test("a work tree was removed is saved of its conversation, and not of the checkout's", async () => {
    const { desktop } = box;
    desktop.say(0, 1, two);
    await installQuietHooks(desktop);
    const beside = desktop.with({ path: join(desktop.home, "code/shop-feat") });
    desktop.git("worktree", "add", "-q", "-b", "feat", beside.path);
    beside.say(0, 2);
    done(await desktop.run("status"));
    beside.with({ env: { CLAUDE_CODE_SESSION_ID: one } }).git("commit", "-q", "--allow-empty", "-m", "x");
    beside.git("commit", "-q", "--allow-empty", "-m", "by hand");
    desktop.git("worktree", "remove", "--force", beside.path);
    await work(desktop);
    const { document } = await desktop.json("list");
    expect(document["sessions"]).toMatchObject([{ id: one, messages: lines(2) }]);
  });
});

test("there and back again, as a container has it elsewhere: each has its own, and nothing is stored twice", async () => {
  const { desktop, laptop } = box;
  desktop.say(0, 2);
  done(await desktop.run("save"));
  let at = desktop;
  for (const [folder, said] of [
    ["work/shop", 2],
    ["code/shop", 3],
    ["work/shop", 4],
  ] as const) {
    at = at.movedTo(folder);
    done(await at.run("resume"));
    at.hears(said);
    at.say(said, said + 1);
    expect(done(await at.run("save")).stderr).not.toContain("rewritten");
  }
  at = at.movedTo("code/shop");
  done(await at.run("resume"));
  at = at.movedTo("work/shop");
  at.say(5, 6);
  expect(done(await at.run("save")).stderr).not.toContain("rewritten");
  expect((await at.json("list")).document["sessions"][0]).toMatchObject({ snapshots: 5, messages: lines(6) });
  done(await laptop.run("resume"));
  laptop.hears(6);
});

test("a conversation that was never saved is saved after the move as if it had been before", async () => {
  const { desktop, laptop } = box;
  desktop.say(0, 1, two);
  done(await desktop.run("save"));
  desktop.say(0, 2);
  const there = desktop.movedTo("work/shop");
  done(await there.run("save", "--session", one));
  done(await laptop.run("resume", one));
  laptop.hears(2);
});

test("what another repository within the project was about stays that one's", async () => {
  const { desktop } = box;
  desktop.say(0, 1);
  done(await desktop.run("save"));
  const within = desktop.with({ path: join(desktop.path, "vendor/other") });
  within.clone();
  within.say(0, 1, two);
  const there = desktop.movedTo("work/shop");
  const { document } = await there.json("save", "--all-sessions", "--no-code");
  expect(document["sessions"]).toMatchObject([{ session: one }]);
  expect((await there.json("save", "--session", two)).document["error"]).toMatchObject({
    code: "no-conversation",
  });
});

test.each(["", ".", "/"])("a cursor that names %j as where the project was means nothing", async (root) => {
  const { desktop } = box;
  desktop.say(0, 1);
  done(await desktop.run("save"));
  const [cursor = ""] = readdirSync(join(desktop.path, ".git/convosync/cursors"), {
    recursive: true,
    encoding: "utf8",
  }).filter((name) => name.endsWith(".json"));
  const path = join(desktop.path, ".git/convosync/cursors", cursor);
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), root }));
  rmSync(desktop.transcript());
  desktop.with({ path: join(desktop.home, "elsewhere") }).say(0, 1, two);
  expect((await desktop.json("status")).document["current"]).toBeNull();
});

describe("Codex, which has a conversation once", () => {
  const told = (machine: Machine, to: number): string => opening(machine.scene) + turns(machine.scene, 0, to);
  /** The line with which Codex begins a turn in another directory. */
  const goesTo = ({ path }: Machine): string =>
    `${JSON.stringify({ timestamp: "2026-11-21T08:00:00.000Z", type: "turn_context", payload: { cwd: path } })}\n`;
  const restored = ({ home }: Machine): string =>
    join(home, ".codex/sessions/2026/11/20", `rollout-2026-11-20T22-58-31-${rolloutId}.jsonl`);

  test("goes on where the project is now, unsaved lines and all, also in a new clone that knows nothing", async () => {
    const { desktop, laptop } = box;
    const source = writeRollout(desktop.home, told(desktop, 2));
    done(await desktop.run("save"));
    appendFileSync(source, turns(desktop.scene, 2, 3));
    rmSync(desktop.path, { recursive: true });
    const there = desktop.with({ path: join(desktop.home, "work/shop") });
    there.clone();
    done(await there.run("init", "--yes"));
    done(await there.run("resume"));
    expect(readFileSync(source, "utf8")).toBe(told(there, 3));
    done(await there.run("save"));
    done(await laptop.run("resume"));
    expect(readFileSync(restored(laptop), "utf8")).toBe(told(laptop, 3));
  });

  test("taken by Codex itself to where the project is now, all of it means this project elsewhere, and here once it is resumed", async () => {
    const { desktop, laptop } = box;
    const source = writeRollout(desktop.home, told(desktop, 2));
    done(await desktop.run("save"));
    const there = desktop.movedTo("work/shop");
    appendFileSync(source, goesTo(there) + turns(there.scene, 2, 3));
    expect((await there.json("save")).document).toMatchObject({ session: rolloutId });
    appendFileSync(source, turns(there.scene, 3, 4));
    done(await there.run("save"));
    expect((await there.json("list")).document["sessions"][0]).toMatchObject({ snapshots: 3 });
    const all = (machine: Machine): string => told(machine, 2) + goesTo(machine) + turns(machine.scene, 2, 4);
    done(await laptop.run("resume"));
    expectTranscript(readFileSync(restored(laptop), "utf8"), all(laptop));
    done(await there.run("resume"));
    expectTranscript(readFileSync(source, "utf8"), all(there));
    expect((await there.json("status")).document["current"]).toMatchObject({ unsaved: false });
  });

  test("the same, where nothing is remembered of it", async () => {
    const { desktop, laptop } = box;
    const source = writeRollout(desktop.home, told(desktop, 2));
    done(await desktop.run("save"));
    const there = desktop.movedTo("work/shop");
    appendFileSync(source, goesTo(there) + turns(there.scene, 2, 3));
    rmSync(join(there.path, ".git/convosync/cursors"), { recursive: true });
    done(await there.run("save"));
    expect((await there.json("list")).document["sessions"][0]).toMatchObject({ snapshots: 2 });
    const all = (machine: Machine): string => told(machine, 2) + goesTo(machine) + turns(machine.scene, 2, 3);
    done(await laptop.run("resume"));
    expectTranscript(readFileSync(restored(laptop), "utf8"), all(laptop));
    rmSync(join(there.path, ".git/convosync/cursors"), { recursive: true });
    done(await there.run("resume"));
    expectTranscript(readFileSync(source, "utf8"), all(there));
  });

  test("an import of one that it has in another directory is a session of its own", async () => {
    const { desktop, laptop } = box;
    const source = writeRollout(desktop.home, told(desktop, 2));
    done(await desktop.run("save"));
    const bundle = join(box.base, "talk.convosync");
    done(await laptop.run("sync"));
    done(await laptop.run("export", rolloutId, "-o", bundle));
    rmSync(desktop.path, { recursive: true });
    const there = desktop.with({ path: join(desktop.home, "work/shop") });
    there.clone();
    done(await there.run("init", "--yes"));
    const before = readFileSync(source, "utf8");
    const { document } = await there.json("import", bundle);
    expect(document).toMatchObject({ imported: true, original: rolloutId });
    expect(readFileSync(source, "utf8")).toBe(before);
  });

  test("taken to another work tree, it is told from the one it began in, and needs no other elsewhere", async () => {
    const { desktop, laptop } = box;
    const source = writeRollout(desktop.home, told(desktop, 2));
    done(await desktop.run("save"));
    const inside = desktop.with({ path: join(desktop.path, ".worktrees/feat") });
    desktop.git("worktree", "add", "-q", "-b", "feat", inside.path);
    appendFileSync(source, goesTo(inside) + turns(inside.scene, 2, 3));
    done(await inside.run("save"));
    const { document } = await laptop.json("resume", "--stay-on-branch");
    expect(document["workingDirectory"]).toBe(laptop.path);
    const there = laptop.with({ path: join(laptop.path, ".worktrees/feat") });
    expectTranscript(
      readFileSync(restored(laptop), "utf8"),
      told(laptop, 2) + goesTo(there) + turns(there.scene, 2, 3),
    );
  });

  test.each([
    ["", false],
    [", with nothing remembered of it", false],
    [" and kept where it went on elsewhere", true],
  ])(
    "taken to another work tree and resumed there%s, it stays told from the one it began in",
    async (how, diverged) => {
      const { desktop, laptop } = box;
      const source = writeRollout(desktop.home, told(desktop, 2));
      done(await desktop.run("save"));
      done(await laptop.run("resume"));
      const inside = laptop.with({ path: join(laptop.path, ".worktrees/feat") });
      laptop.git("worktree", "add", "-q", "-b", "feat", inside.path);
      appendFileSync(restored(laptop), goesTo(inside) + turns(inside.scene, 2, 3));
      if (how.includes("nothing")) rmSync(join(laptop.path, ".git/convosync/cursors"), { recursive: true });
      if (diverged) {
        appendFileSync(source, turns(desktop.scene, 2, 3, " elsewhere"));
        done(await desktop.run("save"));
      }
      const here = told(laptop, 2) + goesTo(inside) + turns(inside.scene, 2, 3);
      done(await inside.run("resume", "--mine", "--stay-on-branch"));
      expect(readFileSync(restored(laptop), "utf8")).toBe(here);
      appendFileSync(restored(laptop), turns(inside.scene, 3, 4));
      expect(done(await inside.run("save", "--no-code")).stderr).not.toContain("rewritten");
      laptop.git("worktree", "remove", "--force", inside.path);
      done(await laptop.run("resume", "--stay-on-branch"));
      expect(readFileSync(restored(laptop), "utf8")).toBe(here + turns(inside.scene, 3, 4));
      done(await desktop.run("resume", "--stay-on-branch", ...(diverged ? ["--theirs"] : [])));
      const within = desktop.with({ path: join(desktop.path, ".worktrees/feat") });
      expectTranscript(
        readFileSync(source, "utf8"),
        told(desktop, 2) + goesTo(within) + turns(within.scene, 2, 4),
      );
    },
  );

  test("taken to another clone, it is told from the one it began in, and doubled nowhere", async () => {
    const { desktop, laptop } = box;
    const source = writeRollout(desktop.home, told(desktop, 2));
    done(await desktop.run("save"));
    const second = desktop.with({ path: join(desktop.home, "second/shop") });
    second.clone();
    done(await second.run("init", "--yes"));
    appendFileSync(source, goesTo(second) + turns(second.scene, 2, 3));
    done(await second.run("save"));
    const all = (machine: Machine): string => told(machine, 2) + goesTo(machine) + turns(machine.scene, 2, 3);
    done(await laptop.run("resume"));
    expectTranscript(readFileSync(restored(laptop), "utf8"), all(laptop));
    appendFileSync(restored(laptop), turns(laptop.scene, 3, 4));
    done(await laptop.run("save"));
    done(await second.run("resume"));
    expectTranscript(readFileSync(source, "utf8"), all(second) + turns(second.scene, 3, 4));
    expect((await second.json("status")).document["current"]).toMatchObject({ unsaved: false });
  });

  test("begun elsewhere and taken here, it is this project's", async () => {
    const { desktop } = box;
    const elsewhere = desktop.with({ path: join(desktop.home, "notes") });
    mkdirSync(elsewhere.path);
    const source = writeRollout(desktop.home, told(elsewhere, 1));
    expect((await desktop.json("status")).document["current"]).toBeNull();
    appendFileSync(source, goesTo(desktop) + turns(desktop.scene, 1, 2));
    expect((await desktop.json("save")).document).toMatchObject({ session: rolloutId });
    const { laptop } = box;
    done(await laptop.run("resume"));
    const second = laptop.with({ path: join(laptop.home, "second/shop") });
    second.clone();
    done(await second.run("init", "--yes"));
    const refused = (await second.json("resume")).document["error"];
    expect(refused).toMatchObject({
      code: "in-another-directory",
      hints: expect.arrayContaining([`go on there: cd '${laptop.path}'`]),
    });
    // And back again.
    appendFileSync(source, goesTo(elsewhere) + turns(elsewhere.scene, 2, 3));
    expect((await desktop.json("status")).document["current"]).toBeNull();
  });
});

test("a project that is moved while a save pushes is not made anew where it was", async () => {
  const box = await pair();
  const { desktop, laptop } = box;
  desktop.say(0, 2);
  const to = join(desktop.home, "work/shop");
  mkdirSync(dirname(to), { recursive: true });
  const hook = join(box.remote, "hooks/pre-receive");
  writeFileSync(hook, `#!/bin/sh\nmv '${desktop.path}' '${to}'\n`, { mode: 0o755 });
  const { exit, stderr } = await desktop.spawn("save", "--no-code");
  expect(exit).toBe(4);
  expect(stderr).toMatch(/error: '.*' was moved or removed meanwhile/);
  expect(existsSync(desktop.path)).toBe(false);
  rmSync(hook);
  const there = desktop.with({ path: to });
  done(await there.run("sync"));
  done(await there.run("verify"));
  done(await laptop.run("resume"));
  laptop.hears(2);
});
