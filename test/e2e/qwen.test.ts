// Qwen Code: its logs are saved here and resumed there.

import { appendFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { storeKey } from "../fixtures/conversation.ts";
import { done, type Machine, one, pair, type Sandbox } from "./harness.ts";
import { itself, missing } from "./real-agent.ts";

const id = "3f2c1a9e-8b4d-4e5f-9a6b-1c2d3e4f5a6b";
const log = (machine: Machine): string =>
  join(machine.home, ".qwen/projects", storeKey(machine.scene.cwd), "chats", `${id}.jsonl`);

const todos = (machine: Machine, session = id): string =>
  join(machine.home, ".qwen/todos", `${session}.json`);
const todosOf = (machine: Machine, session = id): string =>
  JSON.stringify({ todos: [{ id: "1", content: `mend ${machine.scene.cwd}/fence` }], sessionId: session });

/** Turns `from` up to `to`: a question, a look at a file, an answer; four records each. */
function recordsOf({ scene }: Machine, from: number, to: number, voice = ""): string {
  let all = "";
  const record = (n: number, type: string, parts: object[]): void => {
    const uuid = (at: number): string =>
      `${at < from * 4 ? 0 : voice.length}0000000-0000-4000-8000-${String(at).padStart(12, "0")}`;
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
    record(n * 4, "user", [{ text: `Question ${n}${voice}` }]);
    record(n * 4 + 1, "assistant", [{ functionCall: call }]);
    record(n * 4 + 2, "tool_result", [{ functionResponse: { id: call.id, name: call.name, response } }]);
    record(n * 4 + 3, "assistant", [{ text: `Answer ${n}${voice}` }]);
  }
  return all;
}

itself({
  name: "qwen",
  title: "Qwen Code",
  variable: "CONVOSYNC_QWEN",
  run(prompt, _, url) {
    const api = ["--auth-type", "openai", "--openai-api-key", "none", "--openai-base-url", `${url}/v1`];
    return { args: [...api, "--model", "m1", "-y", "RESUME", "-p", prompt], env: {} };
  },
  resume: (session) => ["--resume", session],
  joins: "last",
  notes: {
    call: {
      name: "todo_write",
      input: { todos: [{ id: "1", content: "Mend the fence", status: "pending" }] },
    },
    path: todos,
  },
  writes: ({ path }) => ({
    name: "write_file",
    input: { file_path: `${path}/src/new.ts`, content: "export const answer = 42;\n" },
  }),
});

describe("a conversation of Qwen Code", () => {
  let box: Sandbox;
  beforeAll(async () => {
    box = await pair();
    box.desktop.write(log(box.desktop), recordsOf(box.desktop, 0, 2));
    box.desktop.write(todos(box.desktop), todosOf(box.desktop));
  });

  test("goes to the other machine, into the folder of its directory, and comes back as it went on", async () => {
    const { desktop, laptop } = box;
    expect((await desktop.json("save")).document).toMatchObject({ session: id, agent: "qwen", messages: 8 });
    expect((await laptop.json("resume")).document).toMatchObject({
      session: id,
      agent: "qwen",
      resumeCommand: ["qwen", "--resume", id],
      restored: [log(laptop), todos(laptop)],
    });
    expect(readFileSync(todos(laptop), "utf8")).toBe(todosOf(laptop));
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
    const path = log(laptop).replace(id, copy);
    expect(document["restored"]).toEqual([todos(laptop, copy), path]);
    expect(readFileSync(path, "utf8")).toBe(recordsOf(laptop, 0, 3).replaceAll(id, copy));
    expect(readFileSync(todos(laptop, copy), "utf8")).toBe(todosOf(laptop, copy));
    laptop.say(0, 1);
    const imported = async (file: string) => (await laptop.json("import", file, "--dry-run")).document;
    expect(await imported(path)).toMatchObject({ agent: "qwen" });
    expect(await imported(laptop.transcript(one))).toMatchObject({ agent: "claude" });
  });

  test("that went on on both sides is joined: the client goes on with the branch that was active last", async () => {
    const { desktop, laptop } = box;
    appendFileSync(log(laptop), recordsOf(laptop, 3, 5, " there"));
    appendFileSync(log(desktop), recordsOf(desktop, 3, 4, " here"));
    done(await laptop.run("save"));
    done(await desktop.run("resume", "--merge"));
    done(await desktop.run("save"));
    done(await laptop.run("resume"));
    for (const machine of [desktop, laptop])
      expect(readFileSync(log(machine), "utf8")).toBe(
        recordsOf(machine, 0, 3) + recordsOf(machine, 3, 4, " here") + recordsOf(machine, 3, 5, " there"),
      );
  });

  test("a copy of it can be merged into it again, under its id", async () => {
    const { laptop } = box;
    const before = readFileSync(log(laptop), "utf8");
    const { document } = await laptop.json("fork", id);
    const copy = document["session"] as string;
    const path = log(laptop).replace(id, copy);
    appendFileSync(path, recordsOf(laptop, 5, 6, " in the copy").replaceAll(id, copy));
    appendFileSync(log(laptop), recordsOf(laptop, 5, 6, " in it"));
    done(await laptop.run("save", "--session", copy, "--no-push"));
    expect((await laptop.json("merge", id, copy)).document).toMatchObject({ session: id, added: 4 });
    expect(readFileSync(log(laptop), "utf8")).toBe(
      before + recordsOf(laptop, 5, 6, " in it") + recordsOf(laptop, 5, 6, " in the copy"),
    );
    expect((await laptop.json("merge", id, copy)).document).toMatchObject({ added: 0 });
    done(await laptop.run("verify"));
    done(await box.desktop.run("resume"));
    expect(readFileSync(log(box.desktop), "utf8")).toContain("Answer 5 in the copy");
  });
});
