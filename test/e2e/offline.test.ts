// Remotes that are away, refuse, forget, or are shared with others. What is saved is never lost by any of it.

import { chmodSync, cpSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, test } from "vitest";
import { done, git, lines, type Machine, one, pair, type Sandbox, sandbox, two } from "./harness.ts";

const away = (box: Sandbox): void => renameSync(box.remote, `${box.remote}.away`);
const back = (box: Sandbox): void => renameSync(`${box.remote}.away`, box.remote);

const waiting = async (machine: Machine): Promise<string[]> => {
  const { document } = await machine.json("status");
  return document["queue"].map((item: { what: string }) => item.what);
};

/** The remote's refs of ours, or those of one kind. */
const refs = (box: Sandbox, kind = ""): string[] => {
  const all = box.remoteGit("for-each-ref", "--format=%(refname)", "refs/convosync").split("\n");
  return all.filter((ref) => ref !== "" && ref.split("/", 4).join("/").endsWith(kind));
};

function remoteHook(box: Sandbox, name: string, script: string): void {
  const path = join(box.remote, "hooks", name);
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
}

describe("offline", () => {
  test("save keeps everything here and exits 3; sync sends it later", async () => {
    const box = await pair();
    const { desktop, laptop } = box;
    away(box);
    desktop.write("a.txt", "a\n");
    desktop.say(0, 2);
    const saved = await desktop.run("save", "In the tunnel");
    expect(saved).toMatchObject({ exit: 3, stdout: "" });
    expect(saved.stderr).toMatch(/error: saved here; 'origin' cannot be reached, so it waits in the queue/);
    expect(saved.stderr).toMatch(/hint: send it later: git convosync sync/);
    expect(desktop.git("log", "-1", "--format=%s")).toBe("In the tunnel [ConvoSync]");
    expect(await waiting(desktop)).toEqual(expect.arrayContaining([one, "branch main"]));

    expect((await desktop.run("list")).stdout).toContain("In the tunnel");
    desktop.say(2, 3);
    const again = await desktop.json("save");
    expect(again).toMatchObject({
      exit: 3,
      document: { pushed: false, queued: true, newMessages: lines(1) },
    });
    expect((await desktop.run("sync")).exit).toBe(8);
    done(await desktop.run("show", one));

    back(box);
    const { exit, document } = await desktop.json("sync");
    expect(exit).toBe(0);
    expect(document["pushed"]).toEqual(expect.arrayContaining([one, "branch main"]));
    expect(document["queued"]).toEqual([]);
    expect(await waiting(desktop)).toEqual([]);
    done(await laptop.run("resume"));
    laptop.hears(3);
    expect(laptop.head()).toBe(desktop.head());
  });

  test("resume of what is here works offline, and says that it asked nobody", async () => {
    const box = await pair();
    const { desktop, laptop } = box;
    desktop.say(0, 2);
    done(await desktop.run("save"));
    done(await laptop.run("resume"));
    away(box);
    const { exit, stderr } = await laptop.run("resume");
    expect(exit).toBe(0);
    expect(stderr).toMatch(/warning: cannot reach 'origin'; using what is here/);
    expect((await laptop.run("resume", "--json")).stdout).toMatch(/^\{"convosync":1,.*\}\n$/);
    expect((await laptop.run("list", "--fetch")).exit).toBe(0);
    expect((await laptop.run("verify")).exit).toBe(8);
    done(await laptop.run("verify", "--local"));
  });

  test("what waited for a remote that was moved goes to its new place, and status says so", async () => {
    const { desktop, laptop, remote } = await pair();
    desktop.say(0, 1);
    done(await desktop.run("save"));
    done(await desktop.run("status"));
    renameSync(remote, `${remote}.moved`);
    desktop.say(1, 2);
    expect((await desktop.run("save")).exit).toBe(3);
    expect(await waiting(desktop)).toContain(one);
    for (const machine of [desktop, laptop])
      machine.git("remote", "set-url", "origin", pathToFileURL(`${remote}.moved`).href);
    done(await desktop.run("sync"));
    expect(await waiting(desktop)).toEqual([]);
    // It is the same clone to everybody.
    expect(desktop.git("ls-remote", "origin", "refs/convosync/*/head/*").split("\n")).toHaveLength(1);
    done(await laptop.run("resume"));
    laptop.hears(2);
  });

  test("verify --local minds neither what was never fetched nor that it is an older version", async () => {
    const { desktop, laptop } = await pair();
    for (const upTo of [1, 2]) {
      desktop.say(upTo - 1, upTo);
      done(await desktop.run("save"));
      done(await laptop.run("list", "--fetch"));
      done(await laptop.run("verify", "--local"));
      done(await laptop.run("resume"));
    }
  });

  test("resume of what is only on the remote is exit 8, and changes nothing", async () => {
    const box = await pair();
    const { desktop, laptop } = box;
    desktop.say(0, 2);
    done(await desktop.run("save"));
    done(await laptop.run("sync"));
    away(box);
    const before = laptop.footprint();
    const { exit, stderr } = await laptop.run("resume");
    expect(exit).toBe(8);
    expect(stderr).toMatch(
      /error: the conversation is not on this device yet, and the remote cannot be reached/,
    );
    expect(laptop.footprint()).toEqual(before);
  });

  test("--no-push is no failure; the next save or sync sends it", async () => {
    const box = await pair();
    box.desktop.say(0, 2);
    const saved = await box.desktop.json("save", "--no-push");
    expect(saved).toMatchObject({ exit: 0, document: { pushed: false, queued: true } });
    expect(refs(box, "/session")).toEqual([]);
    box.desktop.say(2, 3);
    done(await box.desktop.run("save"));
    done(await box.laptop.run("resume"));
    box.laptop.hears(3);
  });

  test("--no-push holds the code back, too, and sync sends both", async () => {
    const { desktop, laptop, remoteGit } = await pair();
    desktop.say(0, 1);
    desktop.write("a.txt", "a\n");
    done(await desktop.run("save", "--no-push"));
    expect((await desktop.json("status")).document["queue"]).toContainEqual(
      expect.objectContaining({ what: "branch main" }),
    );
    done(await desktop.run("sync"));
    expect(remoteGit("rev-parse", "main")).toBe(desktop.head());
    done(await laptop.run("resume"));
    expect(laptop.head()).toBe(desktop.head());
    desktop.say(1, 2);
    done(await desktop.run("save", "--no-push"));
    const queue = (await desktop.json("status")).document["queue"] as { what: string }[];
    expect(queue.map(({ what }) => what)).not.toContain("branch main");
  });
});

