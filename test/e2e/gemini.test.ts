// Gemini CLI: its logs are saved here and resumed there, in folders whose names do not follow from the path.

import { appendFileSync, existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { done, type Machine, one, pair, type Sandbox } from "./harness.ts";
import { itself, missing } from "./real-agent.ts";

const id = "3f2c1a9e-8b4d-4e5f-9a6b-1c2d3e4f5a6b";
const slug = "shop";
/** On the laptop the directory is called `my shop`. */
const taken = "my-shop-1";
const project = (machine: Machine, name = slug): string => join(machine.home, ".gemini/tmp", name);
const log = (machine: Machine): string =>
  join(project(machine), "chats/session-2026-11-20T22-58-3f2c1a9e.jsonl");
/** Where a session that is new to a machine comes to. */
const restored = (machine: Machine, name = slug, session = id): string =>
  join(project(machine, name), `chats/session-${session}-${session.slice(0, 8)}.jsonl`);

const at = (n: number): string => new Date(1_795_215_511_808 + n * 1000).toISOString();

/** The header, and the client's first words to the model. */
function opening({ scene }: Machine, folder: string): string {
  const text = `<session_context>\nThe project's temporary directory is: ${folder}\n- **Workspace Directories:**\n  - ${scene.cwd}\n</session_context>`;
  const context = { id: "d049", timestamp: at(0), type: "user", content: [{ text }] };
  const header = { sessionId: id, projectHash: "5d06", startTime: at(0), lastUpdated: at(0), kind: "main" };
  return [header, { $set: { messages: [context], lastUpdated: at(0) } }]
    .map((one) => `${JSON.stringify(one)}\n`)
    .join("");
}

/** Turns `from` up to `to`: a question, a look at a file, an answer; written as the client does, one of them twice. */
function turns({ scene }: Machine, from: number, to: number): string {
  const all: object[] = [];
  const message = (n: number, type: string, more: object): void => {
    all.push({
      id: `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`,
      timestamp: at(n),
      type,
      ...more,
    });
  };
  for (let n = from; n < to; n++) {
    const call = { id: `call_${n}`, name: "read_file", args: { file_path: `${scene.cwd}/src/step${n}.ts` } };
    const response = { output: `${scene.home}/notes ${n}` };
    const result = [{ functionResponse: { id: call.id, name: call.name, response } }];
    message(n * 4, "user", { content: [{ text: `Question ${n}` }] });
    message(n * 4 + 1, "gemini", { content: "", thoughts: [], model: "m1" });
    message(n * 4 + 1, "gemini", {
      content: "",
      model: "m1",
      toolCalls: [{ ...call, result, status: "success" }],
    });
    message(n * 4 + 2, "user", { content: result });
    message(n * 4 + 3, "gemini", { content: `Answer ${n}`, model: "m1" });
    all.push({ $set: { lastUpdated: at(n * 4 + 3) } });
  }
  return all.map((one) => `${JSON.stringify(one)}\n`).join("");
}

itself({
  name: "gemini",
  title: "Gemini CLI",
  variable: "CONVOSYNC_GEMINI",
  run(prompt, machine, url) {
    const file = join(machine.home, ".gemini/settings.json");
    const settings = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {};
    const auth = { selectedType: "gemini-api-key" };
    machine.write(file, JSON.stringify({ ...settings, security: { auth } }));
    const env = { GEMINI_API_KEY: "none", GOOGLE_GEMINI_BASE_URL: url };
    return {
      args: ["--skip-trust", "--yolo", "--model", "gemini-2.5-flash", "RESUME", "--prompt", prompt],
      env,
    };
  },
  resume: (session) => ["--resume", session],
  joins: "last",
  writes: ({ path }) => ({
    name: "write_file",
    input: { file_path: `${path}/src/new.ts`, content: "export const answer = 42;\n" },
  }),
});

describe("a conversation of Gemini CLI", () => {
  let box: Sandbox;
  beforeAll(async () => {
    box = await pair();
    const { desktop } = box;
    desktop.write(
      join(desktop.home, ".gemini/projects.json"),
      JSON.stringify({ projects: { [desktop.path]: slug } }),
    );
    desktop.write(join(project(desktop), ".project_root"), desktop.path);
    desktop.write(log(desktop), opening(desktop, project(desktop)) + turns(desktop, 0, 2));
    desktop.write(join(project(desktop), id, "plans/next.md"), `See ${desktop.path}/src.\n`);
    desktop.write(
      join(project(desktop), "chats", id, "helper.jsonl"),
      '{"sessionId":"helper","kind":"subagent"}\n',
    );
  });

  test("goes to the other machine, into the folder of its directory, and comes back as it went on", async () => {
    const { desktop, laptop } = box;
    expect((await desktop.json("save")).document).toMatchObject({ session: id, agent: "gemini" });
    // Somebody else's project has taken the name.
    laptop.write(join(project(laptop, "my-shop"), ".project_root"), "/elsewhere/my shop");
    const name = taken;
    const there = restored(laptop, name);
    const { document } = await laptop.json("resume");
    expect(document).toMatchObject({
      session: id,
      agent: "gemini",
      resumeCommand: ["gemini", "--resume", id],
    });
    expect(document["restored"]).toContain(there);
    expect(readFileSync(there, "utf8")).toBe(opening(laptop, project(laptop, name)) + turns(laptop, 0, 2));
    expect(readFileSync(join(project(laptop, name), ".project_root"), "utf8")).toBe(laptop.path);
    expect(readFileSync(join(project(laptop, name), id, "plans/next.md"), "utf8")).toBe(
      `See ${laptop.path}/src.\n`,
    );
    expect(existsSync(join(project(laptop, name), "chats", id, "helper.jsonl"))).toBe(true);
    appendFileSync(there, turns(laptop, 2, 3));
    done(await laptop.run("save"));
    done(await desktop.run("resume"));
    expect(readFileSync(log(desktop), "utf8")).toBe(
      opening(desktop, project(desktop)) + turns(desktop, 0, 3),
    );
    expect(readdirSync(join(project(desktop), "chats")).sort()).toEqual([id, log(desktop).split("/").at(-1)]);
    for (const machine of [desktop, laptop]) done(await machine.run("verify"));
  });

  test("is found though the client has begun another log of it", async () => {
    const { desktop } = box;
    const stub = join(project(desktop), "chats/session-2026-11-21T07-00-3f2c1a9e.jsonl");
    desktop.write(stub, opening(desktop, project(desktop)));
    appendFileSync(log(desktop), turns(desktop, 3, 4));
    const { document } = await desktop.json("save");
    expect(document).toMatchObject({ session: id, newMessages: 6 });
    rmSync(stub);
  });

  test("is read, searched, forked and imported as any other, and taken for nobody else's", async () => {
    const { laptop } = box;
    done(await laptop.run("resume"));
    const shown = done(await laptop.run("show", id)).stdout;
    expect(missing(shown, ["Question 2", "Answer 3", "src/step1.ts"])).toEqual([]);
    expect(shown.split("Answer 1").length).toBe(2);
    expect((await laptop.json("search", "Answer 1")).document["results"]).toMatchObject([{ session: id }]);
    const { document } = await laptop.json("fork", id);
    const copy = document["session"] as string;
    const path = restored(laptop, taken, copy);
    expect(document["restored"]).toContain(path);
    expect(readFileSync(path, "utf8")).toBe(
      readFileSync(restored(laptop, taken), "utf8").replaceAll(id, copy),
    );
    laptop.say(0, 1);
    const imported = async (file: string) => (await laptop.json("import", file, "--dry-run")).document;
    expect(await imported(path)).toMatchObject({ agent: "gemini" });
    expect(await imported(laptop.transcript(one))).toMatchObject({ agent: "claude" });
  });
});
