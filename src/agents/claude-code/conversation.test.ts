import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Message, messagesOf, type Piece } from "../conversation.ts";
import { conversationReader } from "./conversation.ts";

async function read(lines: readonly unknown[], from?: Parameters<typeof conversationReader>[0]) {
  const reader = conversationReader(from);
  const pieces: Piece[] = [];
  for (const line of lines) {
    const piece = reader.read(typeof line === "string" ? line : JSON.stringify(line));
    if (piece) pieces.push(piece);
  }
  const messages: Message[] = [];
  for await (const message of messagesOf(each(pieces))) messages.push(message);
  return { messages, place: reader.place };
}

async function* each<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

const at = "2026-11-20T09:00:00.000Z";
const user = (content: unknown, more: object = {}) => ({
  type: "user",
  timestamp: at,
  message: { role: "user", content },
  ...more,
});
const agent = (id: string, ...content: unknown[]) => ({
  type: "assistant",
  timestamp: at,
  message: { id, role: "assistant", model: "m", content },
});
const call = (id: string, name: string, input: object) => ({ type: "tool_use", id, name, input });
const result = (id: string, content: unknown, more: object = {}) => ({
  type: "tool_result",
  tool_use_id: id,
  content,
  ...more,
});

describe("a transcript of Claude Code", () => {
  test("records of one answer are one message, and results go to their calls", async () => {
    const { messages } = await read([
      user("mend it"),
      agent("m1", { type: "thinking", thinking: "hm" }),
      agent("m1", { type: "text", text: "I look." }),
      agent("m1", call("t1", "Read", { file_path: "/w/a.ts" })),
      agent("m1", call("t2", "Bash", { command: "npm test" })),
      user([result("t2", [{ type: "text", text: "ok" }])]),
      user([result("t1", "nope", { is_error: true })]),
      agent("m2", { type: "text", text: "Done." }),
    ]);
    expect(messages.map(({ n, line, role }) => [n, line, role])).toEqual([
      [1, 1, "user"],
      [2, 2, "assistant"],
      [3, 8, "assistant"],
    ]);
    expect(messages[1]!.blocks).toMatchObject([
      { kind: "thinking", text: "hm" },
      { kind: "text", text: "I look." },
      {
        kind: "tool",
        name: "Read",
        action: { kind: "read", path: "/w/a.ts" },
        result: { text: "nope", failed: true },
      },
      { kind: "tool", name: "Bash", subject: "npm test", result: { text: "ok", failed: false } },
    ]);
  });

  test("edits carry their change, todo lists their state, pictures their bytes", async () => {
    const { messages } = await read([
      agent(
        "m",
        call("e", "Edit", { file_path: "/w/a", old_string: "x", new_string: "y" }),
        call("p", "TodoWrite", {
          todos: [
            { content: "one", status: "completed" },
            { content: "two", status: "pending" },
          ],
        }),
      ),
      user([result("e", "ok")], {
        toolUseResult: {
          structuredPatch: [{ oldStart: 3, oldLines: 1, newStart: 3, newLines: 1, lines: ["-x", "+y"] }],
        },
      }),
      user([{ type: "image", source: { type: "base64", media_type: "image/png", data: "aGk=" } }]),
    ]);
    expect(messages[0]!.blocks).toMatchObject([
      {
        action: { kind: "edit", path: "/w/a", edits: [{ before: "x", after: "y" }] },
        result: { hunks: [{ oldStart: 3, lines: ["-x", "+y"] }] },
      },
      {
        subject: "1 of 2 done",
        action: {
          items: [
            { text: "one", state: "done" },
            { text: "two", state: "pending" },
          ],
        },
      },
    ]);
    expect(messages[1]!.blocks).toEqual([{ kind: "image", image: { mediaType: "image/png", data: "aGk=" } }]);
  });

  test("what the client puts around a person's words is told apart from them", async () => {
    const { messages } = await read([
      user("Caveat: …", { isMeta: true }),
      user("<command-name>/review</command-name>\n<command-args>src</command-args>"),
      user("<local-command-stdout>done</local-command-stdout>"),
      user("look<system-reminder>never shown</system-reminder> here"),
      user("[Request interrupted by user for tool use]"),
      user("a <bash-input> that is never closed"),
      user("Summary of all", { isCompactSummary: true }),
      { type: "attachment", timestamp: at, attachment: { type: "queued_command", prompt: "and this" } },
    ]);
    expect(messages.map(({ role, blocks }) => [role, blocks])).toEqual([
      ["system", [{ kind: "note", text: "/review src" }]],
      ["system", [{ kind: "note", text: "done" }]],
      ["user", [{ kind: "text", text: "look here" }]],
      ["system", [{ kind: "note", text: "[Request interrupted by user for tool use]" }]],
      ["user", [{ kind: "text", text: "a <bash-input> that is never closed" }]],
      ["system", [{ kind: "compaction", summary: "Summary of all" }]],
      ["user", [{ kind: "text", text: "and this" }]],
    ]);
  });

  test("a result whose call is long gone is shown by itself, and never lost", async () => {
    const { messages } = await read([user("hello"), user([result("unknown", "late")])]);
    expect(messages[0]!.blocks).toMatchObject([
      { kind: "text", text: "hello" },
      { kind: "tool", id: "unknown", name: "", result: { text: "late" } },
    ]);
  });

  test("no line makes it fail, and every line counts", async () => {
    const deep = `${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`;
    const odd = fc.oneof(
      fc.constantFrom("", "{", "null", "[]", '"x"', deep, '{"type":"user"}', '{"type":"user","message":7}'),
      fc.record({
        type: fc.constantFrom("user", "assistant", "system", "attachment", "x"),
        timestamp: fc.anything(),
        subtype: fc.constantFrom("local_command", 3),
        content: fc.anything(),
        attachment: fc.anything(),
        message: fc.record({
          id: fc.anything(),
          content: fc.oneof(
            fc.anything(),
            fc.array(
              fc.record({
                type: fc.constantFrom("text", "tool_use", "tool_result", "image", "thinking", 5),
                text: fc.anything(),
                name: fc.constantFrom("Edit", "MultiEdit", "TodoWrite", "Bash", "AskUserQuestion", 1),
                id: fc.constantFrom("a", "b", 1),
                tool_use_id: fc.constantFrom("a", "b", 1),
                input: fc.oneof(
                  fc.anything(),
                  fc.record({ edits: fc.anything(), todos: fc.anything(), questions: fc.anything() }),
                ),
                content: fc.anything(),
                source: fc.anything(),
              }),
            ),
          ),
        }),
        toolUseResult: fc.anything(),
      }),
    );
    const safe = (line: unknown): unknown => {
      try {
        return typeof line === "string" ? line : (JSON.stringify(line) ?? "");
      } catch {
        return "";
      }
    };
    await fc.assert(
      fc.asyncProperty(fc.array(odd, { maxLength: 12 }), async (lines) => {
        const { messages, place } = await read(lines.map(safe));
        expect(place.line).toBe(lines.length);
        expect(messages.map(({ n }) => n)).toEqual([...messages.map(({ n }) => n)].sort((a, b) => a - b));
      }),
    );
  });

  test("reading may stop anywhere and go on later: the pieces are the same", async () => {
    const lines = [
      user("one"),
      agent("m1", { type: "text", text: "a" }),
      agent("m1", call("t", "Bash", { command: "x" })),
      user([result("t", "r")]),
      agent("m1", { type: "text", text: "b" }),
      "not json",
      user("two"),
    ].map((line) => (typeof line === "string" ? line : JSON.stringify(line)));
    const whole = conversationReader();
    const expected = lines.map((line) => whole.read(line));
    for (let cut = 0; cut <= lines.length; cut++) {
      const first = conversationReader();
      const head = lines.slice(0, cut).map((line) => first.read(line));
      const second = conversationReader(structuredClone(first.place));
      expect([...head, ...lines.slice(cut).map((line) => second.read(line))]).toEqual(expected);
    }
  });
});
