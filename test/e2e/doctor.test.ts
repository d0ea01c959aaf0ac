// doctor finds what is wrong, says what to do, and loses nothing when it mends.

import {
  chmodSync,
  existsSync,
  mkdirSync,
  renameSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { configuredHooks } from "./automatic.ts";
import { type Document, done, type Machine, one, pair, type Sandbox } from "./harness.ts";

async function checks(
  machine: Machine,
  ...argv: string[]
): Promise<{ exit: number; all: Document[]; fixed: string[] }> {
  const { exit, document } = await machine.json("doctor", ...argv);
  return { exit, all: document["checks"], fixed: document["fixed"] };
}

const wrong = (all: readonly Document[]): string[] =>
  all
    .filter((one) => one["status"] === "error" || one["status"] === "warning")
    .map((one) => `${one["status"]} ${one["name"]}`);

async function saved(): Promise<Sandbox> {
  const box = await pair();
  box.desktop.say(0, 2);
  done(await box.desktop.run("save", "one"));
  done(await box.laptop.run("resume"));
  return box;
}

/** Path of a ref's file in the clone. */
function refFile(machine: Machine, kind: string): string {
  const ref = machine
    .git("for-each-ref", "--format=%(refname)", "refs/convosync")
    .split("\n")
    .find((name) => name.includes(`/${kind}`))!;
  return join(machine.path, ".git", ref);
}

describe("doctor", () => {
  test("a sound set-up: every row is fine, on stdout, and nothing is changed", async () => {
    const { desktop, laptop } = await saved();
    const before = desktop.footprint();
    const { exit, all } = await checks(desktop);
    expect({ exit, wrong: wrong(all) }).toEqual({ exit: 0, wrong: [] });
    expect(all.map((row) => row["name"])).toEqual(
      expect.arrayContaining([
        "node",
        "git",
        "keys",
        "vault",
        "index",
        "refs",
        "remote",
        "push",
        "agent",
        "queue",
      ]),
    );
    for (const row of all) expect(Object.keys(row)).toEqual(["name", "status", "message", "hint"]);
    expect(desktop.footprint()).toEqual(before);
    const probed = await checks(laptop, "--probe");
    expect(probed.all.find((row) => row["name"] === "push")).toMatchObject({ status: "ok" });
    const { stdout } = done(await laptop.run("doctor"));
    expect(stdout).toMatch(/^ok {7}node {7}Node /);
    expect(desktop.git("ls-remote", "origin", "refs/convosync/probe/*")).toBe("");
  });

  test("what stands in the way of one look is told, and the others are taken all the same", async () => {
    const { desktop } = await saved();
    const queue = join(desktop.path, ".git/convosync/queue.json");
    renameSync(queue, `${queue}.away`);
    mkdirSync(queue);
    const { exit, all } = await checks(desktop);
    expect(exit).toBe(1);
    expect(wrong(all)).toEqual(["error refs", "error remote"]);
    expect(all.find((row) => row["status"] === "error")?.["message"]).toMatch(/is a folder, not a file/);
    expect(all.map((row) => row["name"])).toEqual(expect.arrayContaining(["files", "agent", "settings"]));
  });

  test("keys others can read, a remote that is away, a setting that does not fit, what waits", async () => {
    const { desktop, remote } = await saved();
    const key = join(desktop.home, ".config/convosync/device.txt");
    chmodSync(key, 0o644);
    const exposed = await checks(desktop);
    expect(exposed.exit).toBe(1);
    const row = exposed.all.find((one) => one["name"] === "keys")!;
    expect(row).toMatchObject({ status: "error", message: expect.stringContaining("others can read") });
    expect(row["hint"]).toContain(`chmod 600 '${key}'`);
    chmodSync(key, 0o600);
    renameSync(remote, `${remote}.away`);
    desktop.git("config", "convosync.maxSessions", "many");
    desktop.say(2, 3);
    expect((await desktop.run("save")).exit).toBe(3);
    const { exit, all } = await checks(desktop.with({ days: 2 }));
    expect(exit).toBe(0);
    expect(wrong(all).sort()).toEqual(["warning queue", "warning remote", "warning settings"]);
    expect(all.find((one) => one["name"] === "queue")!["message"]).toContain(one);
  });

  test("outside a repository, and where nothing is set up", async () => {
    const { desktop, tablet, base } = await saved();
    const nowhere = await checks(desktop.with({ path: base }));
    expect(nowhere.exit).toBe(1);
    expect(wrong(nowhere.all)).toEqual(["error repository"]);
    tablet.clone();
    const fresh = await checks(tablet);
    expect(fresh.exit).toBe(0);
    expect(wrong(fresh.all)).toEqual(["warning vault"]);
  });

  test.skipIf(configuredHooks)("hooks that git passes over, and a worker that nobody heard of", async () => {
    const { desktop } = await saved();
    done(await desktop.run("hooks", "install"));
    const sound = (await checks(desktop)).all.find((row) => row["name"] === "hooks")!;
    expect(sound).toMatchObject({ status: "ok", message: expect.stringContaining("post-commit") });
    chmodSync(join(desktop.path, ".git/hooks/post-commit"), 0o644);
    const error = { code: "vault", message: "the key is away" };
    const report = JSON.stringify({ v: 1, at: "2026-10-01T10:00:00.000Z", failures: 2, error });
    writeFileSync(join(desktop.path, ".git/convosync/worker.json"), report);
    const { exit, all } = await checks(desktop);
    expect(exit).toBe(0);
    expect(wrong(all)).toEqual(["warning hooks", "warning hooks"]);
    const said = all.filter((row) => row["name"] === "hooks").map((row) => row["message"]);
    expect(said).toEqual([
      expect.stringContaining("post-commit (ignored)"),
      expect.stringContaining("the key is away"),
    ]);
  });

  test("a remote that takes no refs of ours is told by the probe", async () => {
    const { desktop, remote } = await saved();
    const hook = join(remote, "hooks", "update");
    mkdirSync(join(remote, "hooks"), { recursive: true });
    writeFileSync(hook, '#!/bin/sh\ncase "$1" in refs/convosync/*) exit 1;; esac\n');
    chmodSync(hook, 0o755);
    const { exit, all } = await checks(desktop, "--probe");
    expect(exit).toBe(1);
    expect(all.find((row) => row["name"] === "push")!["message"]).toMatch(/refuses refs\/convosync/);
  });
});

describe("doctor after a crash", () => {
  test("an empty ref breaks the user's git; it gets the value back that the remote confirmed", async () => {
    const { desktop, laptop } = await saved();
    const file = refFile(desktop, "session/");
    truncateSync(file, 0);
    expect(desktop.gitFails("gc", "--quiet")).toBe(true);
    const found = await checks(desktop);
    expect(found.exit).toBe(1);
    expect(found.all.find((row) => row["name"] === "refs")).toMatchObject({
      status: "error",
      hint: expect.stringContaining("--fix"),
    });
    expect((await desktop.run("doctor", "--fix")).exit).toBe(4);
    expect(statSync(file).size).toBe(0);
    const mended = await checks(desktop, "--fix", "--yes");
    expect(mended.exit).toBe(0);
    expect(mended.fixed).toEqual([expect.stringContaining("the remote confirmed")]);
    done(await desktop.run("verify"));
    desktop.say(2, 3);
    done(await desktop.run("save"));
    done(await laptop.run("resume"));
    laptop.hears(3);
  });

  test("another device's ref comes back with the next sync; empty objects and old locks go", async () => {
    const { desktop, laptop } = await saved();
    // The commit of the desktop's session on the laptop, as a crash leaves it.
    const file = refFile(laptop, "session/");
    const oid = laptop.git("rev-parse", file.slice(file.indexOf("refs/")));
    const object = join(laptop.path, ".git/objects", oid.slice(0, 2), oid.slice(2));
    chmodSync(object, 0o644);
    truncateSync(object, 0);
    const lock = join(laptop.path, ".git/convosync/lock");
    writeFileSync(lock, "");
    utimesSync(lock, 0, 0);
    const found = await checks(laptop);
    expect(wrong(found.all)).toEqual(expect.arrayContaining(["error refs", "warning locks"]));
    const mended = await checks(laptop, "--fix", "--yes");
    expect(mended.exit).toBe(0);
    expect(existsSync(object) && statSync(object).size === 0).toBe(false);
    done(await laptop.run("sync"));
    done(await laptop.run("show", one));
    done(await laptop.run("verify"));
    done(await desktop.run("verify"));
  });

  test("refs a killed fetch left behind go", async () => {
    const { laptop } = await saved();
    laptop.git("update-ref", "refs/convosync-incoming/x/y", laptop.head());
    const found = await checks(laptop);
    expect(found.exit).toBe(0);
    expect(found.all.find((row) => row["name"] === "refs")).toMatchObject({ status: "info" });
    expect((await checks(laptop, "--fix", "--yes")).fixed).toHaveLength(1);
    expect(laptop.git("for-each-ref", "refs/convosync-incoming")).toBe("");
  });
});
