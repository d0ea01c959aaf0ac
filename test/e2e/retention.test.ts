// Pins and retention, on three devices: nothing goes that should stay, nothing comes back that went.

import { readdirSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { done, lines, type Machine, one, pair, type Sandbox, three, two } from "./harness.ts";

const four = "44444444-4444-4444-8444-444444444444";

const sessionRefs = (box: Sandbox): string[] =>
  box
    .remoteGit("for-each-ref", "--format=%(refname)", "refs/convosync")
    .split("\n")
    .filter((ref) => ref.includes("/session/"));

async function listed(machine: Machine): Promise<string[]> {
  const { document } = await machine.json("list", "--all");
  return document["sessions"].map((session: { id: string }) => session.id).sort();
}

async function pinnedIds(machine: Machine): Promise<string[]> {
  const { document } = await machine.json("list", "--all");
  const all = document["sessions"] as { id: string; pinned: boolean }[];
  return all
    .filter((session) => session.pinned)
    .map((session) => session.id)
    .sort();
}

/** The machine so many days later, its agent's files aged with it. */
function later(machine: Machine, days: number, ...used: string[]): Machine {
  const old = new Date(Date.now() - 1000);
  for (const id of used) utimesSync(machine.transcript(id), old, old);
  return machine.with({ days });
}

/** Three devices; the desktop has saved three conversations. */
async function trio(): Promise<Sandbox> {
  const box = await pair();
  await box.tablet.join();
  for (const id of [one, two, three]) box.desktop.say(0, 2, id);
  done(await box.desktop.run("save", "--all-sessions"));
  for (const machine of [box.laptop, box.tablet]) done(await machine.run("sync"));
  return box;
}

describe("pin", () => {
  test("a session another device has is pinned here; all see it, and the last word counts", async () => {
    const { desktop, laptop, tablet } = await trio();
    const { document } = await laptop.json("pin", one.slice(0, 8), two.slice(0, 8));
    expect(document).toMatchObject({ pinned: [one, two], changed: [one, two], remote: "origin" });
    expect(await pinnedIds(laptop)).toEqual([one, two]);
    for (const machine of [desktop, tablet]) {
      expect(await pinnedIds(machine)).toEqual([]);
      done(await machine.run("sync"));
      expect(await pinnedIds(machine)).toEqual([one, two]);
    }
    const unpinned = await tablet.json("unpin", two);
    expect(unpinned.document).toMatchObject({ unpinned: [two], changed: [two] });
    done(await desktop.run("sync"));
    // The laptop has not heard of it yet and pins again what for it is pinned: nothing is written.
    expect(await pinnedIds(desktop)).toEqual([one]);
    desktop.say(2, 3, one);
    done(await desktop.run("save", "--session", one));
    for (const machine of [laptop, tablet]) {
      done(await machine.run("sync"));
      expect(await pinnedIds(machine)).toEqual([one]);
      done(await machine.run("verify"));
    }
  });

  test("pinned twice writes nothing; what does not exist is told; one that was deleted and came back can be pinned", async () => {
    const box = await trio();
    const { desktop, laptop } = box;
    done(await laptop.run("pin", one));
    const head = laptop.git("for-each-ref", "refs/convosync/*/head/*");
    const again = await laptop.json("pin", one);
    expect(again.document).toMatchObject({ pinned: [one], changed: [], remote: null });
    expect(laptop.git("for-each-ref", "refs/convosync/*/head/*")).toBe(head);
    expect((await laptop.run("pin", "ffff")).exit).toBe(1);
    expect((await laptop.run("pin")).exit).toBe(2);
    done(await desktop.run("delete", one, "--yes"));
    desktop.say(2, 3, one);
    done(await desktop.run("save", "--session", one, "--force"));
    done(await laptop.run("pin", one));
    done(await desktop.run("sync"));
    expect(await pinnedIds(desktop)).toEqual([one]);
  });

  test("offline it waits, and arrives with the next sync", async () => {
    const { desktop, laptop, remote } = await trio();
    renameSync(remote, `${remote}.away`);
    const { exit, stderr } = await laptop.run("pin", one);
    expect(exit).toBe(3);
    expect(stderr).toMatch(/Pinned 11111111/);
    renameSync(`${remote}.away`, remote);
    done(await laptop.run("sync"));
    done(await desktop.run("sync"));
    expect(await pinnedIds(desktop)).toEqual([one]);
  });
});

describe("retention", () => {
  test("what nobody used for 30 days goes, everywhere; pinned sessions stay", async () => {
    const box = await trio();
    const { desktop, laptop, tablet } = box;
    done(await laptop.run("pin", two));
    expect((await later(tablet, 29).json("gc", "--dry-run")).document["retention"]["due"]).toEqual([]);
    const old = later(tablet, 31);
    const before = box.remoteGit("for-each-ref");
    const { stdout } = done(await old.run("gc", "--dry-run"));
    expect(stdout).toMatch(/11111111 .*\n.*last used last month · [0-9.]+ KB · older than 30 days/);
    expect(stdout).not.toContain(two.slice(0, 8));
    expect(box.remoteGit("for-each-ref")).toBe(before);

    const asked = await old.run("gc");
    expect(asked.exit).toBe(4);
    expect(asked.stderr).toMatch(/hint: answer with --yes, or --no-retention/);
    expect(await listed(tablet)).toEqual([one, two, three]);
    const kept = await old.json("gc", "--no-retention");
    expect(kept.document["retention"]["due"]).toEqual([]);

    const { document } = await old.json("gc", "--yes");
    expect(document["retention"]).toMatchObject({ days: 30, sessions: 100, postponed: false });
    const gone = document["retention"]["due"] as { id: string; why: string; bytes: number }[];
    expect(gone.map(({ id, why }) => [id, why]).sort()).toEqual([
      [one, "age"],
      [three, "age"],
    ]);
    expect(gone[0]!.bytes).toBeGreaterThan(100);
    expect(sessionRefs(box)).toHaveLength(1);
    for (let round = 0; round < 2; round++) {
      for (const machine of [desktop, laptop, tablet]) {
        done(await later(machine, 31).run("sync"));
        expect(await listed(machine)).toEqual([two]);
        done(await machine.run("verify"));
      }
    }
    expect(sessionRefs(box)).toHaveLength(1);
    // Their lines are the agent's still, and saving them unchanged is refused.
    desktop.hears(2, one);
    utimesSync(desktop.transcript(one), 0, 0);
    expect((await desktop.run("save", "--session", one)).exit).toBe(4);
    expect(await listed(desktop)).toEqual([two]);
  });

  test("beyond the number that is kept the longest unused go; the second time nothing is asked", async () => {
    const { desktop, tablet } = await trio();
    desktop.say(2, 3, three);
    desktop.say(0, 1, four);
    done(await desktop.run("save", "--all-sessions"));
    tablet.git("config", "convosync.maxSessions", "3");
    const { document } = await tablet.json("gc", "--yes");
    expect(document["retention"]["due"]).toMatchObject([{ why: "number" }]);
    expect(await listed(tablet)).toHaveLength(3);
    tablet.git("config", "convosync.maxSessions", "2");
    done(await tablet.run("gc"));
    expect(await listed(tablet)).toEqual([three, four]);
    tablet.git("config", "convosync.maxSessions", "0");
    tablet.git("config", "convosync.retentionDays", "never");
    done(await later(tablet, 900).run("gc"));
    expect(await listed(tablet)).toEqual([three, four]);
    // A slip of the pen deletes nothing.
    tablet.git("config", "convosync.retentionDays", "3O");
    done(await later(tablet, 900).run("gc"));
    expect(await listed(tablet)).toEqual([three, four]);
  });

  test("where nothing was used for so long it is asked again: somebody was away, or the clock is wrong", async () => {
    const { desktop, tablet } = await trio();
    desktop.say(0, 1, four);
    done(await desktop.run("save", "--all-sessions"));
    tablet.git("config", "convosync.maxSessions", "3");
    done(await tablet.run("gc", "--yes"));
    const ahead = later(tablet, 20_000);
    const asked = await ahead.run("gc");
    expect(asked.exit).toBe(4);
    expect(asked.stderr).toMatch(
      /Nothing was used for 30 days, if today is 20\d\d-\d\d-\d\d\. Delete 3 sessions/,
    );
    expect(await listed(tablet)).toHaveLength(3);
    done(await later(tablet, 29).run("gc"));
    expect(await listed(tablet)).toHaveLength(3);
    done(await ahead.run("gc", "--yes"));
    expect(await listed(tablet)).toEqual([]);
  });

  test("what this machine's agent has and is not saved stays; so does what was used here lately", async () => {
    const { desktop } = await trio();
    desktop.say(2, 3, one);
    const old = later(desktop, 31, one, two);
    const recent = new Date(Date.now() + 30 * 86_400_000);
    utimesSync(desktop.transcript(three), recent, recent);
    const { document } = await old.json("gc", "--yes");
    expect(document["retention"]["due"]).toMatchObject([{ id: two }]);
    expect(document["retention"]["kept"]).toEqual(
      expect.arrayContaining([
        { id: one, agent: "claude", why: "unsaved" },
        { id: three, agent: "claude", why: "in-use" },
      ]),
    );
    expect(await listed(desktop)).toEqual([one, three]);
  });

  test("what was opened of a session, to see whether all of it is saved, is not kept when it goes", async () => {
    const { desktop } = await pair();
    for (let n = 0; n < 8; n++) {
      desktop.say(n, n + 1, one);
      done(await desktop.run("save", `step ${n}`, "--no-code"));
    }
    const pages = join(desktop.home, ".cache/convosync/pages");
    rmSync(pages, { recursive: true });
    done(await desktop.run("show", one));
    const kept = () =>
      readdirSync(pages, { recursive: true, encoding: "utf8" }).filter((name) => /json$/.test(name));
    expect(kept()).toHaveLength(1);
    rmSync(pages, { recursive: true });
    const { document } = await later(desktop, 31, one).json("gc", "--yes");
    expect(document["retention"]["due"]).toMatchObject([{ id: one }]);
    expect(kept()).toEqual([]);
  });

  test("a device nobody had heard of has gone on: its conversation stays alive, with all it added", async () => {
    const box = await trio();
    const { desktop, laptop, tablet, remote } = box;
    done(await laptop.run("resume", one));
    renameSync(remote, `${remote}.away`);
    laptop.say(2, 3, one);
    const offline = later(laptop, 20);
    expect((await offline.run("save", "--session", one, "--no-code")).exit).toBe(3);
    renameSync(`${remote}.away`, remote);
    done(await later(tablet, 31).run("gc", "--yes"));
    expect(await listed(tablet)).toEqual([]);
    done(await later(laptop, 32).run("sync"));
    expect(await listed(laptop)).toEqual([one]);
    for (const machine of [tablet, desktop]) {
      done(await later(machine, 32).run("sync"));
      expect(await listed(machine)).toEqual([one]);
    }
    done(await tablet.run("resume", one));
    tablet.hears(3, one);
    for (const machine of [desktop, laptop, tablet]) done(await later(machine, 33).run("verify"));
    expect(await listed(desktop)).toEqual([one]);
  });

  test("a conversation that goes on after it went is simply saved again", async () => {
    const { desktop, laptop, tablet } = await trio();
    done(await later(tablet, 31).run("gc", "--yes"));
    done(await later(desktop, 31).run("sync"));
    desktop.say(2, 3, one);
    const soon = new Date(Date.now() + 31 * 86_400_000);
    utimesSync(desktop.transcript(one), soon, soon);
    const { document } = await later(desktop, 32).json("save", "--session", one);
    expect(document).toMatchObject({ messages: lines(3), pushed: true });
    for (const machine of [laptop, tablet]) {
      done(await later(machine, 32).run("sync"));
      expect(await listed(machine)).toEqual([one]);
    }
  });

  test("without the remote nothing goes; sync says what is due", async () => {
    const { tablet, remote } = await trio();
    renameSync(remote, `${remote}.away`);
    const old = later(tablet, 31);
    const { document, stderr } = await old.json("gc", "--yes");
    expect(document["retention"]).toMatchObject({ postponed: true, due: [] });
    expect(stderr).toMatch(/retention waits/);
    renameSync(`${remote}.away`, remote);
    expect(await listed(tablet)).toEqual([one, two, three]);
    expect((await old.json("sync")).document["due"]).toBe(3);
    expect(done(await old.run("sync")).stderr).toMatch(
      /3 sessions due for retention; see them: git convosync gc --dry-run/,
    );
  });
});

describe("old generations of a transcript", () => {
  test("go after so many days where no device has more of them; devices that have them still agree", async () => {
    const box = await trio();
    const { desktop, laptop } = box;
    done(await laptop.run("resume", one));
    laptop.say(2, 3, one);
    done(await laptop.run("save", "--session", one));
    done(await desktop.run("resume", one));
    done(await desktop.run("pin", two, three));
    // The agent rewrites its file: the beginning is gone.
    writeFileSync(desktop.transcript(one), desktop.told(5, one, "", 3));
    done(await desktop.run("save", "--session", one));
    const used = later(desktop, 20);
    desktop.say(5, 6, one);
    done(await used.run("save", "--session", one));
    expect((await later(desktop, 29).json("gc")).document).toMatchObject({ generations: 0 });
    const bytes = (): number =>
      box.remoteGit("rev-list", "--objects", "--glob=refs/convosync/*/session/*/*").split("\n").length;
    const before = bytes();
    expect((await later(desktop, 31).json("gc")).document).toMatchObject({ generations: 1, pushed: true });
    expect((await later(desktop, 31).json("gc")).document).toMatchObject({ generations: 0 });
    expect(bytes()).toBeLessThan(before);
    const gone = await desktop.json("show", `${one}@1`);
    expect(gone.document["error"]).toMatchObject({
      code: "snapshot-dropped",
      exit: 1,
      message: "snapshot 1 belongs to an earlier version of the transcript, which retention has dropped",
      hints: [`the agent had rewritten its file; read what followed: git convosync show ${one}`],
    });
    done(await desktop.run("show", `${one}@3`));
    // The laptop's copy still has the old generation: it is behind, not apart, here and there.
    for (const machine of [desktop, laptop]) {
      done(await machine.run("sync"));
      done(await machine.run("verify"));
    }
    done(await box.tablet.run("resume", one));
    expect(box.tablet.heard(one)).toBe(box.tablet.told(6, one, "", 3));
    box.tablet.say(6, 7, one);
    done(await box.tablet.run("save", "--session", one));
    done(await desktop.run("resume", one));
    expect(desktop.heard(one)).toBe(desktop.told(7, one, "", 3));
  });
});
