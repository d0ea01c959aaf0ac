import fc from "fast-check";
import { expect, test } from "vitest";
import { type Places, toPortable } from "../agents/portable-paths.ts";
import { rootTold } from "./told-root.ts";

const bytes = (value: object): Uint8Array => Buffer.from(`${JSON.stringify(value)}\n`);
const here: Places = {
  root: ["/home/me/new/shop"],
  home: ["/home/me"],
  store: ["/home/me/.claude"],
  keys: ["-home-me-new-shop", "-home-me-new-shop"],
};
const folder = fc
  .string({ minLength: 1, maxLength: 12, unit: "grapheme" })
  .filter((name) => !/[/\0]|^\.\.?$/.test(name) && name === name.normalize("NFC"));

test("a line says which root it was told from, whatever that is called", () => {
  fc.assert(
    fc.property(folder, folder, fc.boolean(), (one, other, deep) => {
      const root = deep ? `/home/me/${one}/${other}` : `/srv/${one}`;
      const line = bytes({ home: "/home/me/notes", cwd: root, gitRoot: root, file: `${root}/src/a.ts` });
      const stored = toPortable(line, { ...here, root: [root] }, "jsonl");
      fc.pre(Buffer.from(stored).includes("{{CS:ROOT}}"));
      expect(rootTold(stored, line, here)).toBe(root);
    }),
  );
});

test.each<[string, object, object]>([
  ["in another word", { cwd: "{{CS:ROOT}}", text: "a" }, { cwd: "/srv/shop", text: "b" }],
  ["in one of two places", { cwd: "{{CS:ROOT}}", root: "{{CS:ROOT}}" }, { cwd: "/srv/shop", root: "/srv/x" }],
  ["not at all", { cwd: "/srv/shop" }, { cwd: "/srv/shop" }],
  ["in what is no path", { cwd: "{{CS:ROOT}}" }, { cwd: "shop" }],
  ["in length", { cwd: "{{CS:ROOT}}", text: "long" }, { cwd: "/srv" }],
])("none where they differ %s", (_, stored, local) => {
  expect(rootTold(bytes(stored), bytes(local), here)).toBeNull();
});
