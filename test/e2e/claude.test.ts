// The promise itself: what Claude Code wrote on one machine, Claude Code continues on the other.

import { execFile, spawnSync } from "node:child_process";
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { ModelServer, type Turn } from "../fixtures/model-server.ts";
import { untilIdle } from "./automatic.ts";
import { done, type Machine, one, pair } from "./harness.ts";

const claude = process.env["CONVOSYNC_CLAUDE"] ?? "claude";
const installed = spawnSync(claude, ["--version"]).status === 0;

/** Runs Claude Code once, without a terminal, against a model on this machine; gives what the model was sent. */
async function ask(
  machine: Machine,
  prompt: string,
  turns: readonly Turn[],
  ...options: string[]
): Promise<string[]> {
  const model = await ModelServer.start(turns);
  try {
    const env = {
      ...machine.env,
      ANTHROPIC_BASE_URL: model.url,
      ANTHROPIC_API_KEY: "none",
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
      DISABLE_AUTOUPDATER: "1",
    };
    const asked = promisify(execFile)(claude, ["-p", prompt, ...options], { cwd: machine.path, env });
    asked.child.stdin?.end();
    await asked;
    return model.requests;
  } finally {
    await model.stop();
  }
}

const largest = (requests: readonly string[]): string =>
  [...requests].sort((a, b) => b.length - a.length)[0] ?? "";

