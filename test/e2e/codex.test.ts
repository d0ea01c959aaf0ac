// Codex, the second agent: its rollouts are saved here and resumed there, beside those of others.

import { spawn, spawnSync } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { opening, openingLines, rolloutId, turnLines, turns, writeRollout } from "../fixtures/rollout.ts";
import { done, type Machine, one, pair, type Sandbox } from "./harness.ts";
import { itself } from "./real-agent.ts";

/** Where a rollout that comes from elsewhere is put: by the time in its id, in UTC. */
const restored = (machine: Machine): string =>
  join(machine.home, ".codex/sessions/2026/11/20", `rollout-2026-11-20T22-58-31-${rolloutId}.jsonl`);

const told = (machine: Machine, to: number): string => opening(machine.scene) + turns(machine.scene, 0, to);

itself({
  name: "codex",
  title: "Codex",
  variable: "CONVOSYNC_CODEX",
  run(prompt, machine, url) {
    const settings = [
      'model="mock"',
      'model_provider="here"',
      `model_providers.here={name="here",base_url="${url}/v1",wire_api="responses",env_key="MODEL_KEY"}`,
      `projects={"${machine.path}"={trust_level="trusted"}}`,
    ].flatMap((one) => ["-c", one]);
    return { args: ["exec", ...settings, "RESUME", prompt], env: { MODEL_KEY: "none" } };
  },
  resume: (session) => ["resume", session],
  writes: () => ({
    name: "exec_command",
    input: { cmd: "mkdir -p src && echo 'export const answer = 42;' > src/new.ts && pwd" },
  }),
});

describe("a conversation of Codex", () => {
  let box: Sandbox;
  let source: string;
  beforeAll(async () => {
    box = await pair();
    source = writeRollout(box.desktop.home, told(box.desktop, 2));
  });

  test("goes to the other machine, in its paths, under a name Codex finds, and comes back as it went on", async () => {
    const { desktop, laptop } = box;
    desktop.write("src/step1.ts", "1\n");
    const saved = await desktop.json("save", "With Codex");
    expect(saved.document).toMatchObject({
      session: rolloutId,
      agent: "codex",
      messages: openingLines + 2 * turnLines,
      pushed: true,
    });
    const { document } = await laptop.json("resume");
    expect(document).toMatchObject({
      session: rolloutId,
      agent: "codex",
      resumeCommand: ["codex", "resume", rolloutId],
      workingDirectory: laptop.path,
      restored: [restored(laptop)],
    });
    expect(laptop.read("src/step1.ts")).toBe("1\n");
    expect(readFileSync(restored(laptop), "utf8")).toBe(told(laptop, 2));

    appendFileSync(restored(laptop), turns(laptop.scene, 2, 3));
    done(await laptop.run("save"));
    done(await desktop.run("resume"));
    expect(readFileSync(source, "utf8")).toBe(told(desktop, 3));
    expect(existsSync(restored(desktop))).toBe(false);
    for (const machine of [desktop, laptop]) done(await machine.run("verify"));
  });

  test("is listed, read, searched, summed up and exported as any other", async () => {
    const { laptop } = box;
    const listed = await laptop.json("list", "--agent", "codex");
    expect(listed.document["sessions"]).toMatchObject([
      { id: rolloutId, agent: "codex", title: "Question 0" },
    ]);
    const shown = done(await laptop.run("show", rolloutId)).stdout;
    expect(shown).toContain("Question 2");
    expect(shown).toContain("Answer 2");
    expect(shown).toContain(`sed -n 1,5p "${laptop.path}/src/step1.ts"`);
    expect(shown).not.toContain("environment_context");
    expect(shown).not.toContain("You are Codex");
    const found = await laptop.json("search", "Answer 1");
    expect(found.document["results"]).toMatchObject([{ session: rolloutId }]);
    expect(done(await laptop.run("summary", rolloutId)).stdout).toContain("Question 0");
    const html = done(await laptop.run("export", rolloutId, "--format", "html")).stdout;
    expect(html).toContain("Answer 2");
    done(await laptop.run("template", "save", "codex-way", "--from", rolloutId));
    expect((await laptop.json("template", "show", "codex-way")).document).toMatchObject({
      prompts: ["Question 0"],
    });
  });

  test("can be forked: the copy bears its own id inside", async () => {
    const { laptop } = box;
    const { document } = await laptop.json("fork", rolloutId);
    const id = document["session"] as string;
    const path = (document["restored"] as string[])[0]!;
    expect(path).toMatch(new RegExp(`/rollout-[0-9T-]+-${id}\\.jsonl$`));
    expect(readFileSync(path, "utf8")).toBe(told(laptop, 3).replaceAll(rolloutId, id));
    expect((await laptop.json("save", "--session", id)).document).toMatchObject({
      session: id,
      agent: "codex",
    });
  });

  test("that went on on both sides is not joined into one: each can be had, and nothing is lost", async () => {
    const { desktop, laptop } = box;
    appendFileSync(source, turns(desktop.scene, 3, 4, " here"));
    appendFileSync(restored(laptop), turns(laptop.scene, 3, 5, " there"));
    done(await desktop.run("save", "--session", rolloutId));
    const before = readFileSync(restored(laptop), "utf8");
    const asked = await laptop.json("resume", rolloutId);
    expect(asked.document["error"]).toMatchObject({ exit: 5 });
    expect(JSON.stringify(asked.document["error"])).not.toContain("resume --merge");
    expect(readFileSync(restored(laptop), "utf8")).toBe(before);
    done(await laptop.run("resume", rolloutId, "--theirs"));
    expect(readFileSync(restored(laptop), "utf8")).toBe(told(laptop, 3) + turns(laptop.scene, 3, 4, " here"));
    const { document } = await laptop.json("log", rolloutId);
    const kept = (document["snapshots"] as { n: number }[]).map(({ n }) =>
      laptop.run("show", `${rolloutId}@${n}`),
    );
    expect((await Promise.all(kept)).some(({ stdout }) => stdout.includes("Question 4 there"))).toBe(true);
  });
});

