// The errors of the program as a whole: each is documented with its exit status, and shown by a test.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { Exit } from "../src/errors.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const filesIn = (folder: string): { name: string; text: string }[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => ({ name, text: readFileSync(join(root, folder, name), "utf8") }));
const isTest = (name: string): boolean => /\.(test|contract|fixture)\.ts$/.test(name);

const source = filesIn("src").filter(({ name }) => !isTest(name));
const tests = [...filesIn("src").filter(({ name }) => isTest(name)), ...filesIn("test")];

/** Errors by their codes, where these stand in the text, with the exit statuses they are made with. */
const errors = new Map<string, Set<number>>();
for (const { text } of source) {
  for (const [, code, exit] of text.matchAll(/new ConvosyncError\(\s*"([a-z-]+)",\s*Exit\.(\w+)/g)) {
    const known = errors.get(code!) ?? new Set();
    errors.set(code!, known.add(Exit[exit as keyof typeof Exit]));
  }
  for (const [, code] of text.matchAll(/integrityError\(\s*"([a-z-]+)"/g))
    errors.set(code!, (errors.get(code!) ?? new Set()).add(Exit.integrity));
}

/** Why no test names these. */
const unprovoked: Readonly<Record<string, string>> = {
  "agent-missing": "test/e2e/terminal.test.ts shows it on a terminal, where there is no code to be seen",
  "agent-not-started": "as agent-missing",
  queued: "has no code to be seen: the document of exit 3 is the command's own, test/e2e/offline.test.ts",
};

test("every error stands in docs/json.md, under its exit status", () => {
  const rows = readFileSync(join(root, "docs/json.md"), "utf8").matchAll(/^\| (\d+) \| (`.*) \|$/gm);
  const documented = new Set(
    [...rows].flatMap(([, exit, codes]) =>
      [...codes!.matchAll(/`([a-z-]+)`/g)].map(([, code]) => `${exit} ${code}`),
    ),
  );
  // With 3 the document is the command's own; the codes of 6 stand in docs/format.md, each beside what it refuses.
  const elsewhere = new Set<number>([Exit.queued, Exit.integrity]);
  const made = [...errors].flatMap(([code, exits]) =>
    [...exits].filter((exit) => !elsewhere.has(exit)).map((exit) => `${exit} ${code}`),
  );
  expect(made.filter((one) => !documented.has(one))).toEqual([]);
});

test("an error has one exit status, whoever makes it", () => {
  expect([...errors].filter(([, exits]) => exits.size > 1)).toEqual([]);
});

test("every error is named by a test, or it is said why not", () => {
  const named = (code: string): boolean => tests.some(({ text }) => text.includes(`"${code}"`));
  // This file names the exceptions, and must not count for them.
  const others = [...errors.keys()].filter((code) => !(code in unprovoked) && !named(code));
  expect(others).toEqual([]);
  expect(Object.keys(unprovoked).filter((code) => !errors.has(code))).toEqual([]);
});
