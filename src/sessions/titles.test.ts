import { expect, test } from "vitest";
import type { Places } from "../agents/portable-paths.ts";
import { portableTitle } from "./titles.ts";

const places: Places = {
  root: ["/home/me/code/shop", "/mnt/shop"],
  home: ["/home/me"],
  store: ["/home/me/.claude"],
  keys: ["-home-me-code-shop"],
};

test.each([
  ["Mend /home/me/code/shop/src/a.ts, then /mnt/shop/b.ts", "Mend src/a.ts, then b.ts"],
  ["What is in /home/me/code/shop?", "What is in .?"],
  ["Read /home/me/.claude/notes and /home/me", "Read ~/.claude/notes and ~"],
  ["Look at /home/me/code/shops and /home/melanie", "Look at ~/code/shops and /home/melanie"],
  ["A literal {{CS:ROOT}}/x and {{CS:", "A literal {{CS:ROOT}}/x and {{CS:"],
  [`${"/home/me/code/shop/".repeat(9)}x${"y".repeat(99)}`, expect.stringMatching(/^.{72}$/)],
])("%s", (title, portable) => {
  expect(portableTitle(title, places)).toEqual(portable);
});

test("where paths are kept as they are, so is the title, as far as it goes", () => {
  expect(portableTitle(`/home/me/code/shop ${"x".repeat(99)}`, null)).toHaveLength(72);
});

test("it does not end in half of a character", () => {
  expect(portableTitle(`${"x".repeat(71)}😀`, null)).toBe("x".repeat(71));
  expect(portableTitle(`${"x".repeat(70)}😀`, null)).toBe(`${"x".repeat(70)}😀`);
});
