// Several devices, several processes, at once.

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { cli, done, expectTranscript, lines, one, pair, three, two } from "./harness.ts";

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

  test("what another device has saved since the last fetch is no forgery, to whoever reads it", async () => {
    const { desktop, laptop } = await pair();
    const idOf = (at: number): string => `${at}${one.slice(1)}`;
    const save = async (id: string, turn: number): Promise<void> => {
      desktop.say(turn, turn + 1, id);
      done(await desktop.run("save", "--session", id));
    };
    const verbs = ["show", "log", "fork", "export", "summary"];
    for (const [at, verb] of verbs.entries()) {
      await save(idOf(at), 0);
      done(await laptop.run("list", "--fetch"));
      await save(idOf(at), 1);
      done(await laptop.run(verb, idOf(at)));
      expectTranscript(done(await laptop.run("show", "--raw", idOf(at))).stdout, laptop.told(2, idOf(at)));
    }
    const last = idOf(verbs.length);
    await save(last, 0);
    done(await laptop.run("list", "--fetch"));
    done(await desktop.run("delete", last, "--yes"));
    const { exit, stderr } = await laptop.run("show", last);
    expect({ exit, stderr }).toEqual({ exit: 1, stderr: expect.stringMatching(/no session matches/) });
  });

  test("a session that is saved again, or deleted, between the fetch of the index and its own", async () => {
    const { desktop, laptop } = await pair();
    desktop.say(0, 1);
    done(await desktop.run("save"));
    const real = execFileSync("sh", ["-c", "command -v git"], { encoding: "utf8" }).trim();
    const [wrapper, then] = [join(laptop.home, "wrapper"), join(laptop.home, "then")];
    mkdirSync(wrapper);
    const script = `case " $* " in *" fetch "*/session/*) if [ -x '${then}' ]; then mv '${then}' '${then}.done'; '${then}.done'; fi ;; esac`;
    writeFileSync(join(wrapper, "git"), `#!/bin/sh\n${script}\nexec ${real} "$@"\n`, { mode: 0o755 });
    const meddled = laptop.with({ env: { PATH: `${wrapper}:${laptop.env["PATH"]}` } });
    const meanwhile = (...argv: string[]): void => {
      const env = Object.entries(desktop.env).map(([name, value]) => `${name}='${value}'`);
      const command = `cd '${desktop.path}' && env -i ${env.join(" ")} '${process.execPath}' '${cli}' ${argv.join(" ")}`;
      writeFileSync(then, `#!/bin/sh\n${command} >/dev/null 2>&1\n`, { mode: 0o755 });
    };
    for (const [at, argv] of [["resume"], ["verify"]].entries()) {
      desktop.say(at + 1, at + 2);
      meanwhile("save");
      done(await meddled.run(...argv));
      expect(existsSync(`${then}.done`)).toBe(true);
      rmSync(`${then}.done`);
    }
    laptop.hears(2);
    done(await laptop.run("resume"));
    laptop.hears(3);
    desktop.say(3, 4);
    done(await desktop.run("save"));
    meanwhile("delete", one, "--yes");
    const { exit, stderr } = await meddled.run("resume", one);
    expect({ exit, stderr }).toMatchObject({ exit: 1, stderr: expect.stringMatching(/no session matches/) });
    laptop.hears(3);
  });
});
