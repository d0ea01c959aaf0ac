import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { makeFolder } from "./make-folder.ts";

let base: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "convosync-folder-"));
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

test("makes all that is missing, and tells the outermost", () => {
  const path = join(base, "a", "b", "c");
  expect(makeFolder(path, 0o700)).toBe(join(base, "a"));
  expect(statSync(path).mode & 0o777).toBe(process.platform === "win32" ? 0o666 : 0o700);
  expect(makeFolder(path)).toBeUndefined();
  expect(makeFolder(join(path, "d"))).toBe(join(path, "d"));
});

test.skipIf(process.platform === "win32")("takes a symlink to a folder for one (not Windows)", () => {
  mkdirSync(join(base, "real"));
  symlinkSync("real", join(base, "link"));
  expect(makeFolder(join(base, "link"))).toBeUndefined();
  expect(makeFolder(join(base, "link", "a"))).toBe(join(base, "link", "a"));
  symlinkSync("nowhere", join(base, "broken"));
  expect(() => makeFolder(join(base, "broken", "a"))).toThrow(/ENOENT|EEXIST/);
});

test("a file in the way is an error, and stays", () => {
  writeFileSync(join(base, "file"), "text");
  expect(() => makeFolder(join(base, "file"))).toThrow(/EEXIST/);
  expect(() => makeFolder(join(base, "file", "a"))).toThrow(/ENOTDIR|ENOENT/);
});

test.skipIf(process.platform !== "linux")(
  "ends where a folder denies what is to be made in it (skipped where there is no /proc)",
  () => {
    expect(() => makeFolder("/proc/nowhere/a/b")).toThrow(/ENOENT|EACCES|EPERM/);
  },
);