describe("Codex beside Claude Code", () => {
  test("the one last written to is meant, unless an agent names itself or is named", async () => {
    const { desktop } = await pair();
    const age = (path: string, seconds: number): void => {
      const then = Date.now() / 1000 - seconds;
      utimesSync(path, then, then);
    };
    desktop.say(0, 1);
    age(desktop.transcript(), 60);
    const path = writeRollout(desktop.home, told(desktop, 1));
    expect((await desktop.json("save", "--dry-run")).document["agent"]).toBe("codex");
    expect((await desktop.json("save", "--dry-run", "--agent", "claude")).document["session"]).toBe(one);
    age(path, 120);
    expect((await desktop.json("save", "--dry-run")).document["agent"]).toBe("claude");
    const inside = desktop.with({ env: { CODEX_THREAD_ID: rolloutId } });
    expect((await inside.json("save", "--dry-run")).document["session"]).toBe(rolloutId);
    const { document } = await desktop.json("save", "--all-sessions");
    expect((document["sessions"] as { agent: string }[]).map((each) => each.agent).sort()).toEqual([
      "claude",
      "codex",
    ]);
    // Elsewhere, of a helper, or no rollout at all: not ours.
    writeFileSync(path, opening({ ...desktop.scene, cwd: "/somewhere/else" }));
    const helper = "01a1fb2e-d100-7a11-8b22-000000000001";
    writeRollout(
      desktop.home,
      opening(desktop.scene, helper, { source: { subagent: { thread_spawn: {} } } }),
      helper,
    );
    writeRollout(desktop.home, "{}\n", "01a1fb2e-d100-7a11-8b22-000000000002");
    expect((await desktop.json("save", "--dry-run", "--agent", "codex")).document["error"]).toMatchObject({
      code: "no-conversation",
    });
  });

  test("a copy that Codex has compressed is not hidden behind another", async () => {
    const { desktop, laptop } = await pair();
    writeRollout(desktop.home, told(desktop, 1));
    done(await desktop.run("save"));
    const old = writeRollout(laptop.home, told(laptop, 1));
    renameSync(old, `${old}.zst`);
    const { document } = await laptop.json("resume");
    expect(document["error"]).toMatchObject({
      code: "compressed-session",
      exit: 4,
      hints: [`have Codex unpack it, then run the same again: codex resume ${rolloutId}`],
    });
    expect(existsSync(restored(laptop))).toBe(false);
  });

  test("one that Codex has in its archive is left there, and the code where it is", async () => {
    const { desktop, laptop } = await pair();
    writeRollout(desktop.home, told(desktop, 1));
    done(await desktop.run("save"));
    const old = writeRollout(laptop.home, told(laptop, 1));
    const archived = join(laptop.home, ".codex/archived_sessions", basename(old));
    mkdirSync(dirname(archived));
    renameSync(old, archived);
    desktop.write("work.txt", "one\n");
    done(await desktop.run("save"));
    const before = laptop.head();
    for (const name of [archived, `${archived}.zst`]) {
      if (name !== archived) renameSync(archived, name);
      const { document } = await laptop.json("resume");
      expect(document["error"]).toMatchObject({
        code: "archived-session",
        exit: 4,
        message: expect.stringContaining(name),
        hints: [`take it out of there, then run the same again: codex unarchive ${rolloutId}`],
      });
      expect(existsSync(restored(laptop))).toBe(false);
      expect(laptop.head()).toBe(before);
    }
  });

  const flock = spawnSync("flock", ["--version"]).status === 0 && existsSync("/proc/locks");
  test.skipIf(!flock)(
    "what Codex has open is left alone (skipped without flock and /proc/locks)",
    async () => {
      const { desktop, laptop } = await pair();
      writeRollout(desktop.home, told(desktop, 2));
      done(await desktop.run("save"));
      const here = writeRollout(laptop.home, told(laptop, 1));
      const locks = join(laptop.home, ".codex/thread-writer-locks");
      mkdirSync(locks);
      const lock = join(locks, `${rolloutId}.lock`);
      const holder = spawn("flock", [lock, "sh", "-c", "echo held; read line"]);
      await new Promise((held) => holder.stdout.once("data", held));
      const { document } = await laptop.json("resume");
      expect(document["error"]).toMatchObject({ code: "session-live", exit: 4 });
      expect(readFileSync(here, "utf8")).toBe(told(laptop, 1));
      holder.stdin.end("\n");
      await new Promise((ended) => holder.once("close", ended));
      // What a crash left behind holds nobody up.
      expect(existsSync(lock)).toBe(true);
      done(await laptop.run("resume"));
      expect(readFileSync(here, "utf8")).toBe(told(laptop, 2));
    },
  );
});

