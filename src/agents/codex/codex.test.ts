import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { messagesIn, neverThrows, placeAt, realOnes } from "../agent.fixture.ts";
import { startedIn } from "../one-store.ts";
import { codex } from "./agent.ts";
import { conversationReader } from "./conversation.ts";
import { glimpse, metaIn } from "./rollout.ts";
import { newId, rolloutPath, sessionNamed, validId } from "./store.ts";

const folder = mkdtempSync(join(tmpdir(), "convosync-codex-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const here = placeAt("/home/me", "/home/me/code/shop");
const id = "01a1fb2e-d100-7a11-8b22-0123456789ab";

const line = (type: string, payload: unknown): string =>
  JSON.stringify({ timestamp: "2026-11-20T22:58:31.808Z", type, payload });
const item = (payload: unknown): string => line("response_item", payload);
const said = (role: string, text: string): string =>
  item({
    type: "message",
    role,
    content: [{ type: `${role === "assistant" ? "output" : "input"}_text`, text }],
  });
const call = (name: string, input: unknown): string =>
  item({ type: "function_call", name, arguments: JSON.stringify(input), call_id: "c1" });
const answered = (output: unknown): string => item({ type: "function_call_output", call_id: "c1", output });

const messages = (...lines: string[]) => messagesIn(codex, ...lines);

describe("names", () => {
  test("a rollout's place follows from its id, wherever it is asked for", () => {
    const path = `/home/me/.codex/sessions/2026/11/20/rollout-2026-11-20T22-58-31-${id}.jsonl`;
    expect(rolloutPath(id, here)).toBe(path);
    expect(sessionNamed(path.split("/").at(-1)!)).toBe(id);
    const old = "11111111-1111-4111-8111-111111111111";
    expect(rolloutPath(old, here)).toContain("/sessions/1970/01/01/rollout-1970-01-01T00-00-00-");
    for (const name of ["rollout-x.jsonl", `rollout-2026-11-20T22-58-31-${id}.jsonl.zst`, `${id}.jsonl`])
      expect(sessionNamed(name)).toBeNull();
  });

  test("ids of copies are of version 7 and of now", () => {
    const made = newId();
    expect(validId(made)).toBe(true);
    expect(made).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab]/);
    expect(rolloutPath(made, here)).toContain(new Date().toISOString().slice(0, 7).replace("-", "/"));
    expect(newId()).not.toBe(made);
  });

  test("no name but 'main', no id but a UUID, leads to a file", () => {
    const session = { id, cwd: here.root };
    expect(() => codex.target("../evil", "stream", session, here)).toThrow(/does not have/);
    expect(() => codex.target("main", "file", session, here)).toThrow(/does not have/);
    expect(() => codex.target("main", "stream", { ...session, id: "../evil" }, here)).toThrow(/session id/);
  });
});

describe("what a rollout is", () => {
  const meta = { id, cwd: "/home/me/code/shop", cli_version: "0.169.0", git: { branch: "main" } };

  test("is told by its first line", () => {
    const head = Buffer.from(`${line("session_meta", meta)}\n${said("user", "Hello")}\n`);
    expect(metaIn(head)).toEqual({
      id,
      cwd: "/home/me/code/shop",
      version: "0.169.0",
      branch: "main",
      helper: false,
    });
    expect(startedIn(head)).toBe("/home/me/code/shop");
    expect(codex.recognise?.(head)).toEqual({ id });
    expect(codex.recognise?.(Buffer.from(`${said("user", "Hello")}\n`))).toBeNull();
    const helper = { ...meta, source: { subagent: { thread_spawn: {} } } };
    expect(metaIn(Buffer.from(`${line("session_meta", helper)}\n`))?.helper).toBe(true);
    expect(metaIn(Buffer.from(line("session_meta", { ...meta, id: 7 })))).toBeNull();
  });

  test("is called by its name, else by the first thing a person said; it is where it last was", () => {
    const lines = [
      line("session_meta", meta),
      said("user", "<environment_context>\n  <cwd>/home/me/code/shop</cwd>\n</environment_context>"),
      said("user", "# AGENTS.md instructions for /home/me/code/shop"),
      said("user", "Add\n a login"),
      line("turn_context", { cwd: "/home/me/code/shop/web" }),
    ];
    const head = Buffer.from(lines.map((one) => `${one}\n`).join(""));
    expect(glimpse(head, Buffer.alloc(0))).toEqual({
      title: "Add a login",
      directories: ["/home/me/code/shop/web", "/home/me/code/shop"],
      updatedAt: new Date("2026-11-20T22:58:31.808Z"),
    });
    const named = Buffer.from(
      `${line("event_msg", { type: "thread_name_updated", thread_name: "Login" })}\n`,
    );
    expect(glimpse(head, named).title).toBe("Login");
  });
});

