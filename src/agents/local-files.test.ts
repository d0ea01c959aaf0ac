import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { identify, type LinesEnd, RestoreFile, readWholeLines, sameFile } from "./local-files.ts";

/** What the file system tells wrongly of a file with two names, in bytes. */
const disk = vi.hoisted(() => ({ linkedSize: 0 }));
vi.mock("node:fs/promises", async (original) => {
  const real = await original<typeof import("node:fs/promises")>();
  const lstat = async (path: string): Promise<unknown> => {
    const stat = await real.lstat(path);
    if (stat.nlink > 1) stat.size += disk.linkedSize;
    return stat;
  };
  return { ...real, lstat };
});

let base: string;
let root: string;
let backupDir: string;
beforeEach(() => {
  base = realpathSync(mkdtempSync(join(tmpdir(), "convosync-files-")));
  root = join(base, "store");
  backupDir = join(base, "backups");
});
afterEach(() => {
  disk.linkedSize = 0;
  rmSync(base, { recursive: true, force: true });
});

async function restore(path: string, ...content: string[]): Promise<string | null> {
  const expect = await identify(path);
  const file = await RestoreFile.create(path, root);
  for (const piece of content) await file.write(Buffer.from(piece));
  return file.commit({ backupDir, expect });
}

const filesBelow = (folder: string): string[] =>
  existsSync(folder)
    ? readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((e) => !e.isDirectory())
        .map((e) => e.name)
    : [];

describe("RestoreFile", () => {
  test("a new file: 0600 in folders of 0700, now, nothing left beside it", async () => {
    const path = join(root, "projects", "-p", "s.jsonl");
    expect(await restore(path, "one\n", "two\n")).toBeNull();
    expect(readFileSync(path, "utf8")).toBe("one\ntwo\n");
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(join(root, "projects", "-p")).mode & 0o777).toBe(0o700);
    expect(Date.now() - statSync(path).mtimeMs).toBeLessThan(60_000);
    expect(filesBelow(base)).toEqual(["s.jsonl"]);
  });

  test("a local version that the new one continues leaves no backup", async () => {
    const path = join(root, "s.jsonl");
    await restore(path, "one\n");
    utimesSync(path, 1, 1);
    expect(await restore(path, "one\ntwo\n")).toBeNull();
    expect(readFileSync(path, "utf8")).toBe("one\ntwo\n");
    expect(statSync(path).mtimeMs).toBeGreaterThan(1e12);
    expect(filesBelow(base)).toEqual(["s.jsonl"]);
  });

  test.each([
    ["different", "ours\n"],
    ["shorter", "l"],
    ["empty", ""],
  ])("a %s one is kept", async (_, content) => {
    const path = join(root, "s.jsonl");
    await restore(path, "local\n");
    const backup = await restore(path, content);
    expect(readFileSync(backup!, "utf8")).toBe("local\n");
    expect(readFileSync(path, "utf8")).toBe(content);
  });

  test("a disk that tells another size of a file with two names", async () => {
    disk.linkedSize = 50;
    const path = join(root, "a.jsonl");
    await restore(path, "local\n");
    const backup = await restore(path, "other\n");
    expect([readFileSync(path, "utf8"), readFileSync(backup!, "utf8")]).toEqual(["other\n", "local\n"]);
    expect(filesBelow(base)).toHaveLength(2);
  });

  test("a process that still appends to the replaced file writes into the backup", async () => {
    const path = join(root, "s.jsonl");
    await restore(path, "local\n");
    const { openSync, writeSync, closeSync } = await import("node:fs");
    const agent = openSync(path, "a");
    const backup = await restore(path, "other\n");
    writeSync(agent, "late\n");
    closeSync(agent);
    expect(readFileSync(backup!, "utf8")).toBe("local\nlate\n");
    expect(readFileSync(path, "utf8")).toBe("other\n");
  });

  test.each([
    ["appended to", (path: string) => appendFileSync(path, "more\n")],
    [
      "replaced",
      (path: string) => {
        writeFileSync(`${path}.x`, "local\n");
        renameSync(`${path}.x`, path);
      },
    ],
    ["deleted", (path: string) => rmSync(path)],
  ])("a file that was %s since it was looked at is left alone", async (_, change) => {
    const path = join(root, "s.jsonl");
    await restore(path, "local\n");
    const expected = await identify(path);
    change(path);
    const now = existsSync(path) ? readFileSync(path, "utf8") : null;
    const file = await RestoreFile.create(path, root);
    await file.write(Buffer.from("new\n"));
    await expect(file.commit({ backupDir, expect: expected })).rejects.toMatchObject({
      code: "local-changed",
      exit: 4,
    });
    expect(existsSync(path) ? readFileSync(path, "utf8") : null).toBe(now);
    expect(filesBelow(base)).toEqual(now === null ? [] : ["s.jsonl"]);
  });

  test("a file that came up in the meantime is left alone", async () => {
    const path = join(root, "s.jsonl");
    const file = await RestoreFile.create(path, root);
    writeFileSync(path, "agent\n");
    await expect(file.commit({ backupDir, expect: null })).rejects.toMatchObject({ code: "local-changed" });
    expect(readFileSync(path, "utf8")).toBe("agent\n");
  });

  test("abort leaves nothing", async () => {
    const file = await RestoreFile.create(join(root, "s.jsonl"), root);
    await file.write(Buffer.from("x"));
    await file.abort();
    expect(filesBelow(base)).toEqual([]);
  });

  test("symlinks further below the store are refused; the store and a folder in it may be some", async () => {
    const real = join(base, "real");
    mkdirSync(join(real, "in"), { recursive: true });
    symlinkSync(real, root);
    mkdirSync(join(base, "elsewhere"));
    symlinkSync(join(base, "elsewhere"), join(real, "out"));
    symlinkSync(join(base, "elsewhere"), join(real, "in", "out"));
    symlinkSync(join(base, "nowhere"), join(real, "dangling"));
    symlinkSync(join(base, "target"), join(real, "in", "s.jsonl"));
    await restore(join(root, "in", "t.jsonl"), "x\n");
    expect(readFileSync(join(real, "in", "t.jsonl"), "utf8")).toBe("x\n");
    await restore(join(root, "out", "t.jsonl"), "y\n");
    expect(readFileSync(join(base, "elsewhere", "t.jsonl"), "utf8")).toBe("y\n");
    for (const through of ["in/out", "dangling"])
      await expect(restore(join(root, through, "s.jsonl"), "x")).rejects.toMatchObject({
        code: "store-symlink",
        exit: 6,
      });
    await expect(restore(join(root, "in", "s.jsonl"), "x")).rejects.toMatchObject({
      code: "not-a-file",
      exit: 6,
    });
    await expect(restore(join(base, "s.jsonl"), "x")).rejects.toMatchObject({
      code: "outside-store",
      exit: 6,
    });
    expect(readdirSync(join(base, "elsewhere"))).toEqual(["t.jsonl"]);
  });
});

