import { describe, expect, test } from "vitest";
import { parseCommit, parseTree, walkTree } from "./tree.ts";

const oid = "0123456789abcdef0123456789abcdef01234567";
const entry = (mode: string, name: string, hex = oid) =>
  Buffer.concat([Buffer.from(`${mode} ${name}\0`), Buffer.from(hex, "hex")]);

describe("a tree object", () => {
  test("is its entries, with names of either length", () => {
    const long = oid + oid.slice(0, 24);
    const plain = [
      { name: "README.md", kind: "file", oid },
      { name: "page", kind: "folder", oid },
    ];
    expect(parseTree(Buffer.concat([entry("100644", "README.md"), entry("40000", "page")]), 20)).toEqual(
      plain,
    );
    expect(parseTree(entry("100644", "a", long), 32)).toEqual([{ name: "a", kind: "file", oid: long }]);
    expect(parseTree(new Uint8Array(), 20)).toEqual([]);
  });

  test.each([
    ["a symbolic link", entry("120000", "a")],
    ["a submodule", entry("160000", "a")],
    ["an executable", entry("100755", "a")],
    ["a path in a name", entry("100644", "../a")],
    ["a folder of git's own", entry("40000", ".git")],
    ["an empty name", entry("100644", "")],
    ["a control character", entry("100644", "a\u001b[2J")],
    ["letters beyond ASCII", entry("100644", "é")],
    ["a name cut short", Buffer.from("100644 a")],
    ["an oid cut short", entry("100644", "a").subarray(0, -1)],
    ["only a mode", Buffer.from("100644")],
  ])("with %s is refused", (_, bytes) => {
    expect(() => parseTree(bytes, 20)).toThrow(expect.objectContaining({ code: "bad-tree", exit: 6 }));
  });
});

describe("walking", () => {
  const folder = (name: string, tree: string) => ({ name, kind: "folder" as const, oid: tree });
  const file = (name: string) => ({ name, kind: "file" as const, oid });

  test("gives the path of every file", async () => {
    const trees = new Map([
      ["root", [file("a"), folder("b", "below"), folder("c", "below")]],
      ["below", [file("x")]],
    ]);
    const found = await walkTree("root", async (tree) => trees.get(tree) ?? []);
    expect([...found.keys()]).toEqual(["a", "b/x", "c/x"]);
  });

  test("refuses a name twice, and trees in trees without end", async () => {
    const bad = { code: "bad-tree" };
    await expect(walkTree("root", async () => [file("a"), file("a")])).rejects.toMatchObject(bad);
    await expect(walkTree("root", async (tree) => [folder("a", tree)])).rejects.toMatchObject(bad);
  });

  test("stops soon in a tree that branches without end", async () => {
    let reads = 0;
    const many = Array.from({ length: 10_000 }, (_, n) => folder(`n${n}`, "root"));
    const walk = walkTree("root", async () => {
      reads++;
      return many;
    });
    await expect(walk).rejects.toMatchObject({ code: "bad-tree" });
    expect(reads).toBeLessThan(20);
  });
});

describe("a commit object", () => {
  const parse = (text: string) => parseCommit(oid, new TextEncoder().encode(text));

  test("names its tree and parents, in order, and nothing from its message", () => {
    const second = oid.replaceAll("0", "f");
    const header = `tree ${oid}\nparent ${second}\nparent ${oid}\nauthor a <a> 1 +0000\n`;
    expect(parse(`${header}\nparent ${oid}\n`)).toEqual({ tree: oid, parents: [second, oid] });
    expect(parse(`tree ${oid}\nauthor a <a> 1 +0000\n\nx`)).toEqual({ tree: oid, parents: [] });
  });

  test.each(["", "tree", `tree ${oid.slice(1)}\n\n`, `tree ${oid}\nparent HEAD\nauthor a\n\n`])(
    "is not %j",
    (text) => {
      expect(() => parse(text)).toThrow(expect.objectContaining({ code: "bad-object" }));
    },
  );
});
