// A conversation is often saved from within: what the agent notes after that must not make a question of coming back.

import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { done, expectTranscript, lines, type Machine, one, pair, type Sandbox } from "./harness.ts";

let box: Sandbox;
let desktop: Machine;
let laptop: Machine;

/** Saved by the desktop from within its agent, which then was left, and gone on with on the laptop. */
beforeEach(async () => {
  box = await pair();
  ({ desktop, laptop } = box);
  desktop.say(0, 3);
  done(await desktop.run("save"));
  note(desktop, ...afterSave);
  done(await laptop.run("resume"));
});

const user = (content: unknown): object => ({ type: "user", message: { role: "user", content } });
const answer = (text: string): object => ({
  type: "assistant",
  message: { id: text, role: "assistant", content: [{ type: "text", text }] },
});
const notes = [{ type: "last-prompt", lastPrompt: "! git convosync save" }, { type: "cost-state" }];

/** What Claude Code 2.1.332 writes after `! git convosync save`, and when it is left. */
const afterSave = [
  user("<bash-input>git convosync save</bash-input>"),
  user("<bash-stdout>ConvoSync: saving session…</bash-stdout><bash-stderr></bash-stderr>"),
  answer("It is saved."),
  ...notes,
];

function note(machine: Machine, ...records: readonly object[]): void {
  const common = { sessionId: one, cwd: machine.path };
  const text = records.map((record) => `${JSON.stringify({ ...common, ...record })}\n`).join("");
  appendFileSync(machine.transcript(), text);
}

describe("the side that nobody went on with", () => {
  test("is not said to have gone on", async () => {
    const current = async () => (await desktop.json("status")).document["current"];
    expect(await current()).toMatchObject({ session: one, unsaved: false });
    desktop.say(3, 4);
    expect(await current()).toMatchObject({ session: one, unsaved: true });
  });

  test("gives way without a question, and is kept; the conversation goes back and forth as before", async () => {
    laptop.say(3, 5);
    done(await laptop.run("save"));
    const dry = await desktop.json("resume", "--dry-run");
    expect(dry).toMatchObject({ exit: 0, document: { restored: [desktop.transcript()] } });
    const { stderr } = done(await desktop.run("resume"));
    desktop.hears(5);
    const [, at = ""] =
      /nobody went on here since they parted; what .* is kept as (\S+)\n/.exec(stderr) ?? [];
    expect(done(await desktop.run("show", at)).stdout).toContain("It is saved.");
    desktop.say(5, 6);
    done(await desktop.run("save"));
    done(await laptop.run("resume"));
    laptop.hears(6);
    laptop.say(6, 7);
    done(await laptop.run("save"));
    done(await desktop.run("resume"));
    desktop.hears(7);
    for (const machine of [desktop, laptop]) done(await machine.run("verify"));
  });

  test("also when that was saved: by the hooks of its agent, say", async () => {
    laptop.say(3, 5);
    done(await laptop.run("save"));
    done(await desktop.run("save"));
    done(await desktop.run("resume"));
    desktop.hears(5);
    done(await desktop.run("save"));
    done(await laptop.run("resume"));
    laptop.hears(5);
  });

  test("also when it was saved by a device that has none of its own, and so is stored from its beginning", async () => {
    note(laptop, answer("It is here."), ...notes);
    desktop.say(3, 5);
    done(await desktop.run("save"));
    done(await laptop.run("list", "--fetch"));
    done(await laptop.run("save", "--no-push"));
    const { stderr } = done(await laptop.run("resume"));
    expect(stderr).toMatch(/nobody went on here since they parted/);
    expect(laptop.heard().split("\n")).toHaveLength(desktop.heard().split("\n").length);
    done(await laptop.run("verify"));
  });

  test("also when it is the other one", async () => {
    note(laptop, ...afterSave);
    done(await laptop.run("save"));
    desktop.say(3, 5, one, " (desktop)");
    const mine = desktop.heard();
    done(await desktop.run("resume"));
    expect(desktop.heard()).toBe(mine);
    done(await desktop.run("save"));
    done(await laptop.run("resume"));
    expect(laptop.heard()).toContain("(desktop)");
    expect((await laptop.run("resume")).stderr).toMatch(/The conversation is here already/);
  });

  test("a flag has its way", async () => {
    laptop.say(3, 5);
    done(await laptop.run("save"));
    done(await desktop.run("resume", "--merge"));
    expect(desktop.heard()).toContain("It is saved.");
    expect(desktop.heard()).toContain("Step 4");
  });
});

test("where a helper's talk parted, and the conversation itself went on here, it is asked about", async () => {
  const helper = (machine: Machine): string => join(machine.project, one, "subagents/agent-a1.jsonl");
  const told = (text: string): string => `${JSON.stringify({ ...answer(text), isSidechain: true })}\n`;
  desktop.write(helper(desktop), told("both"));
  done(await desktop.run("save"));
  done(await laptop.run("resume"));
  appendFileSync(helper(laptop), told("laptop"));
  done(await laptop.run("save"));
  appendFileSync(helper(desktop), told("desktop"));
  desktop.say(3, 4);
  const before = desktop.footprint();
  expect((await desktop.run("resume")).exit).toBe(5);
  expect(desktop.footprint()).toEqual(before);
});

describe("a side that somebody did go on with is asked about", () => {
  beforeEach(async () => {
    laptop.say(3, 5);
    done(await laptop.run("save"));
  });

  test.each<[string, readonly object[]]>([
    ["words", [user("And the fence?")]],
    ["words among others", [user([{ type: "text", text: "And the fence?" }])]],
    [
      "a picture",
      [user([{ type: "image", source: { type: "base64", media_type: "image/png", data: "AA==" } }])],
    ],
    ["a command of the agent's", [user("<command-name>/review</command-name>")]],
    ["a command of the shell's", [user("<bash-input>npm test</bash-input>")]],
    ["five answers", ["a", "b", "c", "d", "e"].map(answer)],
  ])("%s", async (_, records) => {
    note(desktop, ...records);
    const before = desktop.footprint();
    expect((await desktop.run("resume")).exit).toBe(5);
    expect(desktop.footprint()).toEqual(before);
  });

  test("leaving the agent is none of it", async () => {
    note(desktop, user("<command-name>/exit</command-name>"), ...notes);
    done(await desktop.run("resume"));
    expectTranscript(desktop.heard(), desktop.told(5));
    expect(desktop.heard().split("\n")).toHaveLength(lines(5) + 1);
  });
});
