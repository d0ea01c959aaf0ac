import { describe, expect, test } from "vitest";
import { messagesIn, neverThrows, placeAt, realOnes } from "../agent.fixture.ts";
import { claudeCode } from "../claude-code/agent.ts";
import { qwen } from "./agent.ts";
import { glimpse } from "./records.ts";

const here = placeAt("/home/me", "/home/me/code/my_shop");
const id = "3f2c1a9e-8b4d-4e5f-9a6b-1c2d3e4f5a6b";
const session = { id, cwd: here.root };

const record = (type: string, more: object): string =>
  JSON.stringify({
    uuid: "u",
    sessionId: id,
    timestamp: "2026-11-20T22:58:31.808Z",
    type,
    cwd: here.root,
    version: "0.15.10",
    ...more,
  });
const message = (type: string, ...parts: object[]): string =>
  record(type, { model: "m1", message: { role: type === "assistant" ? "model" : "user", parts } });
const calls = (name: string, args: unknown): string =>
  message("assistant", { functionCall: { id: "c1", name, args } });

const messages = (...lines: string[]) => messagesIn(qwen, ...lines);

test("a log lies in the folder of its directory; no name but 'main', no id but a UUID, leads to a file", () => {
  expect(qwen.target("main", "stream", session, here)).toEqual({
    path: `/home/me/.qwen/projects/-home-me-code-my-shop/chats/${id}.jsonl`,
    form: "jsonl",
  });
  expect(() => qwen.target("../evil", "stream", session, here)).toThrow(/does not have/);
  expect(() => qwen.target("main", "file", session, here)).toThrow(/does not have/);
  expect(() => qwen.target("main", "stream", { ...session, id: "../x" }, here)).toThrow(/session id/);
});

test("what belongs to a log lies where the client looks for it; other names lead nowhere", () => {
  const path = (name: string, kind: "stream" | "file" = "file", env = {}): string =>
    qwen.target(name, kind, session, { ...here, env }).path;
  const project = "/home/me/.qwen/projects/-home-me-code-my-shop";
  expect(path("subagents/agent-a.jsonl", "stream")).toBe(`${project}/subagents/${id}/agent-a.jsonl`);
  expect(path("subagents/agent-a.meta.json")).toBe(`${project}/subagents/${id}/agent-a.meta.json`);
  expect(path("file-history/ab@v2")).toBe(`/home/me/.qwen/file-history/${id}/ab@v2`);
  expect(path("plan.md", "file", { QWEN_HOME: "/etc/qwen", QWEN_RUNTIME_DIR: "run" })).toBe(
    `/etc/qwen/plans/${id}.md`,
  );
  expect(path("todos.json", "file", { QWEN_RUNTIME_DIR: "~/run" })).toBe(`/home/me/run/todos/${id}.json`);
  for (const name of [
    "plan.md/x",
    "subagents",
    "subagents/../../x.jsonl",
    "subagents/agent-a.jsonl",
    "subagents/agent-a.jsonl.stream",
    "subagents/a/agent-b.meta.json",
    "file-history/.bashrc",
    "file-history/ab@v2/x",
    "toString",
    "constructor/agent-a.meta.json",
  ])
    expect(() => path(name)).toThrow(/does not have/);
  expect(() => path("subagents/agent-a.meta.json", "stream")).toThrow(/does not have/);
});

test("a log tells whose it is; Claude Code does not take it for its own, nor the other way round", () => {
  const said = message("user", { text: "<reminder>x</reminder>" }, { text: "Add\n a login" });
  const head = Buffer.from(`${said}\n${record("system", { cwd: `${here.root}/web` })}\n`);
  expect(glimpse(head, new Uint8Array())).toMatchObject({
    id,
    title: "Add a login",
    directories: [`${here.root}/web`, here.root],
    version: "0.15.10",
  });
  expect(qwen.recognise?.(head)).toEqual({ id });
  expect(claudeCode.recognise?.(head)).toBeNull();
  const claude = Buffer.from(`${record("user", { message: { role: "user", content: "Hello" } })}\n`);
  expect(qwen.recognise?.(claude)).toBeNull();
  expect(claudeCode.recognise?.(claude)).toEqual({ id });
});

