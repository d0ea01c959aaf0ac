import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { safeBlock, safeText } from "./safe-text.ts";
import { textWidth } from "./width.ts";

/** What a terminal would act upon, or what hides or reorders text. */
const harmful =
  /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/u;

const hostile = [
  "\u001b]0;title\u0007",
  "\u001b[2J\u001b[1;1H",
  "\u001b]8;;http://evil\u001b\\link\u001b]8;;\u001b\\",
  "\u009b31m",
  "\u009d0;x\u009c",
  "\u001bP1;2|payload\u001b\\",
  "a\bb",
  "\u0007",
  "line\rover",
  "admin\u202etxt.exe",
  "zero\u200bwidth",
  "\ufeffbom",
  "soft\u00adhyphen",
  "\u{e0041}\u{e0042}",
  "\ud800",
  "\u2066isolate\u2069",
  "\u001b",
  "\u001b[",
  "\u001b]52;c;ZXZpbA==\u0007",
];

const pieces = fc.array(
  fc.oneof(fc.constantFrom(...hostile), fc.string({ unit: "binary" }), fc.string({ unit: "grapheme" })),
  { maxLength: 8 },
);
const anyText = pieces.map((parts) => parts.join(""));

describe("safeText", () => {
  test.for(hostile)("leaves nothing of %j that a terminal would act upon", (raw) => {
    const shown = safeText(`before ${raw} after`);
    expect(shown).not.toMatch(harmful);
    expect(shown).not.toContain("\n");
    expect(shown.startsWith("before")).toBe(true);
    expect(shown.endsWith("after")).toBe(true);
  });

  test("no control character is left in any text", () => {
    fc.assert(
      fc.property(anyText, (raw) => {
        const shown = safeText(raw);
        expect(shown).not.toMatch(harmful);
        expect(shown).not.toMatch(/\p{Surrogate}/u);
        expect(shown).not.toContain("\n");
      }),
    );
  });

  test("is idempotent, at any width", () => {
    fc.assert(
      fc.property(anyText, fc.integer({ min: 1, max: 60 }), (raw, width) => {
        const once = safeText(raw, width);
        expect(safeText(once, width)).toBe(once);
      }),
    );
  });

  test("is at most as wide as asked for", () => {
    fc.assert(
      fc.property(anyText, fc.integer({ min: 1, max: 60 }), (raw, width) => {
        expect(textWidth(safeText(raw, width))).toBeLessThanOrEqual(width);
      }),
    );
  });

  test("leaves ordinary text as it is", () => {
    for (const text of ["fix the größer bug", "日本語のタイトル", "naïve café 👍", "a — b … c"])
      expect(safeText(text)).toBe(text);
    expect(safeText("  two\n lines\tand a tab ")).toBe("two lines and a tab");
    expect(safeText("123456789", 5)).toBe("1234…");
    expect(safeText("12345", 5)).toBe("12345");
  });

  test("a pile of combining marks is cut", () => {
    expect([...safeText(`a${"\u0301".repeat(5000)}`, 10)].length).toBeLessThan(100);
  });
});

describe("safeBlock", () => {
  test("keeps lines and indentation, and nothing harmful", () => {
    fc.assert(
      fc.property(anyText, (raw) => {
        const shown = safeBlock(raw);
        expect(shown).not.toMatch(harmful);
        expect(safeBlock(shown)).toBe(shown);
      }),
    );
    expect(safeBlock("a\r\n\tb\n  c")).toBe("a\n    b\n  c");
  });
});
