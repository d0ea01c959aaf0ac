import { constants, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findUnusable } from "./permissions.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "convosync-permissions-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** As the system answers a user to whom these paths are closed. */
const closed =
  (code: string, ...paths: readonly string[]) =>
  async (path: unknown, mode = 0): Promise<void> => {
    const why = paths.includes(String(path)) && (mode & (constants.W_OK | constants.R_OK)) !== 0;
    if (why) throw Object.assign(new Error(code), { code });
  };

describe("findUnusable", () => {
  const make = () => {
    mkdirSync(join(root, "a/b/c"), { recursive: true });
    for (const name of ["one", "a/two", "a/b/c/three"]) writeFileSync(join(root, name), "");
    return (name: string) => join(root, name);
  };

  test("names files and folders, as deep as was asked for", async () => {
    const path = make();
    const may = closed("EACCES", path("one"), path("a"), path("a/b/c/three"));
    expect(await findUnusable([{ folder: root, depth: 1 }], may)).toEqual([
      { folder: root, paths: expect.arrayContaining([path("one"), path("a")]), readOnly: false },
    ]);
    const [deep] = await findUnusable([{ folder: root, depth: 9 }], may);
    expect(deep?.paths).toHaveLength(3);
  });

  test("has nothing to say of what can be used, and of what is not there", async () => {
    make();
    const places = [root, join(root, "gone")].map((folder) => ({ folder, depth: 9 }));
    expect(await findUnusable(places)).toEqual([]);
  });

  test("tells a file system that is read-only, and a file that only cannot be written is fine", async () => {
    const path = make();
    const asked: number[] = [];
    const may = async (one: unknown, mode = 0): Promise<void> => {
      if (String(one) === path("one")) asked.push(mode);
      await closed("EROFS", root)(one, mode);
    };
    expect(await findUnusable([{ folder: root, depth: 1 }], may)).toEqual([
      { folder: root, paths: [root], readOnly: true },
    ]);
    expect(asked).toEqual([constants.R_OK]);
  });

  test("names a hundred of thousands", async () => {
    const names = Array.from({ length: 300 }, (_, i) => join(root, String(i)));
    for (const name of names) writeFileSync(name, "");
    const [found] = await findUnusable([{ folder: root, depth: 1 }], closed("EPERM", ...names));
    expect(found?.paths).toHaveLength(100);
  });
});
