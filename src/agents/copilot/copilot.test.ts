import { describe, expect, test } from "vitest";
import { messagesIn, neverThrows, placeAt, realOnes } from "../agent.fixture.ts";
import { copilot } from "./agent.ts";
import { glimpse, joinEvents } from "./events.ts";

const here = placeAt("/home/me", "/home/me/code/shop");
const id = "ddbc4e26-69ef-4d02-aff7-57b53c204064";
const session = { id, cwd: here.root };

const event = (type: string, data: unknown): string =>
  JSON.stringify({ type, data, id: "x", timestamp: "2026-11-20T22:58:31.808Z", parentId: null });
const calls = (name: string, input: unknown): string =>
  event("assistant.message", { content: "", toolRequests: [{ toolCallId: "c1", name, arguments: input }] });
const answered = (data: object): string => event("tool.execution_complete", { toolCallId: "c1", ...data });

const messages = (...lines: string[]) => messagesIn(copilot, ...lines);

test("names lead below the session's folder, and nowhere else", () => {
  const folder = `/home/me/.copilot/session-state/${id}`;
  expect(copilot.target("main", "stream", session, here)).toEqual({
    path: `${folder}/events.jsonl`,
    form: "jsonl",
  });
  expect(copilot.target("plan.md", "file", session, here)).toEqual({
    path: `${folder}/plan.md`,
    form: "text",
  });
  expect(copilot.target("files/a/b.bin", "file", session, here).path).toBe(`${folder}/files/a/b.bin`);
  for (const name of [
    "workspace.yaml",
    "files",
    "files/../../x",
    "/etc/x",
    "files/.x",
    "inuse.1.lock",
    "main",
  ])
    expect(() => copilot.target(name, "file", session, here)).toThrow(/does not have/);
  expect(() => copilot.target("plan.md", "stream", session, here)).toThrow(/does not have/);
  expect(() => copilot.target("main", "stream", { ...session, id: "../x" }, here)).toThrow(/session id/);
});

test("a log tells whose it is and where it last was", () => {
  const lines = [
    event("session.start", {
      sessionId: id,
      copilotVersion: "1.0.102",
      context: { cwd: "/a", branch: "main" },
    }),
    event("user.message", { content: "Add\n a login" }),
    event("session.resume", { context: { cwd: "/a/b" } }),
  ];
  const head = Buffer.from(lines.map((one) => `${one}\n`).join(""));
  expect(glimpse(head, new Uint8Array())).toEqual({
    id,
    helper: false,
    title: "Add a login",
    directories: ["/a/b", "/a"],
    version: "1.0.102",
    branch: "main",
    updatedAt: new Date("2026-11-20T22:58:31.808Z"),
  });
  expect(copilot.recognise?.(head)).toEqual({ id });
  expect(copilot.recognise?.(Buffer.from(`${lines[1]}\n`))).toBeNull();
});

test("joined logs have an event once, also where a moved work tree has it tell other paths", () => {
  const event = (id: number, at: string, text: string): string =>
    `${JSON.stringify({ type: "user.message", id: `e${id}`, timestamp: `2026-01-01T00:00:${at}Z`, data: { content: text } })}\n`;
  const one = event(1, "01", "{{CS:ROOT}}/a") + event(2, "02", "{{CS:ROOT}}/b");
  const other = `${event(1, "01", "/old/a")}${event(3, "03", "{{CS:ROOT}}/c")}no event\n`;
  const { order, added, places } = joinEvents([Buffer.from(other), Buffer.from(one)]);
  expect(order).toEqual([1, 0]);
  expect(added.map((line) => Buffer.from(line).toString()).join("")).toBe(
    `${event(3, "03", "{{CS:ROOT}}/c")}no event\n`,
  );
  expect(places).toEqual([
    [1, 3, 4],
    [1, 2],
  ]);
});

describe("the conversation in it", () => {
  test("is what was said, and the tools with their results", async () => {
    const found = await messages(
      event("session.start", { sessionId: id }),
      event("user.message", { content: "Count." }),
      event("system.message", { content: "You are" }),
      event("assistant.message", {
        content: "I count.",
        model: "gpt-6",
        reasoningText: "Counting.",
        toolRequests: [{ toolCallId: "c1", name: "bash", arguments: { command: "seq 3" } }],
      }),
      answered({ success: false, error: { message: "no seq" } }),
      event("assistant.message", { content: "It failed.", model: "gpt-6", toolRequests: [] }),
      event("session.compaction_complete", { summaryContent: "So far." }),
    );
    expect(found.map(({ role, n }) => [role, n])).toEqual([
      ["user", 1],
      ["assistant", 2],
      ["system", 3],
    ]);
    expect(found[1]!.blocks).toMatchObject([
      { kind: "thinking", text: "Counting." },
      { kind: "text", text: "I count." },
      { kind: "tool", action: { kind: "run", command: "seq 3" }, result: { text: "no seq", failed: true } },
      { kind: "text", text: "It failed." },
    ]);
    expect(found[2]!.blocks).toEqual([{ kind: "compaction", summary: "So far." }]);
  });

  test.each<[string, string, object]>([
    ["view", calls("view", { path: "/a" }), { kind: "read", path: "/a" }],
    ["create", calls("create", { path: "/a", file_text: "x" }), { kind: "write", path: "/a", content: "x" }],
    [
      "edit",
      calls("edit", { path: "/a", old_str: "x", new_str: "y" }),
      { kind: "edit", path: "/a", edits: [{ before: "x", after: "y" }] },
    ],
    [
      "apply_patch",
      calls("apply_patch", "*** Begin Patch\n*** Add File: /a\n+x\n*** End Patch"),
      { kind: "write", path: "/a", content: "x\n" },
    ],
  ])("tells the meaning of %s", async (_, told, action) => {
    expect((await messages(told))[0]?.blocks).toMatchObject([{ kind: "tool", action }]);
  });

  test("never throws, whatever a line holds", () => {
    neverThrows(
      copilot,
      [
        "data",
        "content",
        "toolRequests",
        "name",
        "arguments",
        "result",
        "context",
        "cwd",
        "sessionId",
        "message",
      ],
      ["session.start", "user.message", "assistant.message", "tool.execution_complete", "session.error"],
    );
  });
});

realOnes(copilot);