describe("rejected", () => {
  test("a branch that is not fast-forward: both wait, and the hints work", async () => {
    const box = await pair();
    const { desktop, laptop } = box;
    laptop.write("laptop.txt", "l\n");
    laptop.commit("by hand");
    laptop.git("push", "-q");
    desktop.write("desktop.txt", "d\n");
    desktop.say(0, 2);
    const { exit, stderr } = await desktop.run("save", "Mine");
    expect(exit).toBe(3);
    expect(stderr).toMatch(/error: saved here, not pushed: 'origin' has commits this branch lacks/);
    expect(stderr).toMatch(/hint: .*git pull --rebase && git convosync sync/);
    expect(refs(box, "/session")).toEqual([]);
    desktop.git("pull", "-q", "--rebase");
    done(await desktop.run("sync"));
    expect(box.remoteGit("rev-parse", "main")).toBe(desktop.head());
    expect(refs(box, "/session")).toHaveLength(1);
    expect(await waiting(desktop)).toEqual([]);
  });

  test("…or the conversation is sent without the code", async () => {
    const box = await pair();
    const { desktop, laptop } = box;
    laptop.write("laptop.txt", "l\n");
    laptop.commit("by hand");
    laptop.git("push", "-q");
    desktop.write("desktop.txt", "d\n");
    desktop.say(0, 2);
    expect((await desktop.run("save", "Mine")).exit).toBe(3);
    const { stderr } = done(await desktop.run("sync", "--no-code"));
    expect(stderr).toContain(`Sent to origin`);
    expect(box.remoteGit("rev-parse", "main")).toBe(laptop.head());
    const resumed = await laptop.run("resume");
    expect(resumed.exit).toBe(4);
    expect(resumed.stderr).toMatch(/neither here nor on the remote/);
    done(await laptop.run("resume", "--stay-on-branch"));
    laptop.hears(2);
  });

  test("a remote whose hook declines refs/convosync takes the code all the same", async () => {
    const box = await pair();
    const { desktop } = box;
    remoteHook(box, "update", 'case "$1" in refs/convosync/*) echo "policy: no" >&2; exit 1;; esac');
    desktop.write("a.txt", "a\n");
    desktop.say(0, 2);
    const { exit, stderr } = await desktop.run("save", "Code first");
    expect(exit).toBe(3);
    expect(stderr).toMatch(/takes the code but refuses refs\/convosync/);
    expect(box.remoteGit("rev-parse", "main")).toBe(desktop.head());
    expect(await waiting(desktop)).toContain(one);
    expect(await waiting(desktop)).not.toContain("branch main");
    remoteHook(box, "update", "exit 0");
    done(await desktop.run("sync"));
    expect(await waiting(desktop)).toEqual([]);
    expect(refs(box, "/session")).toHaveLength(1);
  });

  test("a remote that takes no push at all is not said to take the code", async () => {
    const box = await pair();
    const { desktop } = box;
    remoteHook(box, "pre-receive", 'echo "no pushes today" >&2; exit 1');
    desktop.write("a.txt", "a\n");
    desktop.say(0, 2);
    const { exit, stderr } = await desktop.run("save", "Refused");
    expect(exit).toBe(3);
    expect(stderr).toMatch(/not pushed: 'origin' refuses the branch .*\nhint: remote: no pushes today\n/);
    expect(stderr).not.toMatch(/takes the code/);
    expect(await waiting(desktop)).toContain("branch main");
    expect(done(await desktop.run("status")).stdout).toContain("declined): remote: no pushes today");
    remoteHook(box, "pre-receive", "exit 0");
    done(await desktop.run("sync"));
    expect(box.remoteGit("rev-parse", "main")).toBe(desktop.head());
    expect(await waiting(desktop)).toEqual([]);
  });

  test("a remote that hides refs/convosync", async () => {
    const box = await pair();
    const { desktop } = box;
    box.remoteGit("config", "receive.hideRefs", "refs/convosync");
    desktop.write("a.txt", "a\n");
    desktop.say(0, 2);
    expect((await desktop.run("save", "Hidden")).exit).toBe(3);
    expect(await waiting(desktop)).toContain(one);
    box.remoteGit("config", "--unset", "receive.hideRefs");
    done(await desktop.run("sync"));
    expect(await waiting(desktop)).toEqual([]);
    expect(box.remoteGit("rev-parse", "main")).toBe(desktop.head());
  });

  test("a protected branch keeps both here until it is unprotected", async () => {
    const box = await pair();
    const { desktop } = box;
    remoteHook(box, "update", 'case "$1" in refs/heads/main) echo "protected" >&2; exit 1;; esac');
    desktop.write("a.txt", "a\n");
    desktop.say(0, 2);
    const { exit, stderr } = await desktop.run("save", "Protected");
    expect(exit).toBe(3);
    expect(stderr).toMatch(/hook declined/);
    done(await desktop.run("sync", "--no-code"));
    expect(refs(box, "/session")).toHaveLength(1);
    expect(await waiting(desktop)).toEqual(["branch main"]);
    remoteHook(box, "update", "exit 0");
    done(await desktop.run("sync"));
    expect(box.remoteGit("rev-parse", "main")).toBe(desktop.head());
  });

  test("a protected branch is in nobody's way: the conversation and other branches go, and what waits is told", async () => {
    const box = await pair();
    const { desktop, laptop } = box;
    remoteHook(box, "update", '[ "$1" != refs/heads/main ] || { echo protected >&2; exit 1; }');
    desktop.write("a.txt", "a\n");
    desktop.say(0, 1);
    const { exit, stderr } = await desktop.run("save", "Onto main");
    expect(exit).toBe(3);
    expect(stderr).toMatch(
      /'origin' refuses the branch \(.*declined\)\)\nhint: remote: protected\n(?:hint: .*\n){2}hint: .*save --branch <name>\nhint: .*sync --no-code/,
    );
    const alone = (await desktop.json("sync", "--no-code")).document;
    expect(alone).toMatchObject({ pushed: expect.arrayContaining([one, "index"]), queued: ["branch main"] });
    done(await laptop.run("list", "--fetch"));
    desktop.git("switch", "-q", "-c", "mine");
    desktop.write("a.txt", "b\n");
    desktop.say(1, 2);
    renameSync(box.remote, `${box.remote}.away`);
    expect((await desktop.run("save")).exit).toBe(3);
    renameSync(`${box.remote}.away`, box.remote);
    const sent = await desktop.json("sync");
    expect(sent.exit).toBe(3);
    expect(sent.document).toMatchObject({
      pushed: expect.arrayContaining([one, "branch mine"]),
      queued: ["branch main"],
    });
    done(await laptop.run("resume"));
    laptop.hears(2);
    desktop.git("branch", "-f", "main", "origin/main");
    expect((await desktop.json("sync")).exit).toBe(0);
    desktop.git("branch", "-f", "main", "mine");
    desktop.git("switch", "-q", "main");
    desktop.write("a.txt", "c\n");
    expect((await desktop.run("save")).exit).toBe(3);
    desktop.git("switch", "-q", "-C", "mine");
    desktop.git("branch", "-q", "-D", "main");
    expect((await desktop.json("sync")).document).toMatchObject({ queued: [] });
    expect((await desktop.json("status")).document["queue"]).toEqual([]);
  });

  test("a remote without atomic pushes: code first, then the conversation", async () => {
    const box = sandbox();
    const { desktop, laptop } = box;
    box.remoteGit("config", "receive.advertiseAtomic", "false");
    await desktop.begin();
    await laptop.join();
    desktop.write("a.txt", "a\n");
    desktop.say(0, 2);
    done(await desktop.run("save", "In turn"));
    expect(box.remoteGit("rev-parse", "main")).toBe(desktop.head());
    done(await laptop.run("resume"));
    laptop.hears(2);
    remoteHook(box, "update", 'case "$1" in refs/convosync/*) exit 1;; esac');
    laptop.write("a.txt", "b\n");
    laptop.say(2, 3);
    expect((await laptop.run("save", "Half")).exit).toBe(3);
    expect(box.remoteGit("rev-parse", "main")).toBe(laptop.head());
    remoteHook(box, "update", "exit 0");
    done(await laptop.run("sync"));
    done(await desktop.run("resume"));
    desktop.hears(3);
  });
});

