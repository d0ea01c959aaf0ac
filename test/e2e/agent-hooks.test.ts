// Hooks in agents' own settings: put in and taken out without a trace, and never in the agent's way.

import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, test } from "vitest";
import { cloneDir, noted, shown, untilIdle, work } from "./automatic.ts";
import { done, lines, type Machine, one, sandbox } from "./harness.ts";

const claudeEvents = ["SessionStart", "UserPromptSubmit", "Stop", "PreCompact", "SessionEnd"];

let desktop: Machine;
beforeAll(async () => {
  const box = sandbox({ folders: { desktop: "code/my shop" } });
  desktop = box.desktop;
  await desktop.begin();
});

const settings = (): string => join(desktop.home, ".claude/settings.json");
const write = (path: string, text: string | Buffer, mode = 0o644): void => {
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, text);
  chmodSync(path, mode);
};

describe("Claude Code's settings", () => {
  test.each([
    [
      '{\n  // mine\n  "model": "opus",\n  "hooks": {"Stop": [{"hooks": [{"type":"command","command":"say done"}]}]},\n}\n',
    ],
    ['{"permissions":{"allow":["Bash(git *)"]}}'],
    ["{}"],
    [""],
    ['\ufeff{\r\n\t"a": 1\r\n}\r\n'],
    [Buffer.from('{"caf\xe9":1}\n', "latin1")],
  ])("%j come back byte for byte", async (text) => {
    write(settings(), text, 0o640);
    const before = readFileSync(settings());
    const installed = await desktop.json("hooks", "install", "--agent", "claude");
    expect(installed.document["agents"]).toMatchObject([{ name: "claude", installed: true }]);
    const now = readFileSync(settings(), "latin1");
    for (const event of claudeEvents) expect(now).toContain(`"${event}"`);
    expect(statSync(settings()).mode & 0o777).toBe(0o640);
    done(await desktop.run("hooks", "install", "--agent", "claude"));
    expect(readFileSync(settings(), "latin1")).toBe(now);
    done(await desktop.run("hooks", "uninstall", "--agent", "claude"));
    expect(readFileSync(settings())).toEqual(before);
    expect(statSync(settings()).mode & 0o777).toBe(0o640);
  });

  test("that were not there are made, and removed again; a link into dotfiles stays one", async () => {
    const dotfiles = join(desktop.home, "dotfiles.json");
    write(dotfiles, "{}\n");
    spawnSync("rm", ["-f", settings()]);
    done(await desktop.run("hooks", "install", "--agent", "claude"));
    expect(JSON.parse(readFileSync(settings(), "utf8")).hooks.Stop).toHaveLength(1);
    done(await desktop.run("hooks", "uninstall", "--agent", "claude"));
    expect(existsSync(settings())).toBe(false);
    symlinkSync(dotfiles, settings());
    done(await desktop.run("hooks", "install", "--agent", "claude"));
    expect(readFileSync(dotfiles, "utf8")).toContain("convosync");
    done(await desktop.run("hooks", "uninstall", "--agent", "claude"));
    expect(readFileSync(dotfiles, "utf8")).toBe("{}\n");
    spawnSync("rm", ["-f", settings()]);
  });

  test("that were changed since lose ours and nothing else", async () => {
    write(settings(), '{"model":"opus"}');
    done(await desktop.run("hooks", "install", "--agent", "claude"));
    const changed = JSON.parse(readFileSync(settings(), "utf8"));
    changed.hooks.Stop.unshift({ hooks: [{ type: "command", command: "say done" }] });
    changed.theme = "dark";
    write(settings(), JSON.stringify(changed, null, 4));
    done(await desktop.run("hooks", "uninstall", "--agent", "claude"));
    const left = JSON.parse(readFileSync(settings(), "utf8"));
    expect(left).toMatchObject({
      model: "opus",
      theme: "dark",
      hooks: { Stop: [{ hooks: [{ type: "command", command: "say done" }] }] },
    });
    expect(readFileSync(settings(), "utf8")).not.toContain("convosync");
  });

  test("that are no JSON, or mean something else, are refused and left", async () => {
    for (const text of ["{", '{"hooks":[]}', '{"hooks":{"Stop":{}}}']) {
      write(settings(), text);
      const refused = await desktop.json("hooks", "install", "--agent", "claude");
      expect(refused).toMatchObject({ exit: 1, document: { error: { code: "unreadable-settings" } } });
      expect(readFileSync(settings(), "utf8")).toBe(text);
    }
    expect((await desktop.run("hooks", "install", "--agent", "clod")).exit).toBe(2);
    write(settings(), "{}");
  });
});

