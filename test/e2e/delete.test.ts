// Deleting is real: here, on the remote, on the other devices, and it stays so.

import { renameSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { done, lines, one, pair, type Sandbox, two } from "./harness.ts";

const sessionRefs = (box: Sandbox): string[] =>
  box
    .remoteGit("for-each-ref", "--format=%(refname)", "refs/convosync")
    .split("\n")
    .filter((ref) => ref.includes("/session/"));

const idsOf = (document: Record<string, unknown>): string[] =>
  (document["sessions"] as { id: string }[]).map((session) => session.id);

/** Both devices have saved both conversations, and know of each other's. */
async function shared(): Promise<Sandbox> {
  const box = await pair();
  const { desktop, laptop } = box;
  desktop.say(0, 2, one);
  desktop.say(0, 3, two);
  done(await desktop.run("save", "--all-sessions"));
  done(await laptop.run("resume", one));
  done(await laptop.run("resume", two));
  laptop.say(2, 3, one);
  laptop.say(3, 4, two);
  done(await laptop.run("save", "--all-sessions"));
  done(await desktop.run("sync"));
  expect(sessionRefs(box)).toHaveLength(4);
  return box;
}

describe("delete", () => {
  test("of a snapshot deletes nothing; nor does another command take one for the whole session", async () => {
    const box = await pair();
    const { desktop } = box;
    for (const turns of [2, 3]) {
      desktop.say(turns - 2, turns, one);
      done(await desktop.run("save"));
    }
    for (const verb of [["delete", "--yes"], ["pin"], ["resume"], ["replay", "--at-commit", "HEAD"]]) {
      const { exit, stderr } = await desktop.run(...verb, `${one}@1`);
      expect({ verb, exit, stderr }).toEqual({
        verb,
        exit: 2,
        stderr: expect.stringContaining(`git convosync fork ${one.slice(0, 8)}@1`),
      });
    }
    expect(idsOf((await desktop.json("list")).document)).toEqual([one]);
    done(await desktop.run("resume", `${one}@2`));
  });

  test("stays when a device is back that was away for longer than such a record is kept", async () => {
    const box = await shared();
    const { desktop, laptop } = box;
    done(await desktop.run("delete", one, "--yes"));
    const later = desktop.with({ days: 200 });
    for (let turn = 4; turn < 6; turn++) {
      later.say(turn, turn + 1, two);
      done(await later.run("save", "--session", two, "--no-code"));
    }
    for (const machine of [laptop.with({ days: 200 }), later]) {
      done(await machine.run("sync"));
      expect(idsOf((await machine.json("list", "--all")).document)).toEqual([two]);
      done(await machine.run("verify"));
    }
    expect(sessionRefs(box).length).toBeGreaterThan(0);
    const { stdout } = done(await later.run("list", "--all"));
    expect(stdout).not.toContain(one.slice(0, 8));
  });

  test("asks first, and without a terminal names the flag", async () => {
    const { desktop } = await shared();
    const { exit, stderr } = await desktop.run("delete", one);
    expect(exit).toBe(4);
    expect(stderr).toMatch(/hint: answer with --yes/);
    expect(idsOf((await desktop.json("list")).document).sort()).toEqual([one, two]);
  });

  test("removes every replica's ref on the remote; the other device honours it and never revives it", async () => {
    const box = await shared();
    const { desktop, laptop } = box;
    const before = box.remoteGit("rev-list", "--objects", "--glob=refs/convosync/*").split("\n").length;
    const { stderr } = done(await desktop.run("delete", one.slice(0, 8), "--yes"));
    expect(stderr).toMatch(new RegExp(`Deleted ${one}`));
    expect(sessionRefs(box)).toHaveLength(2);
    expect(box.remoteGit("rev-list", "--objects", "--glob=refs/convosync/*").split("\n").length).toBeLessThan(
      before,
    );
    expect(desktop.git("for-each-ref", "refs/convosync/*/session/*/*").split("\n")).toHaveLength(1);
    desktop.hears(2, one);

    for (let round = 0; round < 2; round++) {
      const { document } = await laptop.json("sync");
      expect(document).toMatchObject({ queued: [] });
      expect(sessionRefs(box)).toHaveLength(2);
      expect(idsOf((await laptop.json("list")).document)).toEqual([two]);
      done(await desktop.run("sync"));
    }
    expect(laptop.git("for-each-ref", "refs/convosync/*/session/*/*").split("\n")).toHaveLength(2);
    laptop.say(4, 5, two);
    done(await laptop.run("save", "--session", two));
    expect(sessionRefs(box)).toHaveLength(2);
    for (const machine of [desktop, laptop]) {
      expect((await machine.run("resume", one)).exit).toBe(1);
      done(await machine.run("verify"));
    }
  });

  test("save of a deleted session refuses; --force brings it back, for all", async () => {
    const box = await shared();
    const { desktop, laptop } = box;
    done(await desktop.run("delete", one, "--yes"));
    done(await laptop.run("sync"));
    laptop.say(3, 4, one);
    laptop.write("work.txt", "work\n");
    const before = laptop.footprint();
    const { exit, stderr } = await laptop.run("save", "--session", one);
    expect(exit).toBe(4);
    expect(stderr).toMatch(new RegExp(`error: session ${one} was deleted on purpose`));
    expect(stderr).toMatch(/hint: .*git convosync save --force/);
    expect(laptop.footprint()).toEqual(before);
    const saved = await laptop.json("save", "--session", one, "--force");
    expect(saved.document).toMatchObject({ session: one, messages: lines(4), pushed: true });
    done(await desktop.run("resume", one));
    desktop.hears(4, one);
    expect(idsOf((await desktop.json("list")).document).sort()).toEqual([one, two]);
    for (const machine of [desktop, laptop]) done(await machine.run("sync"));
    expect(idsOf((await laptop.json("list")).document).sort()).toEqual([one, two]);
  });

  test("save --all-sessions leaves deleted ones out, as the agent has their files for long", async () => {
    const { desktop, laptop } = await shared();
    done(await desktop.run("delete", one, "--yes"));
    done(await laptop.run("sync"));
    laptop.say(4, 5, two);
    const { stderr } = done(await laptop.run("save", "--all-sessions"));
    expect(stderr).toMatch(/left out 1 session that had been deleted\n.*save --session 11111111 --force\n/);
    done(await desktop.run("resume", two));
    desktop.hears(5, two);
    expect(idsOf((await desktop.json("list")).document)).toEqual([two]);
    // Where there is no other, that is no oversight.
    done(await desktop.run("delete", two, "--yes"));
    done(await laptop.run("sync"));
    expect((await laptop.run("save", "--all-sessions")).exit).toBe(4);
    done(await laptop.run("save", "--session", "11111111", "--force"));
    expect(idsOf((await laptop.json("list")).document)).toEqual([one]);
  });

  test("brought back before another device has heard of its deletion, it can be had by all", async () => {
    const box = await shared();
    const { desktop, laptop } = box;
    box.tablet.clone();
    await box.tablet.init("--join", "--recovery-file", box.code);
    // The laptop has added something that the desktop has not seen.
    laptop.say(3, 4, one, " (laptop)");
    done(await laptop.run("save", "--session", one));
    done(await desktop.run("delete", one, "--yes"));
    done(await laptop.run("verify"));
    desktop.say(2, 4, one, " (desktop)");
    done(await desktop.run("save", "--session", one, "--force"));
    done(await box.tablet.run("resume", one));
    expect(box.tablet.heard(one)).toBe(box.tablet.told(2, one) + box.tablet.told(4, one, " (desktop)", 2));
    done(await laptop.run("sync"));
    // What was deleted there stays deleted; the agent's own file has it still, and may be saved as any other.
    expect(sessionRefs(box)).toHaveLength(3);
    done(await laptop.run("resume", one, "--merge"));
    done(await laptop.run("save", "--session", one));
    done(await desktop.run("resume", one));
    expect(desktop.heard(one)).toContain("(laptop)");
    for (const machine of [desktop, laptop, box.tablet]) done(await machine.run("verify"));
  });

  test("what went on unseen outlives a deletion that was undone, and is sent again", async () => {
    const box = await shared();
    const { desktop, laptop } = box;
    laptop.say(3, 5, one);
    done(await laptop.run("save", "--session", one, "--no-push"));
    done(await desktop.run("delete", one, "--yes"));
    done(await desktop.run("undo"));
    done(await laptop.run("sync"));
    done(await desktop.run("resume", one));
    desktop.hears(5, one);
    for (const machine of [desktop, laptop]) done(await machine.run("verify"));
  });

  test("what one deletion has taken from the remote and another has not is sent by one save", async () => {
    const box = await shared();
    const { desktop, laptop, tablet } = box;
    tablet.clone();
    await tablet.init("--join", "--recovery-file", box.code);
    done(await tablet.run("resume", two));
    tablet.say(4, 5, two);
    done(await tablet.run("save"));
    done(await desktop.run("delete", two, "--yes"));
    done(await laptop.run("sync"));
    done(await laptop.run("save", "--session", two, "--force"));
    done(await laptop.run("sync"));
    // The tablet repeats the deletion, of which the laptop does not hear before it has saved; and there is a second one.
    done(await tablet.run("sync"));
    done(await desktop.run("delete", one, "--yes"));
    laptop.say(3, 4, one);
    laptop.say(4, 5, two);
    done(await laptop.run("save", "--all-sessions", "--force"));
    done(await laptop.run("verify"));
  });

  test("a device that did not know of it yet saves the deleted session: it is told, not obeyed", async () => {
    const box = await shared();
    const { desktop, laptop } = box;
    done(await desktop.run("delete", one, "--yes"));
    laptop.say(3, 4, one);
    const { exit } = await laptop.run("save", "--session", one);
    expect([0, 4]).toContain(exit);
    done(await laptop.run("sync"));
    done(await desktop.run("sync"));
    for (const machine of [desktop, laptop])
      expect(idsOf((await machine.json("list")).document)).toEqual([two]);
    done(await laptop.run("sync"));
    expect(sessionRefs(box)).toHaveLength(2);
  });

  test("deleted offline: gone here at once, on the remote with the next sync", async () => {
    const box = await shared();
    const { desktop, laptop, remote } = box;
    renameSync(remote, `${remote}.away`);
    const { exit } = await desktop.run("delete", one, two, "--yes");
    expect(exit).toBe(3);
    expect(idsOf((await desktop.json("list")).document)).toEqual([]);
    renameSync(`${remote}.away`, remote);
    expect(sessionRefs(box)).toHaveLength(4);
    done(await desktop.run("sync"));
    expect(sessionRefs(box)).toEqual([]);
    done(await laptop.run("sync"));
    expect(idsOf((await laptop.json("list")).document)).toEqual([]);
  });

  test("deleting what is not there", async () => {
    const { desktop } = await shared();
    expect((await desktop.run("delete", "ffff", "--yes")).exit).toBe(1);
    expect((await desktop.run("delete", one, "ffff", "--yes")).exit).toBe(1);
    expect(idsOf((await desktop.json("list")).document).sort()).toEqual([one, two]);
  });
});
