// opencode: its conversations are read from its database, saved here and taken in there.

import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { one as claudes, done, type Machine, pair } from "./harness.ts";
import {
  carried,
  helper,
  id,
  type Message,
  opencode,
  ruled,
  say,
  told,
  turn,
  turns,
  withOpencode,
} from "./opencode-machine.ts";
import { itself, missing } from "./real-agent.ts";

itself({
  name: "opencode",
  title: "opencode",
  variable: "CONVOSYNC_OPENCODE",
  run(prompt, _, url) {
    const provider = {
      npm: "@ai-sdk/openai-compatible",
      options: { baseURL: `${url}/v1`, apiKey: "none" },
      models: { m1: { name: "m1" } },
    };
    // Else it has the model find a title, whenever it comes to that.
    const agent = { title: { disable: true } };
    const config = { model: "mock/m1", provider: { mock: provider }, agent, autoupdate: false };
    return {
      args: ["run", "RESUME", prompt],
      env: { OPENCODE_CONFIG_CONTENT: JSON.stringify(config), OPENCODE_DISABLE_MODELS_FETCH: "1" },
    };
  },
  resume: (session) => ["--session", session],
  joins: "all",
  copiesApart: true,
  writes: ({ path }) => ({
    name: "write",
    input: { filePath: `${path}/src/new.ts`, content: "export const answer = 42;\n" },
  }),
});

const mirror = ".local/state/convosync/opencode";

