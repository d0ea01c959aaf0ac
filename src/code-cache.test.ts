import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { loadProgram } from "./code-cache.ts";

let home: string;
let path: string;
let folder: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "convosync-code-"));
  path = join(home, "program.cjs");
  folder = join(home, "cache", "code");
  const body = `exports.double = (n) => 2 * n; exports.file = __filename; exports.os = require("node:os");`;
  writeFileSync(path, `(function(module, exports, require, __filename, __dirname) {${body}})`);
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

/** Runs the program as a process does, and says whether it wrote compiled code. */
function run(verb = "save", build = "1"): boolean {
  const before = kept().map((file) => [file, statSync(file).ino]);
  const program = loadProgram(path, build, folder, verb);
  expect((program.exports as { double(n: number): number }).double(21)).toBe(42);
  program.keep();
  return JSON.stringify(kept().map((file) => [file, statSync(file).ino])) !== JSON.stringify(before);
}

function kept(): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => join(folder, name))
    .filter((file) => statSync(file).isFile())
    .sort();
}

test("the program has what a CommonJS module has", () => {
  const { exports } = loadProgram(path, "1", null, "save");
  expect(exports).toMatchObject({ file: path, os: { EOL: "\n" } });
});

test("what was compiled is kept once for each verb, for its owner alone", () => {
  expect(run()).toBe(true);
  expect(run()).toBe(false);
  expect(run("list")).toBe(true);
  expect(run("list")).toBe(false);
  expect(kept()).toHaveLength(2);
  for (const file of kept()) expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(statSync(join(kept()[0]!, "..")).mode & 0o777).toBe(0o700);
});

test("a verb that has nothing yet begins with what init needed, and has a file of its own then", () => {
  expect(run("init")).toBe(true);
  expect(run("resume")).toBe(true);
  expect(run("resume")).toBe(false);
  expect(kept()).toHaveLength(2);
});

test("another build has files of its own, and old ones that nobody adds to are removed", () => {
  run("save", "1");
  const [old] = readdirSync(folder);
  run("save", "2");
  expect(readdirSync(folder)).toHaveLength(2);
  const longAgo = new Date(Date.now() - 31 * 86_400_000);
  utimesSync(join(folder, old!), longAgo, longAgo);
  run("save", "3");
  expect(readdirSync(folder)).toHaveLength(2);
  expect(readdirSync(folder)).not.toContain(old);
});

test.each([
  ["cut short", (bytes: Buffer) => bytes.subarray(0, bytes.length - 1)],
  ["empty", () => Buffer.alloc(0)],
  ["changed in one bit", (bytes: Buffer) => bytes.fill(bytes.at(-1)! ^ 1, bytes.length - 1)],
])("a file that is %s is not run, and is written anew", (_, damage) => {
  run();
  const [file] = kept();
  writeFileSync(file!, damage(readFileSync(file!)));
  expect(run()).toBe(true);
  expect(run()).toBe(false);
});

test.skipIf(process.platform === "win32")("a file that others may write to is not run", () => {
  run();
  const [file] = kept();
  chmodSync(file!, 0o620);
  expect(run()).toBe(true);
  expect(statSync(file!).mode & 0o777).toBe(0o600);
});

test("a file that is being written is left to its writer, and one left behind is taken over", () => {
  run();
  const [file] = kept();
  rmSync(file!);
  writeFileSync(`${file}.new`, "half");
  expect(run()).toBe(false);
  expect(readFileSync(`${file}.new`, "utf8")).toBe("half");
  const before = new Date(Date.now() - 120_000);
  utimesSync(`${file}.new`, before, before);
  run();
  expect(kept()).toEqual([file]);
});

test("where nothing can be kept, the program runs all the same", () => {
  mkdirSync(join(home, "cache"));
  writeFileSync(folder, "a file where the folder would be");
  const program = loadProgram(path, "1", folder, "save");
  program.keep();
  expect((program.exports as { file: string }).file).toBe(path);
  expect(readFileSync(folder, "utf8")).toBe("a file where the folder would be");
});
