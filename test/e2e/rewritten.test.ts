// Agents that rewrite, cut short or half-write their files, and caches of ours that are gone or garbled.

import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import {
  type Document,
  done,
  expectTranscript,
  lines,
  type Machine,
  one,
  pair,
  type Sandbox,
} from "./harness.ts";

let box: Sandbox;
let desktop: Machine;
let laptop: Machine;
beforeEach(async () => {
  box = await pair();
  ({ desktop, laptop } = box);
  desktop.say(0, 4);
  done(await desktop.run("save"));
});

const without = (text: string, line: number): string =>
  text
    .split("\n")
    .filter((_, at) => at !== line)
    .join("\n");

const listed = async (machine: Machine): Promise<Document> =>
  (await machine.json("list")).document["sessions"][0];

describe("the transcript", () => {
  test("a record removed in the middle: a new generation, and the old one is kept", async () => {
    done(await laptop.run("resume"));
    const rewritten = without(desktop.heard(), 5);
    writeFileSync(desktop.transcript(), rewritten);
    const saved = await desktop.run("save");
    expect(saved.exit).toBe(0);
    expect(saved.stderr).toMatch(/the agent had rewritten its file; the earlier version is kept/);
    expect(await listed(desktop)).toMatchObject({ messages: lines(4) - 1, snapshots: 2 });
    done(await desktop.run("verify"));
    expect(done(await desktop.run("show", one, "--raw")).stdout).toBe(rewritten);
    const { exit } = await desktop.run("save");
    expect(exit).toBe(0);
    expect(await listed(desktop)).toMatchObject({ snapshots: 2 });
    desktop.say(4, 5);
    done(await desktop.run("save"));
    expectTranscript(done(await desktop.run("show", one, "--raw")).stdout, desktop.heard());
    box.tablet.clone();
    await box.tablet.init("--join", "--recovery-file", box.code);
    done(await box.tablet.run("resume"));
    expectTranscript(box.tablet.heard(), without(box.tablet.told(4), 5) + box.tablet.told(5, one, "", 4));
  });

  test.each([
    ["otherwise than saved", '{"helper":"other"}\n', '{"helper":1}\n', 1],
    ["further than saved", '{"helper":1}\n{"helper":2}\n', '{"helper":1}\n{"helper":2}\n', 0],
  ])("gone, and a helper's is left, %s: resume brings all of it", async (_, left, restored, backups) => {
    const helper = (machine: Machine): string => join(machine.project, one, "subagents/agent-a1.jsonl");
    const notes = (machine: Machine): string => join(machine.project, one, "subagents/agent-a1.meta.json");
    desktop.write(helper(desktop), '{"helper":1}\n');
    desktop.write(notes(desktop), "{}\n");
    done(await desktop.run("save"));
    laptop.write(helper(laptop), left);
    const { stderr } = done(await laptop.run("resume"));
    laptop.hears(4);
    expect(readFileSync(helper(laptop), "utf8")).toBe(restored);
    expect(readFileSync(notes(laptop), "utf8")).toBe("{}\n");
    const kept = [...stderr.matchAll(/backup\S*\/\S+/g)].map(([path]) => path);
    expect(kept).toHaveLength(backups);
  });

  test("where an earlier generation lies, resume replaces it, keeps a backup and says where; the old lines stay saved", async () => {
    done(await laptop.run("resume"));
    writeFileSync(desktop.transcript(), without(desktop.heard(), 5));
    done(await desktop.run("save"));
    const before = laptop.heard();
    const { stderr } = done(await laptop.run("resume"));
    expectTranscript(laptop.heard(), without(laptop.told(4), 5));
    const backup = /the version that was here is kept in (.+)/.exec(stderr)?.[1] ?? "";
    expect(readFileSync(backup, "utf8")).toBe(before);
    expect(done(await laptop.run("show", `${one}@1`, "--raw")).stdout).toBe(before);
  });

  test("a shorter file never replaces a longer one", async () => {
    writeFileSync(desktop.transcript(), desktop.told(2));
    const { document } = await desktop.json("save");
    expect(document).toMatchObject({ messages: lines(4), newMessages: 0 });
    expect(await listed(desktop)).toMatchObject({ messages: lines(4), snapshots: 1 });
    done(await laptop.run("resume"));
    laptop.hears(4);
    done(await desktop.run("resume"));
    desktop.hears(4);
  });

  test("an empty file never replaces anything", async () => {
    writeFileSync(desktop.transcript(), "");
    await desktop.run("save", "--session", one);
    expect(await listed(desktop)).toMatchObject({ messages: lines(4), snapshots: 1 });
  });

  test("a torn last line waits for its end", async () => {
    const [whole, rest] = [desktop.told(5, one, "", 4), desktop.told(5)];
    appendFileSync(desktop.transcript(), whole.slice(0, -20));
    const { document } = await desktop.json("save");
    expect(document).toMatchObject({ messages: lines(5) - 1, newMessages: 3 });
    expect((await desktop.run("save")).stderr).toMatch(/Nothing new/);
    appendFileSync(desktop.transcript(), whole.slice(-20));
    expect((await desktop.json("save")).document).toMatchObject({ messages: lines(5), newMessages: 1 });
    expectTranscript(desktop.heard(), rest);
    done(await laptop.run("resume"));
    laptop.hears(5);
  });

  test("lines that are no JSON, bytes that are no text, and CRLF come back as they were", async () => {
    const strange = Buffer.concat([
      Buffer.from('not json at all\n{"unterminated": \n\n\n{"type":"x"}\r\n'),
      Buffer.from([0xff, 0xfe, 0x00, 0x80, 0x0a]),
      Buffer.from('{"text":"{{CS:ROOT}} {{CS:HOME}} \\u0000 \u2028 \ud83d\ude00"}\n'),
    ]);
    appendFileSync(desktop.transcript(), strange);
    done(await desktop.run("save"));
    done(await laptop.run("resume"));
    expect(readFileSync(laptop.transcript()).subarray(-strange.length).equals(strange)).toBe(true);
    rmSync(desktop.transcript());
    done(await desktop.run("resume"));
    expect(readFileSync(desktop.transcript()).subarray(-strange.length).equals(strange)).toBe(true);
  });

  test("a rewrite that keeps the file's length is noticed by its end", async () => {
    const text = desktop.told(4);
    rmSync(desktop.transcript());
    const changed = text.replace("Step 3:", "Stop 3:");
    expect(changed.length).toBe(text.length);
    writeFileSync(desktop.transcript(), changed);
    done(await desktop.run("save"));
    done(await laptop.run("resume"));
    expectTranscript(laptop.heard(), laptop.told(4).replace("Step 3:", "Stop 3:"));
  });

  test("a sidecar that vanished is kept, one that changed is saved anew", async () => {
    const notes = join(desktop.project, one, "tool-results");
    for (const [name, content] of [
      ["a.txt", "first a\n"],
      ["b.txt", "first b\n"],
    ] as const) {
      desktop.write(join(notes, name), content);
    }
    done(await desktop.run("save"));
    rmSync(join(notes, "a.txt"));
    writeFileSync(join(notes, "b.txt"), "second b\n");
    const { document } = await desktop.json("save");
    expect(document).toMatchObject({ newMessages: 0, pushed: true });
    expect(document["sealedBytes"]).toBeGreaterThan(0);
    done(await laptop.run("resume"));
    const there = join(laptop.project, one, "tool-results");
    expect(readFileSync(join(there, "a.txt"), "utf8")).toBe("first a\n");
    expect(readFileSync(join(there, "b.txt"), "utf8")).toBe("second b\n");
  });
});