describe("a conversation of opencode", () => {
  let desktop: Machine;
  let laptop: Machine;
  beforeEach(async () => {
    const box = await pair();
    desktop = withOpencode(box.desktop);
    laptop = withOpencode(box.laptop);
    say(desktop, turns(desktop, 2));
  });

  test("goes to the other machine, with its helpers, and comes back as it went on", async () => {
    const asides = [...turn(desktop, 0, { session: helper })];
    say(desktop, asides, { session: helper, parentID: id });
    const saved = await desktop.json("save");
    expect(saved.document).toMatchObject({ session: id, agent: "opencode", messages: 4 });

    const { document } = await laptop.json("resume");
    expect(document).toMatchObject({ session: id, resumeCommand: ["opencode", "--session", id] });
    expect(told(laptop)).toEqual(carried(turns(laptop, 2)));
    expect(told(laptop, helper)).toEqual(carried(turn(laptop, 0, { session: helper })));
    // What was taken in is what was saved, though opencode stores it otherwise.
    expect((await laptop.json("save")).document).toMatchObject({ newMessages: 0, sealedBytes: 0 });

    say(laptop, turns(laptop, 3));
    done(await laptop.run("save"));
    done(await desktop.run("resume"));
    expect(carried(told(desktop))).toEqual(carried(turns(desktop, 3)));
    done(await desktop.run("resume"));
    for (const machine of [desktop, laptop]) done(await machine.run("verify"));
  });

  test("is read, searched and forked as any other", async () => {
    done(await desktop.run("save"));
    const shown = done(await desktop.run("show", id)).stdout;
    expect(missing(shown, ["Question 1", "Answer 1", "src/step1.ts"])).toEqual([]);
    expect((await desktop.json("search", "Answer 1")).document["results"]).toMatchObject([{ session: id }]);
    const before = told(desktop);
    const { document } = await desktop.json("fork", id);
    const fork = document["session"] as string;
    expect(fork).toMatch(/^ses_[0-9a-f]{12}[0-9A-Za-z]{14}$/);
    const words = (messages: Message[]): string[][] =>
      messages.map(({ parts }) => parts.map((part: Message) => part.text ?? part.state?.input.filePath));
    expect(words(told(desktop, fork))).toEqual(words(before));
    expect(told(desktop)).toEqual(before);
    expect((await desktop.json("save", "--session", fork)).document).toMatchObject({ session: fork });
    // Its messages are others: together, each would be there twice.
    const { document: merged } = await desktop.json("merge", id, fork);
    expect(merged["error"]).toMatchObject({ code: "not-branches", exit: 1 });
  });

  test("keeps what another version of opencode does not know, and follows what was changed afterwards", async () => {
    const [question, answer] = turn(desktop, 0) as [Message, Message];
    say(desktop, [{ ...question, info: { ...question.info, unknownThing: { a: 1 } } }]);
    done(await desktop.run("save"));
    done(await laptop.run("resume"));
    expect(told(laptop)).toEqual(carried(turns(laptop, 2)));
    say(laptop, turns(laptop, 3, 2));
    done(await laptop.run("save"));
    const { document } = await desktop.json("resume");
    expect(document).toMatchObject({ session: id });
    expect(told(desktop)[0].info).toMatchObject({ unknownThing: { a: 1 } });

    // opencode takes the output of old tools away.
    const cut = structuredClone(answer);
    cut.parts[1].state.time.compacted = 5;
    say(desktop, [cut]);
    done(await desktop.run("save"));
    done(await laptop.run("resume"));
    expect(told(laptop)[1].parts[1].state.time).toMatchObject({ compacted: 5 });
    expect(told(laptop)).toHaveLength(6);
  });

  test("is saved up to an answer that is still being given", async () => {
    const [question, answer] = turn(desktop, 2) as [Message, Message];
    const { completed, ...begun } = answer.info.time;
    say(desktop, [question, { info: { ...answer.info, time: begun }, parts: answer.parts.slice(0, 1) }]);
    expect((await desktop.json("save")).document).toMatchObject({ messages: 5 });
    done(await desktop.run("resume"));
    expect(told(desktop)).toHaveLength(6);
    say(desktop, [answer]);
    expect((await desktop.json("save")).document).toMatchObject({ messages: 6 });
    const { document } = await desktop.json("verify");
    expect(document).toMatchObject({ ok: true });
    done(await laptop.run("resume"));
    expect(told(laptop)).toEqual(carried(turns(laptop, 3)));
  });

  test("whose opencode does not take it in is kept, and delivered the next time", async () => {
    done(await desktop.run("save"));
    // A PATH on which there is git and nothing else, whatever is installed here.
    const only = join(laptop.home, "only git");
    mkdirSync(only);
    symlinkSync(execFileSync("sh", ["-c", "command -v git"], { encoding: "utf8" }).trim(), join(only, "git"));
    const bare = laptop.with({ env: { PATH: only } });
    const refused = { code: "not-imported", exit: 1 };
    expect((await bare.json("resume")).document["error"]).toMatchObject({
      ...refused,
      message: "'opencode' cannot be started, so opencode does not know the conversation yet",
    });
    opencode(laptop, "break", "import");
    const { document } = await laptop.json("resume");
    expect(document["error"]).toMatchObject({
      ...refused,
      message: "opencode did not take the conversation in: database is locked",
    });
    opencode(laptop, "break", "tables");
    expect((await laptop.json("resume")).document["error"]).toMatchObject({
      ...refused,
      message: "opencode's database cannot be read: no table session",
    });
    opencode(laptop, "break", "silently");
    expect((await laptop.json("resume")).document["error"]).toMatchObject(refused);
    expect((await laptop.json("status")).document).toMatchObject({ current: { saved: true } });
    opencode(laptop, "break", "");
    done(await laptop.run("resume"));
    expect(told(laptop)).toEqual(carried(turns(laptop, 2)));
  });

  test("is taken back from opencode by undo, unless it went on", async () => {
    done(await desktop.run("save"));
    done(await laptop.run("resume"));
    done(await laptop.run("undo"));
    expect(told(laptop)).toEqual([]);
    done(await laptop.run("resume"));
    say(desktop, turns(desktop, 3));
    done(await desktop.run("save"));
    done(await laptop.run("resume"));
    expect(told(laptop)).toHaveLength(6);
    done(await laptop.run("undo"));
    expect(told(laptop)).toEqual(carried(turns(laptop, 2)));
    done(await laptop.run("resume"));
    say(laptop, turn(laptop, 3));
    expect((await laptop.json("undo")).document["error"]).toMatchObject({ code: "cannot-undo" });
    expect(told(laptop)).toHaveLength(8);
  });

  test("that went on separately is replaced by the version that is chosen, and the other is kept", async () => {
    done(await desktop.run("save"));
    done(await laptop.run("resume"));
    say(desktop, turn(desktop, 2));
    done(await desktop.run("save"));
    say(laptop, turn(laptop, 2, { voice: "mine " }));
    expect((await laptop.json("resume")).document["error"]).toMatchObject({
      code: "conversation-diverged",
    });
    done(await laptop.run("resume", "--theirs"));
    expect(told(laptop)).toEqual(carried(turns(laptop, 3)));
    for (const machine of [desktop, laptop]) done(await machine.run("verify"));
  });

  test("that went on separately is joined: opencode takes in the messages it lacks", async () => {
    done(await desktop.run("save"));
    done(await laptop.run("resume"));
    // At the same time: what the laptop said comes before the last turn of the desktop.
    say(desktop, [...turn(desktop, 2), ...turn(desktop, 4)]);
    done(await desktop.run("save"));
    say(laptop, turn(laptop, 3, { voice: "mine " }));
    done(await laptop.run("resume", "--merge"));
    const all = (machine: Machine) => [
      ...turns(machine, 3),
      ...turn(machine, 3, { voice: "mine " }),
      ...turn(machine, 4),
    ];
    expect(carried(told(laptop))).toEqual(carried(all(laptop)));
    done(await laptop.run("save"));
    done(await desktop.run("resume"));
    expect(carried(told(desktop))).toEqual(carried(all(desktop)));
    say(desktop, turn(desktop, 6));
    done(await desktop.run("save"));
    done(await laptop.run("resume"));
    expect(carried(told(laptop))).toEqual(carried([...all(laptop), ...turn(laptop, 6)]));
    done(await laptop.run("save"));
    for (const machine of [desktop, laptop]) {
      expect((await machine.json("resume")).document["messages"]).toBe(12);
      done(await machine.run("verify"));
    }
  });

  test("brings no leave along, and takes nobody else's session away", async () => {
    const rule = (action: string) => ({ permission: "bash", pattern: "*", action });
    const permission = [rule("allow"), rule("deny")];
    say(desktop, turn(desktop, 2), { permission });
    done(await desktop.run("save"));
    say(laptop, turn(laptop, 5), { directory: "/somewhere/else" });
    const { document } = await laptop.json("resume");
    expect(document["error"]).toMatchObject({
      code: "not-imported",
      message: `opencode has session ${id} in /somewhere/else`,
    });
    expect(told(laptop)).toEqual(turn(laptop, 5));
    opencode(laptop, "session", "delete", id);
    done(await laptop.run("resume"));
    expect(told(laptop)).toEqual(carried(turns(laptop, 3)));
    expect(ruled(laptop)).toEqual([rule("deny")]);
    expect((await laptop.json("save")).document).toMatchObject({ newMessages: 0, sealedBytes: 0 });
  });

  test("that cannot be read does not stand in anybody's way", async () => {
    opencode(desktop, "break", "tables");
    const { document } = await desktop.json("doctor");
    expect(JSON.stringify(document)).toContain("cannot be read: no table session");
    desktop.say(0, 1);
    expect((await desktop.json("save")).document).toMatchObject({ session: claudes, agent: "claude" });
  });

  test("is seen where its files cannot be written, and saved when they can", async () => {
    // As a folder of somebody else's is: the tests may be run by root, who may write anywhere.
    desktop.write(join(desktop.home, mirror), "");
    const { document } = await desktop.json("status");
    expect(document).toMatchObject({ current: { session: id, saved: false } });
    done(await desktop.run("list"));
    expect(await desktop.run("save")).toMatchObject({ exit: 1, stderr: expect.stringContaining(mirror) });
    rmSync(join(desktop.home, mirror));
    expect((await desktop.json("save")).document).toMatchObject({ session: id, messages: 4 });
  });

  test("is the current one in its shell, and elsewhere the one that went on last", async () => {
    const other = "ses_ddd5b16f2ffedPuGuXuZfVDFy4";
    say(desktop, turn(desktop, 0, { session: other }), { session: other });
    const current = async (machine: Machine) => (await machine.json("save", "--dry-run")).document["session"];
    expect(await current(desktop)).toBe(other);
    expect(await current(desktop.with({ env: { CONVOSYNC_OPENCODE_SESSION: id } }))).toBe(id);
    opencode(desktop, "session", "delete", id);
    opencode(desktop, "session", "delete", other);
    expect(desktop.has(join(desktop.home, mirror, other))).toBe(true);
    await desktop.json("save", "--all-sessions");
    expect(desktop.has(join(desktop.home, mirror, other))).toBe(false);
    expect((await desktop.json("save", "--dry-run")).document["error"]).toMatchObject({
      code: "no-conversation",
    });
  });
});
