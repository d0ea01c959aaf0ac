// The manual page and the reference say what the verb table says.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { commandLine } from "../src/command-tree.ts";
import { describedVerbs, manPage, ownOptions, reference } from "../src/manual.ts";
import { settings } from "../src/sessions/settings.ts";

const read = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");
const verbs = describedVerbs(commandLine).flatMap(({ all }) => all);

describe("generated documents", () => {
  test("are those of this verb table (npm run docs)", () => {
    expect(read("man/git-convosync.1")).toBe(manPage(commandLine));
    expect(read("docs/cli.md")).toBe(reference(commandLine));
  });

  test("the script makes the same", () => {
    const script = fileURLToPath(new URL("../scripts/docs.mjs", import.meta.url));
    expect(execFileSync(process.execPath, [script, "--check"], { encoding: "utf8" })).toBe("");
  });

  test("name every verb and every setting", () => {
    const [man, markdown] = [manPage(commandLine), reference(commandLine)];
    expect(verbs.length).toBeGreaterThan(10);
    for (const { path } of verbs) {
      expect(markdown).toContain(`\n### ${path}\n`);
      expect(man).toContain(`git convosync ${path}`.replaceAll("-", "\\-"));
    }
    for (const { name } of settings) expect(markdown).toContain(`| \`convosync.${name}\` |`);
  });
});

describe("the verb table", () => {
  test.each(verbs.map((one) => [one.path, one] as const))(
    "%s is described in the house's words",
    (_, one) => {
      const { verb, command } = one;
      const texts = [
        verb.summary,
        ...ownOptions(command).map((option) => option.description),
        ...command.registeredArguments.map((argument) => argument.description),
        ...(verb.examples ?? []).map(([, what]) => what),
        ...Object.values(verb.exits ?? {}),
      ];
      for (const text of texts) expect(text).toMatch(/^\S.*[^.\s]$/);
      expect(verb.summary).toMatch(/^[a-z]/);
      expect(verb.examples?.length ?? 0).toBeGreaterThan(0);
      for (const [line] of verb.examples ?? []) expect(line).toMatch(/git convosync|git config/);
      for (const status of Object.keys(verb.exits ?? {}))
        expect([...Array(9).keys(), 130]).toContain(Number(status));
    },
  );
});
