// A conversation, or its code, that went on separately on two devices: whatever is chosen, no line and no commit is lost.

import { chmodSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { done, expectTranscript, lines, type Machine, one, pair, type Sandbox } from "./harness.ts";

let box: Sandbox;
let desktop: Machine;
let laptop: Machine;

/** Both have turns 0 to 3. */
beforeEach(async () => {
  box = await pair();
  ({ desktop, laptop } = box);
  desktop.say(0, 3);
  done(await desktop.run("save"));
  done(await laptop.run("resume"));
});

const common = (machine: Machine): string => machine.told(3);
const ofDesktop = (machine: Machine): string => machine.told(5, one, " (desktop)", 3);
const ofLaptop = (machine: Machine): string => machine.told(6, one, " (laptop)", 3);

async function counts(machine: Machine): Promise<unknown> {
  const { document } = await machine.json("list");
  return document["sessions"].map(({ id, messages }: { id: string; messages: number }) => [id, messages]);
}

describe("the conversation", () => {
  /** The desktop went on with two turns, and the laptop later with three. */
  beforeEach(async () => {
    desktop.say(3, 5, one, " (desktop)");
    laptop.say(3, 6, one, " (laptop)");
    done(await desktop.run("save"));
  });

  test("--merge: one conversation with all lines, the same on every device, and no question any more", async () => {
    const { exit, stderr } = await laptop.run("resume", "--merge");
    expect({ exit, stderr }).toMatchObject({ exit: 0 });
    expect(stderr).toMatch(/Merged both versions of the conversation \(32 messages\); no line is lost/);
    expectTranscript(laptop.heard(), common(laptop) + ofDesktop(laptop) + ofLaptop(laptop));
    expect((await laptop.run("resume")).stderr).toMatch(/The conversation is here already/);
    done(await laptop.run("save"));
    // The desktop's own file is not a beginning of it, and is replaced all the same: nothing of it is missing.
    done(await desktop.run("resume"));
    expectTranscript(desktop.heard(), common(desktop) + ofDesktop(desktop) + ofLaptop(desktop));
    desktop.say(6, 7, one, " (both)");
    done(await desktop.run("save"));
    done(await laptop.run("resume"));
    expect(await counts(laptop)).toEqual([[one, lines(9)]]);
    for (const machine of [desktop, laptop]) done(await machine.run("verify"));
  });

  test("both merge, each on its own: they come to the same bytes", async () => {
    done(await laptop.run("save"));
    done(await desktop.run("resume", "--merge"));
    done(await laptop.run("resume", "--merge"));
    done(await desktop.run("save"));
    done(await laptop.run("save"));
    for (const machine of [desktop, laptop]) {
      done(await machine.run("resume"));
      expectTranscript(machine.heard(), common(machine) + ofDesktop(machine) + ofLaptop(machine));
    }
  });

  test("a device that goes on with its old version all the same is asked again, and nothing is doubled", async () => {
    done(await laptop.run("resume", "--merge"));
    done(await laptop.run("save"));
    desktop.say(5, 6, one, " (desktop)");
    const refused = await desktop.run("resume");
    expect(refused.exit).toBe(5);
    done(await desktop.run("resume", "--merge"));
    expect(desktop.heard().split("\n").length - 1).toBe(lines(9));
    expect(new Set(desktop.heard().split("\n")).size - 1).toBe(lines(9));
  });

  test("--theirs: mine stays as a snapshot, from which a session can be made", async () => {
    const mine = laptop.heard();
    const { stderr } = done(await laptop.run("resume", "--theirs"));
    expectTranscript(laptop.heard(), common(laptop) + ofDesktop(laptop));
    const [, at = ""] = /yours is kept as (\S+);/.exec(stderr) ?? [];
    expect(at).toMatch(/^11111111@\d+$/);
    const { document } = await laptop.json("fork", at);
    expect(document).toMatchObject({ from: one, messages: lines(6) });
    expectTranscript(laptop.heard(document["session"]), mine);
    done(await laptop.run("save", "--session", one));
    done(await desktop.run("resume"));
    expectTranscript(desktop.heard(), common(desktop) + ofDesktop(desktop));
  });

  test.each(["--theirs", "--merge"])(
    "%s, and the agent goes on just then: it says so, and all is here",
    async (how) => {
      const late = laptop.told(7, one, " (late)", 6);
      const bin = join(laptop.home, "bin");
      laptop.write(join(laptop.home, "late"), late);
      // After what is here was captured, as the joined version is written.
      laptop.write(
        join(bin, "git"),
        `#!/bin/sh
case "$*" in *fast-import*) echo >> '${laptop.home}/calls'; esac
[ "$(wc -l < '${laptop.home}/calls')" != 2 ] || { cat '${laptop.home}/late' >> '${laptop.transcript()}'; : > '${laptop.home}/late'; }
PATH=\${PATH#*:} exec git "$@"
`,
      );
      laptop.write(join(laptop.home, "calls"), "");
      chmodSync(join(bin, "git"), 0o755);
      const mine = laptop.heard();
      const head = laptop.head();
      const busy = laptop.with({ env: { PATH: `${bin}:${laptop.env["PATH"]}` } });
      expect(await busy.run("resume", how)).toMatchObject({
        exit: 4,
        stderr: expect.stringMatching(
          /changed while it was being restored: .*11111111.*\n.*run the command again/,
        ),
      });
      expectTranscript(laptop.heard(), mine + late);
      expect(laptop.head()).toBe(head);
      done(await laptop.run("resume", how));
      done(await laptop.run("verify"));
      const all = (await laptop.run("show", one)).stdout;
      expect(all.includes("(late)")).toBe(how === "--merge");
    },
  );

  test("--theirs, and the other device goes on: nobody is asked again, here or there, and mine is still kept", async () => {
    done(await laptop.run("resume", "--theirs"));
    desktop.say(5, 7, one, " (desktop)");
    done(await desktop.run("save"));
    done(await laptop.run("list", "--fetch"));
    const before = laptop.footprint();
    done(await laptop.run("resume", "--dry-run"));
    expect(laptop.footprint()).toEqual(before);
    done(await laptop.run("resume"));
    expectTranscript(laptop.heard(), common(laptop) + laptop.told(7, one, " (desktop)", 3));
    laptop.say(7, 8, one, " (both)");
    done(await laptop.run("save"));
    done(await desktop.run("resume"));
    expectTranscript(
      desktop.heard(),
      common(desktop) + desktop.told(7, one, " (desktop)", 3) + desktop.told(8, one, " (both)", 7),
    );
    const { document } = await desktop.json("log", one);
    const snapshots = document["snapshots"] as { n: number }[];
    const shown = await Promise.all(snapshots.map(({ n }) => desktop.run("show", `${one}@${n}`, "--raw")));
    expect(shown.some(({ stdout }) => stdout === common(desktop) + ofLaptop(desktop))).toBe(true);
    for (const machine of [desktop, laptop]) done(await machine.run("verify"));
  });

  test("--theirs, and the other device resumes first: it is not asked either", async () => {
    done(await laptop.run("resume", "--theirs"));
    done(await laptop.run("sync"));
    desktop.say(5, 7, one, " (desktop)");
    done(await desktop.run("resume"));
    expectTranscript(desktop.heard(), common(desktop) + desktop.told(7, one, " (desktop)", 3));
    done(await desktop.run("save"));
    done(await laptop.run("resume"));
    expectTranscript(laptop.heard(), common(laptop) + laptop.told(7, one, " (desktop)", 3));
  });

  test("--mine: theirs stays as a snapshot; the other device follows, and its version is nowhere lost", async () => {
    const mine = laptop.heard();
    const { stderr } = done(await laptop.run("resume", "--mine"));
    expect(laptop.heard()).toBe(mine);
    const [, at = ""] = /the one of Desktop is kept as (\S+);/.exec(stderr) ?? [];
    done(await laptop.run("save"));
    done(await desktop.run("resume"));
    expectTranscript(desktop.heard(), common(desktop) + ofLaptop(desktop));
    const { document } = await desktop.json("fork", at);
    expectTranscript(desktop.heard(document["session"]), common(desktop) + ofDesktop(desktop));
  });

  test("--fork: both go on, apart", async () => {
    const mine = laptop.heard();
    const { stderr } = done(await laptop.run("resume", "--fork"));
    expect(laptop.heard()).toBe(mine);
    const [, id = ""] = /is a session of its own here: (\S+)/.exec(stderr) ?? [];
    expectTranscript(laptop.heard(id), common(laptop) + ofDesktop(laptop));
    done(await laptop.run("save", "--all-sessions"));
    expect(await counts(laptop)).toEqual(
      expect.arrayContaining([
        [one, lines(6)],
        [id, lines(5)],
      ]),
    );
    // What was one conversation can become one again.
    const { document } = await laptop.json("merge", one, id);
    expect(document).toMatchObject({ session: one, messages: lines(8), added: lines(2) });
    expectTranscript(laptop.heard(), common(laptop) + ofDesktop(laptop) + ofLaptop(laptop));
    expect(await counts(laptop)).toHaveLength(2);
  });

  test("two saved versions, and a third device with none of its own", async () => {
    done(await laptop.run("save"));
    box.tablet.clone();
    await box.tablet.init("--join", "--recovery-file", box.code);
    const refused = await box.tablet.run("resume");
    expect(refused.exit).toBe(5);
    expect(refused.stderr).toMatch(/hint: join them, no line is lost: git convosync resume --merge/);
    expect(refused.stderr).not.toMatch(/--mine/);
    expect((await box.tablet.run("resume", "--mine")).exit).toBe(5);
    done(await box.tablet.run("resume", "--merge"));
    const { tablet } = box;
    expectTranscript(tablet.heard(), common(tablet) + ofDesktop(tablet) + ofLaptop(tablet));
  });

  describe("with what this device had saved itself, as the agent's file was put back since", () => {
    /** The desktop's file has turns 0 to 2 and another one than the third that it saved. */
    beforeEach(() =>
      writeFileSync(desktop.transcript(), common(desktop) + desktop.told(4, one, " (again)", 3)),
    );

    const again = (machine: Machine): string => machine.told(4, one, " (again)", 3);
    test.each([
      ["--theirs", () => common(desktop) + ofDesktop(desktop)],
      ["--mine", () => common(desktop) + again(desktop)],
      ["--merge", () => common(desktop) + again(desktop) + ofDesktop(desktop)],
      ["--fork", () => common(desktop) + again(desktop)],
    ])("%s", async (how, result) => {
      expect((await desktop.run("resume")).exit).toBe(5);
      const { document } = await desktop.json("resume", how);
      expectTranscript(desktop.heard(), result());
      const { current } = (await desktop.json("status")).document;
      // A fork is the last that was written.
      if (how !== "--fork") expect(current).toMatchObject({ session: one, unsaved: false });
      const sessions = (await desktop.json("list", "--all")).document["sessions"];
      expect(document["session"]).toBe(one);
      expect(sessions).toHaveLength(1);
      const { snapshots } = (await desktop.json("log", one)).document as { snapshots: { n: number }[] };
      const shown = await Promise.all(snapshots.map(({ n }) => desktop.run("show", `${one}@${n}`, "--raw")));
      for (const version of [ofDesktop(desktop), again(desktop)])
        expect(shown.some(({ stdout }) => stdout.includes(version))).toBe(true);
      done(await desktop.run("save", "--session", one));
      done(await desktop.run("verify"));
    });
  });

  test("a dry run settles nothing", async () => {
    const before = laptop.footprint();
    expect((await laptop.run("resume", "--merge", "--dry-run")).exit).toBe(5);
    expect(laptop.footprint()).toEqual(before);
    expect((await laptop.run("resume", "--merge", "--mine")).exit).toBe(2);
  });
});

describe("the code", () => {
  let ours: string;
  let theirs: string;
  /** Both went on from one commit of a branch: the desktop saved, the laptop has a commit of its own. */
  beforeEach(async () => {
    laptop.write("README.md", "# Laptop\n");
    laptop.write("laptop.txt", "laptop\n");
    ours = laptop.commit("laptop");
    desktop.write("desktop.txt", "desktop\n");
    desktop.say(3, 4);
    done(await desktop.run("save"));
    theirs = desktop.head();
  });

  test("--code merge joins both lines of history; the conversation comes along", async () => {
    const { stderr } = done(await laptop.run("resume", "--code", "merge"));
    expect(stderr).toMatch(/Merged [0-9a-f]{7} into 'main'/);
    expect(laptop.git("log", "-1", "--format=%P")).toBe(`${ours} ${theirs}`);
    expect(laptop.has("laptop.txt") && laptop.has("desktop.txt")).toBe(true);
    expect(laptop.git("status", "--porcelain")).toBe("");
    expect(laptop.heard()).toContain("Step 3: ");
  });

  test("--theirs keeps my commits under a branch of their own, and says its name", async () => {
    const { stderr } = done(await laptop.run("resume", "--theirs"));
    expect(laptop.head()).toBe(theirs);
    const [, backup = ""] = /what it was before is kept on branch '(.+)'/.exec(stderr) ?? [];
    expect(laptop.git("rev-parse", backup)).toBe(ours);
  });

  test("--code mine brings back the conversation alone", async () => {
    done(await laptop.run("resume", "--code", "mine"));
    expect(laptop.head()).toBe(ours);
    expect(laptop.heard()).toContain("Step 3: ");
  });

  test("conflicts: the merge is left to be finished, the files are named, the conversation is untouched", async () => {
    desktop.write("README.md", "# Desktop\n");
    desktop.say(4, 5);
    done(await desktop.run("save"));
    const before = laptop.heard();
    const { exit, stdout, stderr } = await laptop.run("resume", "--merge");
    expect({ exit, stdout }).toEqual({ exit: 5, stdout: "" });
    expect(stderr).toMatch(/error: merging has conflicts in 1 file; the conversation is untouched/);
    expect(stderr).toMatch(/hint: README\.md/);
    expect(laptop.heard()).toBe(before);
    laptop.git("merge", "--abort");
    const { document } = await laptop.json("resume", "--merge");
    expect(document["error"]).toMatchObject({ code: "code-conflicts", exit: 5 });
    laptop.write("README.md", "# Both\n");
    laptop.commit("both");
    done(await laptop.run("resume"));
    expect(laptop.heard()).toContain("Step 4: ");
  });
});

describe("uncommitted changes", () => {
  beforeEach(async () => {
    desktop.write("desktop.txt", "desktop\n");
    desktop.say(3, 4);
    done(await desktop.run("save"));
    laptop.write("README.md", "# Mine\n");
    laptop.write("untracked.txt", "mine\n");
  });

  test("--stash puts them aside; on the same branch they come back where that is clean", async () => {
    laptop.git("add", "README.md");
    const { stderr } = done(await laptop.run("resume", "--stash"));
    expect(stderr).toMatch(/Put your changes aside[\s\S]*Your changes are back in place/);
    expect(laptop.head()).toBe(desktop.head());
    expect(laptop.git("status", "--porcelain")).toBe("M  README.md\n?? untracked.txt");
    expect(laptop.git("stash", "list")).toBe("");
  });

  test("--stash has files that are only meant to be added as they were, though git would not put them aside", async () => {
    laptop.git("add", "--intent-to-add", "untracked.txt");
    const before = laptop.git("status", "--porcelain");
    expect(laptop.gitFails("stash")).toBe(true);
    laptop.write("desktop.txt", "untracked, and in the way\n");
    expect((await laptop.run("resume", "--stash")).exit).toBe(4);
    rmSync(join(laptop.path, "desktop.txt"));
    expect(laptop.git("status", "--porcelain")).toBe(before);
    done(await laptop.run("resume", "--stash"));
    expect(laptop.head()).toBe(desktop.head());
    expect(laptop.git("status", "--porcelain")).toBe(before);
    expect(laptop.read("untracked.txt")).toBe("mine\n");
    expect(laptop.git("stash", "list")).toBe("");
  });

  test("--stash where the same file changed, or on another branch: they wait, and it says where", async () => {
    desktop.write("README.md", "# Desktop\n");
    done(await desktop.run("save", "more"));
    const { stderr } = done(await laptop.run("resume", "--stash"));
    expect(stderr).toMatch(/get your changes back with: git switch main && git stash pop/);
    expect(laptop.read("README.md")).toBe("# Desktop\n");
    expect(laptop.git("show", "stash@{0}:README.md")).toBe("# Mine");
    expect(laptop.git("stash", "list")).toMatch(/convosync: before resuming, on main/);
  });

  test("--stash comes to nothing when the code cannot be moved: the changes are back", async () => {
    laptop.write("desktop.txt", "untracked, and in the way\n");
    const { exit } = await laptop.run("resume", "--stash");
    expect(exit).toBe(4);
    expect(laptop.read("README.md")).toBe("# Mine\n");
    expect(laptop.git("stash", "list")).toBe("");
  });

  test("on another branch, too: it is the one that is left in the end", async () => {
    laptop.git("switch", "-q", "-c", "mine");
    laptop.write("desktop.txt", "untracked, and in the way\n");
    const before = laptop.git("status", "--porcelain", "--branch");
    const { exit, stderr } = await laptop.run("resume", "--stash");
    expect(exit).toBe(4);
    expect(stderr).toMatch(/Switched to branch 'main'[\s\S]*Back on 'mine'[\s\S]*hint: desktop\.txt/);
    expect(laptop.git("status", "--porcelain", "--branch")).toBe(before);
    expect(laptop.read("README.md")).toBe("# Mine\n");
    expect(laptop.git("stash", "list")).toBe("");
  });

  test("--commit commits them first, and brings both together", async () => {
    done(await laptop.run("resume", "--commit"));
    expect(laptop.git("log", "-1", "--format=%s", "HEAD^1")).toBe(
      "Work in progress before resuming [ConvoSync]",
    );
    expect(laptop.git("rev-parse", "HEAD^2")).toBe(desktop.head());
    expect(laptop.read("README.md")).toBe("# Mine\n");
    expect(laptop.git("status", "--porcelain")).toBe("?? untracked.txt");
  });

  test("without a flag it is refused, and both flags are named", async () => {
    const before = laptop.footprint();
    const { exit, stderr } = await laptop.run("resume");
    expect(exit).toBe(4);
    expect(stderr).toMatch(/hint: or have it done: git convosync resume --stash, or --commit/);
    expect(laptop.footprint()).toEqual(before);
  });
});

describe("reading only", () => {
  test("restores nothing and moves nothing", async () => {
    const before = laptop.footprint();
    const { stdout } = done(await laptop.run("resume", "--read-only"));
    expect(stdout).toContain("Step 2: ");
    const { document } = await laptop.json("resume", "--read-only");
    expect(document).toMatchObject({ session: one, readOnly: true, restored: [], messages: lines(3) });
    expect(laptop.footprint()).toEqual(before);
  });
});
