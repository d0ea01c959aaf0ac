// Settings: what counts and where it comes from; nothing that does not fit is written.

import { expect, test } from "vitest";
import { type Document, done, git, sandbox } from "./harness.ts";

const { desktop, base } = sandbox();
git(desktop.home, desktop.env, "init", "-q", desktop.path);

const view = async (name: string, machine = desktop): Promise<Document> =>
  (await machine.json("config", name)).document["setting"];

test("shows every setting, its default and what it does", async () => {
  const { document } = await desktop.json("config");
  const names = document["settings"].map((one: Document) => one["name"]);
  expect(names).toEqual(expect.arrayContaining(["remote", "exclude", "retentionDays", "notifyUrl"]));
  // The harness has machines that are set up without hooks, by the environment.
  const changed = document["settings"].filter((one: Document) => one["source"] !== "default");
  expect(changed.map((one: Document) => [one["name"], one["source"], one["value"]])).toEqual([
    ["hooks", "environment", "false"],
    ["agentHooks", "environment", "false"],
  ]);
  const { stdout } = done(await desktop.run("config"));
  expect(stdout).toMatch(/retentionDays {3}30 {2}default\n {16}days after which gc deletes/);
});

test("sets and unsets, here and for all repositories; the environment wins", async () => {
  done(await desktop.run("config", "retentionDays", "60", "--global"));
  expect(await view("retentiondays")).toMatchObject({ value: "60", source: "global" });
  done(await desktop.run("config", "retentionDays", "7"));
  expect(await view("convosync.retentionDays")).toMatchObject({ value: "7", source: "local" });
  expect(desktop.git("config", "convosync.retentionDays")).toBe("7");
  const loud = desktop.with({ env: { CONVOSYNC_RETENTION_DAYS: "never" } });
  expect(await view("retentionDays", loud)).toMatchObject({
    value: "never",
    source: "environment",
    origin: "CONVOSYNC_RETENTION_DAYS",
  });
  expect((await loud.run("config", "retentionDays", "8")).stderr).toMatch(
    /CONVOSYNC_RETENTION_DAYS is set and wins/,
  );
  done(await desktop.run("config", "retentionDays", "--unset"));
  expect(await view("retentionDays")).toMatchObject({ value: "60", source: "global" });
  expect((await desktop.run("config", "retentionDays", "--unset")).exit).toBe(1);
  const elsewhere = desktop.with({ path: base });
  expect(await view("retentionDays", elsewhere)).toMatchObject({ value: "60" });
  expect((await elsewhere.run("config", "codec", "gz")).stderr).toMatch(/--global/);
});

test("a setting that may be given several times gets another value", async () => {
  done(await desktop.run("config", "exclude", "*.sqlite"));
  done(await desktop.run("config", "exclude", "secrets/"));
  expect(await view("exclude")).toMatchObject({ value: ["*.sqlite", "secrets/"], source: "local" });
  done(await desktop.run("config", "exclude", "--unset"));
  expect(await view("exclude")).toMatchObject({ value: [], source: "default" });
});

test("refuses what does not fit, and names it where it stands all the same", async () => {
  for (const [name, value] of [
    ["retentionDays", "soon"],
    ["hotRefs", "0"],
    ["rawPaths", "perhaps"],
    ["codec", "zip"],
    ["notifyUrl", "ftp://x"],
    ["notifyCommand", " "],
    ["colour", "blue"],
  ] as const) {
    const { exit, stderr } = await desktop.run("config", name, value);
    expect({ name, exit }).toEqual({ name, exit: 2 });
    expect(stderr).toMatch(/^error: .+\nhint: /);
  }
  for (const argv of [["--unset"], ["codec", "gz", "--unset"], ["codec", "--global"]])
    expect((await desktop.run("config", ...argv)).exit).toBe(2);
  desktop.git("config", "convosync.codec", "zip");
  desktop.git("config", "convosync.colour", "blue");
  const { stderr } = done(await desktop.run("config"));
  expect(stderr).toMatch(/codec is one of: vcd, gz/);
  expect(stderr).toMatch(/no setting is called convosync\.colour/);
});
