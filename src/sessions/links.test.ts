import fc from "fast-check";
import { expect, test } from "vitest";
import { frozenBy, type Link, type Manifest, splitManifest, stillFrozen } from "../packing/manifest.ts";
import { extendLinks, type LinkedCommit, rewriteLinks } from "./links.ts";

const name = (n: number): string => n.toString(16).padStart(40, "0");
const commit = (n: number, branch = "main"): LinkedCommit => ({
  ...{ commit: name(n), branch, tree: name(n), parent: null, authorDate: "", authorEmail: "" },
  ...{ patchId: null, base: null, cumulativePatchId: null, modified: [], rewritten: [] },
});
const link = (n: number, upto = n): Link => ({ upto, ...commit(n) });

test("commits follow in order, none twice in a row, and none goes back", () => {
  const links = extendLinks(
    [link(1, 10)],
    [
      { upto: 12, link: commit(1) },
      { upto: 8, link: commit(2) },
      { upto: 20, link: commit(3) },
      { upto: 20, link: commit(3, "side") },
    ],
  );
  expect(links.map((one) => [one.upto, one.commit, one.branch])).toEqual([
    [10, name(1), "main"],
    [10, name(2), "main"],
    [20, name(3), "main"],
    [20, name(3), "side"],
  ]);
});

test("a rewrite of a rewrite is known by its first name, whenever it was heard of", () => {
  const once = rewriteLinks([link(1), link(9)], new Map([[name(1), [name(2)]]]));
  const twice = rewriteLinks(once, new Map([[name(2), [name(3)]]]));
  expect(twice[0]!.rewritten).toEqual([name(2), name(3)]);
  const both = new Map([
    [name(1), [name(2)]],
    [name(2), [name(3), name(1)]],
  ]);
  expect(rewriteLinks([link(1)], both)[0]!.rewritten).toEqual([name(2), name(3)]);
});

test("for any rewrites: it ends, no name is lost or its own, and what is unchanged is the same object", () => {
  const n = fc.integer({ min: 0, max: 9 });
  const pairs = fc.array(fc.tuple(n, n));
  fc.assert(
    fc.property(fc.array(n), pairs, (commits, all) => {
      const rewrites = new Map<string, string[]>();
      for (const [from, to] of all) rewrites.set(name(from), [...(rewrites.get(name(from)) ?? []), name(to)]);
      const before = commits.map((one) => link(one));
      const after = rewriteLinks(before, rewrites);
      for (const [at, one] of after.entries()) {
        expect(one.rewritten).not.toContain(one.commit);
        expect(new Set(one.rewritten).size).toBe(one.rewritten.length);
        const direct = (rewrites.get(one.commit) ?? []).filter((to) => to !== one.commit);
        expect(one.rewritten).toEqual(expect.arrayContaining(direct));
        if (one.rewritten.length === 0) expect(one).toBe(before[at]);
      }
    }),
  );
});

test("a link that stands in a page of the manifest takes its new name along: the page is written anew", () => {
  const links = Array.from({ length: 40 }, (_, n) => link(n));
  const manifest = { streams: [], files: [], snapshots: [], pages: [], links } as unknown as Manifest;
  const first = splitManifest(manifest, frozenBy(manifest, []));
  const frozen = frozenBy(first.open, first.pages);
  // Those of late stay where a new name costs nothing.
  expect(frozen.links).toBe(36);
  expect(stillFrozen(frozen, manifest, { ...manifest, links: [...links, link(40)] })).toBe(true);
  const renamed = rewriteLinks(links, new Map([[name(3), [name(99)]]]));
  expect(stillFrozen(frozen, manifest, { ...manifest, links: renamed })).toBe(false);
});
