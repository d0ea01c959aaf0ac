// What scripts rely on: one document on stdout, the fields product.md names, exit statuses.

import { existsSync, statSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { type Document, done, git, lines, one, pair, type Sandbox, sandbox } from "./harness.ts";

const fields: Record<string, readonly string[]> = {
  init: ["device", "vault", "repo", "replica", "created", "joined", "recoveryFile"],
  save: [
    ...["session", "agent", "snapshot", "commit", "branch", "messages", "newMessages", "pushed", "queued"],
    ...["remote", "sealedBytes"],
  ],
  resume: [
    ...["session", "agent", "snapshot", "commit", "branch", "messages", "restored", "resumeCommand"],
    ...["workingDirectory", "readOnly"],
  ],
  status: [
    ...[
      "repository",
      "branch",
      "commit",
      "clean",
      "current",
      "queue",
      "devices",
      "storage",
      "remote",
      "policy",
    ],
  ],
  sync: ["pushed", "fetched", "queued"],
  delete: ["deleted", "remote"],
  verify: ["ok", "problems"],
};
const listed = [
  ...["id", "agent", "title", "device", "deviceType", "branch", "commit", "messages", "updatedAt", "pinned"],
  "snapshots",
];

const expectFields = (command: string, document: Document): void =>
  expect(Object.keys(document)).toEqual(expect.arrayContaining(fields[command] as string[]));

describe("documents", () => {
  let box: Sandbox;
  beforeAll(() => {
    box = sandbox();
  });

  test("init, on both machines", async () => {
    const { desktop, laptop, code } = box;
    git(desktop.home, desktop.env, "init", "-q", desktop.path);
    desktop.git("remote", "add", "origin", box.remote);
    desktop.write("README.md", "# Shop\n");
    desktop.commit("first");
    desktop.git("push", "-q", "-u", "origin", "main");
    const name = ["--device-name", "Desktop", "--device-type", "desktop"];
    const made = await desktop.json("init", "--yes", "--recovery-file", code, ...name);
    expectFields("init", made.document);
    expect(made).toMatchObject({ exit: 0, stderr: "" });
    expect(made.document).toMatchObject({ created: true, joined: false, recoveryFile: code });
    expect(made.document["device"]).toMatchObject({ name: "Desktop", type: "desktop" });
    expect(statSync(code).mode & 0o777).toBe(0o600);

    laptop.clone();
    const joined = await laptop.json(
      "init",
      "--yes",
      "--join",
      "--recovery-file",
      code,
      "--device-name",
      "Laptop",
    );
    expectFields("init", joined.document);
    expect(joined.document).toMatchObject({
      created: false,
      joined: true,
      recoveryFile: null,
      vault: made.document["vault"],
      repo: made.document["repo"],
    });
    expect(joined.document["replica"]).not.toBe(made.document["replica"]);
  });

  test("save", async () => {
    const { desktop } = box;
    desktop.say(0, 3);
    desktop.write("a.txt", "a\n");
    const { exit, document, stderr } = await desktop.json("save", "A");
    expectFields("save", document);
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: "" });
    expect(document).toMatchObject({
      session: one,
      agent: "claude",
      snapshot: 1,
      commit: desktop.head(),
      branch: "main",
      messages: lines(3),
      newMessages: lines(3),
      pushed: true,
      queued: false,
      remote: "origin",
    });
    expect(document["sealedBytes"]).toBeGreaterThan(200);
    const again = await desktop.json("save");
    expect(again.document).toMatchObject({ newMessages: 0, sealedBytes: 0, pushed: true, queued: false });
  });

  test("list knows the title, message and device; times are ISO 8601", async () => {
    const { laptop } = box;
    expect((await laptop.json("list")).document["sessions"]).toEqual([]);
    const { exit, document } = await laptop.json("list", "--fetch");
    expect(exit).toBe(0);
    const [session] = document["sessions"];
    expect(Object.keys(session)).toEqual(expect.arrayContaining(listed));
    expect(session).toMatchObject({ id: one, agent: "claude", device: "Desktop", deviceType: "desktop" });
    expect(session).toMatchObject({ branch: "main", messages: lines(3), pinned: false, snapshots: 1 });
    expect(new Date(session["updatedAt"]).toISOString()).toBe(session["updatedAt"]);
  });

  test("list filters by branch, device, agent, text and number", async () => {
    const { laptop } = box;
    const count = async (...options: string[]) =>
      (await laptop.json("list", ...options)).document["sessions"].length;
    expect(await count("--branch", "main")).toBe(1);
    expect(await count("--branch", "other")).toBe(0);
    expect(await count("--device", "desktop")).toBe(1);
    expect(await count("--device", "Laptop")).toBe(0);
    expect(await count("--agent", "claude")).toBe(1);
    expect(await count("--agent", "codex")).toBe(0);
    expect(await count("--search", "STEP 0")).toBe(1);
    expect(await count("--search", "nowhere")).toBe(0);
    expect(await count("--limit", "1")).toBe(1);
    expect((await laptop.json("list", "--limit", "none")).exit).toBe(2);
  });

  test("what a resume would do, of which nothing happens", async () => {
    const { laptop } = box;
    const before = laptop.footprint();
    const dry = await laptop.json("resume", "--dry-run");
    expectFields("resume", dry.document);
    expect(dry.document["restored"]).toEqual([laptop.transcript()]);
    expect(laptop.footprint()).toEqual(before);
  });

  test("resume", async () => {
    const { desktop, laptop } = box;
    const { exit, document, stderr } = await laptop.json("resume");
    expectFields("resume", document);
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: "" });
    expect(document).toMatchObject({
      session: one,
      agent: "claude",
      snapshot: 1,
      commit: desktop.head(),
      branch: "main",
      messages: lines(3),
      restored: [laptop.transcript()],
      resumeCommand: ["claude", "--resume", one],
      workingDirectory: laptop.path,
      readOnly: false,
    });
  });

  test("status", async () => {
    const { laptop } = box;
    const { exit, document } = await laptop.json("status");
    expectFields("status", document);
    expect(exit).toBe(0);
    expect(document).toMatchObject({ repository: laptop.path, branch: "main", clean: true, queue: [] });
    expect(document["current"]).toMatchObject({ session: one, saved: true });
    const names = document["devices"].map((device: Document) => device["name"]);
    expect(names.sort()).toEqual(["Desktop", "Laptop"]);
    expect(document["remote"]).toMatchObject({ name: "origin" });
  });

  test("verify", async () => {
    const { exit, document } = await box.laptop.json("verify");
    expectFields("verify", document);
    expect({ exit, ...document }).toMatchObject({ exit: 0, ok: true, problems: [] });
  });

  test("show: the agent's own bytes with --raw, a rendering without", async () => {
    const { desktop, laptop } = box;
    const raw = await laptop.run("show", one, "--raw");
    expect(raw).toMatchObject({ exit: 0, stderr: "" });
    expect(raw.stdout).toBe(laptop.told(3));
    const { stdout } = done(await desktop.run("show", one.slice(0, 4)));
    expect(stdout).toContain("Step 2: mend");
    expect(stdout).not.toContain('"type"');
    const { document } = await laptop.json("show", one);
    expect(document).toMatchObject({ session: one, agent: "claude" });
    expect(document["snapshots"]).toHaveLength(1);
  });

  test("sync and delete", async () => {
    const { desktop, laptop } = box;
    desktop.say(3, 4);
    done(await desktop.run("save"));
    const synced = await laptop.json("sync");
    expectFields("sync", synced.document);
    expect(synced).toMatchObject({ exit: 0, document: { pushed: [], fetched: [one], queued: [] } });
    const gone = await laptop.json("delete", one, "--yes");
    expectFields("delete", gone.document);
    expect(gone).toMatchObject({ exit: 0, document: { deleted: [one], remote: "origin" } });
    expect(existsSync(laptop.transcript())).toBe(true);
  });

  test("a failure is a document too, with its code, hints and exit status", async () => {
    const { exit, document } = await box.laptop.json("resume", "zzzz");
    expect(exit).toBe(1);
    expect(document["error"]).toMatchObject({ code: "session-not-found", exit: 1 });
    expect(document["error"]["message"]).toMatch(/^no session matches 'zzzz'$/);
    expect(document["error"]["hints"].length).toBeGreaterThan(0);
  });

  test("every command answers --json with one document, also outside a repository", async () => {
    const { tablet, base } = box;
    const nowhere = tablet.with({ path: base });
    const commands = [["init", "--yes"], ["save"], ["resume"], ["resume", "--list"], ["list"], ["show", "x"]];
    for (const argv of [...commands, ["status"], ["sync"], ["delete", "x"], ["verify"]]) {
      const { exit, document } = await nowhere.json(...argv);
      expect({ argv, exit, code: document["error"]?.code }).toEqual({
        argv,
        exit: 4,
        code: "not-a-repository",
      });
    }
  });
});

