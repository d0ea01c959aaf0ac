// Templates: saved on one device, started on another; deleted ones stay so; a user's own are in all repositories.

import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Document, done, git, type Machine, one, pair } from "./harness.ts";

const names = async (machine: Machine): Promise<string[]> =>
  (await machine.json("template", "list")).document["templates"].map((it: Document) => it["name"]);

describe("template", () => {
  test("of a text and of a conversation, on both devices; the last word counts", async () => {
    const { desktop, laptop } = await pair();
    desktop.say(0, 3);
    done(await desktop.run("save"));
    done(await desktop.run("template", "save", "component", "Write a component; it's called 'X'"));
    const { document } = await desktop.json(
      "template",
      "save",
      "oauth",
      "--from",
      one.slice(0, 8),
      "--prompts",
      "2",
    );
    expect(document).toMatchObject({ name: "oauth", scope: "repository", prompts: 2, remote: "origin" });
    done(await laptop.run("sync"));
    expect(await names(laptop)).toEqual(["component", "oauth"]);
    const shown = await laptop.json("template", "show", "oauth");
    expect(shown.document).toMatchObject({ agent: "claude" });
    expect(shown.document["prompts"]).toHaveLength(2);
    expect(shown.document["prompts"][0]).toContain("Step 0");
    const start = done(await laptop.run("template", "start", "component"));
    expect(start.stdout).toBe(`claude 'Write a component; it'\\''s called '\\''X'\\'''\n`);
    expect((await laptop.json("template", "start", "component")).document["command"]).toEqual([
      "claude",
      "Write a component; it's called 'X'",
    ]);
    expect((await laptop.run("template", "start", "component", "--launch")).exit).toBe(4);

    writeFileSync(join(laptop.home, "text"), "From the laptop\n");
    done(await laptop.run("template", "save", "component", "--file", join(laptop.home, "text")));
    done(await desktop.run("sync"));
    expect(done(await desktop.run("template", "show", "component")).stdout).toBe("From the laptop\n");
    done(await desktop.run("template", "delete", "component"));
    for (const machine of [laptop, desktop]) {
      done(await machine.run("sync"));
      expect(await names(machine)).toEqual(["oauth"]);
      done(await machine.run("verify"));
    }
    // Other commands write heads too: what stands beside them goes on.
    laptop.write("x.txt", "x\n");
    done(await desktop.run("pin", one));
    desktop.say(3, 4);
    done(await desktop.run("save", "more"));
    done(await desktop.run("gc"));
    expect(await names(desktop)).toEqual(["oauth"]);
    expect((await desktop.run("template", "show", "component")).exit).toBe(1);
  });

  test("a user's own is in all their repositories on this device, and on others that share one", async () => {
    const { desktop, laptop, base } = await pair();
    done(await desktop.run("template", "save", "mine", "--global", "Be brief."));
    const second = join(base, "second.git");
    git(base, desktop.env, "init", "-q", "--bare", "-b", "main", second);
    const other = desktop.with({ path: join(desktop.home, "code/other") });
    git(desktop.home, desktop.env, "clone", "-q", second, other.path);
    done(await other.run("init", "--yes"));
    expect(await names(other)).toEqual(["mine"]);
    done(await laptop.run("sync"));
    expect(await names(laptop)).toEqual(["mine"]);
    done(await other.run("template", "delete", "mine"));
    expect(await names(desktop)).toEqual([]);
  });

  test("offline it waits; names and texts that do not fit are refused", async () => {
    const { desktop, remote } = await pair();
    renameSync(remote, `${remote}.away`);
    expect((await desktop.run("template", "save", "a", "text")).exit).toBe(3);
    expect(await names(desktop)).toEqual(["a"]);
    renameSync(`${remote}.away`, remote);
    done(await desktop.run("sync"));
    for (const argv of [
      ["save", "Not A Name", "text"],
      ["save", "b"],
      ["save", "b", "text", "--from", "x"],
      ["save", "b", " "],
      ["save", "b", "--from", "x", "--prompts", "0"],
    ])
      expect({ argv, exit: (await desktop.run("template", ...argv)).exit }).toEqual({ argv, exit: 2 });
    expect((await desktop.run("template", "save", "b", "x".repeat(20_000))).exit).toBe(1);
    expect((await desktop.run("template", "delete", "b")).exit).toBe(1);
    done(await desktop.run("template", "save", "c", "\u001b[31mred\u202e -x"));
    const { stdout } = done(await desktop.run("template", "start", "c"));
    expect(stdout).not.toMatch(/[\u001b\u202e]/);
  });
});