describe.skipIf(!installed)(
  "Claude Code (skipped where `claude` is not installed; CONVOSYNC_CLAUDE names it)",
  () => {
    test("continues on the laptop what it began on the desktop, and the other way round", async () => {
      const { desktop, laptop } = await pair();
      await ask(
        desktop,
        "Write the file and count.",
        [
          {
            tool: {
              name: "Write",
              input: { file_path: `${desktop.path}/src/new.ts`, content: "export const answer = 42;\n" },
            },
          },
          { tool: { name: "Bash", input: { command: "seq 1 30000; pwd", description: "count" } } },
          { text: "Both are done." },
        ],
        "--allowedTools",
        "Write,Bash",
      );
      done(await desktop.run("save", "Wrote the answer"));

      const { document } = await laptop.json("resume");
      expect(laptop.read("src/new.ts")).toBe("export const answer = 42;\n");
      expect(document["resumeCommand"].slice(0, 2)).toEqual(["claude", "--resume"]);
      const id = document["session"] as string;
      const there = largest(await ask(laptop, "What did we write?", [], "--resume", id));
      expect(there).toContain("export const answer = 42;");
      expect(there).toContain("Both are done.");
      expect(there).toContain(laptop.path);
      expect(there).not.toContain(desktop.path);
      expect(there).not.toContain(desktop.home);
      done(await laptop.run("save"));

      done(await desktop.run("resume"));
      const back = largest(await ask(desktop, "And what did I ask there?", [], "--resume", id));
      expect(back).toContain("What did we write?");
      expect(back).not.toContain(laptop.path);
      expect(back).not.toContain(laptop.home);
    });

    test("goes on with a conversation that was merged, and with a fork of one of its snapshots", async () => {
      const { desktop, laptop } = await pair();
      await ask(desktop, "Where do we begin?", [{ text: "At the door." }]);
      done(await desktop.run("save"));
      const id = (await laptop.json("resume")).document["session"] as string;
      await ask(desktop, "What is on the desktop?", [{ text: "A lamp." }], "--resume", id);
      done(await desktop.run("save"));
      await ask(laptop, "What is on the laptop?", [{ text: "A sticker." }], "--resume", id);

      done(await laptop.run("resume", "--merge"));
      for (const said of ["A lamp.", "A sticker."]) expect(laptop.heard(id)).toContain(said);
      const merged = largest(await ask(laptop, "And now?", [], "--resume", id));
      expect(merged).toContain("At the door.");
      expect(merged).toContain("A sticker.");
      done(await laptop.run("save"));
      done(await desktop.run("resume"));
      expect(largest(await ask(desktop, "Still there?", [], "--resume", id))).toContain("And now?");

      const { document } = await desktop.json("fork", `${id}@1`);
      const fork = document["session"] as string;
      expect(fork).not.toBe(id);
      const forked = largest(await ask(desktop, "Another way?", [], "--resume", fork));
      expect(forked).toContain("At the door.");
      expect(forked).not.toContain("A lamp.");
    });

    test("goes on where its project was moved to, from what nobody had saved", async () => {
      const { desktop } = await pair();
      await ask(desktop, "Where do we begin?", [{ text: "At the door." }]);
      done(await desktop.run("save"));
      const id = (await desktop.json("status")).document["current"].session as string;
      await ask(desktop, "And then?", [{ text: "To the garden." }], "--resume", id);
      const there = desktop.movedTo("work/shop");
      done(await there.run("resume"));
      const asked = largest(await ask(there, "What is there?", [{ text: "A tree." }], "--resume", id));
      for (const said of ["At the door.", "To the garden.", there.path]) expect(asked).toContain(said);
      expect(asked).not.toContain(desktop.path);
      expect((await there.json("save")).document).toMatchObject({ session: id, pushed: true });
    });

    test("has its list of tasks on the other device, too", async () => {
      const { desktop, laptop } = await pair();
      const tools = ["--allowedTools", "TaskCreate,TaskList"];
      const create = { name: "TaskCreate", input: { subject: "Mend the fence", description: "All of it." } };
      await ask(desktop, "What is to be done?", [{ tool: create }, { text: "Noted." }], ...tools);
      done(await desktop.run("save"));
      const id = (await laptop.json("resume")).document["session"] as string;
      const list: Turn[] = [{ tool: { name: "TaskList", input: {} } }, { text: "That." }];
      await ask(laptop, "And now?", list, "--resume", id, ...tools);
      expect(/"content":"([^"]*\[pending\][^"]*)"/.exec(laptop.heard(id))?.[1]).toBe(
        "#1 [pending] Mend the fence",
      );
    });

    test("continues what it took to a work tree of its own, here, there, and when that is gone", async () => {
      const { desktop, laptop } = await pair();
      const tools = ["--allowedTools", "EnterWorktree,Bash"];
      await ask(desktop, "Where do we begin?", [{ text: "In the checkout." }]);
      done(await desktop.run("save"));
      const id = (await desktop.json("list")).document["sessions"][0].id as string;
      const enter = { name: "EnterWorktree", input: { name: "feat" } };
      await ask(desktop, "Go there.", [{ tool: enter }, { text: "Gone there." }], "--resume", id, ...tools);
      const inside = desktop.with({ path: `${desktop.path}/.claude/worktrees/feat` });
      expect(inside.heard(id)).toContain('"worktree-state"');
      inside.write("feat.txt", "1\n");
      done(await inside.run("save", "In the work tree"));

      done(await laptop.run("resume"));
      expect(laptop.branch()).toBe("worktree-feat");
      const there = largest(await ask(laptop, "On the laptop?", [{ text: "Yes." }], "--resume", id));
      expect(there).toContain("Gone there.");
      expect(there).not.toContain(desktop.home);
      done(await laptop.run("save"));

      done(await inside.run("resume"));
      const back = largest(await ask(inside, "And back?", [{ text: "Back." }], "--resume", id));
      expect(back).toContain("On the laptop?");
      done(await inside.run("save"));
      desktop.git("worktree", "remove", "--force", "--force", inside.path);
      done(await desktop.run("resume"));
      const last = largest(await ask(desktop, "Without it?", [], "--resume", id));
      expect(last).toContain("Back.");
      done(await desktop.run("save"));
      done(await laptop.run("resume"));
      expect(laptop.heard(id)).toContain("Without it?");
    });

    test("has every turn saved and pushed by its own hooks; the other device has it", async () => {
      const { desktop, laptop } = await pair();
      done(await desktop.run("hooks", "install", "--agent", "claude"));
      await ask(desktop, "Who saves this?", [{ text: "Nobody thinks of it." }]);
      // The worker sends what it has saved before it ends.
      for (
        let waits = 0;
        waits < 300 && desktop.git("ls-remote", "origin").split("/session/").length < 2;
        waits++
      )
        await sleep(200);
      await untilIdle(desktop);
      const { document } = await laptop.json("resume");
      const id = document["session"] as string;
      expect(laptop.heard(id)).toContain("Nobody thinks of it.");
      expect(desktop.git("status", "--porcelain")).toBe("");
    });
  },
);

test("the plan of a conversation comes along; a fork of it shares the one that is there", async () => {
  const { desktop, laptop } = await pair();
  const plan = (machine: Machine, name = "brave-old-cake"): string =>
    join(machine.home, ".claude/plans", `${name}.md`);
  desktop.say(0, 1);
  appendFileSync(
    desktop.transcript(),
    `${JSON.stringify({ type: "user", cwd: desktop.path, slug: "brave-old-cake" })}\n`,
  );
  desktop.write(plan(desktop), `# Mend ${desktop.path}/fence\n`);
  desktop.write(plan(desktop, "another"), "# Another conversation's\n");
  done(await desktop.run("save"));
  done(await laptop.run("resume"));
  expect(readFileSync(plan(laptop), "utf8")).toBe(`# Mend ${laptop.path}/fence\n`);
  expect(existsSync(plan(laptop, "another"))).toBe(false);
  const { exit, document } = await laptop.json("fork", one);
  expect({ exit, restored: document["restored"] }).toEqual({
    exit: 0,
    restored: [laptop.transcript(document["session"] as string)],
  });
  expect(readFileSync(plan(laptop), "utf8")).toBe(`# Mend ${laptop.path}/fence\n`);
});
