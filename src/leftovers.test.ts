import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { processName, sweep, sweepAll } from "./leftovers.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "convosync-leftovers-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const mine = processName();
const gone = mine.replace(/^\d+/, String(spawnSync(process.execPath, ["-e", ""]).pid));
const elsewhere = gone.replace(/@[^@]*@/, "@elsewhere@");

test.each([
  ["of one file", () => sweep(folder, ".index.", ".tmp"), [".a.b", ".index.pieces"]],
  ["of all files", () => sweepAll(folder, ".tmp"), []],
])("what ended processes left beside them is removed, %s", (_, work, others) => {
  const stay = [
    "index",
    "index.pieces",
    ".index",
    `.index.${mine}.tmp`,
    `.index.${elsewhere}.tmp`,
    `.x.${gone}`,
  ];
  for (const name of stay) writeFileSync(join(folder, name), "");
  for (const name of [".index", ".index.pieces", ".a.b"])
    writeFileSync(join(folder, `${name}.${gone}.tmp`), "");
  work();
  expect(readdirSync(folder).sort()).toEqual(
    [...stay, ...others.map((name) => `${name}.${gone}.tmp`)].sort(),
  );
});