describe("shared and forgetful remotes", () => {
  test("another user's vault in the same repository is neither read nor disturbed", async () => {
    const box = await pair();
    const { desktop, laptop, tablet } = box;
    desktop.say(0, 2);
    done(await desktop.run("save"));
    tablet.clone();
    const refused = await tablet.run("init", "--yes", "--recovery-file", join(box.base, "other-code"));
    expect(refused.exit).toBe(4);
    expect(refused.stderr).toMatch(/hint: .*git convosync init --new-vault/);
    await tablet.init("--new-vault", "--recovery-file", join(box.base, "other-code"));
    expect((await tablet.json("list", "--fetch")).document["sessions"]).toEqual([]);
    tablet.say(0, 4, two);
    done(await tablet.run("save"));
    expect((await tablet.json("list")).document["sessions"]).toHaveLength(1);
    const { document } = await laptop.json("list", "--fetch");
    expect(document["sessions"].map((session: { id: string }) => session.id)).toEqual([one]);
    for (const machine of [desktop, laptop, tablet]) done(await machine.run("verify"));
    expect(refs(box, "/keyring")).toHaveLength(2);
  });

  test("a remote wiped by push --mirror is filled again by the next sync of each device", async () => {
    const box = await pair();
    const { desktop, laptop } = box;
    desktop.say(0, 2, one);
    done(await desktop.run("save"));
    done(await laptop.run("resume"));
    laptop.say(0, 3, two);
    done(await laptop.run("save"));
    done(await desktop.run("sync"));
    const before = refs(box);
    const plain = join(box.base, "plain");
    git(box.base, desktop.env, "clone", "-q", `file://${box.remote}`, plain);
    git(plain, desktop.env, "push", "-q", "--mirror", box.remote);
    expect(refs(box)).toEqual([]);
    for (const machine of [desktop, laptop]) {
      const { exit, stderr } = await machine.run("sync");
      expect({ exit, stderr }).toMatchObject({ exit: 0 });
    }
    expect(refs(box)).toEqual(before);
    box.tablet.clone();
    await box.tablet.init("--join", "--recovery-file", box.code);
    done(await box.tablet.run("resume", one));
    box.tablet.hears(2, one);
    done(await box.tablet.run("resume", two));
    box.tablet.hears(3, two);
    for (const machine of [desktop, laptop]) done(await machine.run("verify"));
  });

  test("the next save puts a wiped remote right as well", async () => {
    const box = await pair();
    const { desktop, laptop } = box;
    desktop.say(0, 2);
    done(await desktop.run("save"));
    for (const ref of refs(box)) box.remoteGit("update-ref", "-d", ref);
    desktop.say(2, 3);
    done(await desktop.run("save"));
    expect(refs(box, "/session")).toHaveLength(1);
    // The desktop has not heard of the laptop yet: to the laptop that looks like a rollback, until its user says.
    expect(await laptop.run("sync")).toMatchObject({ exit: 6 });
    done(await laptop.run("sync", "--retry"));
    done(await laptop.run("resume"));
    laptop.hears(3);
    done(await desktop.run("sync"));
  });

  describe("restored from a backup", () => {
    /** Both have gone on since the remote was as it is now; `fetched`: the desktop has all that the laptop has saved. */
    async function restored({
      fetched,
      meanwhile,
    }: {
      fetched: boolean;
      meanwhile?: (box: Sandbox) => Promise<void>;
    }): Promise<Sandbox> {
      const box = await pair();
      const { desktop, laptop } = box;
      desktop.say(0, 1, one);
      done(await desktop.run("save"));
      done(await laptop.run("resume"));
      laptop.say(0, 1, two);
      done(await laptop.run("save"));
      done(await desktop.run("sync"));
      const backup = join(box.base, "backup.git");
      cpSync(box.remote, backup, { recursive: true });
      laptop.say(1, 2, two);
      done(await laptop.run("save"));
      done(await desktop.run(...(fetched ? ["resume", two] : ["sync"])));
      desktop.say(1, 2, one);
      done(await desktop.run("save", "--session", one));
      done(await laptop.run("sync"));
      await meanwhile?.(box);
      rmSync(box.remote, { recursive: true });
      renameSync(backup, box.remote);
      return box;
    }

    test.each([
      [["sync", "--retry"]],
      // What is there of it shows that somebody else has put it there.
      [["sync"]],
      [["save", "--no-code", "--session", two]],
    ])("is refused with the way out, and filled again by each device that goes it: %j", async (command) => {
      const box = await restored({ fetched: false });
      const { desktop, laptop } = box;
      for (const machine of [desktop, laptop]) {
        const { exit, stderr } = await machine.run("resume");
        expect({ exit, stderr }).toMatchObject({ exit: 6, stderr: expect.stringContaining("sync --retry") });
      }
      const sent = done(await desktop.run("sync", "--retry"));
      expect(sent.stderr).toContain("Put back on origin what was here of Laptop");
      // Of the laptop's last session the desktop has nothing, and nobody is shown an older one instead.
      expect(await desktop.run("resume", two)).toMatchObject({ exit: 6 });
      if (command[0] === "save") laptop.say(2, 3, two);
      done(await laptop.run(...command));
      done(await desktop.run("resume", two));
      desktop.hears(command[0] === "save" ? 3 : 2, two);
      expect((await desktop.json("status")).document["devices"]).toHaveLength(2);
      expect(refs(box, "/head")).toHaveLength(2);
      done(await laptop.run("resume", one));
      laptop.hears(2, one);
      for (const machine of [desktop, laptop]) done(await machine.run("verify"));
    });

    test.each([
      ["at once", true],
      ["one after the other", false],
    ])("gets what was saved by a device that is no more from another, %s", async (_, atomic) => {
      const box = await restored({ fetched: true });
      const { desktop, tablet } = box;
      box.remoteGit("config", "receive.advertiseAtomic", String(atomic));
      done(await desktop.run("sync", "--retry"));
      done(await desktop.run("verify"));
      tablet.clone();
      await tablet.init("--join", "--recovery-file", box.code);
      done(await tablet.run("resume", two));
      tablet.hears(2, two);
      done(await tablet.run("resume", one));
      tablet.hears(2, one);
    });

    test("gets what only a third device has, too, where its index was put back before", async () => {
      const box = await restored({
        fetched: false,
        async meanwhile({ tablet, code }) {
          tablet.clone();
          await tablet.init("--join", "--recovery-file", code);
          done(await tablet.run("resume", two));
        },
      });
      const { desktop, tablet } = box;
      done(await desktop.run("sync", "--retry"));
      expect(await desktop.run("resume", two)).toMatchObject({ exit: 6 });
      const sent = done(await tablet.run("sync", "--retry"));
      expect(sent.stderr).toContain("Put back on origin what was here of Laptop");
      done(await desktop.run("resume", two));
      desktop.hears(2, two);
      for (const machine of [desktop, tablet]) done(await machine.run("verify"));
    });

    test("gets what a clone that is no more had saved, out of what has gone on from it", async () => {
      const box = await pair();
      const { desktop, laptop } = box;
      desktop.say(0, 1);
      done(await desktop.run("save"));
      const backup = join(box.base, "backup.git");
      cpSync(box.remote, backup, { recursive: true });
      desktop.say(1, 2);
      done(await desktop.run("save"));
      rmSync(desktop.path, { recursive: true });
      desktop.clone();
      await desktop.init();
      desktop.say(2, 3);
      done(await desktop.run("save"));
      done(await laptop.run("sync"));
      rmSync(box.remote, { recursive: true });
      renameSync(backup, box.remote);
      done(await desktop.run("sync", "--retry"));
      done(await laptop.run("resume"));
      laptop.hears(3);
      for (const machine of [desktop, laptop]) done(await machine.run("verify"));
    });

    test("gets what was brought back after a deletion, too, in place of what it has from before", async () => {
      const box = await pair();
      const { desktop, laptop, tablet } = box;
      desktop.say(0, 1);
      done(await desktop.run("save"));
      const backup = join(box.base, "backup.git");
      cpSync(box.remote, backup, { recursive: true });
      done(await laptop.run("sync"));
      done(await laptop.run("delete", one, "--yes"));
      done(await desktop.run("sync"));
      desktop.say(1, 2);
      done(await desktop.run("save", "--force"));
      done(await laptop.run("resume"));
      rmSync(desktop.home, { recursive: true });
      rmSync(box.remote, { recursive: true });
      renameSync(backup, box.remote);
      done(await laptop.run("sync", "--retry"));
      done(await laptop.run("verify"));
      tablet.clone();
      await tablet.init("--join", "--recovery-file", box.code);
      done(await tablet.run("resume"));
      tablet.hears(2);
      done(await tablet.run("verify"));
    });

    test("says of a conversation that nobody has any more how it leaves the list", async () => {
      const box = await pair();
      const { desktop, laptop } = box;
      desktop.say(0, 1);
      done(await desktop.run("save"));
      const backup = join(box.base, "backup.git");
      cpSync(box.remote, backup, { recursive: true });
      desktop.say(0, 1, two);
      done(await desktop.run("save", "--session", two));
      done(await laptop.run("sync"));
      rmSync(desktop.home, { recursive: true });
      rmSync(box.remote, { recursive: true });
      renameSync(backup, box.remote);
      done(await laptop.run("sync", "--retry"));
      const { exit, stderr } = await laptop.run("resume", two);
      expect(exit).toBe(6);
      expect(stderr).toMatch(/the remote, which was reset, has the conversation 22222222-.* no more/);
      expect((await laptop.run("verify")).exit).toBe(6);
      const [, hint] = /take it off the list: git convosync (.*)/.exec(stderr)!;
      done(await laptop.run(...hint!.split(" "), "--yes"));
      done(await laptop.run("verify"));
      done(await laptop.run("resume"));
      laptop.hears(1);
    });

    test("is read without what nobody has any more, once its user has said that it was reset", async () => {
      const box = await pair();
      const { desktop, laptop } = box;
      desktop.say(0, 1);
      done(await desktop.run("save"));
      done(await laptop.run("resume"));
      laptop.say(1, 2);
      done(await laptop.run("save"));
      const backup = join(box.base, "backup.git");
      cpSync(box.remote, backup, { recursive: true });
      done(await desktop.run("resume"));
      desktop.say(2, 3);
      done(await desktop.run("save"));
      done(await laptop.run("sync"));
      rmSync(desktop.home, { recursive: true });
      rmSync(box.remote, { recursive: true });
      renameSync(backup, box.remote);
      expect((await laptop.run("resume")).exit).toBe(6);
      done(await laptop.run("sync", "--retry"));
      const { stderr } = done(await laptop.run("resume"));
      expect(stderr).toMatch(/what Desktop saved of it \(.*\) is not on the remote, which was reset/);
      laptop.hears(2);
      laptop.say(2, 4);
      done(await laptop.run("save"));
      done(await laptop.run("verify"));
      const { tablet } = box;
      tablet.clone();
      await tablet.init("--join", "--recovery-file", box.code);
      // It has to be told of each device, as nobody else's word counts for it.
      expect((await tablet.run("resume")).exit).toBe(6);
      done(await tablet.run("sync", "--retry"));
      done(await tablet.run("resume"));
      tablet.hears(4);
      done(await tablet.run("verify"));
    });

    test("or wiped, gets it, too; what was deleted meanwhile stays so", async () => {
      const box = await restored({ fetched: true });
      const { desktop, tablet } = box;
      done(await desktop.run("sync", "--retry"));
      done(await desktop.run("delete", one, "--yes"));
      for (const ref of refs(box)) box.remoteGit("update-ref", "-d", ref);
      done(await desktop.run("sync", "--retry"));
      tablet.clone();
      await tablet.init("--join", "--recovery-file", box.code);
      done(await tablet.run("resume", two));
      tablet.hears(2, two);
      expect((await tablet.json("list")).document["sessions"]).toMatchObject([{ id: two }]);
      done(await tablet.run("verify"));
    });
  });

  test("a second remote gets all of it", async () => {
    const box = await pair();
    const { desktop } = box;
    desktop.say(0, 2);
    done(await desktop.run("save"));
    const backup = join(box.base, "backup.git");
    git(box.base, desktop.env, "init", "-q", "--bare", backup);
    desktop.git("remote", "add", "backup", backup);
    desktop.git("config", "convosync.remote", "backup");
    done(await desktop.run("sync"));
    const there = git(backup, desktop.env, "for-each-ref", "--format=%(refname)", "refs/convosync");
    expect(there.split("\n")).toHaveLength(3);
    const asked = desktop.with({ env: { CONVOSYNC_REMOTE: "nowhere" } });
    expect(await asked.run("sync")).toMatchObject({ exit: 4 });
  });
});
