// A folder by a name in other letters than its own, as `cd ~/code/SHOP` gives it on a disk that does not tell cases apart,
// those of macOS above all: agents record what was typed. Here a symlink is the other name.

import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { storeKey, turns } from "../fixtures/conversation.ts";
import { opening, rolloutId, turns as rolloutTurns, writeRollout } from "../fixtures/rollout.ts";
import { installQuietHooks, work } from "./automatic.ts";
import { done, expectTranscript, one, pair, type Sandbox } from "./harness.ts";
import { carried, id, turns as opencodeTurns, say, told, withOpencode } from "./opencode-machine.ts";

let box: Sandbox;
/** The desktop's folder by its other name. */
let typed: string;
beforeEach(async () => {
  box = await pair();
  typed = join(dirname(box.desktop.path), "SHOP");
  if (!existsSync(typed)) symlinkSync(box.desktop.path, typed);
});

describe("what Claude Code was told there", () => {
  let transcript: string;
  const tell = (from: number, to: number, cwd = typed): void => {
    const projects = join(box.desktop.home, ".claude/projects");
    transcript = join(projects, storeKey(cwd), `${one}.jsonl`);
    mkdirSync(dirname(transcript), { recursive: true });
    appendFileSync(transcript, turns({ home: box.desktop.home, cwd }, one, from, to), { mode: 0o600 });
  };

  test("is saved, goes on elsewhere with paths of there, and comes back into its own file", async () => {
    const { desktop, laptop } = box;
    tell(0, 2);
    expect((await desktop.json("status")).document["current"]).toMatchObject({ session: one });
    expect((await desktop.json("save")).document).toMatchObject({ session: one, pushed: true });
    done(await laptop.run("resume"));
    laptop.hears(2);
    laptop.say(2, 3);
    done(await laptop.run("save"));
    expect((await desktop.json("resume")).document).toMatchObject({ restored: [transcript], messages: 12 });
    const { home } = desktop;
    const back = desktop.told(3, one, "", 2);
    expectTranscript(readFileSync(transcript, "utf8"), turns({ home, cwd: typed }, one, 0, 2) + back);
    expect(readdirSync(join(home, ".claude/projects"))).toEqual([storeKey(typed)]);
    tell(3, 4);
    expect((await desktop.json("save")).document).toMatchObject({ pushed: true });
    done(await laptop.run("resume"));
    laptop.hears(4);
  });

  test("in a folder of it, and by a commit's hook", async () => {
    const { desktop, laptop } = box;
    await installQuietHooks(desktop);
    desktop.write("src/a.ts", "1\n");
    tell(0, 1, join(typed, "src"));
    desktop.commit("a step");
    await work(desktop);
    desktop.git("push", "-q");
    done(await desktop.run("sync"));
    const { document } = await laptop.json("resume");
    expect(document).toMatchObject({ session: one, workingDirectory: join(laptop.path, "src") });
    const there = turns({ home: laptop.home, cwd: join(laptop.path, "src") }, one, 0, 1);
    expectTranscript(laptop.with({ cwd: "src" }).heard(), there);
  });

  test("is another project's where the disk tells the two apart", async ({ skip }) => {
    const { desktop } = box;
    skip(existsSync(join(dirname(desktop.path), "Shop")), "this disk does not");
    mkdirSync(join(dirname(desktop.path), "Shop"));
    tell(0, 1, join(dirname(desktop.path), "Shop"));
    expect((await desktop.json("save")).document["error"]).toMatchObject({ code: "no-conversation" });
  });
});

test("what Codex was told there", async () => {
  const { desktop, laptop } = box;
  const text = (cwd: string, home: string): string =>
    opening({ home, cwd }) + rolloutTurns({ home, cwd }, 0, 2);
  writeRollout(desktop.home, text(typed, desktop.home));
  expect((await desktop.json("save")).document).toMatchObject({ session: rolloutId, pushed: true });
  const { document } = await laptop.json("resume");
  expectTranscript(readFileSync(document["restored"][0], "utf8"), text(laptop.path, laptop.home));
});

test("what opencode was told there", async () => {
  const [desktop, laptop] = [withOpencode(box.desktop), withOpencode(box.laptop)];
  const typedTurns = JSON.parse(JSON.stringify(opencodeTurns(desktop, 2)).replaceAll(desktop.path, typed));
  say(desktop, typedTurns, { directory: typed });
  expect((await desktop.json("save")).document).toMatchObject({ session: id, pushed: true });
  done(await laptop.run("resume"));
  expect(carried(told(laptop))).toEqual(carried(opencodeTurns(laptop, 2)));
});
