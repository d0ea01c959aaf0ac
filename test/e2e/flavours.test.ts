// Repositories, paths and configurations of every kind a user may have.

import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  done,
  expectTranscript,
  git,
  lines,
  type Machine,
  one,
  pair,
  type Sandbox,
  sandbox,
  three,
  two,
} from "./harness.ts";

function hook(machine: Machine, path: string, script: string): void {
  const file = join(machine.path, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
}

/** Save on the desktop, resume on the laptop, go on, save there, resume back. */
async function roundTrip({ desktop, laptop }: Pick<Sandbox, "desktop" | "laptop">): Promise<void> {
  desktop.write("work.txt", "one\n");
  desktop.say(0, 2);
  done(await desktop.run("save", "One"));
  done(await laptop.run("resume"));
  laptop.hears(2);
  expect(laptop.head()).toBe(desktop.head());
  laptop.write("work.txt", "two\n");
  laptop.say(2, 3);
  done(await laptop.run("save", "Two"));
  done(await desktop.run("resume"));
  desktop.hears(3);
  expect(desktop.head()).toBe(laptop.head());
  expect(desktop.read("work.txt")).toBe("two\n");
}

describe("repositories", () => {
  test("SHA-256 on both sides", async () => {
    const box = await pair({ objectFormat: "sha256" });
    await roundTrip(box);
    expect(box.desktop.head()).toHaveLength(64);
    for (const machine of [box.desktop, box.laptop]) machine.git("fsck", "--strict");
    box.remoteGit("fsck", "--strict");
  });

  test("a linked worktree has conversations of its own, and the clone's vault", async () => {
    const box = await pair();
    box.desktop.git("worktree", "add", "-q", "-b", "side", join(box.base, "home/me/code/side"));
    const side = box.desktop.with({ path: join(box.base, "home/me/code/side") });
    side.write("side.txt", "side\n");
    side.say(0, 2, two);
    box.desktop.say(0, 1, one);
    const saved = await side.json("save", "Side");
    expect(saved.document).toMatchObject({ session: two, branch: "side", pushed: true });
    expect((await box.desktop.json("save")).document).toMatchObject({ session: one, branch: "main" });
    done(await box.laptop.run("resume", two));
    expect(box.laptop.branch()).toBe("side");
    box.laptop.hears(2, two);
    expect((await side.run("save")).stderr).toMatch(/Nothing new/);
  });

  describe("a conversation that Claude Code took to a work tree of its own, within the checkout", () => {
    /** Begun and saved in the checkout, gone on with and saved in the work tree. */
    async function taken(): Promise<Sandbox & { readonly inside: Machine }> {
      const box = await pair();
      const { desktop } = box;
      desktop.say(0, 1);
      done(await desktop.run("save", "In the checkout"));
      const path = join(desktop.path, ".claude/worktrees/feat");
      desktop.git("worktree", "add", "-q", "-b", "worktree-feat", path);
      const inside = desktop.with({ path });
      mkdirSync(inside.project, { recursive: true });
      renameSync(desktop.transcript(), inside.transcript());
      appendFileSync(inside.transcript(), bound(desktop, path));
      inside.say(1, 2);
      inside.write("feat.txt", "1\n");
      done(await inside.run("save", "In the work tree"));
      return { ...box, inside };
    }

    /** What Claude Code 2.1.332 writes when it takes a conversation to a work tree; it refuses to be bound to the checkout. */
    const bound = (checkout: Machine, worktreePath: string): string =>
      [
        { type: "relocated", sessionId: one, relocatedCwd: worktreePath },
        {
          type: "worktree-state",
          worktreeSession: { originalCwd: checkout.path, worktreePath, worktreeName: "feat" },
          sessionId: one,
        },
      ]
        .map((record) => `${JSON.stringify(record)}\n`)
        .join("");

    /** What it looks like on a machine, with the work tree there or without. */
    const told = (machine: Machine): string => {
      const path = join(machine.path, ".claude/worktrees/feat");
      return machine.told(1) + bound(machine, path) + machine.with({ path }).told(2, one, "", 1);
    };

    test("names it as one within the other device's checkout, and comes back", async () => {
      const { desktop, laptop, inside } = await taken();
      expect((await desktop.json("status")).document["current"]).toBeNull();
      const elsewhere = await desktop.run("save");
      expect(elsewhere).toMatchObject({ exit: 1 });
      expect(elsewhere.stderr).toContain(`cd '${inside.path}'`);

      const { document } = await laptop.json("resume");
      expect(document["workingDirectory"]).toBe(laptop.path);
      expect(laptop.branch()).toBe("worktree-feat");
      expectTranscript(laptop.heard(), told(laptop));
      laptop.say(2, 3);
      done(await laptop.run("save"));

      done(await inside.run("resume"));
      expectTranscript(inside.heard(), told(desktop) + desktop.told(3, one, "", 2));
      inside.say(3, 4);
      expect((await inside.run("save")).stderr).not.toContain("rewritten");
      done(await laptop.run("resume"));
      expect(laptop.heard()).toBe(
        `${told(laptop)}${laptop.told(3, one, "", 2)}${atInside(laptop).told(4, one, "", 3)}`,
      );
    });

    const atInside = (machine: Machine): Machine =>
      machine.with({ path: join(machine.path, ".claude/worktrees/feat") });

    test("is not said to be left out when the checkout is saved", async () => {
      const { desktop } = await taken();
      desktop.say(0, 1, two);
      desktop.write("more.txt", "1\n");
      const { stderr } = done(await desktop.run("save", "More"));
      expect(stderr).not.toContain("left out");
      expect(desktop.git("show", "--format=", "--name-only")).toBe("more.txt");
    });

    test("goes on in the checkout when the work tree is gone, with a cursor or without", async () => {
      const { desktop, laptop } = await taken();
      done(await laptop.run("resume"));
      laptop.say(2, 3);
      done(await laptop.run("save"));
      desktop.git("worktree", "remove", "--force", ".claude/worktrees/feat");
      const { exit, document } = await desktop.json("resume");
      expect({ exit, where: document["workingDirectory"] }).toEqual({ exit: 0, where: desktop.path });
      rmSync(join(desktop.path, ".git/convosync/cursors"), { recursive: true });
      expect((await desktop.run("save")).stderr).toMatch(/Nothing new/);
      expect((await desktop.json("list")).document["sessions"]).toHaveLength(1);
    });

    test("comes to the same work tree where the other device has it, too", async () => {
      const { laptop } = await taken();
      const there = atInside(laptop);
      laptop.git("fetch", "-q");
      laptop.git("worktree", "add", "-q", there.path, "worktree-feat");
      const { document } = await there.json("resume");
      expect(document["workingDirectory"]).toBe(there.path);
      expectTranscript(there.heard(), told(laptop));
      expect(existsSync(laptop.transcript())).toBe(false);
    });
  });

  test("a bare repository with a worktree beside it", async () => {
    const box = sandbox();
    await box.desktop.begin();
    const { laptop } = box;
    const bare = join(laptop.home, "shop.git");
    git(laptop.home, laptop.env, "clone", "-q", "--bare", box.remote, bare);
    git(bare, laptop.env, "worktree", "add", "-q", laptop.path, "main");
    await laptop.init("--join", "--recovery-file", box.code);
    await roundTrip(box);
    const inside = await laptop.with({ path: bare }).run("save");
    expect(inside).toMatchObject({ exit: 4, stdout: "" });
    expect(inside.stderr).toMatch(/no work tree/);
  });

  test("a shallow clone", async () => {
    const box = sandbox();
    const { desktop, laptop } = box;
    await desktop.begin();
    for (const n of [1, 2, 3]) {
      desktop.write("code.txt", `${n}\n`);
      desktop.commit(`version ${n}`);
    }
    desktop.git("push", "-q");
    laptop.clone("--depth=1");
    await laptop.init("--join", "--recovery-file", box.code);
    await roundTrip(box);
  });

  test("a shallow clone that lacks the session's commit says so", async () => {
    const box = sandbox();
    const { laptop } = box;
    // All in one second, as scripts and agents commit: nothing but the name tells these commits apart.
    const second = "2026-11-20T09:00:00Z";
    const desktop = box.desktop.with({ env: { GIT_AUTHOR_DATE: second, GIT_COMMITTER_DATE: second } });
    await desktop.begin();
    desktop.say(0, 2);
    desktop.write("code.txt", "saved\n");
    done(await desktop.run("save", "Saved"));
    for (const n of [1, 2, 3]) {
      desktop.write("code.txt", `${n}\n`);
      desktop.commit(`version ${n}`);
    }
    desktop.git("push", "-q");
    laptop.clone("--depth=1");
    await laptop.init("--join", "--recovery-file", box.code);
    const before = laptop.footprint();
    const { exit, stderr } = await laptop.run("resume");
    expect(exit).toBe(4);
    expect(stderr).toMatch(/error: this clone is shallow: /);
    expect(stderr).toMatch(/hint: .*git fetch --unshallow/);
    expect((await laptop.json("resume")).document["error"]).toMatchObject({ code: "shallow-clone", exit: 4 });
    expect(laptop.footprint()).toEqual(before);
    laptop.git("fetch", "-q", "--unshallow");
    done(await laptop.run("resume"));
    laptop.hears(2);
    expect(laptop.head()).toBe(desktop.head());
    laptop.git("fsck");
  });

  test("submodules are neither touched nor pushed", async () => {
    const box = await pair();
    const { desktop, laptop, base } = box;
    const library = join(base, "library");
    git(base, desktop.env, "init", "-q", library);
    git(library, desktop.env, "commit", "-q", "--allow-empty", "-m", "library");
    desktop.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", library, "lib");
    desktop.git("config", "push.recurseSubmodules", "check");
    desktop.git("config", "submodule.recurse", "true");
    writeFileSync(join(desktop.path, "lib/scratch.txt"), "in the submodule\n");
    await roundTrip(box);
    expect(readFileSync(join(desktop.path, "lib/scratch.txt"), "utf8")).toBe("in the submodule\n");
    expect(laptop.git("ls-files", "--stage", "lib")).toMatch(/^160000 /);
  });

  test.each([
    ["push.recurseSubmodules", "check"],
    ["push.recurseSubmodules", "on-demand"],
    ["submodule.recurse", "yes"],
  ])(
    "with %s=%s a branch waits that needs a submodule's commits that nobody could fetch",
    async (name, value) => {
      const box = await pair();
      const { desktop, base } = box;
      const library = join(base, "library.git");
      git(base, desktop.env, "init", "-q", "--bare", library);
      git(library, desktop.env, "fetch", "-q", box.remote, "+main:main");
      desktop.git(
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        "-b",
        "main",
        library,
        "lib",
      );
      desktop.say(0, 1);
      done(await desktop.run("save", "A submodule"));
      const before = box.remoteGit("rev-parse", "main");
      const lib = join(desktop.path, "lib");
      git(lib, desktop.env, "commit", "-q", "--allow-empty", "-m", "here alone");
      desktop.git("config", name, value);
      desktop.say(1, 2);
      const { exit, stderr } = await desktop.run("save", "Its commit");
      expect(exit).toBe(3);
      expect(stderr).toMatch(/not pushed: the branch needs commits of submodule 'lib' that no remote has\n/);
      expect(stderr).toMatch(/hint: .*git push --recurse-submodules=on-demand && git convosync sync\n/);
      expect(box.remoteGit("rev-parse", "main")).toBe(before);
      expect((await desktop.json("status")).document["queue"]).not.toEqual([]);
      git(lib, desktop.env, "push", "-q", library, "HEAD:main");
      git(lib, desktop.env, "fetch", "-q");
      done(await desktop.run("sync"));
      expect(box.remoteGit("rev-parse", "main")).toBe(desktop.head());
      desktop.git("config", name, "no");
      git(lib, desktop.env, "commit", "-q", "--allow-empty", "-m", "as git does where it is not asked");
      done(await desktop.run("save", "Another"));
      expect(box.remoteGit("rev-parse", "main")).toBe(desktop.head());
    },
  );

  test("a branch that save is the first to push follows the one it was pushed to, unless the user pushes elsewhere", async () => {
    const box = await pair();
    const { desktop, base } = box;
    const upstream = (): string => desktop.git("for-each-ref", "--format=%(upstream)", "refs/heads/topic/*");
    desktop.say(0, 1);
    desktop.git("switch", "-q", "-c", "topic/one");
    done(await desktop.run("save"));
    expect(upstream()).toBe("refs/remotes/origin/topic/one");
    desktop.git("pull", "-q");

    desktop.git("switch", "-q", "-c", "topic/two", "--track", "topic/one");
    desktop.say(1, 2);
    done(await desktop.run("save"));
    desktop.git("branch", "-q", "-D", "topic/one");
    expect(box.remoteGit("rev-parse", "topic/two")).toBe(desktop.head());
    expect(desktop.git("config", "branch.topic/two.merge")).toBe("refs/heads/topic/one");

    git(base, desktop.env, "clone", "-q", "--bare", box.remote, "fork.git");
    desktop.git("remote", "add", "fork", join(base, "fork.git"));
    desktop.git("config", "remote.pushDefault", "fork");
    desktop.git("switch", "-q", "-c", "topic/three", "--no-track");
    desktop.say(2, 3);
    done(await desktop.run("save", "Three"));
    expect(desktop.gitFails("config", "branch.topic/three.merge")).toBe(true);
  });

  test("an unborn branch: save makes the first commit", async () => {
    const box = sandbox();
    const { desktop, laptop } = box;
    git(desktop.home, desktop.env, "init", "-q", desktop.path);
    desktop.git("remote", "add", "origin", box.remote);
    await desktop.init("--recovery-file", box.code);
    desktop.write("first.txt", "first\n");
    desktop.say(0, 2);
    expect((await desktop.json("save", "Begin")).document).toMatchObject({ branch: "main", pushed: true });
    await laptop.join();
    done(await laptop.run("resume"));
    laptop.hears(2);
    expect(laptop.read("first.txt")).toBe("first\n");
  });

  test("an unborn branch with nothing to commit: the conversation alone", async () => {
    const box = sandbox();
    const { desktop, laptop } = box;
    git(desktop.home, desktop.env, "init", "-q", desktop.path);
    desktop.git("remote", "add", "origin", box.remote);
    await desktop.init("--recovery-file", box.code);
    desktop.say(0, 2);
    expect((await desktop.json("save")).document).toMatchObject({
      commit: null,
      branch: "main",
      pushed: true,
    });
    await laptop.join();
    done(await laptop.run("resume"));
    laptop.hears(2);
  });

  test("no remote: kept here, and sent once there is one", async () => {
    const box = sandbox();
    const { desktop, laptop } = box;
    git(desktop.home, desktop.env, "init", "-q", desktop.path);
    await desktop.init("--recovery-file", box.code);
    desktop.write("a.txt", "a\n");
    desktop.say(0, 2);
    const saved = await desktop.run("save", "Alone");
    expect(saved.exit).toBe(3);
    expect(saved.stderr).toMatch(/hint: .*git remote add origin <url>/);
    expect((await desktop.run("sync")).exit).toBe(8);
    expect((await desktop.run("list")).stdout).toContain("Alone");
    desktop.git("remote", "add", "origin", box.remote);
    const sent = (await desktop.json("sync")).document;
    expect(sent).toMatchObject({
      pushed: expect.arrayContaining(["keyring", one, "branch main"]),
      queued: [],
    });
    await laptop.join();
    done(await laptop.run("resume"));
    laptop.hears(2);
    expect(laptop.head()).toBe(desktop.head());
  });

  test("a detached HEAD stops save with the way out; --no-code saves the conversation", async () => {
    const box = await pair();
    const { desktop, laptop } = box;
    desktop.git("switch", "-q", "--detach");
    desktop.say(0, 2);
    desktop.write("loose.txt", "loose\n");
    const before = desktop.footprint();
    const { exit, stderr } = await desktop.run("save");
    expect(exit).toBe(4);
    expect(stderr).toMatch(/error: HEAD is detached/);
    expect(stderr).toMatch(/hint: git switch --create <branch>/);
    expect(desktop.footprint()).toEqual(before);
    const alone = await desktop.json("save", "--no-code");
    expect(alone.document).toMatchObject({ branch: null, commit: desktop.head(), pushed: true });
    expect(desktop.footprint()).toEqual(before);
    done(await laptop.run("resume"));
    laptop.hears(2);
  });
});

describe("paths", () => {
  test("spaces, letters beyond ASCII and quotes", async () => {
    const box = await pair({
      folders: { desktop: 'Meine Projekte/größer shop\'s "neu" 日本', laptop: "src/$HOME `x` & $(y) #1%20" },
    });
    await roundTrip(box);
  });

  test("a session in a subdirectory, seen from another one", async () => {
    const { desktop, laptop } = await pair();
    desktop.write("packages/api/index.ts", "api\n");
    desktop.write("docs/guide.md", "guide\n");
    const api = desktop.with({ cwd: "packages/api" });
    api.say(0, 2);
    done(await desktop.with({ cwd: "docs" }).run("save", "Api"));
    const { document } = await laptop.json("resume");
    laptop.with({ cwd: "packages/api" }).hears(2);
    expect(document["workingDirectory"]).toBe(join(laptop.path, "packages/api"));
    expect(done(await laptop.run("resume")).stdout).toBe(`cd packages/api && claude --resume ${one}\n`);
    const there = laptop.with({ cwd: "packages/api" });
    there.say(2, 3);
    done(await there.run("save"));
    done(await api.run("resume"));
    api.hears(3);
  });

  test("a session in a subdirectory that newer code no longer has", async () => {
    const { desktop, laptop } = await pair();
    desktop.write("packages/old/x.txt", "x\n");
    const inside = desktop.with({ cwd: "packages/old" });
    inside.say(0, 1);
    done(await inside.run("save", "Old"));
    desktop.git("rm", "-rq", "packages");
    desktop.commit("gone");
    desktop.git("push", "-q");
    const resumed = done(await laptop.run("resume"));
    expect(resumed.stdout).toBe(`cd packages/old && claude --resume ${one}\n`);
    expect(resumed.stderr).toContain("made the folder the conversation runs in");
    expect(laptop.git("status", "--porcelain")).toBe("");
    const there = laptop.with({ cwd: "packages/old" });
    there.hears(1);
    there.say(1, 2);
    expect((await there.run("save")).stderr).not.toContain("rewritten");
    const { document } = await laptop.json("fork", one);
    expect(document["workingDirectory"]).toBe(there.cwd);
  });

  test("a repository within this one has its own conversations; those of a submodule are this one's", async () => {
    const { desktop, base } = await pair();
    desktop.say(0, 1);
    const library = join(base, "library");
    git(base, desktop.env, "init", "-q", library);
    git(library, desktop.env, "commit", "-q", "--allow-empty", "-m", "library");
    desktop.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", library, "lib");
    git(desktop.path, desktop.env, "clone", "-q", library, "other");
    desktop.with({ cwd: "other" }).say(0, 1, two);
    expect((await desktop.json("save")).document["session"]).toBe(one);
    expect((await desktop.json("save", "--all-sessions")).document["sessions"]).toHaveLength(1);
    const named = await desktop.run("save", "--session", two);
    expect(named.stderr).toMatch(/no conversation '2222.*belongs to this work tree/);
    desktop.with({ cwd: "lib" }).say(0, 1, three);
    expect((await desktop.json("save")).document["session"]).toBe(three);
  });

  test("a project reached through a symlink", async () => {
    const box = await pair();
    const { desktop, laptop } = box;
    const link = join(laptop.home, "link");
    symlinkSync(laptop.path, link);
    const linked = laptop.with({ path: link, env: { PWD: link } });
    await roundTrip({ desktop, laptop: linked });
    expect(existsSync(laptop.transcript())).toBe(true);
    laptop.hears(3);
  });

  test("an agent's conversations kept on another disk", async () => {
    const box = await pair();
    for (const machine of [box.desktop, box.laptop]) {
      const disk = join(machine.home, "disk");
      mkdirSync(disk);
      mkdirSync(join(machine.home, ".claude"), { recursive: true });
      symlinkSync(disk, join(machine.home, ".claude/projects"));
    }
    await roundTrip(box);
  });

  test("of several conversations that go on at once, save and status name those that are not saved", async () => {
    const { desktop, laptop } = await pair();
    for (const id of [one, two, three]) desktop.say(0, 1, id);
    expect((await desktop.json("status")).document).toMatchObject({
      current: { unsaved: true },
      unsaved: [{ session: expect.any(String) }, { session: expect.any(String) }],
    });
    const saved = await desktop.json("save", "--session", one);
    expect(saved.document["unsaved"]).toEqual([]);
    desktop.say(1, 2);
    const { stderr } = done(await desktop.run("save"));
    expect(stderr).toContain("This one is saved; 2 other conversations here are not.");
    done(await desktop.run("save", "--session", two));
    desktop.say(1, 2, two);
    expect((await desktop.json("save", "--session", one)).document["unsaved"]).toEqual([]);
    desktop.say(2, 3);
    const next = await desktop.json("save");
    expect(next.document["unsaved"]).toEqual([two, three]);
    done(await desktop.run("save", "--all-sessions"));
    expect((await desktop.json("status")).document).toMatchObject({
      current: { unsaved: false },
      unsaved: [],
    });
    // What was restored is saved, and what was deleted is not to be.
    done(await laptop.run("resume", two));
    expect((await laptop.json("status")).document).toMatchObject({
      current: { unsaved: false },
      unsaved: [],
    });
    laptop.say(2, 3, two);
    expect((await laptop.json("status")).document).toMatchObject({ current: { unsaved: true }, unsaved: [] });
    done(await desktop.run("delete", three, "--yes"));
    expect((await desktop.json("status")).document["unsaved"]).toEqual([]);
    // Of what rests nobody is told.
    const rested = desktop.with({ days: 2 });
    desktop.say(3, 4);
    expect((await rested.json("status")).document["unsaved"]).toEqual([]);
  });

  test("CLAUDE_CONFIG_DIR on one machine", async () => {
    const box = await pair();
    const { desktop, laptop } = box;
    const elsewhere = laptop.with({ env: { CLAUDE_CONFIG_DIR: join(laptop.home, "cfg/claude") } });
    desktop.say(0, 2);
    done(await desktop.run("save"));
    done(await elsewhere.run("resume"));
    expect(existsSync(join(laptop.home, ".claude"))).toBe(false);
    expect(elsewhere.heard()).toContain(`${laptop.home}/cfg/claude/projects/`);
    expect(elsewhere.heard()).not.toContain(`${laptop.home}/.claude`);
    elsewhere.say(2, 3);
    done(await elsewhere.run("save"));
    done(await desktop.run("resume"));
    expect(desktop.heard().startsWith(desktop.told(2))).toBe(true);
  });

  test("neighbouring folders with the same beginning are not mistaken for the project or the home", async () => {
    const { desktop, laptop, base } = await pair();
    const line = (machine: Machine, neighbour: string) =>
      `${JSON.stringify({ type: "user", cwd: machine.path, sessionId: one, message: { content: `${neighbour} ${machine.path}/x` } })}\n`;
    const text = `${base}/home/melander/x ${base}/home/me2 `;
    desktop.say(0, 1);
    writeFileSync(desktop.transcript(), line(desktop, text), { flag: "a" });
    done(await desktop.run("save"));
    done(await laptop.run("resume"));
    expect(laptop.heard().endsWith(line(laptop, text))).toBe(true);
  });

  test("the current conversation is the one a running agent names, else the newest; --session and --all-sessions choose", async () => {
    const { desktop, laptop } = await pair();
    desktop.say(0, 1, one);
    await new Promise((after) => setTimeout(after, 20));
    desktop.say(0, 1, two);
    expect((await desktop.json("save", "--dry-run")).document["session"]).toBe(two);
    const inside = desktop.with({ env: { CLAUDE_CODE_SESSION_ID: one } });
    expect((await inside.json("save")).document["session"]).toBe(one);
    expect((await desktop.json("save", "--session", "22")).document["session"]).toBe(two);
    expect((await desktop.run("save", "--session", "99")).exit).toBe(1);
    expect((await desktop.run("save", "--agent", "nobody")).exit).toBe(2);
    desktop.say(0, 2, three);
    const all = await desktop.json("save", "--all-sessions");
    expect(all.document["sessions"].map((saved: { session: string }) => saved.session).sort()).toEqual([
      one,
      two,
      three,
    ]);
    done(await laptop.run("sync"));
    const ambiguous = await laptop.with({}).run("resume", "1");
    expect(ambiguous.exit).toBe(0);
    expect((await laptop.run("show", "")).exit).toBe(1);
  });
});

test("a conversation that goes from a folder to the root and back stays in the agent's folder where it began", async () => {
  const { desktop, laptop } = await pair();
  desktop.write("web/index.html", "<p>\n");
  desktop.commit("Web");
  const [begun, there] = [desktop, laptop].map((machine) => machine.with({ cwd: "web" }));
  begun!.say(0, 1);
  done(await desktop.run("save"));
  done(await laptop.run("resume"));
  /** In the root, then in the folder, and so on. */
  const told = (root: Machine, folder: Machine, turns: number): string =>
    Array.from({ length: turns }, (_, n) => (n % 2 === 1 ? root : folder).told(n + 1, one, "", n)).join("");
  for (let turns = 2; turns < 6; turns++) {
    const speaks = turns % 4 < 2 ? begun! : there!;
    writeFileSync(
      speaks.transcript(),
      turns % 4 < 2 ? told(desktop, begun!, turns) : told(laptop, there!, turns),
    );
    done(await (speaks === begun ? desktop : laptop).run("save"));
    done(await (speaks === begun ? laptop : desktop).run("resume"));
    expectTranscript(begun!.heard(), told(desktop, begun!, turns));
    expectTranscript(there!.heard(), told(laptop, there!, turns));
  }
  for (const machine of [desktop, laptop]) expect(existsSync(machine.transcript())).toBe(false);
});

describe("save --all-sessions", () => {
  const standing = async (machine: Machine): Promise<Record<string, string>> =>
    Object.fromEntries(
      (await machine.json("list", "--all")).document["sessions"].map(
        ({ id, branch, commit }: { id: string; branch: string; commit: string }) => [
          id,
          `${branch} ${commit}`,
        ],
      ),
    );

  test("leaves what has not gone on at the commit where it was saved; the one that is going on is at the new one", async () => {
    const { desktop } = await pair();
    desktop.say(0, 1, one);
    done(await desktop.run("save"));
    const first = `main ${desktop.head()}`;
    desktop.git("switch", "-q", "-c", "side");
    desktop.say(0, 1, two);
    await new Promise((after) => setTimeout(after, 20));
    desktop.say(0, 1, three);
    done(await desktop.run("save", "--session", three));
    desktop.write("new.txt", "new\n");
    const { document } = await desktop.json("save", "--all-sessions", "Side");
    const second = `side ${desktop.head()}`;
    expect(await standing(desktop)).toEqual({ [one]: first, [two]: second, [three]: second });
    expect(document["sessions"].map((saved: { session: string }) => saved.session).sort()).toEqual([
      one,
      two,
      three,
    ]);
  });

  test("takes those of this work tree", async () => {
    const { desktop } = await pair();
    desktop.git("worktree", "add", "-q", "-b", "side", "../side");
    const side = desktop.with({ path: join(desktop.path, "../side") });
    side.say(0, 1, two);
    const none = await desktop.run("save", "--all-sessions");
    expect(none).toMatchObject({ exit: 1, stderr: expect.stringContaining(`cd '${side.path}'`) });
    desktop.say(0, 1, one);
    done(await desktop.run("save", "--all-sessions"));
    expect(Object.keys(await standing(desktop))).toEqual([one]);
    done(await side.run("save", "--all-sessions"));
    expect(await standing(desktop)).toMatchObject({ [two]: expect.stringMatching(/^side /) });
  });

  test("a conversation that the agent has in two work trees is in each the one that is there", async () => {
    const { desktop } = await pair();
    desktop.git("worktree", "add", "-q", "-b", "side", "../side");
    const side = desktop.with({ path: join(desktop.path, "../side") });
    side.say(0, 1, one);
    await new Promise((after) => setTimeout(after, 20));
    desktop.say(0, 2, one);
    for (const [machine, messages] of [
      [side, lines(1)],
      [desktop, lines(2)],
    ] as const) {
      expect((await machine.json("status")).document["current"]).toMatchObject({ session: one });
      for (const named of [["--session", "1111"], ["--all-sessions"], ["--no-code"]])
        expect((await machine.json("save", "--dry-run", ...named)).document["session"]).toBe(one);
      expect((await machine.json("save", "--no-code")).document).toMatchObject({ messages });
    }
  });

  test("takes a conversation once that the agent has in two folders", async () => {
    const { desktop } = await pair();
    desktop.write("web/index.html", "<p>\n");
    desktop.with({ cwd: "web" }).say(0, 1, one);
    await new Promise((after) => setTimeout(after, 20));
    desktop.say(0, 2, one);
    const { document } = await desktop.json("save", "--all-sessions");
    expect(document["sessions"]).toMatchObject([{ session: one, messages: lines(2) }]);
    desktop.say(0, 1, two);
    done(await desktop.run("save"));
    expect((await desktop.json("status")).document["unsaved"]).toEqual([]);
  });
});

describe("configuration", () => {
  test("a failing pre-commit hook of husky stops save; nothing has changed", async () => {
    const { desktop } = await pair();
    hook(desktop, ".husky/pre-commit", "echo 'lint: 3 problems' >&2; exit 1");
    desktop.commit("husky");
    desktop.git("config", "core.hooksPath", ".husky");
    desktop.write("README.md", "changed\n");
    desktop.write("new.txt", "new\n");
    desktop.say(0, 2);
    const before = desktop.footprint();
    const { exit, stderr } = await desktop.run("save", "Work");
    expect(exit).toBe(1);
    expect(stderr).toMatch(/error: git could not commit the changes; nothing was changed/);
    expect(stderr).toMatch(/hint: lint: 3 problems/);
    expect(stderr).toMatch(/git convosync save --no-code/);
    expect(desktop.footprint()).toEqual(before);
    expect((await desktop.json("save", "--no-code")).document).toMatchObject({ pushed: true });
    expect(desktop.footprint()).toEqual(before);
  });

  test("a hook that formats files has its changes committed too", async () => {
    const { desktop } = await pair();
    hook(desktop, ".git/hooks/pre-commit", "echo formatted > README.md; git add README.md");
    desktop.write("README.md", "raw\n");
    desktop.say(0, 1);
    done(await desktop.run("save", "Format"));
    expect(desktop.git("show", "HEAD:README.md")).toBe("formatted");
    expect(desktop.git("status", "--porcelain")).toBe("");
  });

  test("a failing pre-push hook keeps everything here, and the queue says so", async () => {
    const { desktop, remoteGit } = await pair();
    hook(desktop, ".git/hooks/pre-push", "echo ran >> ran.log; echo 'tests fail' >&2; exit 1");
    desktop.write(".git/info/exclude", "ran.log\n");
    const before = remoteGit("for-each-ref");
    desktop.write("a.txt", "a\n");
    desktop.say(0, 2);
    const { exit, stderr } = await desktop.run("save", "A");
    expect(exit).toBe(3);
    expect(stderr).toMatch(/pre-push hook\nhint: tests fail\n/);
    expect(stderr).not.toContain("origin");
    expect(desktop.read("ran.log")).toBe("ran\n");
    expect(remoteGit("for-each-ref")).toBe(before);
    // The hook is asked about the code alone.
    done(await desktop.run("sync", "--no-code"));
    expect(remoteGit("for-each-ref", "refs/heads")).toBe(before.match(/^.*refs\/heads\/.*$/m)![0]);
    const { document } = await desktop.json("status");
    expect(document).toMatchObject({
      queue: expect.arrayContaining([expect.objectContaining({ what: "branch main" })]),
    });
    hook(desktop, ".git/hooks/pre-push", "exit 0");
    done(await desktop.run("sync"));
    expect(remoteGit("rev-parse", "main")).toBe(desktop.head());
  });

  test("fetch.prune never costs an unpushed conversation", async () => {
    const box = await pair();
    const { desktop, laptop } = box;
    for (const machine of [desktop, laptop]) {
      machine.git("config", "fetch.prune", "true");
      machine.git("config", "remote.origin.prune", "true");
      machine.git("config", "--add", "remote.origin.fetch", "+refs/convosync/*:refs/convosync/*");
    }
    desktop.say(0, 2);
    done(await desktop.run("save", "--no-push"));
    done(await desktop.run("sync"));
    done(await laptop.run("resume"));
    laptop.hears(2);
    laptop.say(2, 3);
    done(await laptop.run("save", "--no-push"));
    done(await laptop.run("list", "--fetch"));
    done(await laptop.run("sync"));
    done(await desktop.run("resume"));
    desktop.hears(3);
  });

  test("push.followTags pushes no tag", async () => {
    const { desktop, remoteGit } = await pair();
    desktop.git("config", "push.followTags", "true");
    desktop.write("a.txt", "a\n");
    desktop.commit("tagged");
    desktop.git("tag", "-a", "-m", "v1", "v1");
    desktop.say(0, 1);
    done(await desktop.run("save"));
    expect(remoteGit("tag")).toBe("");
  });

  test("inside a hook, GIT_DIR and GIT_INDEX_FILE of the surrounding git do no harm", async () => {
    const { desktop, laptop, base } = await pair();
    const other = join(base, "other-index");
    desktop.say(0, 2);
    desktop.write("a.txt", "a\n");
    const hooked = desktop.with({
      env: { GIT_DIR: join(desktop.path, ".git"), GIT_INDEX_FILE: other, GIT_PREFIX: "", GIT_EDITOR: ":" },
    });
    done(await hooked.run("save", "Hooked"));
    expect(existsSync(other)).toBe(false);
    expect(desktop.git("status", "--porcelain")).toBe("");
    const relative = laptop.with({ env: { GIT_INDEX_FILE: ".git/index" } });
    done(await relative.run("resume"));
    laptop.hears(2);
    expect(laptop.git("status", "--porcelain")).toBe("");
  });

  test("core.autocrlf=true", async () => {
    const box = await pair();
    for (const machine of [box.desktop, box.laptop]) machine.git("config", "core.autocrlf", "true");
    const { desktop, laptop } = box;
    desktop.write("dos.txt", "one\r\ntwo\r\n");
    desktop.say(0, 2);
    done(await desktop.run("save", "Dos"));
    expect(desktop.git("status", "--porcelain")).toBe("");
    done(await laptop.run("resume"));
    laptop.hears(2);
    expect(laptop.read("dos.txt")).toBe("one\r\ntwo\r\n");
    const before = box.remoteGit("for-each-ref");
    expect((await laptop.json("save")).document).toMatchObject({
      newMessages: 0,
      sealedBytes: 0,
      pushed: true,
    });
    expect(box.remoteGit("for-each-ref")).toBe(before);
    expect((await laptop.run("verify")).exit).toBe(0);
  });

  test("settings that could turn our git commands into others", async () => {
    const box = await pair();
    const settings = [
      ["push.default", "nothing"],
      ["push.gpgSign", "if-asked"],
      ["pull.rebase", "true"],
      ["merge.ff", "false"],
      ["status.short", "true"],
      ["log.showSignature", "true"],
      ["color.ui", "always"],
      ["core.pager", "false"],
      ["core.quotePath", "true"],
      ["commit.template", "/nowhere"],
      ["commit.verbose", "true"],
      ["commit.cleanup", "strip"],
      ["core.commentChar", "I"],
      ["diff.noprefix", "true"],
      ["fetch.recurseSubmodules", "true"],
      ["transfer.fsckObjects", "true"],
      ["receive.fsckObjects", "true"],
      ["core.logAllRefUpdates", "always"],
      ["submodule.recurse", "true"],
      ["fetch.writeCommitGraph", "true"],
      ["fetch.prune", "true"],
      ["fetch.pruneTags", "true"],
      ["push.followTags", "true"],
      ["push.recurseSubmodules", "check"],
      ["push.useForceIfIncludes", "true"],
      ["protocol.version", "1"],
      ["status.submoduleSummary", "true"],
      ["diff.external", "false"],
      ["column.ui", "always"],
      ["merge.conflictStyle", "zdiff3"],
      ["branch.sort", "-committerdate"],
      ["core.splitIndex", "true"],
      ["core.untrackedCache", "true"],
      ["index.version", "4"],
      ["gc.auto", "1"],
      ["alias.save", "!false"],
    ] as const;
    for (const machine of [box.desktop, box.laptop])
      for (const [name, value] of settings) machine.git("config", name, value);
    await roundTrip(box);
    expect(box.desktop.git("log", "-1", "--format=%s")).toBe("Two [ConvoSync]");
  });

  test("a relative remote path means the same from every folder", async () => {
    const box = await pair();
    const { desktop } = box;
    desktop.git("remote", "set-url", "origin", "../../../../remote.git");
    desktop.write("deep/er/x.txt", "x\n");
    desktop.say(0, 1);
    const first = await desktop.with({ cwd: "deep/er" }).spawn("save", "Deep");
    expect(first).toMatchObject({ exit: 0 });
    const again = await desktop.spawn("status", "--json");
    expect(JSON.parse(again.stdout)).toMatchObject({ queue: [] });
    expect((await desktop.spawn("save")).stderr).toMatch(/Nothing new since the last save/);
  });

  test("where Node has no WebAssembly, by its own choice or for want of address space", async () => {
    const { desktop, laptop } = await pair();
    desktop.say(0, 4);
    const without = { env: { NODE_OPTIONS: "--jitless" } };
    expect(await desktop.with(without).spawn("save")).toMatchObject({ exit: 0 });
    expect(await laptop.with(without).spawn("resume")).toMatchObject({ exit: 0 });
    laptop.hears(4);
    laptop.say(4, 6);
    expect(await laptop.with(without).spawn("save")).toMatchObject({ exit: 0 });
    done(await desktop.run("resume"));
    desktop.hears(6);
  });
});
