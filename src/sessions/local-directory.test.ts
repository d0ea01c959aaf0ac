import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Workplace } from "../agents/agent.ts";
import { settleIn } from "./local-directory.ts";

let base: string;
let place: Workplace;
beforeEach(() => {
  base = realpathSync(mkdtempSync(join(tmpdir(), "convosync-directory-")));
  const root = join(base, "shop");
  mkdirSync(join(root, ".git"), { recursive: true });
  mkdirSync(join(root, "there"));
  mkdirSync(join(base, "outside"));
  writeFileSync(join(root, "file"), "x\n");
  symlinkSync(join(base, "outside"), join(root, "link"));
  place = { root, worktrees: [root], cwd: root, home: base, env: {} };
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

test("a folder that the code lacks is made; one that is there is left as it is", () => {
  const { root } = place;
  expect(settleIn(join(root, "there"), place)).toEqual({
    workingDirectory: join(root, "there"),
    made: false,
  });
  const path = join(root, "packages/old");
  expect(settleIn(path, place)).toEqual({ workingDirectory: path, made: true });
  expect(existsSync(path)).toBe(true);
});

test.each(["../elsewhere", "link/x", ".git/x", "there/.GIT/x", "file/x", "file"])("never for %s", (name) => {
  const path = join(place.root, name);
  const before = existsSync(path);
  expect(settleIn(path, place)).toEqual({ workingDirectory: place.root, made: false });
  expect(existsSync(path)).toBe(before);
  expect(existsSync(join(base, "outside/x"))).toBe(false);
});
