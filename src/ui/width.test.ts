import { expect, test } from "vitest";
import { cutTo, textWidth } from "./width.ts";

const graphemes = new Intl.Segmenter("en", { granularity: "grapheme" });

test("what is taken for plain is one column by itself and beside anything like it", () => {
  const plain = Array.from({ length: 0x2800 }, (_, code) => String.fromCharCode(code)).filter(
    (one) => textWidth(`${one}${one}`) === 2 && textWidth(one) === 1,
  );
  for (const one of ["a", "é", "…", "·", "→", "✓", "│", "●"]) expect(plain).toContain(one);
  const text = plain.filter((one) => !/\p{M}|\p{Cf}|\p{Cc}/u.test(one)).join("");
  expect([...graphemes.segment(text)].length).toBe(textWidth(text));
});

test.each([
  ["Ergänzt “größer” …", 18],
  ["日本語", 6],
  ["e\u0301te\u0301", 3],
  ["👩‍👩‍👧 family", 9],
  ["ok ✅", 5],
])("%s takes %d columns", (text, columns) => {
  expect(textWidth(text)).toBe(columns);
});

test("what is cut ends in an ellipsis within the width", () => {
  expect(cutTo("a longer line of text", 8)).toBe("a longe…");
  expect(cutTo("日本語です", 6)).toBe("日本…");
  expect(cutTo("fits …", 6)).toBe("fits …");
});
