// Qwen Code: its logs are saved here and resumed there.

import { execFile, spawnSync } from "node:child_process";
import { appendFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { beforeAll, describe, expect, test } from "vitest";
import { storeKey } from "../fixtures/conversation.ts";
import { ModelServer, type Turn } from "../fixtures/model-server.ts";
import { untilIdle } from "./automatic.ts";
import { done, type Machine, one, pair, type Sandbox } from "./harness.ts";

const id = "3f2c1a9e-8b4d-4e5f-9a6b-1c2d3e4f5a6b";
const log = (machine: Machine): string =>
  join(machine.home, ".qwen/projects", storeKey(machine.scene.cwd), "chats", `${id}.jsonl`);

/** Turns `from` up to `to`: a question, a look at a file, an answer; four records each. */
function recordsOf({ scene }: Machine, from: number, to: number): string {
  let all = "";
  const record = (n: number, type: string, parts: object[]): void => {
    const uuid = (at: number): string => `00000000-0000-4000-8000-${String(at).padStart(12, "0")}`;
    all += `${JSON.stringify({
      uuid: uuid(n),
      parentUuid: n === 0 ? null : uuid(n - 1),
      sessionId: id,
      timestamp: new Date(1_795_215_511_808 + n * 1000).toISOString(),
      type,
      cwd: scene.cwd,
      version: "0.15.10",
      message: { role: type === "assistant" ? "model" : "user", parts },
    })}\n`;
  };
  for (let n = from; n < to; n++) {
    const call = { id: `call_${n}`, name: "read_file", args: { file_path: `${scene.cwd}/src/step${n}.ts` } };
    const response = { output: `${scene.home}/notes ${n}` };
    record(n * 4, "user", [{ text: `Question ${n}` }]);
    record(n * 4 + 1, "assistant", [{ functionCall: call }]);
    record(n * 4 + 2, "tool_result", [{ functionResponse: { id: call.id, name: call.name, response } }]);
    record(n * 4 + 3, "assistant", [{ text: `Answer ${n}` }]);
  }
  return all;
}

const program = process.env["CONVOSYNC_QWEN"] ?? "qwen";
const installed = spawnSync(program, ["--version"]).status === 0;

/** Runs Qwen Code once, without a terminal, against a model on this machine; gives what the model was sent. */
async function ask(
  machine: Machine,
  prompt: string,
  turns: readonly Turn[],
  ...options: string[]
): Promise<string> {
  const model = await ModelServer.start(turns);
  try {
    const api = ["--auth-type", "openai", "--openai-api-key", "none", "--openai-base-url", `${model.url}/v1`];
    const asked = promisify(execFile)(program, [...api, "--model", "m1", "-y", ...options, "-p", prompt], {
      cwd: machine.path,
      env: machine.env,
    });
    asked.child.stdin?.end();
    await asked;
    return [...model.requests].sort((a, b) => b.length - a.length)[0] ?? "";
  } finally {
    await model.stop();
  }
}

const missing = (request: string, words: readonly string[]): string[] =>
  words.filter((word) => !request.includes(word));

describe.skipIf(!installed)(
  "Qwen Code itself (skipped where `qwen` is not installed; CONVOSYNC_QWEN names it)",
  () => {
    test("continues on the laptop what it began on the desktop, and the other way round", async () => {
      const { desktop, laptop } = await pair();
      await ask(desktop, "Write the file.", [
        {
          tool: {
            name: "write_file",
            input: { file_path: `${desktop.path}/src/new.ts`, content: "export const answer = 42;\n" },
          },
        },
        { text: "It is written." },
      ]);
      expect(desktop.read("src/new.ts")).toBe("export const answer = 42;\n");
      done(await desktop.run("save", "Wrote the answer"));

      const { document } = await laptop.json("resume");
      const session = document["session"] as string;
      expect(document["resumeCommand"]).toEqual(["qwen", "--resume", session]);
      const there = await ask(laptop, "What did we write?", [{ text: "The answer." }], "--resume", session);
      expect(missing(there, ["Write the file.", "It is written.", laptop.path])).toEqual([]);
      expect(missing(there, [desktop.home])).toEqual([desktop.home]);
      done(await laptop.run("save"));

      done(await desktop.run("resume"));
      const back = await ask(desktop, "And what did I ask there?", [{ text: "That." }], "--resume", session);
      expect(missing(back, ["What did we write?", "The answer.", desktop.path])).toEqual([]);
      expect(missing(back, [laptop.home])).toEqual([laptop.home]);

      const { document: forked } = await desktop.json("fork", session);
      const other = await ask(desktop, "Another way?", [{ text: "Yes." }], "--resume", forked["session"]);
      expect(missing(other, ["Write the file.", "What did we write?"])).toEqual([]);
      for (const machine of [desktop, laptop]) done(await machine.run("verify"));
    });

    test("tells of its turns once its hooks are there, and they are saved", async () => {
      const { desktop } = await pair();
      done(await desktop.run("hooks", "install", "--agent", "qwen"));
      await ask(desktop, "Say hello.", [{ text: "Hello." }]);
      for (let tries = 0; tries < 100; tries++) {
        if ((await desktop.json("list")).document["sessions"].length > 0) break;
        await sleep(100);
      }
      await untilIdle(desktop);
      expect((await desktop.json("list")).document["sessions"]).toMatchObject([
        { agent: "qwen", title: "Say hello." },
      ]);
    });
  },
);

describe("a conversation of Qwen Code", () => {
  let box: Sandbox;
  beforeAll(async () => {
    box = await pair();
    box.desktop.write(log(box.desktop), recordsOf(box.desktop, 0, 2));
  });

  test("goes to the other machine, into the folder of its directory, and comes back as it went on", async () => {
    const { desktop, laptop } = box;
    expect((await desktop.json("save")).document).toMatchObject({ session: id, agent: "qwen", messages: 8 });
    expect((await laptop.json("resume")).document).toMatchObject({
      session: id,
      agent: "qwen",
      resumeCommand: ["qwen", "--resume", id],
      restored: [log(laptop)],
    });
    expect(readFileSync(log(laptop), "utf8")).toBe(recordsOf(laptop, 0, 2));
    appendFileSync(log(laptop), recordsOf(laptop, 2, 3));
    done(await laptop.run("save"));
    done(await desktop.run("resume"));
    expect(readFileSync(log(desktop), "utf8")).toBe(recordsOf(desktop, 0, 3));
    for (const machine of [desktop, laptop]) done(await machine.run("verify"));
  });

  test("is read, searched, forked and imported as any other, and taken for nobody else's", async () => {
    const { laptop } = box;
    const shown = done(await laptop.run("show", id)).stdout;
    expect(missing(shown, ["Question 2", "Answer 2", "src/step1.ts"])).toEqual([]);
    expect((await laptop.json("search", "Answer 1")).document["results"]).toMatchObject([{ session: id }]);
    const { document } = await laptop.json("fork", id);
    const copy = document["session"] as string;
    const path = (document["restored"] as string[])[0]!;
    expect(readFileSync(path, "utf8")).toBe(recordsOf(laptop, 0, 3).replaceAll(id, copy));
    laptop.say(0, 1);
    const imported = async (file: string) => (await laptop.json("import", file, "--dry-run")).document;
    expect(await imported(path)).toMatchObject({ agent: "qwen" });
    expect(await imported(laptop.transcript(one))).toMatchObject({ agent: "claude" });
  });
});