describe("readWholeLines", () => {
  async function read(path: string, from = 0, between: () => void = () => {}) {
    const lines = readWholeLines(path, from);
    const chunks: Buffer[] = [];
    for (;;) {
      const next = await lines.next();
      if (next.done)
        return { text: Buffer.concat(chunks).toString("latin1"), chunks, end: next.value as LinesEnd };
      chunks.push(next.value);
      between();
    }
  }

  test("whole lines only; a torn tail waits", async () => {
    const path = join(base, "f");
    writeFileSync(path, "one\ntwo\nthr");
    const first = await read(path);
    expect([first.text, first.end.end, first.end.intact]).toEqual(["one\ntwo\n", 8, true]);
    appendFileSync(path, "ee\nfo");
    const second = await read(path, first.end.end);
    expect([second.text, second.end.end]).toEqual(["three\n", 14]);
    expect(sameFile(second.end.identity, await identify(path))).toBe(true);
  });

  test("chunks are whole lines whatever their length", async () => {
    const path = join(base, "f");
    const line = fc.integer({ min: 0, max: 3 }).map((n) => "x".repeat([0, 10, 70_000, 2_500_000][n]!));
    await fc.assert(
      fc.asyncProperty(fc.array(line, { maxLength: 6 }), fc.boolean(), async (lines, torn) => {
        const whole = lines.map((l) => `${l}\n`).join("");
        writeFileSync(path, whole + (torn ? "torn" : ""));
        const { text, chunks, end } = await read(path);
        expect(text === whole).toBe(true);
        expect(end.end).toBe(whole.length);
        expect(chunks.every((chunk) => chunk.at(-1) === 0x0a)).toBe(true);
      }),
      { numRuns: 15 },
    );
  });

  test("a file that is cut, replaced or removed while it is read is not intact", async () => {
    const path = join(base, "f");
    const changes = [
      () => truncateSync(path, 1),
      () => rmSync(path),
      () => {
        rmSync(path);
        writeFileSync(path, "y\n");
      },
    ];
    for (const change of changes) {
      writeFileSync(path, "x\n".repeat(10));
      let once = true;
      const { end } = await read(path, 0, () => {
        if (once) change();
        once = false;
      });
      expect(end.intact).toBe(false);
    }
  });

  test("symlinks are not followed; a line nobody can store is refused", async () => {
    const path = join(base, "f");
    writeFileSync(path, Buffer.alloc((33 << 20) + 1, 0x78));
    await expect(read(path)).rejects.toMatchObject({ code: "line-too-long" });
    symlinkSync(path, join(base, "link"));
    await expect(read(join(base, "link"))).rejects.toThrow(/ELOOP/);
    expect(await identify(join(base, "none"))).toBeNull();
  });
});
