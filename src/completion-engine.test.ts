import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { commandLine } from "./command-tree.ts";
import { type Place, placeOf } from "./completion-engine.ts";

const at = (...words: string[]): Place => placeOf(commandLine.tree(words), words);

/** What is offered, as words and sources. */
const offered = (...words: string[]): string[] =>
  at(...words).wanted.flatMap((one) =>
    one.kind === "words" ? one.words.map(({ value }) => value) : [`:${one.kind}`],
  );

describe("placeOf", () => {
  test("verbs first, none of the hidden ones", () => {
    expect(offered("")).toEqual(expect.arrayContaining(["save", "resume", "gc", "help"]));
    expect(offered("")).not.toContain("__complete");
    expect(offered("help", "")).toEqual(expect.arrayContaining(["save", "gc"]));
  });

  test.for([
    [["show", ""], [":sessions"]],
    [["pin", "5d0c", ""], [":sessions"]],
    [["show", "5d0c", ""], []],
    [["list", "--branch", ""], [":branches"]],
    [["list", "--branch="], [":branches"]],
    [["list", "--device", ""], [":devices"]],
    [["save", "--agent", ""], [":agents"]],
    [["save", "--session", ""], [":sessions"]],
    [["save", "-m", ""], []],
    [["init", "--recovery-file", ""], [":files"]],
    [
      ["init", "--device-type", ""],
      ["desktop", "laptop", "phone", "tablet", "server", "ci"],
    ],
    [
      ["completion", ""],
      ["bash", "zsh", "fish"],
    ],
    [["template", "start", ""], [":templates"]],
    [["template", "save", "x", "--from", ""], [":sessions"]],
    [["undo", ""], [":operations"]],
    [["config", ""], [":settings"]],
    [["show", "--", ""], [":sessions"]],
    [["ls", "--limit", ""], []],
    [["nonsense", ""], []],
  ] as const)("%j: %j", ([words, wanted]) => expect(offered(...words)).toEqual(wanted));

  test("options of the verb that are not hidden and not given yet, and what stands before a value", () => {
    expect(offered("save", "--")).toEqual(
      expect.arrayContaining(["--no-code", "--message", "--json", "--help"]),
    );
    expect(offered("save", "--")).not.toContain("--debug");
    expect(offered("save", "--dry-run", "--")).not.toContain("--dry-run");
    expect(offered("show", "--", "--")).toEqual([":sessions"]);
    expect(at("list", "--branch=fea")).toMatchObject({ before: "--branch=", typed: "fea" });
    expect(offered("list", "--all=")).toEqual([]);
  });

  test("never throws, whatever is typed", () => {
    const word = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.constantFrom("save", "--", "-", "--branch", "--branch=", "help", "list", "-m", "@", ""),
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 6 }), (words) => {
        expect(Array.isArray(at(...words).wanted)).toBe(true);
      }),
    );
  });
});
