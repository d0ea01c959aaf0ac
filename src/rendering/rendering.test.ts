import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Block, Message } from "../agents/conversation.ts";
import { conversationText } from "./conversation-text.ts";
import type { Exported } from "./export.ts";
import { htmlExport } from "./html-export.ts";
import { markdownExport } from "./markdown-export.ts";
import type { Detail } from "./terminal.ts";

// Whatever a conversation holds, what is made of it steers no terminal and runs in no browser.

const harmful =
  /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/u;

const nasty = [
  "\u001b]0;owned\u0007\u001b[2J",
  "\u009b31m",
  "a\rb\bc\u0000",
  "\u202eltr\u2066",
  "<script>alert(1)</script>",
  '"><img src=x onerror=alert(1)>',
  "</details></summary></style></title></pre></code>",
  "<!-- ",
  "[x](javascript:alert(1))",
  '[x](https://a/"onmouseover="alert(1))',
  "![x](data:text/html,<script>1</script>)",
  "```",
  "~~~",
  "` <b>",
  "\\` <i>` <u>",
  "  ```\n<script>",
  "- ```\n<script>",
  "> ```\n<script>",
  "\n\n<svg onload=alert(1)>\n\n",
  "&lt;script&gt;",
  "<?php",
  "<a href='javascript:x'>",
  "| a | <td> |\n|---|---|\n| <b> | x |",
  "# <h1>",
  "\ud800",
];
const text = fc
  .array(
    fc.oneof(
      fc.constantFrom(...nasty),
      fc.string({ unit: "binary" }),
      fc.constantFrom("\n", " ", "`", "word"),
    ),
    {
      maxLength: 8,
    },
  )
  .map((parts) => parts.join(""));

const block: fc.Arbitrary<Block> = fc.oneof(
  text.map((one): Block => ({ kind: "text", text: one })),
  text.map((one): Block => ({ kind: "thinking", text: one })),
  text.map((one): Block => ({ kind: "note", text: one })),
  text.map((one): Block => ({ kind: "compaction", summary: one })),
  fc.tuple(text, text).map(([mediaType, data]): Block => ({ kind: "image", image: { mediaType, data } })),
  fc
    .tuple(
      text,
      text,
      text,
      text,
      fc.constantFrom("edit", "write", "read", "run", "plan", null),
      fc.boolean(),
    )
    .map(([name, subject, a, b, kind, failed]): Block => {
      const action =
        kind === "edit"
          ? ({ kind, path: subject, edits: [{ before: a, after: b }] } as const)
          : kind === "write"
            ? ({ kind, path: subject, content: a } as const)
            : kind === "read"
              ? ({ kind, path: subject } as const)
              : kind === "run"
                ? ({ kind, command: subject } as const)
                : kind === "plan"
                  ? ({ kind, items: [{ text: a, state: "active" }] } as const)
                  : null;
      const result = { text: b, failed, images: [{ mediaType: a, data: b }], hunks: [] };
      return { kind: "tool", id: a, name, subject, input: { [a]: b }, action, result };
    }),
);
const messages = fc
  .array(
    fc.record({
      role: fc.constantFrom("user", "assistant", "system"),
      aside: fc.boolean(),
      blocks: fc.array(block, { maxLength: 3 }),
    }),
    { maxLength: 4 },
  )
  .map((all) =>
    all.map(
      (one, at): Message =>
        ({ ...one, n: at + 1, line: at + 1, at: "2026-11-20T09:00:00.000Z", model: null }) as Message,
    ),
  );

async function* each<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

async function all(parts: AsyncIterable<string>): Promise<string> {
  let whole = "";
  for await (const part of parts) whole += part;
  return whole;
}

const detail = (more: Partial<Detail> = {}): Detail => ({
  style: (_, one) => one,
  width: 60,
  unicode: true,
  tools: true,
  thinking: true,
  agent: "Agent",
  root: "/w",
  ...more,
});

const exported = (list: readonly Message[], words: string): Exported => ({
  session: words,
  agent: words,
  agentTitle: words,
  title: words,
  snapshot: null,
  root: "/w",
  between: [{ after: 1, commit: "abcdef0123", branch: words, device: words }],
  messages: () => each(list),
});

