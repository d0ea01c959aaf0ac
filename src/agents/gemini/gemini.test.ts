import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { messagesIn, neverThrows, placeAt } from "../agent.fixture.ts";
import type { Workplace } from "../agent.ts";
import { transcriptStart } from "../conversation.ts";
import { gemini } from "./agent.ts";
import { conversationReader } from "./conversation.ts";
import { glimpse } from "./records.ts";
import { claim, geminiHome, projectDir } from "./store.ts";

const id = "3f2c1a9e-8b4d-4e5f-9a6b-1c2d3e4f5a6b";
const at = "2026-11-20T22:58:31.808Z";

const header = JSON.stringify({
  sessionId: id,
  projectHash: "5d06",
  startTime: at,
  lastUpdated: at,
  kind: "main",
});
const message = (id: string, type: string, content: unknown, more: object = {}): string =>
  JSON.stringify({ id, timestamp: at, type, content, ...more });
const context = message("c", "user", [
  {
    text: "<session_context>\nThis is it.\n- **Workspace Directories:**\n  - /home/me/shop\n  - /home/me/other\n</session_context>",
  },
]);
const bytes = (...lines: string[]): Buffer => Buffer.from(lines.map((one) => `${one}\n`).join(""));
const nothing = new Uint8Array();

describe("a log", () => {
  test("is known by its header, and called after what the person said first, or by the client's summary", () => {
    const prompt = message("u", "user", [{ text: "Why is\nit slow?" }]);
    const command = message("a", "user", "/help");
    expect(glimpse(bytes(header, context, command, prompt), nothing)).toMatchObject({
      id,
      helper: false,
      title: "Why is it slow?",
      directories: ["/home/me/shop"],
      updatedAt: new Date(at),
    });
    const later = JSON.stringify({ $set: { summary: "Speed", lastUpdated: "2026-11-21T00:00:00.000Z" } });
    expect(glimpse(bytes(header, prompt), bytes(later))).toMatchObject({
      title: "Speed",
      updatedAt: new Date("2026-11-21T00:00:00.000Z"),
    });
    const inside = JSON.stringify({ $set: { messages: [JSON.parse(context), JSON.parse(prompt)] } });
    expect(glimpse(bytes(header, inside), nothing)?.title).toBe("Why is it slow?");
    expect(gemini.recognise?.(bytes(header, prompt))).toEqual({ id });
  });

  test("that was made to be searched for long is looked at as fast as any other", () => {
    const opening = message("c", "user", [{ text: "<session_context>\n".repeat(60_000) }]);
    const lines = [header, opening, message("u", "user", "Hello.")];
    expect(glimpse(bytes(...lines), nothing)).toMatchObject({ title: "Hello.", directories: [] });
  });

  test("in which nobody has spoken is none; nor is a helper's a conversation, nor another agent's", () => {
    expect(glimpse(bytes(header, context), nothing)).toBeNull();
    expect(glimpse(bytes(header, message("g", "gemini", "Hello.")), nothing)?.title).toBe("");
    expect(glimpse(bytes(context, header), nothing)).toBeNull();
    const helper = JSON.stringify({ sessionId: id, projectHash: "5d06", kind: "subagent" });
    expect(glimpse(bytes(helper, message("u", "user", "x")), nothing)?.helper).toBe(true);
    expect(
      gemini.recognise?.(bytes('{"sessionId":"../x","projectHash":"1"}', message("u", "user", "x"))),
    ).toBeNull();
    expect(gemini.recognise?.(bytes('{"type":"user","sessionId":"x","cwd":"/a"}'))).toBeNull();
  });
});

