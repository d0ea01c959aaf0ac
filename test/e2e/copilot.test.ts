// GitHub Copilot CLI: its logs are saved here and resumed there.

import { spawnSync } from "node:child_process";
import { appendFileSync, copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { imageOf } from "../../src/agents/sqlite.ts";
import { copilotId, eventsOf, eventsOpening, writeEvents } from "../fixtures/copilot-events.ts";
import { done, type Machine, pair, type Sandbox } from "./harness.ts";
import { itself, missing } from "./real-agent.ts";

const log = (machine: Machine, id = copilotId): string =>
  join(machine.home, ".copilot/session-state", id, "events.jsonl");
const told = (machine: Machine, to: number): string =>
  eventsOpening(machine.scene) + eventsOf(machine.scene, 0, to);

/** Any database with a log. */
const database = new URL("../fixtures/cursor/store.db", import.meta.url).pathname;

itself({
  name: "copilot",
  title: "Copilot",
  variable: "CONVOSYNC_COPILOT",
  run: (prompt, _, url) => ({
    args: ["-p", prompt, "--allow-all-tools", "RESUME"],
    env: {
      COPILOT_OFFLINE: "true",
      COPILOT_PROVIDER_BASE_URL: `${url}/v1`,
      COPILOT_MODEL: "gpt-4",
      COPILOT_AUTO_UPDATE: "false",
    },
  }),
  resume: (session) => [`--resume=${session}`],
  joins: "all",
  notes: {
    call: {
      name: "sql",
      input: {
        description: "note",
        query: "INSERT INTO todos (id, title, status) VALUES ('a', 'Mend the fence', 'pending')",
      },
    },
    path: (machine, session) => join(dirname(log(machine, session)), "session.db"),
  },
  writes: () => ({
    name: "bash",
    input: {
      command: "mkdir -p src && echo 'export const answer = 42;' > src/new.ts && pwd",
      description: "write",
    },
  }),
});

describe("a conversation of Copilot", () => {
  let box: Sandbox;
  beforeAll(async () => {
    box = await pair();
    const { desktop } = box;
    const folder = dirname(writeEvents(desktop.home, told(desktop, 2)));
    desktop.write(join(folder, "plan.md"), `# Plan for ${desktop.path}\n`);
    desktop.write(join(folder, "checkpoints/index.md"), "# Checkpoint History\n");
    desktop.write(join(folder, "files/notes.json"), JSON.stringify({ at: desktop.path }));
    copyFileSync(database, join(folder, "session.db"));
    copyFileSync(`${database}-wal`, join(folder, "session.db-wal"));
    desktop.write(join(folder, "workspace.yaml"), `cwd: ${desktop.path}\n`);
    desktop.write(join(folder, "rewind-file-snapshots/tracking.json"), "{}");
  });

  test("goes to the other machine with what the model wrote down, and comes back as it went on", async () => {
    const { desktop, laptop } = box;
    expect((await desktop.json("save")).document).toMatchObject({
      session: copilotId,
      agent: "copilot",
      messages: 9,
    });
    const { document } = await laptop.json("resume");
    expect(document).toMatchObject({
      session: copilotId,
      agent: "copilot",
      resumeCommand: ["copilot", `--resume=${copilotId}`],
    });
    const beside = (name: string): string => readFileSync(join(dirname(log(laptop)), name), "utf8");
    expect(readFileSync(log(laptop), "utf8")).toBe(told(laptop, 2));
    expect(beside("plan.md")).toBe(`# Plan for ${laptop.path}\n`);
    expect(beside("files/notes.json")).toBe(JSON.stringify({ at: laptop.path }));
    expect(beside("checkpoints/index.md")).toBe("# Checkpoint History\n");
    const image = imageOf(join(dirname(log(desktop)), "session.db"), 1 << 20);
    expect(readFileSync(join(dirname(log(laptop)), "session.db"))).toEqual(image);
    for (const own of ["workspace.yaml", "rewind-file-snapshots", "session.db-wal"])
      expect(existsSync(join(dirname(log(laptop)), own))).toBe(false);

    appendFileSync(log(laptop), eventsOf(laptop.scene, 2, 3));
    copyFileSync(database, join(dirname(log(laptop)), "session.db"));
    done(await laptop.run("save"));
    // What is in its log would be read into the database that comes.
    expect((await desktop.json("resume")).document["error"]).toMatchObject({ code: "session-live", exit: 4 });
    rmSync(join(dirname(log(desktop)), "session.db-wal"));
    done(await desktop.run("resume"));
    expect(readFileSync(log(desktop), "utf8")).toBe(told(desktop, 3));
    for (const machine of [desktop, laptop]) done(await machine.run("verify"));
  });

  test("is read, searched and forked as any other", async () => {
    const { laptop } = box;
    const shown = done(await laptop.run("show", copilotId)).stdout;
    expect(missing(shown, ["Question 2", "Answer 2", "src/step1.ts"])).toEqual([]);
    expect((await laptop.json("search", "Answer 1")).document["results"]).toMatchObject([
      { session: copilotId },
    ]);
    const { document } = await laptop.json("fork", copilotId);
    const id = document["session"] as string;
    expect(readFileSync(log(laptop, id), "utf8")).toBe(told(laptop, 3).replaceAll(copilotId, id));
    rmSync(dirname(log(laptop, id)), { recursive: true });
  });

  test("is left alone while Copilot has it open, and is the current one in its shell", async () => {
    const { desktop, laptop } = box;
    appendFileSync(log(desktop), eventsOf(desktop.scene, 3, 4));
    done(await desktop.run("save"));
    const lock = join(dirname(log(laptop)), `inuse.${process.pid}.lock`);
    writeFileSync(lock, `${process.pid}\n`);
    expect((await laptop.json("resume")).document["error"]).toMatchObject({ code: "session-live", exit: 4 });
    writeFileSync(lock, "1\n");
    const gone = spawnSync(process.execPath, ["-e", ""]).pid;
    writeFileSync(join(dirname(lock), `inuse.${gone}.lock`), `${gone}\n`);
    done(await laptop.run("resume"));
    expect(readFileSync(log(laptop), "utf8")).toBe(told(laptop, 4));
    laptop.say(0, 1);
    const inside = laptop.with({ env: { COPILOT_AGENT_SESSION_ID: copilotId } });
    expect((await inside.json("save", "--dry-run")).document["session"]).toBe(copilotId);
  });
});
