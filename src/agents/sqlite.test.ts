import { spawnSync } from "node:child_process";
import {
  appendFileSync,
  copyFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { imageOf, readDatabase, type SqlRow, type SqlTables, UnreadableDatabase } from "./sqlite.ts";

// test/fixtures/sqlite was made by SQLite 3.40.1, with pages of 512 bytes: 150 notes, of which one was changed, one deleted
// and one added after the last checkpoint, so that they stand in the log only; as does a column.
const made = new URL("../../test/fixtures/sqlite/notes.db", import.meta.url).pathname;

const dir = mkdtempSync(join(tmpdir(), "convosync-sqlite-"));
afterAll(() => rmSync(dir, { recursive: true }));

let copies = 0;
function copy(): string {
  const path = join(dir, `${copies++}.db`);
  copyFileSync(made, path);
  copyFileSync(`${made}-wal`, `${path}-wal`);
  return path;
}

const columns = ["id", "topic", "size", "body", "late"];

/** The notes as they were put in. */
function notes(logged = true): SqlRow[] {
  const rows: SqlRow[] = [];
  for (let n = 0; n < 150; n++) {
    const id = `n${String(n).padStart(4, "0")}`;
    const body = `é${n} `.repeat((n % 11) * (n % 5));
    if (logged && n === 7) continue;
    const changed = logged && n === 42;
    rows.push([id, `topic ${n % 7}`, n ** 3 * 1_000_003, changed ? "changed" : body, changed ? 0.5 : null]);
  }
  if (logged) rows.push(["n9999", "topic 3", -1, "x".repeat(5000), -2.25]);
  return rows;
}

describe("a database of SQLite", () => {
  test("is read as of the last commit in its log", () => {
    expect(readDatabase(copy(), (db) => [...db.rows("note", columns)])).toEqual(notes());
    expect(readDatabase(copy(), (db) => db.columns("note"))).toEqual(columns);
    expect(readDatabase(copy(), (db) => db.columns("nothing"))).toEqual([]);
  });

  test("is read by its indexes, in their order", () => {
    for (let topic = 0; topic < 8; topic++) {
      const found = readDatabase(copy(), (db) => [
        ...db.rowsWhere("note", "topic", `topic ${topic}`, ["size", "id"]),
      ]);
      const expected = notes()
        .filter(([, one]) => one === `topic ${topic}`)
        .map(([id, , size]) => [size as number, id] as const);
      expect(found).toEqual(expected.sort((a, b) => a[0] - b[0]));
    }
    const byId = (db: SqlTables) => [...db.rowsWhere("note", "id", "n0042", ["body"])];
    expect(readDatabase(copy(), byId)).toEqual([["changed"]]);
  });

  test("is made one file, with what its log holds", () => {
    const path = copy();
    const image = imageOf(path, 1 << 20)!;
    const whole = join(dir, "whole.db");
    writeFileSync(whole, image);
    expect(readDatabase(whole, (db) => [...db.rows("note", columns)])).toEqual(notes());
    expect(image.length).toBeGreaterThan(readFileSync(made).length);
    expect(() => imageOf(path, image.length - 1)).toThrow(UnreadableDatabase);
    expect(imageOf(path, image.length)).toEqual(image);
    rmSync(`${path}-wal`);
    expect(imageOf(path, 1 << 20)).toEqual(readFileSync(made));
    expect(imageOf(join(dir, "none.db"), 1 << 20)).toBeNull();
  });

  const hasSqlite = spawnSync("sqlite3", ["--version"]).status === 0;
  test.skipIf(!hasSqlite)("is sound as one file, as SQLite finds (skipped without sqlite3)", () => {
    const whole = join(dir, "sound.db");
    writeFileSync(whole, imageOf(copy(), 1 << 20)!);
    const ran = spawnSync("sqlite3", [whole, "pragma integrity_check; select count(*) from note"]);
    expect(ran.stdout.toString()).toBe("ok\n150\n");
  });

  test("is read without a log, and with one that is torn, of another time, or no log", () => {
    const without = copy();
    rmSync(`${without}-wal`);
    const inFile = (db: SqlTables) => [...db.rows("note", columns.slice(0, 4))];
    const before = notes(false).map((row) => row.slice(0, 4));
    expect(readDatabase(without, inFile)).toEqual(before);

    const log = readFileSync(`${made}-wal`);
    const torn = copy();
    writeFileSync(`${torn}-wal`, log.subarray(0, 32 + 536 + 100));
    expect(readDatabase(torn, inFile)).toEqual(before);
    const another = Buffer.from(log);
    another.writeUInt32BE(another.readUInt32BE(16) + 1, 16);
    writeFileSync(`${torn}-wal`, another);
    expect(readDatabase(torn, inFile)).toEqual(before);
    writeFileSync(`${torn}-wal`, "");
    expect(readDatabase(torn, inFile)).toEqual(before);
  });

  test("is not there, is none, or is another's", () => {
    expect(readDatabase(join(dir, "none.db"), () => 1)).toBeNull();
    const path = join(dir, "text.db");
    writeFileSync(path, "SQLite format 2".repeat(100));
    expect(() => readDatabase(path, (db) => db.columns("note"))).toThrow(UnreadableDatabase);
    expect(() => readDatabase(dir, () => 1)).toThrow(UnreadableDatabase);
    expect(() => readDatabase(copy(), (db) => [...db.rows("note", ["colour"])])).toThrow("columns");
    expect(() => readDatabase(copy(), (db) => [...db.rows("notes", ["id"])])).toThrow("no table");
  });

  test("is read again when it changes meanwhile, and given up when it never rests", () => {
    const path = copy();
    let reads = 0;
    const value = readDatabase(path, () => {
      if (reads++ === 0) appendFileSync(path, Buffer.alloc(512));
      return reads;
    });
    expect(value).toBeGreaterThan(1);
    expect(() => readDatabase(path, () => appendFileSync(path, Buffer.alloc(512)))).toThrow("all the time");
  });

  test("whatever it holds, ends with rows or is unreadable", () => {
    const whole = readFileSync(made);
    const path = copy();
    rmSync(`${path}-wal`);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 12 }),
        (changes) => {
          const bytes = Buffer.from(whole);
          for (const [at, byte] of changes) bytes[at] = byte;
          writeFileSync(path, bytes);
          const longAgo = new Date(1_700_000_000_000);
          utimesSync(path, longAgo, longAgo);
          try {
            readDatabase(path, (db) => {
              for (const _ of db.rows("note", ["id", "topic"]));
              for (const _ of db.rowsWhere("note", "topic", "topic 3", ["body"]));
            });
          } catch (error) {
            expect(error).toBeInstanceOf(UnreadableDatabase);
          }
        },
      ),
      { numRuns: 3000 },
    );
  });
});
