// Qwen Code: its logs are saved here and resumed there.

import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { storeKey } from "../fixtures/conversation.ts";
import { done, type Machine, one, pair, type Sandbox } from "./harness.ts";
import { itself, missing } from "./real-agent.ts";

const id = "3f2c1a9e-8b4d-4e5f-9a6b-1c2d3e4f5a6b";
const log = (machine: Machine): string =>
  join(machine.home, ".qwen/projects", storeKey(machine.scene.cwd), "chats", `${id}.jsonl`);

const todos = (machine: Machine, session = id): string =>
  join(machine.home, ".qwen/todos", `${session}.json`);

/** What belongs to a session, in the folders of a client with these; in the order in which it is restored. */
function sidecars(
  { scene, home }: Machine,
  session = id,
  qwenHome = join(home, ".qwen"),
  runtime = qwenHome,
): Record<string, string> {
  const helper = join(runtime, "projects", storeKey(scene.cwd), "subagents", session, "agent-scout-call_1");
  return {
    [`${helper}.jsonl`]: `${JSON.stringify({ uuid: "a", sessionId: session, cwd: scene.cwd, isSidechain: true })}\n`,
    [`${helper}.meta.json`]: JSON.stringify({ agentId: "scout-call_1", parentSessionId: session }),
    [join(qwenHome, "file-history", session, "e298ac5b6b1fb866@v2")]: "as it was\n",
    [join(runtime, "todos", `${session}.json`)]: JSON.stringify({
      todos: [{ id: "1", content: `mend ${scene.cwd}/fence` }],
      sessionId: session,
    }),
    [join(qwenHome, "plans", `${session}.md`)]: `Mend ${scene.cwd}/fence\n`,
  };
}

const contentsOf = (paths: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.keys(paths).map((path) => [path, readFileSync(path, "utf8")]));

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
  run(prompt, { home }, url) {
    // Since version 0.23 the tool that notes what is to be done has to be asked for.
    const settings = join(home, ".qwen/settings.json");
    if (!existsSync(settings)) {
      mkdirSync(dirname(settings), { recursive: true });
      writeFileSync(settings, JSON.stringify({ tools: { todoWrite: { enabled: true } } }));
    }
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
    for (const [path, content] of Object.entries(sidecars(box.desktop))) box.desktop.write(path, content);
    // Of this machine alone.
    box.desktop.write(log(box.desktop).replace(".jsonl", ".runtime.json"), "{}");
    const [helper] = Object.keys(sidecars(box.desktop));
    box.desktop.write(`${helper}.stream`, "half an answ");
  });

  test("goes to the other machine, into the folder of its directory, and comes back as it went on", async () => {
    const { desktop, laptop } = box;
    expect((await desktop.json("save")).document).toMatchObject({ session: id, agent: "qwen", messages: 8 });
    const { document } = await laptop.json("resume");
    expect(document).toMatchObject({ session: id, agent: "qwen", resumeCommand: ["qwen", "--resume", id] });
    expect(document["restored"].toSorted()).toEqual([log(laptop), ...Object.keys(sidecars(laptop))].sort());
    expect(contentsOf(sidecars(laptop))).toEqual(sidecars(laptop));
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
    expect(document["restored"].toSorted()).toEqual([...Object.keys(sidecars(laptop, copy)), path].sort());
    expect(readFileSync(path, "utf8")).toBe(recordsOf(laptop, 0, 3).replaceAll(id, copy));
    expect(contentsOf(sidecars(laptop, copy))).toEqual(sidecars(laptop, copy));
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

  test("is in the client's folders, wherever they are; one that the client has open is left alone", async () => {
    const { desktop, laptop } = await pair();
    desktop.write(log(desktop), recordsOf(desktop, 0, 2));
    for (const [path, content] of Object.entries(sidecars(desktop))) desktop.write(path, content);
    done(await desktop.run("save"));
    const [home, runtime] = [join(laptop.home, "etc/qwen"), join(laptop.home, "var/qwen")];
    const elsewhere = laptop.with({ env: { QWEN_HOME: "~/etc/qwen", QWEN_RUNTIME_DIR: runtime } });
    done(await elsewhere.run("resume"));
    const chat = log(laptop).replace(join(laptop.home, ".qwen"), runtime);
    expect(readFileSync(chat, "utf8")).toBe(recordsOf(laptop, 0, 2));
    const paths = sidecars(laptop, id, home, runtime);
    expect(contentsOf(paths)).toEqual(paths);

    appendFileSync(chat, recordsOf(laptop, 2, 3));
    done(await elsewhere.run("save"));
    const { pid } = process;
    const entry = { pid, sessionId: id, cwd: desktop.path, startedAt: Date.now(), kind: "tui" };
    desktop.write(join(desktop.home, ".qwen/sessions", `${pid}.json`), JSON.stringify(entry));
    expect(await desktop.run("resume")).toMatchObject({
      exit: 4,
      stderr: expect.stringContaining(`Qwen Code has this conversation open (process ${pid}`),
    });
    // The number is another process's by now.
    const left = { ...entry, procStart: "5c0f3b52-0a4e-4c1d-8b7f-3d7c1f0b9a11:1" };
    desktop.write(join(desktop.home, ".qwen/sessions", `${pid}.json`), JSON.stringify(left));
    if (process.platform === "linux") {
      done(await desktop.run("resume"));
      expect(readFileSync(log(desktop), "utf8")).toBe(recordsOf(desktop, 0, 3));
    }
  });
});
