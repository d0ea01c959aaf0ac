import * as fs from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openGitDatabase } from "./git-database.ts";
import { openIsoDatabase } from "./iso-database.ts";
import { memoryFs } from "./memory-fs.ts";
import { describeObjectDatabase } from "./object-database.contract.ts";
import { checkedFiles, roundUpToHour } from "./object-database.ts";
import { makeRepository, type Shape, temporaryFolder } from "./repositories.fixture.ts";

const shapes: Shape[] = ["normal", "linked worktree", "bare", "SHA-256", "shallow"];
for (const shape of shapes) {
  describeObjectDatabase(`git, ${shape}`, async () => {
    const { git, repository, remove } = await makeRepository(shape);
    return { open: async () => openGitDatabase(git, repository), remove };
  });
}

describeObjectDatabase("isomorphic-git, in memory", async () => {
  const db = await openIsoDatabase(memoryFs(), "/store.git");
  return { open: async () => db, remove: async () => {} };
});

describeObjectDatabase("isomorphic-git, in a folder", async () => {
  const folder = await temporaryFolder();
  const db = await openIsoDatabase(fs, join(folder, "store.git"));
  return { open: async () => db, remove: () => rm(folder, { recursive: true, force: true }) };
});

describe("commit dates go up to the hour", () => {
  test.each([
    ["2025-03-04T05:00:00.000Z", "2025-03-04T05:00:00.000Z"],
    ["2025-03-04T05:00:00.001Z", "2025-03-04T06:00:00.000Z"],
    ["2025-12-31T23:59:59.999Z", "2026-01-01T00:00:00.000Z"],
  ])("%s is stored as %s", (time, stored) => {
    expect(roundUpToHour(new Date(time)).toISOString()).toBe(stored);
  });
});

describe("paths of new files", () => {
  const check = async (...paths: string[]) => {
    for await (const _ of checkedFiles(paths.map((path) => ({ path, content: new Uint8Array() }))));
  };

  test.each(["", "/a", "a/", "a//b", "../a", ".git/config", "a\nb", "a b", '"a', "a/.", "a.", "nul\0", "é"])(
    "refuse %j",
    async (path) => {
      await expect(check(path)).rejects.toThrow(RangeError);
    },
  );

  test.each(["README.md", "passkey-0.age", "segment/00/63.age", "domain/prompts/0.age"])(
    "allow %j",
    async (path) => {
      await expect(check(path)).resolves.toBeUndefined();
    },
  );
});
