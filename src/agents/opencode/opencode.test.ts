import { describe, expect, test } from "vitest";
import { messagesIn, neverThrows, placeAt } from "../agent.fixture.ts";
import { lineTime } from "../line-time.ts";
import { opencode } from "./agent.ts";

const here = placeAt("/home/me", "/home/me/code/my_shop");
const id = "ses_ddd6b16f2ffedPuGuXuZfVDFy4";
const helper = "ses_ddd683a8fffexZ0heR68LdYRtC";
const session = { id, cwd: here.root };
const store = `/home/me/.local/state/convosync/opencode/${id}`;

const message = (info: object, ...parts: object[]): string =>
  JSON.stringify({ info: { ...info, sessionID: id }, parts, timestamp: "2026-11-20T22:58:31.808Z" });
const question = (...parts: object[]): string => message({ role: "user" }, ...parts);
const answer = (...parts: object[]): string =>
  message({ role: "assistant", modelID: "m1", path: { cwd: `${here.root}/web` } }, ...parts);
let calls = 0;
const call = (
  tool: string,
  input: object,
  state: object = { status: "completed", output: "done" },
): object => ({
  type: "tool",
  tool,
  callID: `c${calls++}`,
  state: { input, ...state },
});

test("its files lie beside our own; no other names and ids lead to one", () => {
  const target = (name: string, kind: "stream" | "file") => opencode.target(name, kind, session, here).path;
  expect(target("main", "stream")).toBe(`${store}/messages.jsonl`);
  expect(target("session.json", "file")).toBe(`${store}/session.json`);
  expect(target(`subagents/${helper}.jsonl`, "stream")).toBe(`${store}/subagents/${helper}.jsonl`);
  expect(target(`subagents/${helper}.json`, "file")).toBe(`${store}/subagents/${helper}.json`);
  for (const name of [
    "main",
    "known.json",
    "../session.json",
    `subagents/${helper}.jsonl`,
    "subagents/x.json",
  ])
    expect(() => target(name, "file"), name).toThrow(/does not have/);
  expect(() => target(`subagents/${helper}.json`, "stream")).toThrow(/does not have/);
  expect(() => opencode.target("main", "stream", { ...session, id: "../x" }, here)).toThrow(/session id/);
});

test("a log tells whose it is, what it is about and when", () => {
  const synthetic = { type: "text", text: "The user's files", synthetic: true };
  const said = question(synthetic, { type: "text", text: "Add\n a login" });
  const head = Buffer.from(`${said}\n${answer()}\n`);
  expect(opencode.describe(head, new Uint8Array())).toMatchObject({
    title: "Add a login",
    cwd: `${here.root}/web`,
    updatedAt: new Date("2026-11-20T22:58:31.808Z"),
  });
  expect(opencode.recognise?.(head)).toEqual({ id });
  expect(opencode.recognise?.(Buffer.from('{"info":{"sessionID":"x"}}\n'))).toBeNull();
  expect(lineTime(said)).toEqual(new Date("2026-11-20T22:58:31.808Z"));
});

test("a copy has ids of its own, in the same order, and keeps what only looks like one", () => {
  const at = (n: number): string => `msg_22294ea1${n}001OMvM6h6AvqPFjb`;
  const part = "prt_22294ea20001xgJLdWL8RPsrdM";
  const text = `${id} ${at(8)} ${at(9)} ${part} x${part} ${part}x é`;
  const copy = opencode.newId();
  expect(opencode.validId(copy)).toBe(true);
  const renamed = Buffer.from(opencode.withId!(Buffer.from(text), id, copy)).toString();
  const [session, first = "", second = "", third = "", ...rest] = renamed.split(" ");
  expect(session).toBe(copy);
  expect([first, second].sort()).toEqual([first, second]);
  for (const one of [first, second]) expect(one).toMatch(/^msg_22294ea1[89]001[0-9A-Za-z]{14}$/);
  expect([first, second, third]).not.toContain(at(8));
  expect(third).not.toBe(part);
  expect(rest).toEqual([`x${part}`, `${part}x`, "é"]);
  expect(Buffer.from(opencode.withId!(Buffer.from(text), id, copy)).toString()).toBe(renamed);
  expect(opencode.newId() < copy).toBe(true);
});

describe("the conversation in it", () => {
  const messages = (...lines: string[]) => messagesIn(opencode, ...lines);

  test("is what was said and done", async () => {
    const found = await messages(
      question(
        { type: "text", text: "Count." },
        { type: "text", text: "told to the model", synthetic: true },
      ),
      answer(
        { type: "step-start" },
        { type: "reasoning", text: "I think." },
        { type: "text", text: "I count." },
        call("bash", { command: "seq 3" }),
      ),
      answer(call("read", { filePath: "/x" }, { status: "error", error: "refused" })),
      question({ type: "file", url: "data:image/png;base64,AAAA" }),
    );
    expect(found).toMatchObject([
      { role: "user", blocks: [{ text: "Count." }] },
      {
        role: "assistant",
        model: "m1",
        at: "2026-11-20T22:58:31.808Z",
        blocks: [
          { kind: "thinking", text: "I think." },
          { kind: "text", text: "I count." },
          {
            name: "bash",
            subject: "seq 3",
            action: { kind: "run" },
            result: { text: "done", failed: false },
          },
          { name: "read", action: { kind: "read", path: "/x" }, result: { text: "refused", failed: true } },
        ],
      },
      { role: "user", blocks: [{ kind: "image", image: { mediaType: "image/png", data: "AAAA" } }] },
    ]);
  });

  test("tells what tools do to files, and to plans", async () => {
    const diff = "--- a\n+++ a\n@@ -1,1 +1,1 @@\n-hi\n+ho\n";
    const edited = { status: "completed", output: "", metadata: { filediff: { patch: diff } } };
    const [found] = await messages(
      answer(
        call("edit", { filePath: "/a", oldString: "hi", newString: "ho" }, edited),
        call("write", { filePath: "/b", content: "see" }),
        call("apply_patch", { patchText: "*** Begin Patch\n*** Add File: c\n+x\n*** End Patch" }),
        call("todowrite", { todos: [{ content: "x", status: "in_progress" }, 5] }),
        call("other", { query: "q" }, { status: "running" }),
      ),
    );
    expect(found?.blocks).toMatchObject([
      { action: { kind: "edit", edits: [{ before: "hi", after: "ho" }] } },
      { action: { kind: "write", path: "/b", content: "see" } },
      { action: { kind: "write", path: "c", content: "x\n" } },
      { action: { kind: "plan", items: [{ text: "x", state: "active" }] } },
      { action: null, subject: "q" },
    ]);
  });

  test("tells what went wrong, and what a summary took the place of", async () => {
    const failed = { role: "assistant", error: { name: "APIError", data: { message: "overloaded" } } };
    const found = await messages(
      message(failed),
      message({ role: "assistant", summary: true }, { type: "text", text: "So far: …" }),
    );
    expect(found).toMatchObject([
      { blocks: [{ kind: "note", text: "overloaded" }] },
      { role: "system", blocks: [{ kind: "compaction", summary: "So far: …" }] },
    ]);
  });

  test("whatever it is, is read", () => {
    const fields = ["info", "parts", "role", "text", "state", "input", "metadata", "path", "error", "todos"];
    neverThrows(
      opencode,
      [...fields, "tool", "sessionID"],
      ["user", "assistant", "tool", "edit", "completed", "x"],
    );
  });
});