describe("the program", () => {
  test("says its version and helps, on stdout, without a repository", async () => {
    const { desktop, base } = sandbox();
    const here = desktop.with({ path: base });
    expect(await here.spawn("--version")).toMatchObject({
      exit: 0,
      stdout: "git-convosync version 0.1.0\n",
      stderr: "",
    });
    // As processes: what they end with is theirs.
    for (const argv of [
      ["-h"],
      ["help"],
      [],
      ["save", "-h"],
      ["help", "save"],
      ["template", "help", "save"],
    ]) {
      const { exit, stdout, stderr } = await here.spawn(...argv);
      expect({ argv, exit, stderr }).toEqual({ argv, exit: 0, stderr: "" });
      expect(stdout).toMatch(/Usage: git convosync/);
    }
  });

  test("wrong usage is exit 2 and says what was wrong", async () => {
    const { desktop, base } = sandbox();
    const here = desktop.with({ path: base });
    for (const argv of [["sav"], ["save", "--frobnicate"], ["show"], ["init", "--device-type", "toaster"]]) {
      const { exit, stdout, stderr } = await here.run(...argv);
      expect({ argv, exit, stdout }).toEqual({ argv, exit: 2, stdout: "" });
      expect(stderr).toMatch(/^error: .+\nhint: /);
    }
    const { exit, document } = await here.json("sav");
    expect({ exit, code: document["error"].code }).toEqual({ exit: 2, code: "usage" });
  });

  test("as a process it does what it does in this one", async () => {
    const { desktop, laptop } = await pair();
    desktop.say(0, 2);
    const saved = await desktop.spawn("save", "--json");
    expect(saved).toMatchObject({ exit: 0, stderr: "" });
    expect(JSON.parse(saved.stdout)).toMatchObject({ convosync: 1, session: one, pushed: true });
    const resumed = await laptop.spawn("resume");
    expect(resumed).toMatchObject({ exit: 0, stdout: `claude --resume ${one}\n` });
    laptop.hears(2);
    expect(await laptop.spawn("resume", "zzzz")).toMatchObject({ exit: 1, stdout: "" });
  });
});
