// Whatever is not plain stops with a sentence and the command that mends it, and has changed nothing.

import { appendFileSync, chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { done, expectTranscript, git, lines, type Machine, one, pair, type Sandbox } from "./harness.ts";

/** Runs a command that must be refused: its status, what it says, its hint; and nothing has changed. */
async function refused(
  machine: Machine,
  argv: readonly string[],
  { code, exit, error, hint }: { code: string; exit: number; error: RegExp; hint: RegExp },
): Promise<void> {
  const before = machine.footprint();
  const outcome = await machine.run(...argv);
  expect({ argv, exit: outcome.exit, stdout: outcome.stdout }).toEqual({ argv, exit, stdout: "" });
  expect(outcome.stderr).toMatch(error);
  expect(outcome.stderr).toMatch(hint);
  const [said] = /^error: .*$/m.exec(outcome.stderr) ?? [""];
  expect(said).not.toMatch(/\.$/);
  const { document } = await machine.json(...argv);
  expect(document["error"]).toMatchObject({ code, exit, message: said.slice("error: ".length) });
  expect(machine.footprint()).toEqual(before);
}

describe("save", () => {
  let box: Sandbox;
  let desktop: Machine;
  beforeEach(async () => {
    box = await pair();
    desktop = box.desktop;
    desktop.write("code.txt", "base\n");
    desktop.commit("base");
    desktop.git("switch", "-q", "-c", "other");
    desktop.write("code.txt", "theirs\n");
    desktop.commit("theirs");
    desktop.git("switch", "-q", "main");
    desktop.write("code.txt", "ours\n");
    desktop.commit("ours");
    desktop.say(0, 2);
  });

  const unfinished = (operation: string, mend: string) => ({
    code: "operation-in-progress",
    exit: 4,
    error: new RegExp(`error: git ${operation} is in progress`),
    hint: new RegExp(`hint: ${mend}`),
  });
  const conflicts = {
    code: "merge-conflicts",
    exit: 4,
    error: /error: merge conflicts in 1 file; the conversation is untouched/,
    hint: /hint: code\.txt/,
  };

  test("a merge: with conflicts, then without", async () => {
    expect(desktop.gitFails("merge", "-q", "other")).toBe(true);
    await refused(desktop, ["save"], conflicts);
    await refused(desktop, ["save", "--force"], conflicts);
    desktop.write("code.txt", "both\n");
    desktop.git("add", "code.txt");
    await refused(desktop, ["save"], unfinished("merge", "git merge --continue"));
    done(await desktop.run("save", "--no-code"));
    desktop.git("commit", "-q", "--no-edit");
    done(await desktop.run("save"));
  });

  test("a rebase", async () => {
    expect(desktop.gitFails("rebase", "-q", "other")).toBe(true);
    await refused(desktop, ["save"], conflicts);
    desktop.write("code.txt", "both\n");
    desktop.git("add", "code.txt");
    await refused(desktop, ["save"], unfinished("rebase", "git rebase --continue"));
  });

  test("a cherry-pick", async () => {
    expect(desktop.gitFails("cherry-pick", "other")).toBe(true);
    desktop.write("code.txt", "both\n");
    desktop.git("add", "code.txt");
    await refused(desktop, ["save"], unfinished("cherry-pick", "git cherry-pick --continue"));
  });

  test("a revert", async () => {
    desktop.write("code.txt", "newer\n");
    desktop.commit("newer");
    expect(desktop.gitFails("revert", "--no-edit", "HEAD~1")).toBe(true);
    desktop.write("code.txt", "both\n");
    desktop.git("add", "code.txt");
    await refused(desktop, ["save"], unfinished("revert", "git revert --continue"));
  });

  test("a bisect", async () => {
    desktop.git("bisect", "start");
    desktop.write("new.txt", "new\n");
    await refused(desktop, ["save"], unfinished("bisect", "git bisect reset"));
  });

  test("no conversation here", async () => {
    rmSync(desktop.transcript());
    desktop.write("new.txt", "new\n");
    await refused(desktop, ["save"], {
      code: "no-conversation",
      exit: 1,
      error:
        /error: no conversation of Claude Code, Codex, Gemini CLI, GitHub Copilot CLI, Qwen Code, opencode or Cursor belongs to this work tree/,
      hint: /hint: start one here first/,
    });
  });

  test.skipIf(process.getuid?.() === 0)(
    "a conversation that may not be read is named (skipped as root, who may read all)",
    async () => {
      desktop.write("new.txt", "new\n");
      chmodSync(desktop.transcript(), 0);
      const { exit, stderr } = await desktop.run("save");
      expect(exit).toBe(1);
      expect(stderr).toMatch(
        /hint: no permission to use .*\.jsonl; mend it: sudo chown -R "\$\(id -un\)" '.*\/projects\//,
      );
      expect(desktop.git("status", "--porcelain")).toBe("?? new.txt");
    },
  );

  test.skipIf(process.getuid?.() === 0)(
    "where the keys' folder cannot be written to, as in an agent's sandbox (not tried as root)",
    async () => {
      desktop.write("new.txt", "new\n");
      const keys = join(desktop.home, ".config/convosync");
      chmodSync(keys, 0o500);
      const head = desktop.head();
      const { exit, stderr } = await desktop.run("save");
      chmodSync(keys, 0o700);
      expect(exit).toBe(1);
      expect(stderr).toMatch(/EACCES.*\.config\/convosync/);
      expect(desktop.head()).toBe(head);
      done(await desktop.run("save"));
    },
  );

  test("a dry run changes nothing, and says what it would do", async () => {
    desktop.write("new.txt", "new\n");
    const before = { here: desktop.footprint(), there: box.remoteGit("for-each-ref") };
    const { exit, stdout, stderr } = await desktop.run("save", "--dry-run");
    expect(exit).toBe(0);
    expect(stderr).toMatch(/Would commit 0 changed files, 1 new file/);
    expect(stdout).toMatch(new RegExp(`^would save ${one}`));
    expect({ here: desktop.footprint(), there: box.remoteGit("for-each-ref") }).toEqual(before);
    expect((await desktop.json("list")).document["sessions"]).toEqual([]);
  });
});

describe("resume", () => {
  let desktop: Machine;
  let laptop: Machine;
  let base: string;
  beforeEach(async () => {
    ({ desktop, laptop, base } = await pair());
    desktop.git("switch", "-q", "-c", "feature");
    desktop.write("code.txt", "one\n");
    desktop.say(0, 3);
    done(await desktop.run("save", "One"));
  });

  test("uncommitted changes stop a switch; --stay-on-branch leaves the code alone", async () => {
    laptop.write("README.md", "changed here\n");
    laptop.write("untracked.txt", "mine\n");
    await refused(laptop, ["resume"], {
      code: "uncommitted-changes",
      exit: 4,
      error: /error: uncommitted changes in 1 file, and the conversation belongs to other code/,
      hint: /hint: put them aside: git stash --include-untracked/,
    });
    done(await laptop.run("resume", "--stay-on-branch"));
    laptop.hears(3);
    expect(laptop.branch()).toBe("main");
    expect(laptop.read("README.md")).toBe("changed here\n");
  });

  test("an untracked file that the session's code would overwrite stays", async () => {
    laptop.write("code.txt", "untracked and precious\n");
    await refused(laptop, ["resume"], {
      code: "local-changes",
      exit: 4,
      error: /error: local changes stand in the way, in 1 file/,
      hint: /hint: code\.txt/,
    });
  });

  test("untracked files that are not in the way are carried along", async () => {
    laptop.write("notes.txt", "mine\n");
    done(await laptop.run("resume"));
    expect(laptop.branch()).toBe("feature");
    expect(laptop.read("notes.txt")).toBe("mine\n");
  });

  test("a merge in progress", async () => {
    laptop.git("switch", "-q", "-c", "side");
    laptop.write("README.md", "side\n");
    laptop.commit("side");
    laptop.git("switch", "-q", "main");
    laptop.write("README.md", "main\n");
    laptop.commit("main");
    expect(laptop.gitFails("merge", "-q", "side")).toBe(true);
    await refused(laptop, ["resume"], {
      code: "merge-conflicts",
      exit: 4,
      error: /error: merge conflicts in 1 file; the conversation is untouched/,
      hint: /hint: README\.md/,
    });
    laptop.git("add", "README.md");
    await refused(laptop, ["resume"], {
      code: "operation-in-progress",
      exit: 4,
      error: /error: git merge is in progress/,
      hint: /hint: git merge --continue/,
    });
  });

  test("a bisect in progress", async () => {
    laptop.git("bisect", "start");
    await refused(laptop, ["resume"], {
      code: "operation-in-progress",
      exit: 4,
      error: /git bisect is in progress/,
      hint: /git bisect reset/,
    });
  });

  test("a detached HEAD with a commit that no branch holds", async () => {
    laptop.git("switch", "-q", "--detach");
    laptop.write("loose.txt", "loose\n");
    laptop.commit("loose");
    await refused(laptop, ["resume"], {
      code: "detached-head",
      exit: 4,
      error: /error: HEAD is detached: leaving it could lose commits that are on no branch/,
      hint: /hint: git switch --create <branch>/,
    });
  });

  test("code that went on separately", async () => {
    done(await laptop.run("resume"));
    laptop.write("code.txt", "laptop\n");
    laptop.commit("laptop");
    desktop.write("code.txt", "desktop\n");
    desktop.say(3, 4);
    done(await desktop.run("save", "Two"));
    await refused(laptop, ["resume"], {
      code: "code-diverged",
      exit: 5,
      error: /error: your branch 'feature' and the conversation's commit [0-9a-f]{10} went on separately/,
      hint: /hint: bring them together: git merge [0-9a-f]{10}/,
    });
    done(await laptop.run("resume", "--exact"));
    expect(laptop.head()).toBe(desktop.head());
    expect(laptop.branch()).toBe("");
    laptop.hears(4);
  });

  test("a local branch with commits of its own on top is left where it is", async () => {
    done(await laptop.run("resume"));
    laptop.write("more.txt", "more\n");
    const ahead = laptop.commit("ahead");
    laptop.git("switch", "-q", "main");
    done(await laptop.run("resume"));
    expect({ branch: laptop.branch(), head: laptop.head() }).toEqual({ branch: "feature", head: ahead });
  });

  test("newer commits of the branch come along, unless --no-pull; --exact takes the very commit", async () => {
    const saved = desktop.head();
    desktop.write("code.txt", "newer\n");
    const newer = desktop.commit("newer");
    desktop.git("push", "-q", "origin", "feature");
    done(await laptop.run("resume", "--no-pull"));
    expect(laptop.head()).toBe(saved);
    done(await laptop.run("resume"));
    expect(laptop.head()).toBe(newer);
    done(await laptop.run("resume", "--exact"));
    expect({ branch: laptop.branch(), head: laptop.head() }).toEqual({ branch: "", head: saved });
    expect((await laptop.run("resume", "--exact", "--stay-on-branch")).exit).toBe(2);
  });

  test("a commit that is neither here nor on the remote", async () => {
    desktop.write("code.txt", "unpushed\n");
    desktop.commit("unpushed");
    desktop.say(3, 4);
    done(await desktop.run("save", "--no-code"));
    await refused(laptop, ["resume"], {
      code: "commit-missing",
      exit: 4,
      error:
        /error: the conversation belongs to commit [0-9a-f]{10} of branch 'feature', which is neither here nor on the remote/,
      hint: /hint: push it from the machine that saved it: git convosync save/,
    });
    done(await laptop.run("resume", "--stay-on-branch"));
    laptop.hears(4);
  });

  test("a branch that was deleted on the remote: the commit itself is still found", async () => {
    done(await laptop.run("sync"));
    git(laptop.path, laptop.env, "push", "-q", "origin", "--delete", "feature");
    done(await laptop.run("resume"));
    expect({ branch: laptop.branch(), head: laptop.head() }).toEqual({
      branch: "feature",
      head: desktop.head(),
    });
  });

  test("a running Claude Code that has the conversation open", async () => {
    const live = (started: number): void => {
      const folder = join(laptop.home, ".claude/sessions");
      mkdirSync(folder, { recursive: true });
      const entry = {
        pid: process.pid,
        sessionId: one,
        cwd: laptop.path,
        startedAt: started,
        version: "2.1.329",
      };
      writeFileSync(join(folder, `${process.pid}.json`), JSON.stringify(entry));
    };
    live(Date.now());
    await refused(laptop, ["resume"], {
      code: "session-live",
      exit: 4,
      error: new RegExp(`error: Claude Code has this conversation open \\(process ${process.pid}, in `),
      hint: /hint: leave it there first, then resume/,
    });
    // Left behind by a crash, before the machine was last started.
    live(1_000_000_000_000);
    done(await laptop.run("resume"));
    laptop.hears(3);
  });

  test("a local conversation that is ahead is left as it is, and said to be", async () => {
    done(await laptop.run("resume"));
    laptop.say(3, 5);
    const before = laptop.footprint();
    const { exit, stderr } = await laptop.run("resume");
    expect(exit).toBe(0);
    expect(stderr).toMatch(/has lines that are not saved yet: git convosync save/);
    expect(laptop.footprint()).toEqual(before);
  });

  test("a local conversation that diverged is left as it is; saving it keeps both", async () => {
    done(await laptop.run("resume"));
    laptop.say(3, 4, one, " (laptop)");
    desktop.say(3, 5, one, " (desktop)");
    done(await desktop.run("save"));
    await refused(laptop, ["resume"], {
      code: "conversation-diverged",
      exit: 5,
      error:
        /error: the conversation here and the saved one went on separately; the one here was left as it is/,
      hint: /hint: keep the one here too: git convosync save/,
    });
    expect((await laptop.json("save")).document).toMatchObject({ messages: lines(4), pushed: true });
    await refused(laptop, ["resume"], {
      code: "conversation-diverged",
      exit: 5,
      error: /error: the conversation 11111111 went on separately on (Desktop|Laptop) \(\d+ messages\) and /,
      hint: /hint: read them: git convosync show/,
    });
    expectTranscript(laptop.heard(), laptop.told(3) + laptop.told(4, one, " (laptop)", 3));
  });

  test("a local conversation that was cut short is completed, and its version kept", async () => {
    done(await laptop.run("resume"));
    writeFileSync(laptop.transcript(), laptop.told(1));
    const { exit } = await laptop.run("resume");
    expect(exit).toBe(0);
    laptop.hears(3);
  });

  test("a torn last line is completed", async () => {
    done(await laptop.run("resume"));
    desktop.say(3, 4);
    done(await desktop.run("save"));
    appendFileSync(laptop.transcript(), laptop.told(4, one, "", 3).slice(0, 100));
    done(await laptop.run("resume"));
    laptop.hears(4);
  });

  test("a last line without its line feed makes no divergence, whatever its length", async () => {
    done(await laptop.run("resume"));
    desktop.say(3, 4);
    done(await desktop.run("save"));
    const torn = JSON.stringify({ type: "progress", text: "x".repeat(200_000) });
    appendFileSync(laptop.transcript(), torn.slice(0, -1));
    done(await laptop.run("resume"));
    laptop.hears(4);
    // One that is whole stays where it is while there is nothing newer.
    appendFileSync(laptop.transcript(), torn);
    const before = laptop.footprint();
    done(await laptop.run("resume"));
    expect(laptop.footprint()).toEqual(before);
    desktop.say(4, 5);
    done(await desktop.run("save"));
    done(await laptop.run("resume"));
    laptop.hears(5);
  });

  test("an unknown or ambiguous session", async () => {
    await refused(laptop, ["resume", "ffff"], {
      code: "session-not-found",
      exit: 1,
      error: /error: no session matches 'ffff'/,
      hint: /hint: see what is saved: git convosync list/,
    });
    desktop.say(0, 1, "1111aaaa-1111-4111-8111-111111111111");
    done(await desktop.run("save", "--all-sessions"));
    await refused(laptop, ["resume", "1111"], {
      code: "ambiguous-session",
      exit: 2,
      error: /error: '1111' could be 2 sessions/,
      hint: /hint: 1111aaaa-/,
    });
  });

  test("nothing saved yet", async () => {
    const empty = laptop.with({ path: join(base, "empty") });
    const bare = join(base, "empty.git");
    git(base, laptop.env, "init", "-q", "--bare", bare);
    git(base, laptop.env, "clone", "-q", bare, empty.path);
    await empty.init();
    await refused(empty, ["resume"], {
      code: "nothing-saved",
      exit: 1,
      error: /error: no session has been saved in this repository yet/,
      hint: /hint: save one where the conversation is: git convosync save/,
    });
  });
});