/** Runs a hook's command as Claude Code does. */
function fire(machine: Machine, event: string, said: Record<string, unknown>): void {
  const { hooks } = JSON.parse(readFileSync(settings(), "utf8"));
  const { command } = hooks[event][0].hooks[0];
  const result = spawnSync("sh", ["-c", command], {
    cwd: machine.cwd,
    env: machine.env,
    input: `${JSON.stringify({ ...said, hook_event_name: event })}\n`,
    encoding: "utf8",
  });
  expect(result).toMatchObject({ status: 0, stdout: "", stderr: "" });
}

async function untilNoted(count: number): Promise<string[]> {
  for (let tries = 0; tries < 100 && noted(desktop).length < count; tries++) await sleep(50);
  return noted(desktop);
}

describe("an agent's turn", () => {
  beforeAll(async () => {
    done(await desktop.run("hooks", "install", "--agent", "claude"));
    const script = join(desktop.home, ".local/state/convosync/agent.sh");
    writeFileSync(script, readFileSync(script, "utf8").replace(/^cli=.*$/m, "cli=/nonexistent"));
    desktop.git("config", "convosync.autoPush", "false");
  });

  test("is noted quietly, whatever else is told with it, and captured", async () => {
    desktop.say(0, 2);
    const transcript = desktop.transcript();
    const said = { session_id: one, transcript_path: transcript, cwd: desktop.path };
    fire(desktop, "Stop", {
      ...said,
      last_assistant_message: `"session_id":"evil" ${"long ".repeat(40_000)}`,
    });
    expect(await untilNoted(1)).toEqual([`agent claude stop ${one} ${desktop.path}`]);
    await work(desktop);
    const { snapshots } = await shown(desktop, one);
    expect(snapshots).toMatchObject([{ via: "hook", upto: { main: [lines(2), expect.any(Number)] } }]);
    // The next turn of the same hour at the same commit takes its place.
    desktop.say(2, 3);
    fire(desktop, "Stop", said);
    await untilNoted(1);
    await work(desktop);
    const again = (await shown(desktop, one))["snapshots"];
    if (again.length === 1)
      expect(again).toMatchObject([{ n: 1, upto: { main: [lines(3), expect.any(Number)] } }]);
    else expect(again[0].ts.slice(0, 13)).not.toBe(again[1].ts.slice(0, 13));
  });

  test("in a subfolder and in a worktree is found; elsewhere, and said badly, it is nothing", async () => {
    const inside = desktop.with({ cwd: "src/deep" });
    mkdirSync(inside.cwd, { recursive: true });
    desktop.git("worktree", "add", "-q", "../side", "-b", "side");
    const side = join(desktop.path, "../side");
    fire(inside, "UserPromptSubmit", { session_id: one, cwd: inside.cwd, prompt: "x" });
    fire(desktop, "Stop", { cwd: side, session_id: one });
    await untilNoted(2);
    fire(desktop, "Stop", { session_id: one, cwd: "/" });
    fire(desktop, "Stop", { session_id: "../../etc", cwd: desktop.path });
    fire(desktop, "Stop", { session_id: "a b", cwd: desktop.path });
    fire(desktop, "Stop", {});
    await sleep(300);
    expect(noted(desktop).sort()).toEqual([
      `agent claude prompt ${one} ${inside.cwd}`,
      `agent claude stop ${one} ${side}`,
    ]);
    await work(desktop);
  });

  test("starts a worker that captures and ends", async () => {
    done(await desktop.run("hooks", "uninstall", "--agent", "claude"));
    done(await desktop.run("hooks", "install", "--agent", "claude"));
    desktop.say(3, 4);
    fire(desktop, "SessionEnd", { session_id: one, cwd: desktop.path, reason: "other" });
    for (let tries = 0; tries < 100 && !existsSync(join(cloneDir(desktop), "worker.pid")); tries++)
      await sleep(50);
    await untilIdle(desktop);
    const { snapshots } = await shown(desktop, one);
    expect(snapshots.at(-1).upto.main[0]).toBe(lines(4));
  });
});

