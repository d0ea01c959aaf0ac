// A short version of scripts/soak.mjs: everything at once, and in the end nothing is missing and nothing is there twice.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

test("commits, rebases, worktrees, saves side by side, killed workers, a flaky remote: no line is lost", () => {
  const soak = fileURLToPath(new URL("../scripts/soak.mjs", import.meta.url));
  const { status, stdout } = spawnSync(process.execPath, [soak, "--steps", "30", "--seed", "20261121"], {
    encoding: "utf8",
  });
  expect(stdout).toMatch(/✓ all \d+ lines of \d+ conversations are on the remote, each once/);
  expect(status).toBe(0);
});
