// Questions as a person meets them, on a real pseudo-terminal.

import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { beforeAll, describe, expect, test } from "vitest";
import { textWidth } from "../../src/ui/width.ts";
import { cli, done, expectTranscript, lines, type Machine, one, pair, three, two } from "./harness.ts";

function hasScript(): boolean {
  try {
    return /util-linux/.test(execFileSync("script", ["--version"], { encoding: "utf8" }));
  } catch {
    return false;
  }
}

const enter = "\r";
const down = "\u001b[B";
const esc = "\u001b";

/**
 * Styles that can be read on a dark ground as on a light one: of colours the five that are neither, and grey; no ground
 * of its own but the reverse of the terminal's.
 */
const legible = new Set([0, 1, 2, 3, 4, 7, 8, 9, 22, 23, 24, 27, 28, 29, 31, 32, 33, 35, 36, 39, 90]);

const illegible = (screen: string): number[] =>
  [...screen.matchAll(/\u001b\[([0-9;]*)m/g)]
    .flatMap(([, codes]) => codes!.split(";").map(Number))
    .filter((code) => !legible.has(code));

/**
 * Runs the program on a terminal. Each step waits for a text to appear after the step before, then presses keys, which
 * may take until something else has happened.
 */
function onTerminal(
  machine: Machine,
  argv: readonly string[],
  steps: readonly (readonly [wait: string, keys: string | (() => Promise<string>)])[],
  columns = 100,
): Promise<{ exit: number; screen: string }> {
  return new Promise((settle, fail) => {
    const command = [process.execPath, cli, ...argv].map((word) => `'${word}'`).join(" ");
    const env = { ...machine.env, TERM: "xterm-256color" };
    const child = spawn("script", ["-qec", `stty cols ${columns} rows 40; exec ${command}`, "/dev/null"], {
      cwd: machine.cwd,
      env,
    });
    let screen = "";
    let from = 0;
    const waiting = [...steps];
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      screen += text;
      const [wait, keys] = waiting[0] ?? [];
      if (wait === undefined || !screen.slice(from).includes(wait)) return;
      waiting.shift();
      from = screen.length;
      if (typeof keys === "string") child.stdin.write(keys);
      else if (keys) keys().then((now) => child.stdin.write(now), fail);
    });
    child.on("error", fail);
    child.on("close", (code) => {
      if (waiting.length > 0) fail(new Error(`never saw '${waiting[0]![0]}' in\n${screen}`));
      else if (illegible(screen).length > 0) fail(new Error(`styles ${illegible(screen)} in\n${screen}`));
      else settle({ exit: code ?? -1, screen });
    });
  });
}