describe("the conversation in it", () => {
  test("is what was said and done, not what the client tells the model or its screen", async () => {
    const found = await messages(
      line("session_meta", {}),
      said("developer", "You are Codex."),
      said("user", "<environment_context></environment_context>"),
      line("turn_context", { model: "gpt-6" }),
      line("event_msg", { type: "user_message", message: "Count." }),
      said("user", "Count."),
      item({
        type: "reasoning",
        summary: [{ type: "summary_text", text: "Counting." }],
        encrypted_content: "x",
      }),
      call("exec_command", { cmd: "seq 3", workdir: "/x" }),
      answered("Wall time: 0.1 seconds\nProcess exited with code 0\nOutput:\n1\n2\nOutput:\n3\n"),
      said("assistant", "Three."),
      line("event_msg", { type: "agent_message", message: "Three." }),
      said("user", "Thanks."),
    );
    expect(found.map(({ role, model, n }) => ({ role, model, n }))).toEqual([
      { role: "user", model: null, n: 1 },
      { role: "assistant", model: "gpt-6", n: 2 },
      { role: "user", model: null, n: 3 },
    ]);
    expect(found[1]!.blocks).toMatchObject([
      { kind: "thinking", text: "Counting." },
      {
        kind: "tool",
        name: "exec_command",
        subject: "seq 3",
        action: { kind: "run", command: "seq 3" },
        result: { text: "1\n2\nOutput:\n3\n", failed: false },
      },
      { kind: "text", text: "Three." },
    ]);
  });

  test.each<[string, string, object]>([
    [
      "a shell of old",
      call("shell", { command: ["bash", "-lc", "ls -la"] }),
      { kind: "run", command: "ls -la" },
    ],
    ["a program", call("shell", { command: ["rg", "-n", "x"] }), { kind: "run", command: "rg -n x" }],
    [
      "a plan",
      call("update_plan", {
        plan: [{ step: "a", status: "completed" }, { step: "b", status: "in_progress" }, {}],
      }),
      {
        kind: "plan",
        items: [
          { text: "a", state: "done" },
          { text: "b", state: "active" },
        ],
      },
    ],
    [
      "a change",
      item({
        type: "custom_tool_call",
        name: "apply_patch",
        call_id: "c1",
        input:
          "*** Begin Patch\n*** Update File: src/a.ts\n@@ f\n one\n-two\n+three\n@@\n+four\n*** End Patch\n",
      }),
      {
        kind: "edit",
        path: "src/a.ts",
        edits: [
          { before: "one\ntwo", after: "one\nthree" },
          { before: "", after: "four" },
        ],
      },
    ],
    [
      "a new file",
      call("shell", {
        command: ["apply_patch", "*** Begin Patch\n*** Add File: b.txt\n+x\n+y\n*** End Patch"],
      }),
      { kind: "write", path: "b.txt", content: "x\ny\n" },
    ],
    ["an image looked at", call("view_image", { path: "/p.png" }), { kind: "read", path: "/p.png" }],
  ])("tells the meaning of %s", async (_, told, action) => {
    const [message] = await messages(told);
    expect(message?.blocks).toMatchObject([{ kind: "tool", action }]);
  });

  test("knows failure, old and new, images, and compaction", async () => {
    const failed = async (output: unknown) =>
      (await messages(call("shell", { command: "x" }), answered(output)))[0]!.blocks[0];
    expect(await failed('{"output":"no","metadata":{"exit_code":1,"duration_seconds":0.1}}')).toMatchObject({
      result: { text: "no", failed: true },
    });
    expect(await failed("Exit code: 2\nWall time: 0\nOutput:\nno\n")).toMatchObject({
      result: { text: "no\n", failed: true },
    });
    expect(await failed("Plan updated")).toMatchObject({ result: { text: "Plan updated", failed: false } });
    const image = { type: "input_image", image_url: "data:image/png;base64,AAAA" };
    expect(await failed([{ type: "input_text", text: "seen" }, image])).toMatchObject({
      result: { text: "seen", images: [{ mediaType: "image/png", data: "AAAA" }] },
    });
    expect((await messages(line("compacted", { message: "So far." })))[0]).toMatchObject({
      role: "system",
      blocks: [{ kind: "compaction", summary: "So far." }],
    });
  });

  test("goes on from where another reader came to", () => {
    const first = conversationReader();
    for (const one of [said("user", "a"), said("assistant", "b")]) first.read(one);
    const next = conversationReader(first.place);
    expect(next.read(call("shell", { command: "x" }))).toMatchObject({ n: 2, line: 3, opens: false });
    expect(next.read(said("user", "c"))).toMatchObject({ n: 3, line: 4, opens: true });
  });

  test("never throws, whatever a line holds", () => {
    neverThrows(
      codex,
      [
        "payload",
        "type",
        "role",
        "content",
        "arguments",
        "input",
        "output",
        "text",
        "message",
        "name",
        "command",
      ],
      [
        "response_item",
        "message",
        "function_call",
        "custom_tool_call",
        "compacted",
        "session_meta",
        "apply_patch",
      ],
    );
  });
});

describe("finding them", () => {
  test("one long first line hides nothing; nobody else's sessions are looked at for long", async () => {
    const root = join(folder, "shop");
    const place = placeAt(folder, root);
    const day = join(folder, ".codex/sessions/2026/11/20");
    mkdirSync(day, { recursive: true });
    mkdirSync(root);
    const put = (which: string, cwd: string, instructions: string): void =>
      writeFileSync(
        join(day, `rollout-2026-11-20T22-58-31-${which}.jsonl`),
        `${line("session_meta", { id: which, cwd, base_instructions: { text: instructions } })}\n${said("user", "Hi")}\n`,
      );
    put(id, root, "x".repeat(200_000));
    put(newId(), join(folder, "elsewhere"), "x");
    // Named by another id than it has inside.
    writeFileSync(
      join(day, `rollout-2026-11-20T22-58-31-${newId()}.jsonl`),
      `${line("session_meta", { id, cwd: root })}\n`,
    );
    expect((await codex.find(place)).map((one) => one.id)).toEqual([id]);
    expect(await codex.find(place, "01a1fb2e")).toMatchObject([{ title: "Hi", cwd: root, workTree: root }]);
    expect(await codex.find(place, "ffff")).toEqual([]);
    expect(await codex.current(place)).toMatchObject({ session: { id }, how: "newest" });
    expect(await codex.live(id, place)).toBeNull();
  });
});

realOnes(codex);
