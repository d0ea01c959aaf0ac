// Objects of ours that a clone has lost: a disk's fault, or a `.git` that was copied while it was written to.

import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { done, lines, type Machine, one, pair, type Sandbox, two } from "./harness.ts";

/** The refs of both devices as the desktop has them. */
function refsOf(desktop: Machine) {
  const refs = desktop.git("for-each-ref", "--format=%(refname)", "refs/convosync").split("\n");
  const sessions = refs.filter((ref) => ref.includes("/session/"));
  const size = (ref: string): number => desktop.git("ls-tree", "-r", ref).split("\n").length;
  const [own, other] = sessions.sort((a, b) => size(b) - size(a));
  const replica = own!.split("/").at(-1)!;
  const head = refs.find((ref) => ref.endsWith(`/head/${replica}`));
  return { own, other, head, keyring: refs.find((ref) => ref.endsWith("/keyring")) };
}

type Where = (refs: ReturnType<typeof refsOf>) => string;

type How = "gone" | "empty" | "torn" | "damaged" | "damaged in a pack";

/** Loses the object: its file is gone, of no length or cut short, as after a power cut, or a bit of it has changed. */
function lose(machine: Machine, name: string, how: How): void {
  const oid = machine.git("rev-parse", name);
  if (how === "damaged in a pack") {
    machine.git("repack", "-qad");
    const folder = join(machine.path, ".git/objects/pack");
    const index = readdirSync(folder).find((file) => file.endsWith(".idx"))!;
    const told = machine.git("verify-pack", "-v", join(folder, index)).split("\n");
    const [, , , length, offset] = told
      .find((line) => line.startsWith(oid))!
      .split(/ +/)
      .map(Number);
    flip(join(folder, index.replace(".idx", ".pack")), offset! + length! - 3);
    return;
  }
  const file = join(machine.path, ".git/objects", oid.slice(0, 2), oid.slice(2));
  const { size } = statSync(file);
  chmodSync(file, 0o600);
  if (how === "gone") rmSync(file);
  else if (how === "damaged") flip(file, size >> 1);
  else truncateSync(file, how === "torn" ? size >> 1 : 0);
}

function flip(file: string, at: number): void {
  chmodSync(file, 0o600);
  const bytes = readFileSync(file);
  bytes[at]! ^= 8;
  writeFileSync(file, bytes);
}

/** The desktop has saved one session many times, and has the laptop's. */
async function used(): Promise<Sandbox> {
  const box = await pair();
  const { desktop, laptop } = box;
  for (let turn = 0; turn < 7; turn++) {
    desktop.say(turn, turn + 1);
    done(await desktop.run("save", "--no-code"));
  }
  laptop.say(0, 1, two);
  done(await laptop.run("save", "--session", two, "--no-code"));
  done(await desktop.run("resume", two));
  return box;
}

describe("doctor --fix brings back", () => {
  const objects: [string, Where, How][] = [
    ["a session's commit", ({ own }) => own!, "empty"],
    ["one that is torn", ({ own }) => own!, "torn"],
    ["a folder of which a bit has changed", ({ own }) => `${own}^{tree}`, "damaged"],
    ["a segment that is torn", ({ own }) => `${own}:segment/00/00.age`, "torn"],
    [
      "a segment of which a bit has changed in a pack",
      ({ own }) => `${own}:segment/00/00.age`,
      "damaged in a pack",
    ],
    ["a commit of which a bit has changed in a pack", ({ own }) => own!, "damaged in a pack"],
    ["the keyring's folder, in a pack", ({ keyring }) => `${keyring}^{tree}`, "damaged in a pack"],
    ["its folder", ({ own }) => `${own}^{tree}`, "gone"],
    ["a folder in it", ({ own }) => `${own}:segment/00`, "empty"],
    ["a segment", ({ own }) => `${own}:segment/00/00.age`, "gone"],
    ["its history", ({ own }) => `${own}~2`, "empty"],
    ["another device's session", ({ other }) => other!, "gone"],
    ["the index", ({ head }) => head!, "empty"],
    ["a file of the keyring", ({ keyring }) => `${keyring}:log.age`, "empty"],
  ];
  test.each(objects)("%s", async (_, where, how) => {
    const { desktop, laptop } = await used();
    lose(desktop, where(refsOf(desktop)), how);
    expect(desktop.gitFails("gc", "--quiet")).toBe(true);
    const before = await desktop.run("doctor");
    expect(before.exit).toBe(1);
    expect(before.stdout).toMatch(/mend it: git convosync doctor --fix/);
    const { stderr } = done(await desktop.run("doctor", "--fix", "--yes"));
    expect(stderr).toMatch(/✓ fetched (?:an object|\d+ objects) again/);
    done(await desktop.run("verify"));
    desktop.git("gc", "--quiet", "--prune=now");
    desktop.say(7, 8);
    done(await desktop.run("save", "--no-code"));
    for (const id of [one, two]) rmSync(desktop.transcript(id));
    for (const id of [one, two]) done(await desktop.run("resume", id));
    desktop.hears(8);
    desktop.hears(1, two);
    done(await laptop.run("resume", one));
    laptop.hears(8);
  });
});