describe("a machine has a conversation of Codex only once", () => {
  async function saved(): Promise<Sandbox & { source: string }> {
    const box = await pair();
    const source = writeRollout(box.desktop.home, told(box.desktop, 2));
    done(await box.desktop.run("save"));
    return { ...box, source };
  }

  test("resumed in another clone, it says where the conversation is, and leaves it alone", async () => {
    const { desktop, source } = await saved();
    const second = desktop.with({ path: join(desktop.home, "code/shop-2") });
    second.clone();
    await second.init();
    const { exit, document } = await second.json("resume");
    expect(exit).toBe(4);
    expect(document["error"]).toMatchObject({
      code: "in-another-directory",
      hints: [
        `go on there: cd '${desktop.path}'`,
        expect.stringContaining(`git convosync fork ${rolloutId}`),
      ],
    });
    expect(readFileSync(source, "utf8")).toBe(told(desktop, 2));
    const copy = (await second.json("fork", rolloutId)).document["restored"] as string[];
    expect(readFileSync(copy[0]!, "utf8")).toContain(second.path);
  });

  test("resumed after the project was moved, it has the new paths, unsaved lines and all", async () => {
    const { desktop, laptop, source } = await saved();
    done(await laptop.run("resume"));
    appendFileSync(restored(laptop), turns(laptop.scene, 2, 3));
    done(await laptop.run("save"));
    const moved = desktop.movedTo("work/shop");
    const { document } = await moved.json("resume");
    expect(document).toMatchObject({ workingDirectory: moved.path, restored: [source] });
    expect(readFileSync(source, "utf8")).toBe(told(moved, 3));
    appendFileSync(source, turns(moved.scene, 3, 4));
    done(await moved.run("save"));
    appendFileSync(source, turns(moved.scene, 4, 5, " unsaved"));
    const again = moved.movedTo("work/store");
    done(await again.run("resume"));
    const all = told(again, 4) + turns(again.scene, 4, 5, " unsaved");
    expect(readFileSync(source, "utf8")).toBe(all);
    done(await laptop.run("resume"));
    expect(readFileSync(restored(laptop), "utf8")).toBe(told(laptop, 4));
  });
});