test("is called what its person called it last, else what they said first", () => {
  const titleOf = (...lines: string[]): string =>
    qwen.describe(Buffer.from(`${lines.join("\n")}\n`), new Uint8Array()).title;
  const named = (customTitle: string): string =>
    record("system", { subtype: "custom_title", systemPayload: { customTitle } });
  const told = record("user", {
    subtype: "cron",
    message: { role: "user", parts: [{ text: "Look again." }] },
  });
  const said = message("user", { text: "Mend it" });
  expect(titleOf(told, said)).toBe("Mend it");
  expect(titleOf(said, named("fence"), named("the fence"), said)).toBe("the fence");
  expect(
    titleOf(said, record("system", { subtype: "custom_title", systemPayload: { customTitle: 7 } })),
  ).toBe("Mend it");
});

describe("the conversation in it", () => {
  test("is what was said and done", async () => {
    const found = await messages(
      message("user", { text: "Count." }),
      record("system", { subtype: "ui_telemetry", systemPayload: {} }),
      message("assistant", { text: "Counting.", thought: true }, { text: "I count." }),
      calls("run_shell_command", { command: "seq 3" }),
      message("tool_result", { functionResponse: { id: "c1", response: { error: "no seq" } } }),
      message("assistant", { text: "It failed." }),
      record("system", {
        subtype: "chat_compression",
        systemPayload: { compressedHistory: [{ role: "user", parts: [{ text: "So far." }] }] },
      }),
    );
    expect(found.map(({ role, n }) => [role, n])).toEqual([
      ["user", 1],
      ["assistant", 2],
      ["system", 3],
    ]);
    expect(found[1]).toMatchObject({
      model: "m1",
      blocks: [
        { kind: "thinking", text: "Counting." },
        { kind: "text", text: "I count." },
        {
          kind: "tool",
          action: { kind: "run", command: "seq 3" },
          result: { text: "no seq", failed: true },
        },
        { kind: "text", text: "It failed." },
      ],
    });
    expect(found[2]!.blocks).toEqual([{ kind: "compaction", summary: "So far." }]);
  });

  test("tells what the client says in a person's name from what they say", async () => {
    const inTheirName = (subtype: string, said: string, more = {}): string =>
      record("user", { subtype, message: { role: "user", parts: [{ text: said }] }, ...more });
    const found = await messages(
      inTheirName("goal_runtime", "Continue working on the goal."),
      inTheirName("notification", "<task-notification>", {
        systemPayload: { displayText: "A helper is done." },
      }),
      inTheirName("mid_turn_user_message", "Stop that."),
    );
    expect(found.map(({ role, blocks }) => [role, blocks])).toEqual([
      ["system", [{ kind: "note", text: "Continue working on the goal." }]],
      ["system", [{ kind: "note", text: "A helper is done." }]],
      ["user", [{ kind: "text", text: "Stop that." }]],
    ]);
  });

  test.each<[string, string, object]>([
    ["read_file", calls("read_file", { file_path: "/a" }), { kind: "read", path: "/a" }],
    [
      "write_file",
      calls("write_file", { file_path: "/a", content: "x" }),
      { kind: "write", path: "/a", content: "x" },
    ],
    [
      "edit",
      calls("edit", { file_path: "/a", old_string: "x", new_string: "y" }),
      { kind: "edit", path: "/a", edits: [{ before: "x", after: "y" }] },
    ],
    [
      "todo_write",
      calls("todo_write", { todos: [{ content: "a", status: "completed" }, {}] }),
      { kind: "plan", items: [{ text: "a", state: "done" }] },
    ],
  ])("tells the meaning of %s", async (_, told, action) => {
    expect((await messages(told))[0]?.blocks).toMatchObject([{ kind: "tool", action }]);
  });

  test("never throws, whatever a line holds", () => {
    neverThrows(
      qwen,
      [
        "message",
        "parts",
        "text",
        "functionCall",
        "functionResponse",
        "args",
        "response",
        "systemPayload",
        "cwd",
      ],
      ["user", "assistant", "tool_result", "system", "chat_compression"],
    );
  });
});

realOnes(qwen);