test.each<How>(["torn", "damaged", "damaged in a pack"])(
  "what reads an object that is %s says what mends it, and leaves it as it is",
  async (how) => {
    const { desktop } = await used();
    lose(desktop, `${refsOf(desktop).own}:segment/00/00.age`, how);
    rmSync(desktop.transcript(one));
    const { exit, stderr } = await desktop.run("resume", one);
    expect(exit).toBe(6);
    expect(stderr).toMatch(
      /is missing or damaged here\n.*hint: fetch it again with: git convosync doctor --fix/,
    );
    expect((await desktop.run("verify")).exit).toBe(6);
    done(await desktop.run("doctor", "--fix", "--yes"));
    done(await desktop.run("resume", one));
    desktop.hears(7);
  },
);

test.each([
  ["a ref", (ref: string) => ref],
  ["a ref of what was fetched", (ref: string) => ref.replace("convosync/", "convosync-incoming/")],
])("%s of no bytes is named, and what mends it", async (_, where) => {
  const { desktop, laptop } = await used();
  laptop.say(1, 2, two);
  done(await laptop.run("save", "--session", two, "--no-code"));
  const ref = where(refsOf(desktop).other!);
  mkdirSync(join(desktop.path, ".git", dirname(ref)), { recursive: true });
  writeFileSync(join(desktop.path, ".git", ref), "");
  const { exit, document } = await desktop.json("resume", two);
  expect(exit).toBe(6);
  expect(document["error"]).toMatchObject({
    code: "broken-ref",
    message: `${ref} is broken here`,
    hints: ["mend it with: git convosync doctor --fix"],
  });
  done(await desktop.run("doctor", "--fix", "--yes"));
  done(await desktop.run("resume", two));
  desktop.hears(2, two);
});

test("what was not sent yet is saved anew from the agent", async () => {
  const box = await used();
  const { desktop, laptop, remote } = box;
  renameSync(remote, `${remote}.away`);
  desktop.say(7, 8);
  expect((await desktop.run("save", "--no-code")).exit).toBe(3);
  lose(desktop, refsOf(desktop).own!, "gone");
  renameSync(`${remote}.away`, remote);

  // It is this clone that is at fault, and not the remote; and what mends it is said.
  const failed = await desktop.run("save", "--no-code");
  expect(failed.exit).toBe(6);
  expect(failed.stderr).toMatch(
    /is missing or damaged here\n.*hint: fetch it again with: git convosync doctor --fix/,
  );
  const { stderr } = done(await desktop.run("doctor", "--fix", "--yes"));
  expect(stderr).toMatch(
    /of which something is lost for good; what its agent has is saved anew: git convosync save/,
  );
  done(await desktop.run("save", "--no-code"));
  done(await desktop.run("verify"));
  desktop.git("gc", "--quiet", "--prune=now");
  done(await laptop.run("resume", one));
  laptop.hears(8);
  const { document } = await laptop.json("list", "--all");
  const found = document["sessions"].find((session: { id: string }) => session.id === one);
  expect(found.messages).toBe(lines(8));
});