describe("on a terminal", () => {
  test("no message can steer it", async () => {
    await fc.assert(
      fc.asyncProperty(
        messages,
        text,
        fc.constantFrom(20, 80, Number.POSITIVE_INFINITY),
        async (list, words, width) => {
          const between = [{ after: 0, commit: "abcdef0123", branch: words, device: words }];
          const shown = await all(
            conversationText(each(list), between, detail({ width, agent: words }), true),
          );
          expect(shown).not.toMatch(harmful);
          expect(shown).not.toMatch(/\p{Surrogate}/u);
        },
      ),
      { numRuns: 200 },
    );
  });

  test("a conversation is readable", async () => {
    const list: Message[] = [
      {
        n: 1,
        line: 1,
        role: "user",
        at: null,
        model: null,
        aside: false,
        blocks: [{ kind: "text", text: "Mend **it**" }],
      },
      {
        n: 2,
        line: 2,
        role: "assistant",
        at: null,
        model: null,
        aside: false,
        blocks: [
          { kind: "thinking", text: "hm" },
          { kind: "text", text: "I do:\n\n- one\n- two `x`\n\n```ts\nconst a = 1;\n```" },
          {
            kind: "tool",
            id: "1",
            name: "Edit",
            subject: "/w/a.ts",
            input: {},
            action: { kind: "edit", path: "/w/a.ts", edits: [{ before: "a\nb", after: "a\nc" }] },
            result: { text: "ok", failed: false, images: [], hunks: [] },
          },
          {
            kind: "tool",
            id: "2",
            name: "Bash",
            subject: "npm test",
            input: {},
            action: { kind: "run", command: "npm test" },
            result: { text: "bad\nworse", failed: true, images: [], hunks: [] },
          },
        ],
      },
      {
        n: 3,
        line: 5,
        role: "assistant",
        at: null,
        model: null,
        aside: false,
        blocks: [
          {
            kind: "tool",
            id: "3",
            name: "Read",
            subject: "/w/a.ts",
            input: {},
            action: { kind: "read", path: "/w/a.ts" },
            result: { text: "1\n2", failed: false, images: [], hunks: [] },
          },
        ],
      },
    ];
    const between = [{ after: 4, commit: "abcdef0123", branch: "main", device: null }];
    const look = detail({ tools: false, thinking: false });
    expect(await all(conversationText(each(list), between, look, true))).toBe(
      [
        "You  #1",
        "Mend it",
        "",
        "Agent  #2",
        "I do:",
        "",
        "• one",
        "• two x",
        "",
        "    const a = 1;",
        "",
        "  ▸ Edit a.ts → +1 -1",
        "     a",
        "    -b",
        "    +c",
        "",
        "  ▸ Bash npm test → failed",
        "    │ bad",
        "    │ worse",
        "",
        "── main @ abcdef0 ──",
        "",
        "Agent  #3",
        "  ▸ Read a.ts → 2 lines",
        "",
      ].join("\n"),
    );
  });
});

/** All elements and attributes that an HTML export may hold; anything else came from the conversation. */
const elements =
  /^\/?(?:html|head|meta|title|style|body|header|main|section|div|h[1-6]|p|a|time|code|pre|ul|ol|li|blockquote|table|tr|td|th|hr|br|strong|em|s|b|i|small|ins|del|details|summary|img)$/;
const attributes = /^(?:lang|charset|http-equiv|content|name|id|class|datetime|href|rel|start|alt|src)$/;

describe("in a browser", () => {
  test("nothing of a conversation becomes markup, script or address", async () => {
    await fc.assert(
      fc.asyncProperty(messages, text, async (list, words) => {
        const html = (await all(htmlExport(exported(list, words))))
          .replace(/^<!doctype html>/, "")
          .replace(/(?<=<style>)[^<]*/, "");
        for (const [, name, rest] of html.matchAll(/<([^\s>]*)([^>]*)>/g)) {
          expect(name).toMatch(elements);
          for (const [, attribute, value] of rest!.matchAll(/\s([^\s=]+)="([^"]*)"/g)) {
            expect(attribute).toMatch(attributes);
            if (attribute === "href") expect(value).toMatch(/^(?:#m\d+$|https?:\/\/|mailto:)/i);
            if (attribute === "src")
              expect(value).toMatch(/^data:image\/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]+$/);
          }
          expect(rest!.replace(/\s[^\s=]+="[^"]*"/g, "").trim()).toBe("");
        }
        expect(html.replace(/<[^>]*>/g, "")).not.toMatch(/[<>]/);
        expect(html).not.toMatch(
          /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/,
        );
      }),
      { numRuns: 200 },
    );
  });

  test("pictures are carried, and the policy forbids the rest", async () => {
    const image: Block = { kind: "image", image: { mediaType: "image/png", data: "aGk=" } };
    const list: Message[] = [
      { n: 1, line: 1, role: "user", at: null, model: null, aside: false, blocks: [image] },
    ];
    const html = await all(htmlExport(exported(list, "t")));
    expect(html).toContain('<img alt="image" src="data:image/png;base64,aGk=">');
    expect(html).toContain("default-src 'none'");
    expect(html).toContain("prefers-color-scheme:dark");
  });
});

describe("as Markdown", () => {
  test("the only HTML is our own, whatever a viewer takes for code", async () => {
    await fc.assert(
      fc.asyncProperty(messages, text, async (list, words) => {
        const markdown = await all(markdownExport(exported(list, words)));
        // Outside of fences that stand at the beginning of a line, and of code spans that a line has whole.
        let fence: string | null = null;
        for (const line of markdown.split("\n")) {
          const mark = /^(`{3,}|~{3,})/.exec(line)?.[1];
          if (fence === null && mark && !(mark.startsWith("`") && line.slice(mark.length).includes("`")))
            fence = mark;
          else if (fence !== null && mark?.startsWith(fence) && line.trimEnd() === mark) fence = null;
          else if (fence === null) {
            const plain = line.replace(/(?<![`\\])(`+)(?!`)(?:(?!\1).)*?(?<!`)\1(?!`)/g, "");
            expect(plain.replace(/<\/?(?:details|summary)>/g, "")).not.toMatch(/<[A-Za-z/!?]/);
          }
        }
        expect(fence).toBeNull();
      }),
      { numRuns: 300 },
    );
  });

  test("code stays as it was written", async () => {
    const words = "Use `<b>` here:\n\n```html\n<b>x</b>\n```\n\nnot <b>here</b>";
    const list: Message[] = [
      {
        n: 1,
        line: 1,
        role: "user",
        at: null,
        model: null,
        aside: false,
        blocks: [{ kind: "text", text: words }],
      },
    ];
    const markdown = await all(markdownExport(exported(list, "t")));
    expect(markdown).toContain("Use `<b>` here:");
    expect(markdown).toContain("```html\n<b>x</b>\n```");
    expect(markdown).toContain("not &lt;b>here&lt;/b>");
  });
});
