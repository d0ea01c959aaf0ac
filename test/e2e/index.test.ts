// The index of a replica as it lies on the remote: only its newest version, and what is not new is not sent again.

import { describe, expect, test } from "vitest";
import { done, type Machine, pair, type Sandbox } from "./harness.ts";

const ids = Array.from(
  { length: 40 },
  (_, at) => `${String(at).padStart(8, "0")}-0000-4000-8000-000000000000`,
);
const [first = "", second = ""] = ids;

/** The desktop's index on the remote: its ref, its commit and the commits before it. */
function index(box: Sandbox): { ref: string; commit: string; before: string[] } {
  const [ref = "", ...others] = box
    .remoteGit("for-each-ref", "--format=%(refname)", "refs/convosync/*/head/*")
    .split("\n");
  expect(others).toEqual([]);
  const [commit = "", ...before] = box.remoteGit("rev-list", ref).split("\n");
  return { ref, commit, before };
}

const files = (box: Sandbox, commit: string): string[] =>
  box.remoteGit("ls-tree", "-r", "--format=%(path) %(objectname)", commit).split("\n");
const withoutHead = (all: readonly string[]): string[] => all.filter((file) => !file.startsWith("head.age "));

/** The `n`th save of a conversation. */
async function save(machine: Machine, n: number, id = first): Promise<void> {
  machine.say(n, n + 1, id);
  done(await machine.run("save", "--session", id, "--no-code"));
}

/** A desktop whose index has a page. */
async function withPage(): Promise<Sandbox> {
  const box = await pair();
  for (const id of ids) box.desktop.say(0, 1, id);
  done(await box.desktop.run("save", "--all-sessions", "--no-code"));
  return box;
}

describe("the index on the remote", () => {
  test("is its newest version alone", async () => {
    const box = await pair();
    const { desktop } = box;
    for (let n = 0; n < 3; n++) await save(desktop, n);
    expect(index(box).before).toEqual([]);
  });

  test("follows a commit with what stays the same, so that pages are sent once", async () => {
    const box = await withPage();
    const one = index(box);
    expect(withoutHead(files(box, one.commit)).map((file) => file.split(" ")[0])).toEqual(["page/0.age"]);
    expect(one.before.map((commit) => files(box, commit))).toEqual([withoutHead(files(box, one.commit))]);
    await save(box.desktop, 1, second);
    const next = index(box);
    expect(next.commit).not.toBe(one.commit);
    // What a commit's parent has is neither sent nor fetched with it.
    expect(next.before).toEqual(one.before);
    done(await box.laptop.run("sync"));
    expect((await box.laptop.json("list", "--all")).document["sessions"]).toHaveLength(ids.length);
    done(await box.laptop.run("verify"));
  });

  test("keeps what is beside the sessions when a page is new, and the other way round", async () => {
    const box = await withPage();
    const { desktop } = box;
    const domain = (): string[] => files(box, index(box).commit).filter((file) => file.startsWith("domain/"));
    desktop.write("prompt.md", "Add a component.\n");
    done(await desktop.run("template", "save", "component", "prompt.md"));
    const template = domain();
    expect(template).toHaveLength(1);
    const [, before] = index(box).before;
    expect(withoutHead(files(box, index(box).commit))).toEqual(files(box, index(box).before[0]!));
    expect(files(box, before!)).toEqual(
      files(box, index(box).before[0]!).filter((file) => file.startsWith("page/")),
    );
    for (let n = 0; n < 20; n++)
      desktop.say(0, 1, `${String(n).padStart(8, "0")}-1111-4111-8111-111111111111`);
    done(await desktop.run("save", "--all-sessions", "--no-code"));
    expect(domain()).toEqual(template);
    expect(withoutHead(files(box, index(box).commit))).toEqual(files(box, index(box).before[0]!));
    done(await desktop.run("verify"));
  });

  test("has no history once something was deleted", async () => {
    const box = await withPage();
    const { before } = index(box);
    done(await box.desktop.run("delete", first, "--yes"));
    const after = index(box);
    expect(after.before.filter((commit) => before.includes(commit))).toEqual([]);
    expect(after.before.map((commit) => files(box, commit))).toEqual([withoutHead(files(box, after.commit))]);
  });

  test("goes on from one that follows the version before, as earlier versions wrote it", async () => {
    const box = await withPage();
    const { desktop } = box;
    const { ref, commit } = index(box);
    const old = desktop.git("commit-tree", "-m", "convosync", "-p", commit, `${commit}^{tree}`);
    desktop.git("update-ref", ref, old);
    await save(desktop, 1);
    const after = index(box);
    expect(after.before.map((one) => files(box, one))).toEqual([withoutHead(files(box, after.commit))]);
    done(await desktop.run("verify"));
  });

  test("is known again when the remote was put back to an older state", async () => {
    const box = await pair();
    const { desktop } = box;
    await save(desktop, 0);
    const state = box
      .remoteGit("for-each-ref", "--format=%(refname) %(objectname)", "refs/convosync")
      .split("\n");
    for (let n = 1; n < 6; n++) await save(desktop, n);
    const { ref } = index(box);
    for (const line of state) box.remoteGit("update-ref", ...line.split(" "));
    await save(desktop, 6);
    expect(index(box)).toMatchObject({ ref, before: [] });
    done(await desktop.run("verify"));
  });
});