describe("other agents", () => {
  const files: Record<string, string> = {
    codex: ".codex/config.toml",
    gemini: ".gemini/settings.json",
    qwen: ".qwen/settings.json",
    copilot: ".copilot/hooks/convosync.json",
    opencode: ".config/opencode/plugins/convosync.js",
    cursor: ".cursor/hooks.json",
  };

  test.each(Object.entries(files))("%s: installed and taken out", async (name, file) => {
    const path = join(desktop.home, file);
    const { document } = await desktop.json("hooks", "install", "--agent", name);
    expect(document["agents"]).toMatchObject([{ name, path, installed: true }]);
    if (path.endsWith(".json")) expect(JSON.parse(readFileSync(path, "utf8"))["hooks"]).toBeTypeOf("object");
    const status = (await desktop.json("hooks", "status")).document;
    expect(status["agents"].map((one: { name: string }) => one.name)).toContain(name);
    done(await desktop.run("hooks", "uninstall", "--agent", name));
    expect(existsSync(path)).toBe(false);
  });

  test("Qwen Code's folder may be given from the home directory on, as its user writes it", async () => {
    const elsewhere = desktop.with({ env: { QWEN_HOME: "~/other qwen" } });
    const { document } = await elsewhere.json("hooks", "install", "--agent", "qwen");
    const path = join(desktop.home, "other qwen/settings.json");
    expect(document["agents"]).toMatchObject([{ name: "qwen", path, installed: true }]);
    done(await elsewhere.run("hooks", "uninstall", "--agent", "qwen"));
    expect(existsSync(path)).toBe(false);
  });

  test("Codex' own notify program runs as before, and its settings come back", async () => {
    const path = join(desktop.home, ".codex/config.toml");
    const log = join(desktop.home, "notified");
    const script = join(desktop.home, "my notify.sh");
    write(script, `#!/bin/sh\nprintf '%s|' "$@" >> "${log}"\n`, 0o755);
    const text = `# mine\nmodel = "x"\nnotify = [\n  ${JSON.stringify(script)}, "--flag", # why\n]\n\n[projects."/a"]\nnotify = ["no"]\n`;
    write(path, text);
    done(await desktop.run("hooks", "install", "--agent", "codex"));
    const list = /^notify = \[([\s\S]*?)\n\]/m.exec(readFileSync(path, "utf8"))![1]!;
    const words = JSON.parse(
      `[${list
        .replace(/# why$/m, "")
        .trim()
        .replace(/,$/, "")}]`,
    ) as string[];
    const said = JSON.stringify({ type: "agent-turn-complete", "thread-id": one, cwd: desktop.path });
    const stub = join(desktop.home, ".local/state/convosync/agent.sh");
    writeFileSync(stub, readFileSync(stub, "utf8").replace(/^cli=.*$/m, "cli=/nonexistent"));
    expect(
      spawnSync(words[0]!, [...words.slice(1), said], { cwd: desktop.path, env: desktop.env }).status,
    ).toBe(0);
    expect(readFileSync(log, "utf8")).toBe(`--flag|${said}|`);
    expect(await untilNoted(1)).toEqual([`agent codex stop ${one} ${desktop.path}`]);
    done(await desktop.run("hooks", "uninstall", "--agent", "codex"));
    expect(readFileSync(path, "utf8")).toBe(text);
    await work(desktop);
    expect(noted(desktop)).toEqual([]);
  });
});