describe.skipIf(!hasScript())("on a terminal (skipped without util-linux's script)", () => {
  let desktop: Machine;
  let laptop: Machine;
  beforeAll(async () => {
    ({ desktop, laptop } = await pair());
    desktop.say(0, 1);
    done(await desktop.run("save", "Older"));
    desktop.git("switch", "-q", "-c", "feature/oauth");
    desktop.write("auth.js", "auth\n");
    desktop.say(0, 2, two);
    done(await desktop.run("save", "Implemented OAuth login"));
  });

  test("the picker: typing narrows it; escape cancels and changes nothing", async () => {
    const before = laptop.footprint();
    const { exit, screen } = await onTerminal(laptop, ["resume"], [["Which session?", esc]]);
    expect(exit).toBe(130);
    expect(screen).toContain("Implemented OAuth login");
    expect(screen).toContain("feature/oauth @");
    expect(laptop.footprint()).toEqual(before);
    const picked = await onTerminal(
      laptop,
      ["resume"],
      [
        ["Which session?", "older"],
        ["1 match", enter],
      ],
    );
    expect(picked).toMatchObject({ exit: 0 });
    laptop.hears(1);
    expect(laptop.branch()).toBe("main");
  });

  test("while someone chooses, the clone is not locked, and what is saved meanwhile counts", async () => {
    const picked = await onTerminal(
      laptop,
      ["resume"],
      [
        [
          "Which session?",
          async () => {
            laptop.say(1, 2);
            done(await laptop.run("save", "Meanwhile"));
            return "older";
          },
        ],
        ["1 match", enter],
      ],
    );
    expect(picked).toMatchObject({ exit: 0 });
    laptop.hears(2);
  });

  test("list keeps to the terminal's width, whatever is in the titles", async () => {
    laptop.say(0, 1, three, "長い題名".repeat(20));
    done(await laptop.run("save", "--session", three, "日本語の題名".repeat(12)));
    const { screen } = await onTerminal(laptop, ["list"], [], 40);
    const shown = stripVTControlCharacters(screen).trimEnd().split(/\r?\n/);
    expect(shown).toHaveLength(6);
    for (const line of shown) expect({ line, fits: textWidth(line) <= 40 }).toEqual({ line, fits: true });
    done(await laptop.run("delete", three, "--yes"));
    rmSync(laptop.transcript(three));
  });

  test.each([60, 80, 120])("what stands beside labels keeps to %i columns", async (columns) => {
    const verbs = [["status"], ["doctor"], ["config"], ["summary", two, "--offline"]];
    for (const argv of verbs) {
      const { screen } = await onTerminal(desktop, argv, [], columns);
      const shown = stripVTControlCharacters(screen).split("\r\n");
      const beyond = shown.filter((line) => textWidth(line) > columns);
      expect({ argv, beyond, lines: shown.length > 5 }).toEqual({ argv, beyond: [], lines: true });
    }
  });

  test("in a locale without UTF-8 everything is drawn in ASCII; with NO_COLOR nothing in colour", async () => {
    const plain = laptop.with({ env: { LC_ALL: "C", NO_COLOR: "1" } });
    const { exit, screen } = await onTerminal(plain, ["resume"], [["Which session?", esc]]);
    expect(exit).toBe(130);
    expect(screen).toContain("Implemented OAuth login");
    expect(screen.match(/[^\0-\x7f]/gu) ?? []).toEqual([]);
    expect(screen.match(/\u001b\[[0-9;]*m/g)?.filter((code) => !/\[0?m|\[7m|\[27m/.test(code)) ?? []).toEqual(
      [],
    );
    // The cursor is back.
    expect(screen.lastIndexOf("\u001b[?25h")).toBeGreaterThan(screen.lastIndexOf("\u001b[?25l"));
    for (const verb of ["list", "status", "log 1111", "show 1111", "doctor"]) {
      const shown = await onTerminal(plain, verb.split(" "), []);
      expect({ verb, other: shown.screen.match(/[^\0-\x7f]/gu) ?? [] }).toEqual({ verb, other: [] });
    }
  });

  test("uncommitted changes: the answer on the terminal is the flag's", async () => {
    laptop.write("README.md", "changed\n");
    const { exit, screen } = await onTerminal(
      laptop,
      ["resume", two.slice(0, 4)],
      [["What about the changes?", enter]],
    );
    expect({ exit, screen }).toMatchObject({ exit: 0 });
    expect(screen).toContain("README.md (modified)");
    expect(laptop.branch()).toBe("feature/oauth");
    expect(laptop.git("stash", "list")).toMatch(/on main/);
    laptop.hears(2, two);
  });

  test("a conversation that went on separately", async () => {
    laptop.say(2, 3, two, " (laptop)");
    desktop.say(2, 3, two, " (desktop)");
    done(await desktop.run("save"));
    const before = laptop.heard(two);
    const asked = await onTerminal(
      laptop,
      ["resume", two.slice(0, 4)],
      [["Which one goes on?", `${down}${down}${down}${down}${enter}`]],
    );
    expect(asked.exit).toBe(130);
    expect(laptop.heard(two)).toBe(before);
    const merged = await onTerminal(laptop, ["resume", two.slice(0, 4)], [["Which one goes on?", enter]]);
    expect(merged.exit).toBe(0);
    expect(merged.screen).toContain("of its own");
    expectTranscript(
      laptop.heard(two),
      laptop.told(2, two) + laptop.told(3, two, " (desktop)", 2) + laptop.told(3, two, " (laptop)", 2),
    );
  });

  test("save --interactive: the form, its parts, and the way out", async () => {
    desktop.write("form.txt", "form\n");
    desktop.say(1, 2, one);
    const before = desktop.footprint();
    const steps = [
      ["Commit message", `From the form${enter}`],
      ["What to sync", enter],
    ] as const;
    const left = await onTerminal(
      desktop,
      ["save", "-i", "--session", one],
      [...steps, ["Go on?", `${down}${enter}`]],
    );
    expect(left.exit).toBe(130);
    expect(left.screen).toContain("Branch:       feature/oauth");
    expect(desktop.footprint()).toEqual(before);
    const saved = await onTerminal(desktop, ["save", "-i", "--session", one], [...steps, ["Go on?", enter]]);
    expect(saved.exit).toBe(0);
    expect(desktop.git("log", "-1", "--format=%s")).toBe("From the form [ConvoSync]");
    expect((await desktop.json("list")).document["sessions"][0]).toMatchObject({
      id: one,
      messages: lines(2),
    });
  });

  test("save --interactive: variables are named one by one", async () => {
    const machine = desktop.with({ env: { PORT: "8080", SPARE: "1" } });
    machine.say(2, 3, one);
    const saved = await onTerminal(
      machine,
      ["save", "-i", "--session", one],
      [
        ["Commit message", `With a variable${enter}`],
        ["What to sync", `${down} ${enter}`],
        ["Names of the variables", `PORT${enter}`],
        ["Go on?", enter],
      ],
    );
    expect(saved.exit).toBe(0);
    expect(saved.screen).toContain("Sealed 1 variable: PORT");
    const path = done(await laptop.run("resume", one, "--stay-on-branch")).stderr.match(/\/[^\s']+\.sh/)![0];
    expect(readFileSync(path, "utf8")).toBe("export PORT='8080'\n");
  });

  test("conflicts in the code: they are opened in the editor, and the conversation waits until they are resolved", async () => {
    const box = await pair();
    box.desktop.say(0, 1);
    box.desktop.write("auth.js", "theirs\n");
    done(await box.desktop.run("save", "Theirs"));
    box.laptop.write("auth.js", "mine\n");
    box.laptop.commit("Mine");
    const editor = join(box.laptop.home, "editor");
    writeFileSync(editor, `#!/bin/sh\necho "edits $1"\nprintf 'both\\n' > "$1"\n`, { mode: 0o755 });
    const person = box.laptop.with({ env: { GIT_EDITOR: editor } });
    const asked = await onTerminal(
      person,
      ["resume"],
      [
        ["How shall they come together?", enter],
        ["Resolve them first, then resume.", enter],
      ],
    );
    expect(asked.exit).toBe(5);
    expect(asked.screen).toContain("edits auth.js");
    expect(asked.screen).toMatch(/merging has conflicts in 1 file; the conversation is untouched/);
    expect(existsSync(box.laptop.transcript())).toBe(false);
    // Asked again, it is the same question; left so, the merge stays as it is.
    const again = await onTerminal(
      person,
      ["resume"],
      [["Resolve them first, then resume.", `${down}${enter}`]],
    );
    expect(again.exit).toBe(4);
    expect(readFileSync(join(box.laptop.path, "auth.js"), "utf8")).toBe("both\n");
    box.laptop.git("add", "auth.js");
    box.laptop.git("commit", "-q", "-m", "Both");
    done(await box.laptop.run("resume"));
    box.laptop.hears(1);
  });

  test("conflicts in the code: the merge can be given up on the spot", async () => {
    const box = await pair();
    box.desktop.say(0, 1);
    box.desktop.write("auth.js", "theirs\n");
    done(await box.desktop.run("save", "Theirs"));
    box.laptop.write("auth.js", "mine\n");
    const mine = box.laptop.commit("Mine");
    const asked = await onTerminal(
      box.laptop,
      ["resume"],
      [
        ["How shall they come together?", enter],
        ["Resolve them first, then resume.", `${down}${down}${enter}`],
      ],
    );
    expect(asked.exit).toBe(130);
    expect(asked.screen).toContain("the merge was given up");
    expect(box.laptop.head()).toBe(mine);
    expect(box.laptop.git("status", "--porcelain")).toBe("");
    expect(existsSync(box.laptop.transcript())).toBe(false);
  });

  test("an agent that is not installed: everything else is done, and the command said", async () => {
    done(await laptop.run("template", "save", "begin", "Begin."));
    const program = join(laptop.home, "programs");
    mkdirSync(program);
    for (const name of ["git", "sh", "script", "stty"])
      symlinkSync(execFileSync("which", [name], { encoding: "utf8" }).trim(), join(program, name));
    const bare = laptop.with({ env: { PATH: program } });
    const resumed = await onTerminal(bare, ["resume", one, "--launch"], []);
    expect(resumed.exit).toBe(1);
    expect(resumed.screen).toContain("'claude' could not be started; everything is in place");
    expect(resumed.screen).toContain(`claude --resume ${one}`);
    const started = await onTerminal(bare, ["template", "start", "begin", "--launch"], []);
    expect(started.exit).toBe(1);
    expect(started.screen).toContain("'claude' cannot be started");
    expect(started.screen).toContain("is it installed, and on your PATH?");
  });

  test("where the locale is ASCII, nothing of ours is anything else", async () => {
    const plain = laptop.with({ env: { LC_ALL: "C", GIT_PAGER: "cat" } });
    for (const argv of [
      ["resume", one],
      ["list"],
      ["status"],
      ["log", one],
      ["show", one],
      ["config"],
      ["doctor"],
    ]) {
      const { screen } = await onTerminal(plain, argv, [], 60);
      expect({ argv, beyond: screen.match(/[^\0-\x7f\p{L}]/gu) }).toEqual({ argv, beyond: null });
    }
  });

  test("without a terminal there is no form", async () => {
    const { exit, stderr } = await desktop.run("save", "--interactive");
    expect(exit).toBe(4);
    expect(stderr).toMatch(/there is no terminal to ask on/);
  });
});
