import { expect, test } from "vitest";
import { parseLine } from "./json-line.ts";

const nested = (depth: number): string => `${'{"a":'.repeat(depth)}[]${"}".repeat(depth)}`;

test.each([
  ["as deep as may be", nested(199), true],
  ["a level deeper", nested(200), false],
  ["with many values beside each other", `{"a":[${"{},".repeat(500)}[]]}`, true],
  ["with brackets in a string", `{"a":"${'[{\\"'.repeat(500)}"}`, true],
  ["deep beside a string that would close it", `{"a":"${"}".repeat(500)}","b":${nested(200)}}`, false],
])("a line %s", (_, line, parsed) => {
  expect(JSON.parse(line)).toBeTypeOf("object");
  expect(parseLine(line)).toEqual(parsed ? JSON.parse(line) : null);
});
