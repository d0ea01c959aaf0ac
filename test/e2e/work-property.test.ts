// Uncommitted work of any kind arrives as it is: files, what is staged of them, and what is only meant to be added.

import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { done, type Machine, pair, type Sandbox } from "./harness.ts";

const names = [
  "a.txt",
  "folder/b.txt",
  "folder/c d.txt",
  "größe.bin",
  "-dash",
  ":colon",
  "*.glob",
  "new\nline",
  'q"uote',
];
const contents = ["", "one\n", "one\ntwo \n\tthree\n\n\n", "a\r\nb\r\n", "no line feed", "\0\u0001binary"];

const change = fc.record({
  what: fc.constantFrom(
    "write",
    "write",
    "write",
    "remove",
    "link",
    "executable",
    "add",
    "add",
    "intend",
    "unstage",
    "move",
  ),
  name: fc.constantFrom(...names),
  content: fc.constantFrom(...contents),
});

type Change = typeof change extends fc.Arbitrary<infer Value> ? Value : never;

function make(machine: Machine, { what, name, content }: Change): void {
  const path = join(machine.path, name);
  const literally = (...command: string[]) => machine.gitFails("--literal-pathspecs", ...command, "--", name);
  switch (what) {
    case "write":
    case "link":
    case "executable":
      mkdirSync(dirname(path), { recursive: true });
      rmSync(path, { force: true });
      if (what === "link") symlinkSync(content.replace(/\0/g, "") || "nowhere", path);
      else writeFileSync(path, content);
      if (what === "executable") chmodSync(path, 0o755);
      return;
    case "remove":
      // A file that is not there any more cannot be meant to be added, though git keeps the mark.
      if (/^.A/.test(machine.git("--literal-pathspecs", "status", "--porcelain", "--", name)))
        literally("rm", "--cached", "--quiet");
      rmSync(path, { force: true });
      return;
    case "add":
      literally("add", "--all");
      return;
    case "intend":
      literally("add", "--intent-to-add");
      return;
    case "unstage":
      literally("rm", "--cached", "--quiet");
      return;
    case "move":
      machine.gitFails("mv", "-k", "--", name, "moved.txt");
  }
}

/** All that git and a person see of the work tree. */
function seen(machine: Machine) {
  const files = [...names, "moved.txt"].map((name) => {
    const path = join(machine.path, name);
    const info = lstatSync(path, { throwIfNoEntry: false });
    if (!info) return [name, null];
    return [
      name,
      info.isSymbolicLink() ? readlinkSync(path) : readFileSync(path, "latin1"),
      info.mode & 0o100,
    ];
  });
  return {
    head: machine.head(),
    status: machine.git("status", "--porcelain=v2", "--untracked-files=all", "-z").split("\0"),
    staged: machine.git("diff", "--cached", "--raw", "--no-abbrev", "-z").split("\0"),
    files,
  };
}

/** Two devices, and the files of all names but a few are committed. */
async function prepared(): Promise<Sandbox> {
  const box = await pair();
  for (const name of names.slice(0, 6)) make(box.desktop, { what: "write", name, content: contents[2]! });
  box.desktop.commit("base");
  for (const [key, value] of [
    ["apply.whitespace", "fix"],
    ["diff.noprefix", "true"],
  ] as const)
    box.laptop.git("config", key, value);
  return box;
}

const changes = fc.array(change, { minLength: 1, maxLength: 12 });
const runs = { numRuns: 10, endOnFailure: true };

test("save --stash here, resume there: work tree and index are the same, whatever was done to them", async () => {
  const { desktop, laptop } = await prepared();
  let turn = 0;
  await fc.assert(
    fc.asyncProperty(changes, async (all) => {
      for (const one of all) make(desktop, one);
      desktop.say(turn, ++turn);
      const before = seen(desktop);
      done(await desktop.run("save", "--stash"));
      expect(seen(desktop)).toEqual(before);
      laptop.git("reset", "--quiet", "--hard");
      laptop.git("clean", "--quiet", "-fd");
      done(await laptop.run("resume"));
      expect(seen(laptop)).toEqual(before);
    }),
    runs,
  );
  expect(laptop.git("stash", "list")).toBe("");
});

test("resume --stash: they are the same on the code that came", async () => {
  const { desktop, laptop } = await prepared();
  let turn = 0;
  await fc.assert(
    fc.asyncProperty(changes, async (all) => {
      desktop.write("code.txt", `${turn}\n`);
      desktop.say(turn, ++turn);
      done(await desktop.run("save"));
      if (turn === 1) done(await laptop.run("resume"));
      for (const one of all) make(laptop, one);
      // Of a file that was staged and is gone git's own stash makes one that is there.
      for (const [, name] of laptop.git("status", "--porcelain", "-z").matchAll(/(?:^|\0)AD ([^\0]+)/g))
        make(laptop, { what: "unstage", name: name!, content: "" });
      const before = seen(laptop);
      done(await laptop.run("resume", "--stash"));
      expect(seen(laptop)).toEqual({ ...before, head: desktop.head() });
    }),
    runs,
  );
  expect(laptop.git("stash", "list")).toBe("");
});
