import { describe, expect, test } from "vitest";
import { messagesIn, neverThrows, placeAt, realOnes } from "../agent.fixture.ts";
import { cursor } from "./agent.ts";
import { mentions, titleIn } from "./records.ts";

const here = placeAt("/home/me", "/home/me/code/my_shop");
const id = "3f2c1a9e-8b4d-4e5f-9a6b-1c2d3e4f5a6b";
const session = { id, cwd: here.root };
const message = (role: string, ...content: object[]): string =>
  JSON.stringify({ role, message: { content } });
const calls = (name: string, input: unknown): string =>
  message("assistant", { type: "tool_use", name, input });
const messages = (...lines: string[]) => messagesIn(cursor, ...lines);

test("a session lies in the folders of its directory; no other name, no id but a UUID, leads to a file", () => {
  const folder = `/home/me/.cursor/projects/home-me-code-my-shop/agent-transcripts/${id}`;
  // printf /home/me/code/my_shop | md5sum
  const chat = `/home/me/.cursor/chats/3595567cf1c015a7c4466aabf2b8b45a/${id}`;
  const at = (name: string, kind: "stream" | "file") => cursor.target(name, kind, session, here).path;
  expect(at("main", "stream")).toBe(`${folder}/${id}.jsonl`);
  expect(at("subagents/a-1.jsonl", "stream")).toBe(`${folder}/subagents/a-1.jsonl`);
  expect(at("store.db", "file")).toBe(`${chat}/store.db`);
  expect(at("meta.json", "file")).toBe(`${chat}/meta.json`);
  for (const name of ["../evil", "subagents/../x.jsonl", "subagents/x.db", "store.db-wal", "main"])
    expect(() => at(name, name === "main" ? "file" : "stream")).toThrow(/does not have/);
  expect(() => cursor.target("main", "stream", { ...session, id: "../x" }, here)).toThrow(/session id/);
  // One that lies by itself stays there; its helpers come to where they are looked for.
  const flat = { ...session, path: `${folder}.jsonl` };
  expect(cursor.target("main", "stream", flat, here).path).toBe(`${folder}.jsonl`);
  expect(cursor.target("subagents/a.jsonl", "stream", flat, here).path).toBe(`${folder}/subagents/a.jsonl`);
});

test.each([
  ['{"path":"/home/me/code/shop/a.ts"}', true],
  ["in /home/me/code/shop.", false],
  ["in /home/me/code/shop, and", true],
  ["/home/me/code/shop-2/a.ts", false],
  ["/home/me/code/shop_2 /home/me/code/shop", true],
  ["/home/me/code", false],
])("%s speaks of the directory or not: %s", (text, does) => {
  expect(mentions(Buffer.from(text), "/home/me/code/shop")).toBe(does);
});

test("a title is what was asked first, without what the client puts around it", () => {
  const head = [
    message("user", { type: "text", text: "<timestamp>now</timestamp>" }),
    message("user", {
      type: "text",
      text: "<attached>x</attached>\n<user_query>\nAdd\n a login\n</user_query>",
    }),
  ].join("\n");
  expect(titleIn(Buffer.from(head))).toBe("Add a login");
  expect(titleIn(Buffer.from(message("assistant", { type: "text", text: "No" })))).toBe("");
  expect(
    cursor.describe(Buffer.from('{"role":"user","message":{"content":"Plain"}}\n'), Buffer.of()),
  ).toMatchObject({
    title: "Plain",
  });
});

describe("the conversation in it", () => {
  test("is what was said and done", async () => {
    const found = await messages(
      message("user", { type: "text", text: "<user_query>\nCount.\n</user_query>" }),
      message("assistant", { type: "thinking", thinking: "Counting." }, { type: "text", text: "I count." }),
      calls("Shell", { command: "seq 3", description: "Count" }),
      message("assistant", { type: "text", text: "Done." }),
      '{"type":"turn_ended","status":"success"}',
      message("user", { type: "text", text: "Thanks." }),
    );
    expect(found.map(({ role, n }) => [role, n])).toEqual([
      ["user", 1],
      ["assistant", 2],
      ["user", 3],
    ]);
    expect(found[0]!.blocks).toEqual([{ kind: "text", text: "Count." }]);
    expect(found[1]!.blocks).toMatchObject([
      { kind: "thinking", text: "Counting." },
      { kind: "text", text: "I count." },
      { kind: "tool", name: "Shell", action: { kind: "run", command: "seq 3" }, result: null },
      { kind: "text", text: "Done." },
    ]);
  });

  test.each<[string, unknown, object]>([
    ["Read", { path: "/a" }, { kind: "read", path: "/a" }],
    ["Write", { path: "/a", contents: "x" }, { kind: "write", path: "/a", content: "x" }],
    [
      "StrReplace",
      { path: "/a", old_string: "x", new_string: "y" },
      { kind: "edit", path: "/a", edits: [{ before: "x", after: "y" }] },
    ],
    [
      "TodoWrite",
      { todos: [{ content: "a", status: "completed" }, {}] },
      { kind: "plan", items: [{ text: "a", state: "done" }] },
    ],
  ])("tells the meaning of %s", async (name, input, action) => {
    expect((await messages(calls(name, input)))[0]?.blocks).toMatchObject([{ kind: "tool", action }]);
  });

  test("never throws, whatever a line holds", () => {
    neverThrows(
      cursor,
      ["role", "message", "content", "type", "text", "name", "input", "todos", "path", "tool_use_id"],
      ["user", "assistant", "text", "tool_use", "tool_result", "TodoWrite", "Read"],
    );
  });
});

realOnes(cursor);