describe("a conversation", () => {
  const call = (more: object): object => ({
    id: "t1",
    name: "replace",
    args: { file_path: "/a.ts", old_string: "1", new_string: "2" },
    ...more,
  });
  const done = {
    result: [{ functionResponse: { id: "t1", response: { output: "Changed." } } }],
    status: "success",
  };

  test("has a message once, though the client writes it again whenever there is more of it", async () => {
    const lines = [
      header,
      context,
      message("u", "user", [{ text: "Change it." }]),
      message("g", "gemini", "I do.", {
        model: "m1",
        thoughts: [{ subject: "Plan", description: "First this." }],
      }),
      message("g", "gemini", "I do.", {
        model: "m1",
        thoughts: [{ subject: "Plan", description: "First this." }],
        toolCalls: [call({ status: "executing" })],
      }),
      message("g", "gemini", "I do.", {
        model: "m1",
        thoughts: [{ subject: "Plan", description: "First this." }],
        toolCalls: [call(done)],
        tokens: {},
      }),
      message("r", "user", [{ functionResponse: { id: "t1", response: { output: "Changed." } } }]),
      message("h", "gemini", "Done.", { model: "m1" }),
    ];
    const told = await messagesIn(gemini, ...lines);
    expect(told.map(({ role, n }) => [role, n])).toEqual([
      ["user", 1],
      ["assistant", 2],
    ]);
    expect(told[1]).toMatchObject({
      at,
      model: "m1",
      blocks: [
        { kind: "thinking", text: "Plan: First this." },
        { kind: "text", text: "I do." },
        {
          kind: "tool",
          name: "replace",
          action: { kind: "edit", path: "/a.ts", edits: [{ before: "1", after: "2" }] },
          result: { text: "Changed.", failed: false },
        },
        { kind: "text", text: "Done." },
      ],
    });
    // Read in two goes, wherever it is cut, it says the same.
    for (let cut = 0; cut <= lines.length; cut++) {
      const first = conversationReader();
      const pieces = lines.slice(0, cut).map((line) => first.read(line));
      const second = conversationReader(JSON.parse(JSON.stringify(first.place)));
      pieces.push(...lines.slice(cut).map((line) => second.read(line)));
      const whole = conversationReader(transcriptStart);
      expect(pieces).toEqual(lines.map((line) => whole.read(line)));
    }
  });

  test("keeps what was rewound, and tells a summary once, however often the history is written down", async () => {
    const summary = {
      id: "s",
      timestamp: at,
      type: "user",
      content: [{ text: "<state_snapshot>\nAll of it.\n</state_snapshot>" }],
    };
    const history = (...more: object[]): string =>
      JSON.stringify({ $set: { messages: [JSON.parse(context), summary, ...more] } });
    const told = await messagesIn(
      gemini,
      header,
      message("a", "user", "One."),
      '{"$rewindTo":"a"}',
      message("b", "user", "Two."),
      history(),
      message("g", "gemini", "Three."),
      history({ id: "b", type: "user", content: "Two." }),
      message("i", "info", "Update available!"),
      '{"$set":{"lastUpdated":"x"}}',
      message("k", "gemini", "", {
        toolCalls: [
          {
            id: "t9",
            name: "read_file",
            args: { file_path: "/b" },
            result: [{ functionResponse: { response: { error: "No such file." } } }],
            status: "error",
          },
        ],
      }),
    );
    expect(told.map(({ role, blocks }) => [role, ...blocks.map((one) => one.kind)])).toEqual([
      ["user", "text"],
      ["user", "text"],
      ["system", "compaction"],
      ["assistant", "text"],
      ["system", "note"],
      ["assistant", "tool"],
    ]);
    expect(told[5]?.blocks[0]).toMatchObject({
      subject: "/b",
      result: { failed: true, text: "No such file." },
    });
  });

  test("has changes of files as they were made, plans, and images", async () => {
    const fileDiff =
      "Index: a\n===\n--- a\tOriginal\n+++ a\tWritten\n@@ -3,2 +3,2 @@\n same\n-old\n+new\n\\ No newline at end of file\n";
    const [plan, edit] = await messagesIn(
      gemini,
      message("g", "gemini", "", {
        toolCalls: [
          { id: "p", name: "write_todos", args: { todos: [{ description: "Test", status: "in_progress" }] } },
        ],
      }),
      message("u", "user", [{ text: "See" }, { inlineData: { mimeType: "image/png", data: "AA==" } }]),
      message("h", "gemini", "", { toolCalls: [call({ ...done, resultDisplay: { fileDiff } })] }),
    ).then((all) => [all[0], all[2]]);
    expect(plan?.blocks[0]).toMatchObject({
      action: { kind: "plan", items: [{ text: "Test", state: "active" }] },
    });
    expect(edit?.blocks[0]).toMatchObject({
      result: { hunks: [{ oldStart: 3, newStart: 3, lines: [" same", "-old", "+new"] }] },
    });
  });

  test("a command that was run in the client's shell is no word of the person's", async () => {
    const said = (command: string, output: string): string =>
      `I ran the following shell command:\n\`\`\`sh\n${command}\n\`\`\`\n\nThis produced the following result:\n\`\`\`\n${output}\n\`\`\``;
    const found = await messagesIn(
      gemini,
      message("u", "user", [{ text: said("npm test", "3 passed\n") }]),
      message("v", "user", [{ text: "I ran the following shell command:\n```sh\nmake" }]),
    );
    expect(found.map(({ role, blocks }) => ({ role, blocks }))).toEqual([
      {
        role: "system",
        blocks: [
          { kind: "note", text: "! npm test" },
          { kind: "note", text: "3 passed" },
        ],
      },
      { role: "user", blocks: [{ kind: "text", text: "I ran the following shell command:\n```sh\nmake" }] },
    ]);
  });

  test("whatever a log holds, it is read or left", () => {
    neverThrows(
      gemini,
      [
        "id",
        "type",
        "content",
        "text",
        "thoughts",
        "toolCalls",
        "result",
        "functionResponse",
        "response",
        "resultDisplay",
        "fileDiff",
        "$set",
        "messages",
        "sessionId",
        "projectHash",
      ],
      ["user", "gemini", "info", "<state_snapshot>", "@@ -1 +1 @@\n+"],
    );
  });
});