test("a push that cannot be made for it says so, and is made once it is mended", async () => {
  const { desktop, laptop } = await used();
  lose(desktop, `${refsOf(desktop).own}~1`, "empty");
  desktop.say(7, 8);
  const { exit, stderr } = await desktop.run("save", "--no-code");
  expect(exit).toBe(3);
  expect(stderr).toMatch(/saved here, not pushed: object [0-9a-f]{40} is missing or damaged here/);
  expect(stderr).toMatch(
    /hint: fetch it again, then send both: git convosync doctor --fix && git convosync sync/,
  );
  done(await desktop.run("doctor", "--fix", "--yes"));
  done(await desktop.run("sync"));
  done(await laptop.run("resume", one));
  laptop.hears(8);
});

test("while the remote is away nothing is let go of, and it comes back later", async () => {
  const { desktop, remote } = await used();
  const refs = desktop.git("for-each-ref", "refs/convosync");
  lose(desktop, `${refsOf(desktop).own}:segment/00/00.age`, "gone");
  renameSync(remote, `${remote}.away`);
  const { stderr } = await desktop.run("doctor", "--fix", "--yes");
  expect(stderr).toMatch(
    /cannot reach 'origin'.*: what is lost may still be there; try again when it can be reached/,
  );
  expect(desktop.git("for-each-ref", "refs/convosync")).toBe(refs);
  renameSync(`${remote}.away`, remote);
  done(await desktop.run("doctor", "--fix", "--yes"));
  done(await desktop.run("verify"));

  // A ref without its commit is in the way of the user's own git, and goes at once.
  lose(desktop, refsOf(desktop).own!, "gone");
  renameSync(remote, `${remote}.away`);
  await desktop.run("doctor", "--fix", "--yes");
  desktop.git("gc", "--quiet");
  renameSync(`${remote}.away`, remote);
  expect((await desktop.run("verify")).exit).toBe(6);
  const found = await desktop.run("doctor");
  expect(found.stdout).toMatch(/a session of this clone's lost the ref that held it/);
  done(await desktop.run("doctor", "--fix", "--yes"));
  done(await desktop.run("verify"));
  rmSync(desktop.transcript(one));
  done(await desktop.run("resume", one));
  desktop.hears(7);
});

test("what a clone wrote before its device lost the keys goes with a deletion, and is no loss", async () => {
  const { desktop, laptop, code } = await pair();
  desktop.say(0, 1);
  done(await desktop.run("save"));
  for (const folder of [".config/convosync", ".cache", ".local"])
    rmSync(join(desktop.home, folder), { recursive: true, force: true });
  await desktop.init("--join", "--recovery-file", code);
  done(await laptop.run("sync"));
  done(await laptop.run("delete", one, "--yes"));
  done(await desktop.run("sync"));
  const { exit, stdout } = await desktop.run("doctor");
  expect(stdout).not.toMatch(/lost the ref/);
  expect(exit).toBe(0);
});

test("what the remote has lost is not taken for this clone's", async () => {
  const { desktop, laptop, remote } = await used();
  desktop.say(7, 8);
  done(await desktop.run("save", "--no-code"));
  const oid = desktop.git("rev-parse", refsOf(desktop).head!);
  const file = join(remote, "objects", oid.slice(0, 2), oid.slice(2));
  chmodSync(file, 0o600);
  writeFileSync(file, "");
  const { exit, stderr } = await laptop.run("sync");
  expect(stderr).not.toMatch(/doctor --fix/);
  expect(exit).toBe(8);
});

test("nothing is fetched where nothing is lost", async () => {
  const { desktop } = await used();
  const before = desktop.git("count-objects", "-v");
  const { stderr } = done(await desktop.run("doctor", "--fix", "--yes"));
  expect(stderr).not.toMatch(/fetched|lost/);
  expect(desktop.git("count-objects", "-v")).toBe(before);
});