describe("caches", () => {
  const clone = (machine: Machine): string => join(machine.path, ".git/convosync");

  /** Everything ConvoSync keeps beside the repository and could do without. */
  const caches = (machine: Machine): string[] => {
    const folders = [clone(machine), join(machine.home, ".cache/convosync")];
    return folders.flatMap((folder) =>
      (existsSync(folder) ? readdirSync(folder, { recursive: true, withFileTypes: true }) : [])
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name)),
    );
  };

  const spoils: Record<string, (path: string) => void> = {
    deleted: (path) => rmSync(path),
    emptied: (path) => writeFileSync(path, ""),
    garbled: (path) => writeFileSync(path, '{"v":1,"streams":{"main":7}'),
    "of another shape": (path) => writeFileSync(path, '{"v":2}'),
    "cut short": (path) => writeFileSync(path, readFileSync(path).subarray(0, 40)),
  };

  test.for(Object.keys(spoils))("%s: the next save is still right", async (how) => {
    expect(caches(desktop).some((path) => path.endsWith("queue.json"))).toBe(true);
    for (const path of caches(desktop)) spoils[how]?.(path);
    expect((await desktop.json("save")).document).toMatchObject({ newMessages: 0, pushed: true });
    expect(await listed(desktop)).toMatchObject({ messages: lines(4), snapshots: 1 });
    for (const path of caches(desktop)) spoils[how]?.(path);
    desktop.say(4, 5);
    expect((await desktop.json("save")).document).toMatchObject({ newMessages: lines(1), pushed: true });
    expect((await desktop.json("status")).document["queue"]).toEqual([]);
    done(await laptop.run("resume"));
    laptop.hears(5);
    for (const path of caches(laptop)) spoils[how]?.(path);
    laptop.say(5, 6);
    expect((await laptop.json("save")).document).toMatchObject({ newMessages: lines(1), pushed: true });
    done(await desktop.run("resume"));
    desktop.hears(6);
    done(await desktop.run("verify"));
  });

  test("what cannot be read, as a folder in its place or another user's file, is done without", async () => {
    const state = /(?:queue|work-trees|worker)\.json$/;
    const closed = (machine: Machine): void => {
      for (const path of caches(machine).filter((one) => !state.test(one))) {
        rmSync(path);
        mkdirSync(path);
      }
    };
    closed(desktop);
    expect((await desktop.json("status")).document["queue"]).toEqual([]);
    expect(await listed(desktop)).toMatchObject({ messages: lines(4), snapshots: 1 });
    closed(desktop);
    desktop.say(4, 5);
    expect((await desktop.json("save")).document).toMatchObject({ newMessages: lines(1), pushed: true });
    expect(await listed(desktop)).toMatchObject({ messages: lines(5), snapshots: 2 });
    done(await laptop.run("resume"));
    closed(laptop);
    laptop.say(5, 6);
    expect((await laptop.json("save")).document).toMatchObject({ newMessages: lines(1), pushed: true });
    done(await desktop.run("resume"));
    desktop.hears(6);
    done(await desktop.run("verify"));
  });

  test("a cursor that lies about the hash of what it has read", async () => {
    const folder = join(clone(desktop), "cursors");
    const [name] = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((one) =>
      one.endsWith(".json"),
    );
    const path = join(folder, name as string);
    const cursor = JSON.parse(readFileSync(path, "utf8"));
    cursor.streams.main.offset -= 10;
    writeFileSync(path, JSON.stringify(cursor));
    desktop.say(4, 5);
    done(await desktop.run("save"));
    done(await laptop.run("resume"));
    laptop.hears(5);
  });
});
