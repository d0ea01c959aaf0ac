import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { NewCommit, NewFile, ObjectDatabase, Oid } from "./object-database.ts";

/** One empty repository, opened as often as there are writers. */
export interface DatabaseUnderTest {
  open(): Promise<ObjectDatabase>;
  remove(): Promise<void>;
}

const utf8 = (text: string) => new TextEncoder().encode(text);
const when = new Date("2025-03-04T05:06:07Z");
const ref = "refs/convosync/abcdefghijk23/head/zyxwvutsrqp76";
const other = "refs/convosync/abcdefghijk23/session/aaaabbbbccccdddd/zyxwvutsrqp76";
const absent = "1234567890".repeat(4);

/** What every object database does. */
export function describeObjectDatabase(name: string, create: () => Promise<DatabaseUnderTest>): void {
  describe(name, () => {
    let made: DatabaseUnderTest;
    let db: ObjectDatabase;
    beforeAll(async () => {
      made = await create();
      db = await made.open();
    });
    afterEach(async () => {
      const left = await db.refs("refs/convosync/");
      await db.update([...left].map(([name, from]) => ({ ref: name, from, to: null })));
    });
    afterAll(async () => {
      await db.close();
      await made.remove();
    });

    const save = (files: readonly NewFile[], parents: readonly Oid[] = []) =>
      db.commit({ parents, files, when });
    const bytes = Uint8Array.from({ length: 70_000 }, (_, i) => (i * 7919) >> 3);
    const files: NewFile[] = [
      { path: "head.age", content: bytes },
      { path: "segment/00/01.age", content: utf8("one\n") },
      { path: "segment/00/00.age", content: utf8("") },
      { path: "segment-2.age", content: utf8("sorts before the folder") },
    ];

    test("gives back what was committed", async () => {
      const commit = await save(files);
      const found = await db.files(commit);
      expect([...found.keys()].sort()).toEqual(files.map(({ path }) => path).sort());
      for (const { path, content } of files) expect(await db.read(found.get(path)!, 70_000)).toEqual(content);
      expect(await db.parents(commit)).toEqual([]);
    });

    test("shows a folder of a commit by itself", async () => {
      const files = [
        { path: "one/deep/a", content: Uint8Array.of(1) },
        { path: "two/b", content: Uint8Array.of(2) },
        { path: "c", content: Uint8Array.of(3) },
      ];
      const made = await db.commit({ parents: [], files, when });
      const all = await db.files(made);
      const folders = await db.folders(made);
      expect([...folders.keys()].sort()).toEqual(["one", "two"]);
      expect(await db.filesOfTree(folders.get("one")!)).toEqual(new Map([["deep/a", all.get("one/deep/a")]]));
    });

    test("shows a commit only through a ref", async () => {
      const commit = await save(files);
      expect(await db.refs("refs/convosync/")).toEqual(new Map());
      await db.update([{ ref, from: null, to: commit }]);
      expect(await db.refs("refs/convosync/")).toEqual(new Map([[ref, commit]]));
      expect(await db.refs(ref)).toEqual(new Map([[ref, commit]]));
      expect(await db.refs("refs/convosync/other/", ref)).toEqual(new Map([[ref, commit]]));
      expect(await db.refs("refs/convosync/other/")).toEqual(new Map());
      expect(await db.refs("refs/convosync/abcdefghijk")).toEqual(new Map());
    });

    test("makes the tree anew, from bytes and from blobs it has", async () => {
      const first = await save(files);
      const blob = (await db.files(first)).get("head.age")!;
      const second = await save([{ path: "page/0.age", content: blob }], [first]);
      expect(await db.files(second)).toEqual(new Map([["page/0.age", blob]]));
      expect(await db.parents(second)).toEqual([first]);
    });

    test("makes the same tree when it is told what was there before", async () => {
      const first = await save([...files, { path: "gone/with/its/folder", content: utf8("x") }]);
      const before = await db.files(first);
      const kept = ["head.age", "segment/00/00.age"].map((path) => ({ path, content: before.get(path)! }));
      const next: NewFile[] = [
        ...kept,
        { path: "segment/00/01.age", content: utf8("another one\n") },
        { path: "segment/01/00.age", content: before.get("segment-2.age")! },
        // A folder in a file's place, and the other way round.
        { path: "segment-2.age/a", content: utf8("a") },
        { path: "gone", content: utf8("a file now") },
      ];
      const plain = await db.commit({ parents: [first], files: next, when });
      const told = await db.commit({ parents: [first], files: next, when, before });
      expect(told).toBe(plain);
      expect([...(await db.files(told)).keys()].sort()).toEqual(next.map(({ path }) => path).sort());
    });

    test("keeps two parents in order, and can re-root", async () => {
      const [a, b] = await db.commits([
        { parents: [], files: [{ path: "a", content: utf8("a") }], when },
        { parents: [], files: [{ path: "b", content: utf8("b") }], when },
      ]);
      const folded = await save(files, [b!, a!]);
      expect(await db.parents(folded)).toEqual([b, a]);
      await db.update([{ ref, from: null, to: folded }]);
      await db.update([{ ref, from: folded, to: a! }]);
      expect(await db.refs(ref)).toEqual(new Map([[ref, a]]));
    });

    test("takes commits as they are produced, and one of them for a parent", async () => {
      const taken: string[] = [];
      async function* content(name: string): AsyncGenerator<NewFile> {
        yield { path: "a", content: utf8(name) };
        taken.push(name);
      }
      async function* produce(): AsyncGenerator<NewCommit> {
        const first: NewCommit = { parents: [], files: content("first"), when };
        yield first;
        expect(taken).toEqual(["first"]);
        const second: NewCommit = { parents: [first], files: content("second"), when };
        yield second;
        yield { parents: [second, first], files: content("third"), when };
      }
      const [first, second, third, ...others] = await db.commits(produce());
      expect(others).toEqual([]);
      expect(await db.parents(first!)).toEqual([]);
      expect(await db.parents(second!)).toEqual([first]);
      expect(await db.parents(third!)).toEqual([second, first]);
      const late: NewCommit = { parents: [], files, when };
      await expect(db.commits([{ parents: [late], files, when }, late])).rejects.toThrow(RangeError);
    });

    test("takes files as they are produced", async () => {
      async function* produce() {
        for (let n = 0; n < 150; n++)
          yield { path: `segment/${n >> 6}/${n & 63}.age`, content: utf8(`segment ${n}`) };
      }
      const found = await db.files(await db.commit({ parents: [], files: produce(), when }));
      expect(found.size).toBe(150);
      const texts = await Promise.all([...found.values()].map((blob) => db.read(blob, 100)));
      expect(new Set(texts.map((text) => new TextDecoder().decode(text))).size).toBe(150);
    });

    test("stores nothing of a commit whose files fail", async () => {
      // biome-ignore lint/correctness/useYield: it fails before it could
      async function* broken(): AsyncGenerator<NewFile> {
        throw new Error("disk on fire");
      }
      await expect(db.commit({ parents: [], files: broken(), when })).rejects.toThrow("disk on fire");
      await expect(save([{ path: "a", content: absent }])).rejects.toThrow();
      expect(await db.files(await save(files))).toHaveProperty("size", 4);
    });

    test("refuses a path twice, and a file that is also a folder", async () => {
      const at = (...paths: string[]) => save(paths.map((path) => ({ path, content: utf8(path) })));
      await expect(at("a", "a")).rejects.toThrow(RangeError);
      await expect(at("a", "a/b")).rejects.toThrow(RangeError);
      await expect(at("a/b", "a")).rejects.toThrow(RangeError);
    });

    test("limits what it reads, before and after other reads", async () => {
      const found = await db.files(await save(files));
      const [big, small] = [found.get("head.age")!, found.get("segment/00/01.age")!];
      const results = await Promise.allSettled([
        db.read(small, 4),
        db.read(big, 69_999),
        db.read(small, 4),
        db.read(absent, 10),
        db.read(big, 70_000),
      ]);
      expect(results[0]).toEqual({ status: "fulfilled", value: utf8("one\n") });
      expect(results[1]).toMatchObject({ reason: { code: "object-too-large", exit: 6 } });
      expect(results[2]).toEqual({ status: "fulfilled", value: utf8("one\n") });
      expect(results[3]).toMatchObject({ reason: { code: "missing-object", exit: 6 } });
      expect(results[4]).toEqual({ status: "fulfilled", value: bytes });
    });

    test("does not take one kind of object for another", async () => {
      const commit = await save(files);
      const blob = (await db.files(commit)).get("head.age")!;
      await expect(db.read(commit, 10_000)).rejects.toMatchObject({ code: "bad-object" });
      await expect(db.files(blob)).rejects.toMatchObject({
        code: expect.stringMatching(/^bad-object|object-too-large$/),
      });
      await expect(db.parents(absent)).rejects.toMatchObject({ code: "missing-object" });
      await expect(db.read("HEAD", 10)).rejects.toThrow(RangeError);
    });

    test("moves all refs or none", async () => {
      const a = await save(files);
      const b = await save([], [a]);
      await db.update([
        { ref, from: null, to: a },
        { ref: other, from: null, to: a },
      ]);
      const moved = { code: "ref-moved" };
      for (const stale of [
        { ref: other, from: null, to: b },
        { ref: other, from: b, to: a },
        { ref: other, from: b, to: null },
        { ref: `${other.slice(0, -1)}5`, from: a, to: b },
        { ref: `${other.slice(0, -1)}5`, from: a, to: null },
      ]) {
        await expect(db.update([{ ref, from: a, to: b }, stale])).rejects.toMatchObject(moved);
        expect(await db.refs("refs/convosync/")).toEqual(new Map([ref, other].map((name) => [name, a])));
      }
      await db.update([
        { ref, from: a, to: b },
        { ref: other, from: a, to: null },
      ]);
      expect(await db.refs("refs/convosync/")).toEqual(new Map([[ref, b]]));
      await db.update([{ ref, from: b, to: null }]);
      await db.update([]);
      expect(await db.refs("refs/convosync/")).toEqual(new Map());
    });

    test("loses nothing with 8 writers on one ref", async () => {
      async function writer(id: number): Promise<void> {
        const mine = await made.open();
        for (let won = false; !won; ) {
          const tip = (await mine.refs(ref)).get(ref) ?? null;
          const file = { path: "a", content: utf8(`writer ${id}`) };
          const commit = await mine.commit({ parents: tip ? [tip] : [], files: [file], when });
          won = await mine.update([{ ref, from: tip, to: commit }]).then(
            () => true,
            (error) => {
              expect(error).toMatchObject({ code: "ref-moved" });
              return false;
            },
          );
        }
        await mine.close();
      }
      await Promise.all(Array.from({ length: 8 }, (_, id) => writer(id)));
      const saved = new Set<string>();
      for (let tip = (await db.refs(ref)).get(ref); tip !== undefined; tip = (await db.parents(tip))[0]) {
        const blob = (await db.files(tip)).get("a")!;
        saved.add(new TextDecoder().decode(await db.read(blob, 10)));
      }
      expect(saved.size).toBe(8);
    });
  });
}
