import { existsSync, mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { migratesRefs } from "../e2e/automatic.ts";
import { desktopAtWork, initialise, Sandbox } from "./sandbox.ts";

// Locks whose holder was killed. Ours are taken over; git's own name the file and the way out.

const sandbox = new Sandbox();
const desktop = desktopAtWork(sandbox);
initialise(desktop);
desktop.convosync(["save", "one"]);
desktop.talk(20, 2);
desktop.write("auth.js", "two\n");
const start = sandbox.keep();
beforeEach(() => sandbox.rewind(start));
afterAll(() => sandbox.remove());

const git = (path: string): string => join(desktop.work, ".git", path);
/** No process has this number: it is above what any system gives out. */
const dead = `4999999@${hostname()}@00000000`;
const head = desktop.git("for-each-ref", "--format=%(refname)", "refs/convosync/*/head/*");

const old = new Date(Date.now() - 400_000);

describe("a lock of ours", () => {
  test.each([
    ["of the clone", () => git("convosync/lock")],
    ["of the queue", () => git("convosync/queue.lock")],
    ["of the device's state", () => join(desktop.home, ".config", "convosync", "state.lock")],
  ])("%s does not block", (_, path) => {
    writeFileSync(path(), dead);
    const begun = performance.now();
    desktop.convosync(["save", "two"]);
    expect(performance.now() - begun).toBeLessThan(5000);
    expect(desktop.strays()).toEqual([]);
  });
});

describe("a lock of git's", () => {
  test("on the index: the conversation can still be saved, and nothing is half done", () => {
    writeFileSync(git("index.lock"), "");
    const before = desktop.git("rev-parse", "HEAD");
    const { stderr } = desktop.convosync(["save", "two"], 1);
    expect(stderr).toMatch(/index\.lock/);
    expect(desktop.git("rev-parse", "HEAD")).toBe(before);
    desktop.convosync(["save", "--no-code", "two"]);
  });

  test("on a ref of ours: it does not block, or the way out is said", () => {
    const lock = git(`${head}.lock`);
    writeFileSync(lock, "");
    const { code, stderr } = desktop.convosync(["save", "two"], [0, 1]);
    if (code === 1) expect(stderr).toContain(`rm '${lock}'`);
  });

  test.skipIf(!migratesRefs)("on a reftable, which has one for all refs (skipped before git 2.46)", () => {
    desktop.git("refs", "migrate", "--ref-format=reftable");
    const lock = git("reftable/tables.list.lock");
    writeFileSync(lock, "");
    expect(desktop.convosync(["save", "--no-code"], 1).stderr).toContain(`rm '${lock}'`);
    utimesSync(lock, old, old);
    expect(desktop.convosync(["doctor"]).stdout).toContain(`rm '${lock}'`);
    const older = new Date(Date.now() - 900_000);
    utimesSync(lock, older, older);
    desktop.convosync(["save", "--no-code"]);
    expect(existsSync(lock)).toBe(false);
    desktop.convosync(["verify"]);
  });
});

describe("a crash of the machine while git moves refs", () => {
  const session = desktop.git("for-each-ref", "--format=%(refname)", "refs/convosync/*/session/*/*");
  test("between a session's and the index: nothing of it is pushed, and the next save brings it again", async () => {
    const { steps } = await desktop.faulty(["save", "two"], null);
    const at = steps.indexOf("git update-ref") + 1;
    sandbox.rewind(start);
    const before = desktop.git("rev-parse", session);
    expect((await desktop.faulty(["save", "two"], { at, how: "before" })).code).toBe(null);
    // All objects are written by then. git renames one lock after the other: it has come as far as the session.
    const dangling = desktop.git("fsck", "--dangling", "--no-reflogs").matchAll(/dangling commit (\w+)/g);
    const parent = (oid: string) => desktop.git("log", "-1", "--format=%P", oid).split(" ")[0];
    const next = [...dangling].map(([, oid]) => oid!).find((oid) => parent(oid) === before)!;
    desktop.git("update-ref", session, next);
    for (const ref of [head, "refs/convosync-incoming/x/keyring"]) {
      const lock = git(`${ref}.lock`);
      mkdirSync(dirname(lock), { recursive: true });
      writeFileSync(lock, "");
      utimesSync(lock, old, old);
    }
    desktop.convosync(["sync"]);
    expect(desktop.git("rev-parse", session)).toBe(before);
    expect(desktop.strays()).toEqual([]);
    desktop.convosync(["verify"]);
    desktop.convosync(["save", "two"]);
    expect(desktop.git("log", "-1", "--format=%P", session).split(" ")[0]).toBe(before);
    desktop.convosync(["verify"]);
  });
});