describe("the folder of a directory", () => {
  let place: Workplace;
  const write = (name: string, text: string): void => {
    const path = join(geminiHome(place), name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  };
  const tmp = (slug: string): string => join(geminiHome(place), "tmp", slug);
  beforeEach(() => {
    place = placeAt(mkdtempSync(join(tmpdir(), "gemini-")), "/src/My.Shop_2");
  });
  afterEach(() => rmSync(place.home, { recursive: true }));

  test("is the registry's, unless the folder says that it is somebody else's", () => {
    write("projects.json", JSON.stringify({ projects: { [place.root]: "shop" } }));
    expect(projectDir(place.root, place)).toBe(tmp("shop"));
    write("history/shop/.project_root", "/elsewhere");
    expect(projectDir(place.root, place)).toBe(tmp("my-shop-2"));
  });

  test("is one that is marked, else the next that nobody has, and is nobody else's from then on", () => {
    write("projects.json", JSON.stringify({ projects: { "/a": "my-shop-2" } }));
    write("tmp/my-shop-2-1/.project_root", "/b");
    write("history/my-shop-2-2/.project_root", "/c");
    expect(projectDir(place.root, place)).toBe(tmp("my-shop-2-3"));
    claim(place.root, place);
    claim(place.root, place);
    expect(readFileSync(join(tmp("my-shop-2-3"), ".project_root"), "utf8")).toBe(place.root);
    write("projects.json", "{");
    expect(projectDir(place.root, place)).toBe(tmp("my-shop-2-3"));
    expect(projectDir("/x/shop...", place)).toBe(tmp("shop"));
    expect(projectDir("/x/買い物", place)).toBe(tmp("project"));
  });

  test("is not looked for through links, nor under names that lead away", () => {
    write("projects.json", JSON.stringify({ projects: { [place.root]: "../../x" } }));
    expect(projectDir(place.root, place)).toBe(tmp("my-shop-2"));
    mkdirSync(join(place.home, "away"));
    writeFileSync(join(place.home, "away/.project_root"), place.root);
    writeFileSync(join(place.home, "owner"), place.root);
    mkdirSync(tmp("linked"), { recursive: true });
    symlinkSync(join(place.home, "owner"), join(tmp("linked"), ".project_root"));
    expect(projectDir(place.root, place)).toBe(tmp("my-shop-2"));
  });

  test("holds the sessions of the work tree that was told of, and no other's", async () => {
    const log = (slug: string, id: string, ...lines: string[]): void =>
      write(`tmp/${slug}/chats/session-2026-11-20T22-58-${id.slice(0, 8)}.jsonl`, bytes(...lines).toString());
    const said = message("u", "user", "Hello.");
    write("projects.json", JSON.stringify({ projects: { "/elsewhere": "a" } }));
    write("tmp/b/.project_root", `${place.root}/packages/x`);
    log("a", id, header, said);
    log("b", id, header, said);
    const other = "4f2c1a9e-8b4d-4e5f-9a6b-1c2d3e4f5a6b";
    log("b", other, header.replace(id, other), context);
    expect(await gemini.find(place)).toMatchObject([
      { id, cwd: `${place.root}/packages/x`, workTree: place.root, title: "Hello." },
    ]);
    expect(await gemini.current(place)).toMatchObject({ session: { id }, how: "newest" });
    const watched = await gemini.watched!(place);
    expect(watched.map(({ path }) => path)).toEqual([
      join(geminiHome(place), "tmp"),
      tmp("b"),
      join(tmp("b"), "chats"),
    ]);
    expect(watched[2]!.sessionOf("session-2026-11-20T22-58-3f2c1a9e.jsonl")).toBe(id);
    expect(watched[2]!.sessionOf("logs.json")).toBeNull();
  });
});

describe("names from elsewhere", () => {
  const place = placeAt("/home/me", "/home/me/shop");
  const session = { id, cwd: place.root };
  const project = "/home/me/.gemini/tmp/shop";

  test.each([
    ["main", "stream", `chats/session-${id}-3f2c1a9e.jsonl`],
    ["subagents/x.jsonl", "stream", `chats/${id}/x.jsonl`],
    ["plans/a.md", "file", `${id}/plans/a.md`],
    ["tool-outputs/shell_1.txt", "file", `tool-outputs/session-${id}/shell_1.txt`],
  ] as const)("%s has its place", (name, kind, path) => {
    expect(gemini.target(name, kind, session, place).path).toBe(join(project, path));
  });

  test.each([
    ["main", "file"],
    ["plans", "file"],
    ["plans/../../x", "file"],
    ["plans/.hidden", "file"],
    ["chats/x.jsonl", "file"],
    ["subagents/x.txt", "stream"],
    ["subagents/a/x.jsonl", "stream"],
    ["logs/x.jsonl", "stream"],
  ] as const)("%s as a %s is refused", (name, kind) => {
    expect(() => gemini.target(name, kind, session, place)).toThrow(/Gemini CLI does not have/);
  });

  test("so is an id that is none", () => {
    expect(() => gemini.target("main", "stream", { ...session, id: "../x" }, place)).toThrow(/session id/);
  });
});
