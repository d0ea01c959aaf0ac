// Several devices, several processes, at once.

import { describe, expect, test } from "vitest";
import { done, expectTranscript, lines, one, pair, three, two } from "./harness.ts";

describe("at once", () => {
  test("two devices save different conversations over and over: nothing is lost, nobody waits", async () => {
    const { desktop, laptop, tablet, code, remoteGit } = await pair();
    tablet.clone();
    await tablet.init("--join", "--recovery-file", code);
    for (let round = 0; round < 3; round++) {
      desktop.say(round, round + 1, one);
      laptop.say(round, round + 1, two);
      tablet.say(round, round + 1, three);
      const saved = await Promise.all([desktop, laptop, tablet].map((machine) => machine.json("save")));
      for (const { exit, document } of saved)
        expect({ exit, ...document }).toMatchObject({ exit: 0, pushed: true, newMessages: lines(1) });
    }
    expect(remoteGit("for-each-ref", "refs/convosync/*/session/*/*").split("\n")).toHaveLength(3);
    for (const machine of [desktop, laptop, tablet]) {
      done(await machine.run("sync"));
      expect((await machine.json("list")).document["sessions"]).toHaveLength(3);
      for (const id of [one, two, three]) {
        const { stdout } = done(await machine.run("show", id, "--raw"));
        expectTranscript(stdout, machine.told(3, id));
      }
    }
  });

  test("two devices save code and conversation on one branch: one wins, the other is told and loses nothing", async () => {
    const { desktop, laptop } = await pair();
    desktop.write("desktop.txt", "d\n");
    laptop.write("laptop.txt", "l\n");
    desktop.say(0, 2, one);
    laptop.say(0, 2, two);
    const results = await Promise.all([desktop.json("save", "D"), laptop.json("save", "L")]);
    expect(results.map(({ exit }) => exit).sort()).toEqual([0, 3]);
    const loser = results[0].exit === 3 ? desktop : laptop;
    loser.git("pull", "-q", "--rebase");
    done(await loser.run("sync"));
    for (const machine of [desktop, laptop]) {
      done(await machine.run("sync"));
      expect((await machine.json("list")).document["sessions"]).toHaveLength(2);
    }
  });

  test("saves of one clone in parallel, as processes: every turn is there in the end", async () => {
    const { desktop, laptop } = await pair();
    desktop.say(0, 2);
    desktop.write("a.txt", "a\n");
    const saved = await Promise.all([1, 2, 3].map(() => desktop.spawn("save", "--json", "Twice")));
    for (const { exit, stdout, stderr } of saved) {
      expect({ exit, stderr }).toEqual({ exit: 0, stderr: "" });
      expect(JSON.parse(stdout)).toMatchObject({ messages: lines(2), pushed: true });
    }
    expect(desktop.git("log", "--format=%s")).toBe("Twice [ConvoSync]\nfirst");
    const { document } = await desktop.json("list");
    expect(document["sessions"]).toMatchObject([{ messages: lines(2), snapshots: 1 }]);
    done(await laptop.run("resume"));
    laptop.hears(2);
  });

  test("save while sync, list, status and resume run in the same clone", async () => {
    const { desktop, laptop } = await pair();
    desktop.say(0, 1);
    done(await desktop.run("save"));
    done(await laptop.run("resume"));
    laptop.say(1, 2);
    done(await laptop.run("save"));
    desktop.say(0, 3, two);
    const all = await Promise.all([
      desktop.run("save", "--session", two),
      desktop.run("sync"),
      desktop.run("list", "--fetch"),
      desktop.run("status"),
      desktop.run("resume", one),
    ]);
    expect(all.map(({ exit, stderr }) => (exit === 0 ? "" : `${exit} ${stderr}`))).toEqual([
      "",
      "",
      "",
      "",
      "",
    ]);
    desktop.hears(2, one);
    done(await laptop.run("resume", two));
    laptop.hears(3, two);
  });

  test("two devices join at once", async () => {
    const { desktop, tablet, code } = await pair();
    tablet.clone();
    const third = desktop.with({ path: `${desktop.home}/second-clone` });
    third.clone();
    const results = await Promise.all([
      tablet.run("init", "--yes", "--join", "--recovery-file", code, "--device-name", "Tablet"),
      third.run("init", "--yes"),
    ]);
    for (const { exit, stderr } of results) expect({ exit, stderr }).toMatchObject({ exit: 0 });
    done(await desktop.run("sync"));
    const { document } = await desktop.json("status");
    const names = document["devices"].map((device: { name: string }) => device.name);
    expect(names.sort()).toEqual(["Desktop", "Laptop", "Tablet"]);
  });
});

describe("split brain", () => {
  test("both go on offline: save works on both, resume is exit 5 and touches nothing", async () => {
    const { desktop, laptop } = await pair();
    desktop.say(0, 3);
    done(await desktop.run("save"));
    done(await laptop.run("resume"));
    desktop.say(3, 5, one, " (desktop)");
    laptop.say(3, 4, one, " (laptop)");
    done(await desktop.run("save"));
    done(await laptop.run("save"));
    for (const machine of [desktop, laptop]) {
      const before = machine.footprint();
      const { exit, stdout, stderr } = await machine.run("resume");
      expect({ exit, stdout }).toEqual({ exit: 5, stdout: "" });
      expect(stderr).toMatch(/error: the conversation 11111111 went on separately on .*(Desktop|Laptop)/);
      expect(stderr).toMatch(/hint: nothing is lost/);
      expect(stderr).toMatch(/hint: read them: git convosync show 11111111/);
      expect(machine.footprint()).toEqual(before);
    }
    // Each side goes on saving its own.
    desktop.say(5, 6, one, " (desktop)");
    expect((await desktop.json("save")).document).toMatchObject({
      messages: lines(6),
      newMessages: lines(1),
    });
    laptop.say(4, 5, one, " (laptop)");
    expect((await laptop.json("save")).document).toMatchObject({ messages: lines(5), newMessages: lines(1) });
    for (const machine of [desktop, laptop]) done(await machine.run("verify"));
    const third = await desktop.json("list");
    expect(third.document["sessions"]).toHaveLength(1);
  });

  test("a side that did not go on takes the other's", async () => {
    const { desktop, laptop } = await pair();
    desktop.say(0, 3);
    done(await desktop.run("save"));
    done(await laptop.run("resume"));
    done(await laptop.run("save"));
    desktop.say(3, 4);
    done(await desktop.run("save"));
    done(await laptop.run("save"));
    done(await laptop.run("resume"));
    laptop.hears(4);
  });
});
