// undo takes back what it can take back without loss, and refuses the rest with a reason.

import { existsSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { done, lines, type Machine, one, pair, type Sandbox, two } from "./harness.ts";

const listed = async (machine: Machine): Promise<string[]> =>
  (await machine.json("list")).document["sessions"].map((session: { id: string }) => session.id).sort();

async function shared(): Promise<Sandbox> {
  const box = await pair();
  const { desktop, laptop } = box;
  desktop.say(0, 2, one);
  desktop.say(0, 3, two);
  done(await desktop.run("save", "--all-sessions"));
  done(await laptop.run("resume", one));
  laptop.say(2, 3, one);
  done(await laptop.run("save", "--session", one));
  done(await desktop.run("sync"));
  return box;
}

describe("undo of a deletion", () => {
  test("brings the sessions back for all, with what every device had added", async () => {
    const { desktop, laptop, tablet } = await shared();
    done(await desktop.run("resume", one));
    done(await desktop.run("delete", one, two, "--yes"));
    expect(desktop.git("for-each-ref", "refs/convosync/*/session/**")).toBe("");
    const { stderr } = done(await desktop.run("undo"));
    expect(stderr).toMatch(/Undid operation \d+: deleted 2 sessions\n.*Brought back/);
    expect(await listed(desktop)).toEqual([one, two]);
    for (const machine of [laptop, desktop]) {
      done(await machine.run("sync"));
      expect(await listed(machine)).toEqual([one, two]);
    }
    await tablet.join();
    done(await tablet.run("resume", one));
    tablet.hears(3, one);
    for (const machine of [desktop, laptop, tablet]) done(await machine.run("verify"));
    laptop.say(3, 4, one);
    done(await laptop.run("save", "--session", one));
    done(await desktop.run("resume", one));
    desktop.hears(4, one);
    const { document } = await desktop.json("undo", "--list");
    const kinds = document["operations"].map((it: { kind: string; undone: unknown }) => [
      it.kind,
      it.undone !== null,
    ]);
    expect(kinds).toContainEqual(["delete", true]);
  });

  test("after the other device has honoured it; a deletion that did not reach the remote", async () => {
    const { desktop, laptop, remote } = await shared();
    done(await desktop.run("delete", two, "--yes"));
    done(await laptop.run("sync"));
    expect(await listed(laptop)).toEqual([one]);
    const { document } = await desktop.json("undo");
    expect(document).toMatchObject({ did: [{ step: "session", id: two }], remote: "origin" });
    done(await laptop.run("resume", two));
    laptop.hears(3, two);
    renameSync(remote, `${remote}.away`);
    expect((await desktop.run("delete", two, "--yes")).exit).toBe(3);
    expect((await desktop.run("undo")).exit).toBe(3);
    renameSync(`${remote}.away`, remote);
    done(await desktop.run("sync"));
    done(await laptop.run("sync"));
    expect(await listed(laptop)).toEqual([one, two]);
    for (const machine of [desktop, laptop]) done(await machine.run("verify"));
  });

  test("of a session that had gone on elsewhere one version comes back, and it says that another did not", async () => {
    const { desktop, laptop } = await shared();
    desktop.say(2, 5, one, " (desktop)");
    done(await desktop.run("save", "--session", one));
    done(await laptop.run("sync"));
    const left = /1 other version of it, with lines this one lacks, did not come back/;
    // The desktop's has never come to the laptop.
    done(await laptop.run("delete", one, "--yes"));
    expect(done(await laptop.run("undo")).stderr).toMatch(left);
    expect(await listed(laptop)).toContain(one);
    // The laptop's comes to the desktop, which then has both.
    done(await desktop.run("sync"));
    expect((await desktop.run("resume", one)).exit).toBe(5);
    done(await desktop.run("delete", one, "--yes"));
    expect(done(await desktop.run("undo")).stderr).toMatch(left);
    const { document } = await desktop.json("list");
    expect(document["sessions"]).toContainEqual(expect.objectContaining({ id: one, messages: lines(5) }));
  });

  test("once git has pruned the objects they are gone, and it says so", async () => {
    const { desktop } = await shared();
    done(await desktop.run("delete", two, "--yes"));
    desktop.git("-c", "gc.pruneExpire=now", "gc", "--quiet", "--prune=now");
    const { exit, stderr } = await desktop.run("undo");
    expect(exit).toBe(4);
    expect(stderr).toMatch(
      /error: none of the sessions can be brought back\nhint: .*git has pruned its objects/,
    );
    expect(await listed(desktop)).toEqual([one]);
  });

  test("of retention, and of a pin", async () => {
    const { desktop } = await shared();
    const later = desktop.with({ days: 31 });
    done(await desktop.run("pin", one));
    done(await later.run("gc", "--yes"));
    expect(await listed(desktop)).toEqual([one]);
    done(await later.run("undo"));
    expect(await listed(desktop)).toEqual([one, two]);
    const { document } = await desktop.json("undo");
    expect(document).toMatchObject({
      operation: { kind: "pin" },
      did: [{ step: "pin", id: one, pinned: false }],
    });
    expect((await desktop.run("undo", "99")).exit).toBe(1);
    expect((await desktop.run("undo", "x")).exit).toBe(2);
    const { document: list } = await desktop.json("undo", "--list");
    const pin = list["operations"].find((it: { kind: string }) => it.kind === "pin");
    expect((await desktop.run("undo", String(pin.n))).stderr).toMatch(/was undone already/);
  });
});

describe("undo of a save", () => {
  test("takes the commit off the branch and leaves its changes staged; pushed ones stay", async () => {
    const { desktop } = await pair();
    desktop.say(0, 1);
    desktop.write("a.txt", "a\n");
    const before = desktop.head();
    done(await desktop.run("save", "A", "--no-push"));
    const { stderr } = done(await desktop.run("undo"));
    expect(stderr).toMatch(/Took the commit .* off 'main'/);
    expect(desktop.head()).toBe(before);
    expect(desktop.git("status", "--porcelain")).toBe("A  a.txt");
    expect(await listed(desktop)).toEqual([one]);
    done(await desktop.run("save", "A"));
    const pushed = desktop.head();
    const refused = await desktop.run("undo");
    expect(refused.exit).toBe(4);
    expect(refused.stderr).toMatch(/was pushed; others may build on it\nhint: .*git revert/);
    expect(desktop.head()).toBe(pushed);
    desktop.write("b.txt", "b\n");
    done(await desktop.run("save", "B", "--no-push"));
    desktop.write("c.txt", "c\n");
    desktop.commit("mine");
    const mine = desktop.head();
    expect((await desktop.run("undo")).stderr).toMatch(/is not where 'main' is any more/);
    expect(desktop.head()).toBe(mine);
  });
});

describe("undo of a resume", () => {
  test("back to the branch before, and the transcript as it was", async () => {
    const { desktop, laptop } = await pair();
    desktop.git("switch", "-q", "-c", "feature/oauth");
    desktop.say(0, 2);
    desktop.write("auth.js", "one\n");
    done(await desktop.run("save", "one"));
    const footprint = laptop.footprint();
    done(await laptop.run("resume"));
    expect(laptop.branch()).toBe("feature/oauth");
    const { stderr } = done(await laptop.run("undo"));
    expect(stderr).toMatch(/Switched back to main/);
    expect(stderr).toMatch(/Removed the branch 'feature\/oauth'/);
    expect(laptop.branch()).toBe("main");
    expect(laptop.git("branch", "--list", "feature/oauth")).toBe("");
    expect(existsSync(laptop.transcript())).toBe(false);
    expect(laptop.footprint()["HEAD"]).toBe(footprint["HEAD"]);
    // Again, then further: the second resume forwards the branch and appends to the transcript.
    done(await laptop.run("resume"));
    const first = laptop.head();
    desktop.say(2, 4);
    desktop.write("auth.js", "two\n");
    done(await desktop.run("save", "two"));
    done(await laptop.run("resume"));
    laptop.hears(4);
    done(await laptop.run("undo"));
    expect({ branch: laptop.branch(), head: laptop.head(), code: laptop.read("auth.js") }).toEqual({
      branch: "feature/oauth",
      head: first,
      code: "one\n",
    });
    laptop.hears(2);
    done(await laptop.run("resume"));
    laptop.hears(4);
    laptop.say(4, 5);
    const { document } = await laptop.json("save");
    expect(document).toMatchObject({ messages: lines(5) });
  });

  test("refuses when code or conversation have gone on since, and touches nothing", async () => {
    const { desktop, laptop } = await pair();
    desktop.git("switch", "-q", "-c", "feature/oauth");
    desktop.say(0, 2);
    desktop.write("auth.js", "one\n");
    done(await desktop.run("save", "one"));
    done(await laptop.run("resume"));
    const helper = join(laptop.project, one, "subagents/agent-a1.jsonl");
    laptop.write(helper, "{}\n");
    const helped = laptop.footprint();
    expect((await laptop.run("undo")).stderr).toContain(`${helper} has changed since that resume`);
    expect(laptop.footprint()).toEqual(helped);
    rmSync(helper);
    laptop.say(2, 3);
    const talked = laptop.footprint();
    const said = await laptop.run("undo");
    expect(said.exit).toBe(4);
    expect(said.stderr).toMatch(/has changed since that resume/);
    expect(laptop.footprint()).toEqual(talked);
    writeFileSync(laptop.transcript(), laptop.told(2));
    laptop.write("auth.js", "mine\n");
    const changed = laptop.footprint();
    const dirty = await laptop.run("undo");
    expect(dirty.exit).toBe(4);
    expect(dirty.stderr).toMatch(/uncommitted changes/);
    expect(laptop.footprint()).toEqual(changed);
    laptop.commit("mine");
    expect((await laptop.run("undo")).stderr).toMatch(/the code has moved on since that resume/);
  });

  test("nothing was done yet", async () => {
    const { tablet } = await pair();
    tablet.clone();
    const { exit, stderr } = await tablet.run("undo");
    expect({ exit, stderr }).toEqual({
      exit: 1,
      stderr: "error: nothing was done here that could be undone\n",
    });
    expect((await tablet.json("undo", "--list")).document["operations"]).toEqual([]);
  });
});
