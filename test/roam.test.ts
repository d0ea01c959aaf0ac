// A short version of scripts/roam.mjs: three devices go on with the same conversations in every way there is.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

test("saves, resumes, merges, deletes, undoes, crashes, a remote that comes and goes: no line is lost", () => {
  const agents = "claude,codex,gemini,copilot,qwen,cursor";
  const roam = fileURLToPath(new URL("../scripts/roam.mjs", import.meta.url));
  const { status, stdout } = spawnSync(
    process.execPath,
    [roam, "--steps", "60", "--seed", "1", "--agents", agents],
    {
      encoding: "utf8",
    },
  );
  expect(stdout).toMatch(/✓ all \d+ lines of \d+ conversations are there, each once/);
  expect(status).toBe(0);
});
