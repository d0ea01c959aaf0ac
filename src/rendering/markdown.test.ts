import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compare } from "./compare.ts";
import { diffLines, withContext } from "./diff-lines.ts";
import { type Inline, type MarkdownBlock, parseMarkdown } from "./markdown.ts";
import { markdownHtml } from "./markdown-html.ts";
import { markdownLines } from "./markdown-terminal.ts";

const shown = (text: string, width = 40): string =>
  markdownLines(text, {
    style: (style, one) => (one === "" ? "" : `{${style} ${one}}`),
    width,
    unicode: true,
  }).join("\n");

describe("Markdown", () => {
  test.each([
    [
      "**bold** and *slanted*, `code`",
      "<p><strong>bold</strong> and <em>slanted</em>, <code>code</code></p>\n",
    ],
    ["snake_case_name and 2 * 3 * 4", "<p>snake_case_name and 2 * 3 * 4</p>\n"],
    ["a **b `**` c** d", "<p>a <strong>b `</strong>` c** d</p>\n"],
    [
      "\\*no\\* [a](https://x.org/?a=1&b) [b](javascript:x)",
      '<p>*no* <a href="https://x.org/?a=1&amp;b" rel="noreferrer noopener nofollow">a</a> b</p>\n',
    ],
    ["# One\ntext\n## Two ##", "<h3>One</h3>\n<p>text</p>\n<h4>Two ##</h4>\n"],
    ["- a\n  - b\n- c", "<ul>\n<li>a\n<ul>\n<li>b\n</li>\n</ul>\n</li>\n<li>c\n</li>\n</ul>\n"],
    ["3. x\n4. y", '<ol start="3">\n<li>x\n</li>\n<li>y\n</li>\n</ol>\n'],
    ["- [x] did\n- [ ] do", "<ul>\n<li>☑ did\n</li>\n<li>☐ do\n</li>\n</ul>\n"],
    [
      "1. a\n\n   ```\n   x\n     y\n   ```\n2. b",
      "<ol>\n<li>a\n<pre><code>x\n  y</code></pre>\n</li>\n<li>b\n</li>\n</ol>\n",
    ],
    ["> a\n> - b", "<blockquote>\n<p>a</p>\n<ul>\n<li>b\n</li>\n</ul>\n</blockquote>\n"],
    [
      "| a | b |\n|---|:-:|\n| 1 | x\\|y |",
      "<table>\n<tr><th>a</th><th>b</th></tr>\n<tr><td>1</td><td>x|y</td></tr>\n</table>\n",
    ],
    ["a\n---\nb", "<p>a</p>\n<hr>\n<p>b</p>\n"],
    ["````\n```\n````\nafter", "<pre><code>```</code></pre>\n<p>after</p>\n"],
    ["~~~js\nnever closed", "<pre><code>never closed</code></pre>\n"],
    ["in 2024. it was\n1999. a year", "<p>in 2024. it was<br>\n1999. a year</p>\n"],
  ])("%j", (text, html) => expect(markdownHtml(text)).toBe(html));

  test("loses no word, however it is written", () => {
    const piece = fc.constantFrom(
      "w1",
      "w2",
      " ",
      "\n",
      "- ",
      "1. ",
      "> ",
      "**",
      "*",
      "_",
      "`",
      "```\n",
      "|",
      "# ",
      "  ",
      "[",
      "](",
      ")",
      "\\",
      "~~",
      "|-|",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        const text = pieces.join("");
        // What follows the language on the line that opens a code block is no text.
        fc.pre(!/(?:`{3}|~{3})[^\n]*\S[^\S\n]+\S/.test(text));
        const words = (of: string): number => of.match(/w[12]/g)?.length ?? 0;
        expect(words(flat(parseMarkdown(text)))).toBe(words(text));
      }),
      { numRuns: 500 },
    );
  });

  test.each([
    ["[", "]("],
    ["[a](", ""],
    ["**a ", ""],
    ["` `` ", ""],
    ["> ", ""],
    ["- ", ""],
    ["*_", ""],
    ["# ", " #"],
    ["  ".repeat(50), "x"],
    ["|", "-|"],
    ["```a\n", ""],
  ])("takes %j, repeated, without ado", (part, end) => {
    // Whatever is quadratic takes minutes here.
    const text = part.repeat(40_000) + end;
    expect(parseMarkdown(text).length).toBeGreaterThan(0);
    expect(parseMarkdown(`x\n${text}`).length).toBeGreaterThan(0);
  });

  test("on a terminal: styles, wrapping, wide characters", () => {
    expect(shown("# Title\n\nplain **bold** text that is longer than the line")).toBe(
      "{underline {bold Title}}\n\nplain {bold bold} text that is longer than the\nline",
    );
    expect(shown("- one two three four five six seven eight nine")).toBe(
      "{dim •} one two three four five six seven\n  eight nine",
    );
    expect(shown("日本語の文は空白なしで折り返されます。はい", 20)).toBe(
      "日本語の文は空白なし\nで折り返されます。は\nい",
    );
    expect(shown("averyveryverylongword", 8)).toBe("averyver\nyverylon\ngword");
    expect(shown("| a | bb |\n|---|---|\n| 1 | 日本 |")).toBe("{bold a}  {bold bb}\n{dim ─  ────}\n1  日本");
    expect(shown("```diff\n+in\n-out\n```")).toBe("    {green +in}\n    {red -out}");
    expect(shown("[a](https://x.org)")).toBe("{underline a}{dim  (https://x.org)}");
  });

  test("no line is wider than asked for, but code", () => {
    const words = fc.array(fc.constantFrom("a", "word", "longerword", "日本", "👍", "é", "`c`", "**b**"), {
      maxLength: 30,
    });
    fc.assert(
      fc.property(words, fc.integer({ min: 10, max: 60 }), (list, width) => {
        const lines = markdownLines(list.join(" "), { style: (_, one) => one, width, unicode: true });
        for (const line of lines) {
          const columns = [...line].reduce((sum, char) => sum + (/[日本👍]/u.test(char) ? 2 : 1), 0);
          expect(columns).toBeLessThanOrEqual(width);
        }
      }),
    );
  });
});

/** All text in a tree. */
const flat = (blocks: readonly MarkdownBlock[]): string => blocks.map(flatBlock).join("\n");

function flatBlock(block: MarkdownBlock): string {
  switch (block.kind) {
    case "heading":
    case "paragraph":
      return words(block.text);
    case "code":
      return `${block.language} ${block.lines.join("\n")}`;
    case "quote":
      return flat(block.children);
    case "list":
      return block.items.map((item) => flat(item.children)).join("\n");
    case "table":
      return block.rows.flat().map(words).join("\n");
    case "rule":
      return "";
  }
}

function words(text: readonly Inline[]): string {
  return text
    .map((one) =>
      "children" in one ? words(one.children) + ("target" in one ? ` ${one.target}` : "") : one.text,
    )
    .join("");
}

describe("diffLines", () => {
  test("keeps what is common, and both sides can be read from it", () => {
    const text = fc
      .array(fc.constantFrom("a", "b", "c", ""), { maxLength: 12 })
      .map((lines) => lines.join("\n"));
    fc.assert(
      fc.property(text, text, (before, after) => {
        const lines = diffLines(before, after);
        const side = (kind: string): string =>
          lines
            .filter((line) => line.kind === " " || line.kind === kind)
            .map((line) => line.text)
            .join("\n");
        expect([side("-"), side("+")]).toEqual([before, after]);
        if (before === after) expect(lines.every((line) => line.kind === " ")).toBe(true);
      }),
    );
  });

  test("shows changes with what stands around them", () => {
    const before = Array.from({ length: 20 }, (_, at) => `${at}`);
    const after = before.map((line) => (line === "3" || line === "15" ? "x" : line));
    const around = withContext(diffLines(before.join("\n"), after.join("\n")), 1);
    expect(around.map((line) => (line ? line.kind + line.text : "…"))).toEqual([
      " 2",
      "-3",
      "+x",
      " 4",
      "…",
      " 14",
      "-15",
      "+x",
      " 16",
    ]);
  });
});

describe("compare", () => {
  const message = (n: number, text: string) =>
    ({
      n,
      line: n,
      role: "user",
      at: null,
      model: null,
      aside: false,
      blocks: [{ kind: "text", text }],
    }) as const;
  async function* say(...texts: string[]) {
    for (const [at, text] of texts.entries())
      yield { ...message(at + 1, text), blocks: [...message(at + 1, text).blocks] };
  }

  test("finds where two conversations part", async () => {
    const compared = await compare(say("a", "b", "c"), say("a", "b", "d", "e"));
    expect(compared).toMatchObject({ common: 2, last: { n: 2 } });
    expect([compared.onlyA.length, compared.onlyB.length]).toEqual([1, 2]);
    expect(await compare(say("a"), say("a"))).toMatchObject({ common: 1, onlyA: [], onlyB: [] });
    expect(await compare(say(), say("a"))).toMatchObject({ common: 0, last: null, onlyA: [] });
  });
});
