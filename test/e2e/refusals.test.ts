// The checks that come before everything else: exit, stdout and stderr as a person sees them.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { done, git, type Machine, pair, type Sandbox } from "./harness.ts";

let box: Sandbox;
let desktop: Machine;
let laptop: Machine;
beforeAll(async () => {
  box = await pair();
  ({ desktop, laptop } = box);
  desktop.say(0, 1);
  done(await desktop.run("save"));
  done(await laptop.run("resume"));
});

describe.each(["save", "resume", "fork", "merge"])("%s", (verb) => {
  const args = verb === "fork" ? ["1111"] : verb === "merge" ? ["1111", "2222"] : [];

  test("outside a repository", async () => {
    const folder = join(box.base, "elsewhere");
    mkdirSync(folder, { recursive: true });
    const outside = desktop.with({ path: folder });
    expect(await outside.run(verb, ...args)).toEqual({
      exit: 4,
      stdout: "",
      stderr: expect.stringMatching(
        /error: not a git repository\nhint: run this inside the project's repository, or make one with: git init\n$/,
      ),
    });
    const { document } = await outside.json(verb, ...args);
    expect(document["error"]).toMatchObject({ code: "not-a-repository", exit: 4 });
  });

  test("where nothing is set up", async () => {
    const fresh = desktop.with({ path: join(box.base, "fresh") });
    if (!fresh.has(".git")) git(box.base, desktop.env, "init", "-q", fresh.path);
    const { exit, stdout, stderr } = await fresh.run(verb, ...args);
    expect({ exit, stdout }).toEqual({ exit: 7, stdout: "" });
    expect(stderr).toMatch(
      /error: convosync is not set up in this repository\nhint: on your first machine: /,
    );
  });
});

test("resume in another repository: neither remote nor first commit is the same", async () => {
  const other = join(box.base, "other.git");
  git(box.base, laptop.env, "init", "-q", "--bare", "-b", "main", other);
  laptop.git("push", "-q", other, "refs/convosync/*:refs/convosync/*");
  laptop.git("remote", "set-url", "origin", other);
  laptop.git("switch", "-q", "--orphan", "unrelated");
  laptop.write("other.txt", "other\n");
  laptop.commit("another first commit");
  laptop.git("branch", "-q", "-D", "main");
  laptop.git("update-ref", "-d", "refs/remotes/origin/main");
  const before = laptop.footprint();
  const { exit, stdout, stderr } = await laptop.run("resume");
  expect({ exit, stdout }).toEqual({ exit: 4, stdout: "" });
  expect(stderr).toMatch(/error: these conversations belong to another repository \(.*remote\)/);
  expect(stderr).toMatch(/hint: resume them in a clone of that one/);
  const { document } = await laptop.json("resume");
  expect(document["error"]).toMatchObject({ code: "other-repository", exit: 4 });
  expect(laptop.footprint()).toEqual(before);
});

test("fork and merge of what is not there, or does not belong together", async () => {
  expect(await desktop.run("fork", "ffff")).toMatchObject({
    exit: 1,
    stderr: expect.stringMatching(/error: no session matches 'ffff'/),
  });
  expect(await desktop.run("fork", "1111@99")).toMatchObject({
    exit: 1,
    stderr: expect.stringMatching(/error: no snapshot of this session is at '99'/),
  });
  desktop.say(0, 2, "22222222-2222-4222-8222-222222222222");
  done(await desktop.run("save", "--all-sessions"));
  expect(await desktop.run("merge", "1111", "2222")).toMatchObject({
    exit: 1,
    stdout: "",
    stderr: expect.stringMatching(/error: 11111111 and 22222222 are no branches of one conversation\nhint: /),
  });
  expect((await desktop.run("merge", "1111", "1111")).exit).toBe(1);
});
