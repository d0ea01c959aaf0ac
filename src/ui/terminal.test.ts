import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { Terminal } from "./terminal.ts";

function printed(columns: number | null, text: string): string[] {
  const stdout = Object.assign(new PassThrough(), columns === null ? {} : { isTTY: true, columns });
  const terminal = new Terminal({ stdin: new PassThrough(), stdout, stderr: new PassThrough() }, {});
  terminal.printBeside("Name  ", 6, text);
  return written(stdout).split("\n").slice(0, -1);
}

/** All of it: from Node 26 on a stream is read piece by piece. */
function written(stdout: PassThrough): string {
  let text = "";
  for (let piece = stdout.read(); piece !== null; piece = stdout.read()) text += piece;
  return text;
}

test("what stands beside a label is broken between words on a terminal, and nowhere else", () => {
  const text = "one two three four five six seven";
  expect(printed(30, text)).toEqual(["Name  one two three four five", "      six seven"]);
  expect(printed(null, text)).toEqual([`Name  ${text}`]);
});

test("what fits is written as it is", () => {
  expect(printed(80, "/home/me/my  shop ")).toEqual(["Name  /home/me/my  shop "]);
  expect(printed(null, "/home/me/my  shop")).toEqual(["Name  /home/me/my  shop"]);
});

test("an ellipsis is three dots in an ASCII locale, or one sign where three do not fit", () => {
  const stdout = Object.assign(new PassThrough(), { isTTY: true, columns: 12 });
  const streams = { stdin: new PassThrough(), stdout, stderr: new PassThrough() };
  const terminal = new Terminal(streams, { LC_ALL: "C" });
  terminal.print("saving…\nwork on log…\n\u001b[2mwork on lo…\u001b[22m");
  expect(written(stdout)).toBe("saving...\nwork on log~\n\u001b[2mwork on lo~\u001b[22m\n");
});
