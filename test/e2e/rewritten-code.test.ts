// The commit a conversation was saved with is given another name afterwards: resume finds it again.

import { describe, expect, test } from "vitest";
import { done, pair, sandbox } from "./harness.ts";

describe("resume after the history was rewritten", () => {
  test("an amended commit, pushed over the saved one", async () => {
    const { desktop, laptop } = await pair();
    desktop.write("auth.js", "one\n");
    desktop.say(0, 3);
    done(await desktop.run("save", "Add auth"));
    const saved = desktop.head();
    desktop.git("commit", "-q", "--amend", "-m", "Add auth, properly");
    desktop.git("push", "-q", "--force", "origin", "main");

    const resumed = done(await laptop.run("resume"));
    expect(laptop.head()).toBe(desktop.head());
    expect(resumed.stderr).toContain(
      `Commit ${saved.slice(0, 7)} was rewritten since: it is ${desktop.head().slice(0, 7)} now`,
    );
    expect(resumed.stderr).toContain(`You are on main @ ${desktop.head().slice(0, 7)}: code and`);
    const exact = done(await laptop.run("resume", "--exact"));
    expect(exact.stderr).toContain(`You are on a detached HEAD @ ${desktop.head().slice(0, 7)}: code and`);
    laptop.hears(3);
  });

  test("a branch that was squashed into main and deleted", async () => {
    const { desktop, laptop, tablet } = await pair();
    desktop.git("switch", "-q", "-c", "feature/oauth");
    for (const [name, turn] of [
      ["auth.js", 1],
      ["token.js", 2],
    ] as const) {
      desktop.write(name, `${name}\n`);
      desktop.say(turn - 1, turn);
      done(await desktop.run("save", `Add ${name}`));
    }
    // As a server does it: another author, another date, one commit.
    laptop.git("fetch", "-q", "origin", "feature/oauth");
    laptop.write("other.js", "other\n");
    laptop.commit("Something else");
    laptop.git("merge", "-q", "--squash", "FETCH_HEAD");
    laptop.git("commit", "-q", "-m", "OAuth (#1)", "--author=Server <server@example.com>");
    laptop.git("push", "-q", "origin", "main", ":refs/heads/feature/oauth");

    await tablet.join();
    const resumed = done(await tablet.run("resume"));
    expect(resumed.stderr).toContain("was rewritten since");
    expect(tablet.branch()).toBe("main");
    expect(tablet.head()).toBe(laptop.head());
    tablet.hears(2);
  });

  test("a branch that was merged into main and deleted: where main has it, it is not made again", async () => {
    const { desktop, laptop, tablet } = await pair();
    desktop.git("switch", "-q", "-c", "feature/oauth");
    desktop.write("auth.js", "auth\n");
    desktop.say(0, 1);
    done(await desktop.run("save", "Add auth.js"));
    await tablet.join();
    desktop.git("switch", "-q", "main");
    desktop.git("merge", "-q", "--no-ff", "-m", "OAuth (#1)", "feature/oauth");
    desktop.git("push", "-q", "origin", "main", ":refs/heads/feature/oauth");

    laptop.git("pull", "-q");
    const { document } = await laptop.json("resume");
    expect(document["code"]).toBe("newer");
    expect({ branch: laptop.branch(), head: laptop.head() }).toEqual({
      branch: "main",
      head: desktop.head(),
    });
    laptop.hears(1);
    expect(laptop.git("branch", "--format=%(refname:short)")).toBe("main");
    // Where it is not there yet, the conversation's code is what it was.
    done(await tablet.run("resume"));
    expect(tablet.branch()).toBe("feature/oauth");
  });

  test("a commit that is gone without a trace stops it, and the conversation can be had alone", async () => {
    const box = sandbox();
    await box.desktop.begin();
    box.desktop.write("auth.js", "one\n");
    box.desktop.say(0, 2);
    done(await box.desktop.run("save", "Add auth"));
    box.remoteGit("update-ref", "refs/heads/main", box.desktop.git("rev-parse", "HEAD~1"));
    box.remoteGit("prune", "--expire=now");
    await box.laptop.join();
    const stopped = await box.laptop.run("resume");
    expect(stopped).toMatchObject({ exit: 4, stdout: "" });
    expect(stopped.stderr).toContain("which is neither here nor on the remote");
    done(await box.laptop.run("resume", "--stay-on-branch"));
    box.laptop.hears(2);
  });
});
