// GitHub Copilot CLI: its logs are saved here and resumed there.

import { execFile, spawnSync } from "node:child_process";
import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { beforeAll, describe, expect, test } from "vitest";
import { copilotId, eventsOf, eventsOpening, writeEvents } from "../fixtures/copilot-events.ts";
import { ModelServer, type Turn } from "../fixtures/model-server.ts";
import { untilIdle } from "./automatic.ts";
import { done, type Machine, pair, type Sandbox } from "./harness.ts";

const log = (machine: Machine, id = copilotId): string =>
  join(machine.home, ".copilot/session-state", id, "events.jsonl");
const told = (machine: Machine, to: number): string =>
  eventsOpening(machine.scene) + eventsOf(machine.scene, 0, to);

const program = process.env["CONVOSYNC_COPILOT"] ?? "copilot";
const installed = spawnSync(program, ["--version"]).status === 0;

/** Runs Copilot once, without a terminal, against a model on this machine; gives what the model was sent. */
async function ask(
  machine: Machine,
  prompt: string,
  turns: readonly Turn[],
  ...options: string[]
): Promise<string> {
  const model = await ModelServer.start(turns);
  try {
    const asked = promisify(execFile)(program, ["-p", prompt, "--allow-all-tools", ...options], {
      cwd: machine.path,
      env: {
        ...machine.env,
        COPILOT_OFFLINE: "true",
        COPILOT_PROVIDER_BASE_URL: `${model.url}/v1`,
        COPILOT_MODEL: "gpt-4",
        COPILOT_AUTO_UPDATE: "false",
      },
    });
    asked.child.stdin?.end();
    await asked;
    return [...model.requests].sort((a, b) => b.length - a.length)[0] ?? "";
  } finally {
    await model.stop();
  }
}

const missing = (request: string, words: readonly string[]): string[] =>
  words.filter((one) => !request.includes(one));

describe.skipIf(!installed)(
  "Copilot itself (skipped where `copilot` is not installed; CONVOSYNC_COPILOT names it)",
  () => {
    test("continues on the laptop what it began on the desktop, and the other way round", async () => {
      const { desktop, laptop } = await pair();
      const write = "mkdir -p src && echo 'export const answer = 42;' > src/new.ts && pwd";
      await ask(desktop, "Write the file.", [
        { tool: { name: "bash", input: { command: write, description: "write" } } },
        { text: "It is written." },
      ]);
      expect(desktop.read("src/new.ts")).toBe("export const answer = 42;\n");
      done(await desktop.run("save", "Wrote the answer"));

      const { document } = await laptop.json("resume");
      const id = document["session"] as string;
      const resume = `--resume=${id}`;
      expect(document["resumeCommand"]).toEqual(["copilot", resume]);
      const there = await ask(laptop, "What did we write?", [{ text: "The answer." }], resume);
      expect(missing(there, ["Write the file.", "It is written.", laptop.path])).toEqual([]);
      expect(missing(there, [desktop.home])).toEqual([desktop.home]);
      done(await laptop.run("save"));

      done(await desktop.run("resume"));
      const back = await ask(desktop, "And what did I ask there?", [{ text: "That." }], resume);
      expect(missing(back, ["What did we write?", "The answer.", desktop.path])).toEqual([]);
      expect(missing(back, [laptop.home])).toEqual([laptop.home]);

      const { document: forked } = await desktop.json("fork", id);
      const other = await ask(desktop, "Another way?", [{ text: "Yes." }], `--resume=${forked["session"]}`);
      expect(missing(other, ["Write the file.", "What did we write?"])).toEqual([]);
      for (const machine of [desktop, laptop]) done(await machine.run("verify"));
    });

    test("tells of its turns once its hooks are there, and they are saved", async () => {
      const { desktop } = await pair();
      done(await desktop.run("hooks", "install", "--agent", "copilot"));
      await ask(desktop, "Say hello.", [{ text: "Hello." }]);
      for (let tries = 0; tries < 100; tries++) {
        if ((await desktop.json("list")).document["sessions"].length > 0) break;
        await sleep(100);
      }
      await untilIdle(desktop);
      expect((await desktop.json("list")).document["sessions"]).toMatchObject([
        { agent: "copilot", title: "Say hello." },
      ]);
    });
  },
);

describe("a conversation of Copilot", () => {
  let box: Sandbox;
  beforeAll(async () => {
    box = await pair();
    const { desktop } = box;
    const folder = dirname(writeEvents(desktop.home, told(desktop, 2)));
    desktop.write(join(folder, "plan.md"), `# Plan for ${desktop.path}\n`);
    desktop.write(join(folder, "checkpoints/index.md"), "# Checkpoint History\n");
    desktop.write(join(folder, "files/notes.json"), JSON.stringify({ at: desktop.path }));
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
    for (const own of ["workspace.yaml", "rewind-file-snapshots"])
      expect(existsSync(join(dirname(log(laptop)), own))).toBe(false);

    appendFileSync(log(laptop), eventsOf(laptop.scene, 2, 3));
    done(await laptop.run("save"));
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
