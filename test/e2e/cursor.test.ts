// Cursor, in the terminal: its transcripts and databases are saved here and put in place there. There is no package of it
// that could be run: what is tried is that everything lies where it looks for it.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { readDatabase } from "../../src/agents/sqlite.ts";
import { untilIdle } from "./automatic.ts";
import { done, type Machine, pair } from "./harness.ts";
import { missing } from "./real-agent.ts";

const id = "3f2c1a9e-8b4d-4e5f-9a6b-1c2d3e4f5a6b";
const other = "4a2c1a9e-8b4d-4e5f-9a6b-1c2d3e4f5a6b";
const helper = "5b2c1a9e-8b4d-4e5f-9a6b-1c2d3e4f5a6b";
// test/fixtures/cursor was made by SQLite 3.40.1, with pages of 512 bytes: twelve blobs, and in the log eight more, one less
// and another root.
const made = new URL("../fixtures/cursor/store.db", import.meta.url).pathname;

const folder = ({ home, scene }: Machine): string =>
  join(home, ".cursor/projects", scene.cwd.slice(1).replace(/[^a-zA-Z0-9]/g, "-"), "agent-transcripts");
const transcript = (machine: Machine, session = id): string =>
  join(folder(machine), session, `${session}.jsonl`);
const chat = ({ home, scene }: Machine, session = id, cwd = scene.cwd): string =>
  join(home, ".cursor/chats", createHash("md5").update(cwd).digest("hex"), session);
const database = (machine: Machine): string => join(chat(machine), "store.db");

/** Turns `from` up to `to`: a question, a look at a file with an answer, and what ends them; three lines each. */
function turnsOf({ scene }: Machine, from: number, to: number): string {
  let all = "";
  for (let n = from; n < to; n++) {
    const say = (role: string, ...content: object[]) => {
      all += `${JSON.stringify({ role, message: { content } })}\n`;
    };
    say("user", { type: "text", text: `<user_query>\nQuestion ${n}\n</user_query>` });
    const input = { path: `${scene.cwd}/src/step${n}.ts`, notes: `${scene.home}/notes ${n}` };
    say("assistant", { type: "tool_use", name: "Read", input }, { type: "text", text: `Answer ${n}` });
    all += `${JSON.stringify({ type: "turn_ended", status: "success" })}\n`;
  }
  return all;
}

/** Puts the database there, with its log when Cursor has it open. */
function keep(machine: Machine, { open = false } = {}): void {
  mkdirSync(chat(machine), { recursive: true });
  copyFileSync(made, database(machine));
  if (open) copyFileSync(`${made}-wal`, `${database(machine)}-wal`);
  const about = { cwd: machine.scene.cwd, hasConversation: true };
  writeFileSync(join(chat(machine), "meta.json"), JSON.stringify(about));
}

const blobsIn = (path: string) => readDatabase(path, (db) => [...db.rows("blobs", ["id", "data"])]);

describe("a conversation of Cursor", () => {
  let desktop: Machine;
  let laptop: Machine;
  beforeEach(async () => {
    ({ desktop, laptop } = await pair());
    desktop.write(transcript(desktop), turnsOf(desktop, 0, 2));
  });

  test("goes to the other machine with its database, and comes back as it went on", async () => {
    keep(desktop, { open: true });
    desktop.write(join(dirname(transcript(desktop)), `subagents/${helper}.jsonl`), turnsOf(desktop, 5, 6));
    expect((await desktop.json("save")).document).toMatchObject({
      session: id,
      agent: "cursor",
      messages: 6,
    });
    expect((await desktop.json("save")).document).toMatchObject({ newMessages: 0, sealedBytes: 0 });

    const { document } = await laptop.json("resume");
    expect(document).toMatchObject({ session: id, resumeCommand: ["cursor-agent", "--resume", id] });
    expect(readFileSync(transcript(laptop), "utf8")).toBe(turnsOf(laptop, 0, 2));
    const helpers = join(dirname(transcript(laptop)), `subagents/${helper}.jsonl`);
    expect(readFileSync(helpers, "utf8")).toBe(turnsOf(laptop, 5, 6));
    expect(JSON.parse(readFileSync(join(chat(laptop), "meta.json"), "utf8"))).toMatchObject({
      cwd: laptop.scene.cwd,
    });
    // As of the last commit in the log, and with nothing left in one.
    expect(blobsIn(database(laptop))).toEqual(blobsIn(database(desktop)));
    expect(blobsIn(database(laptop))).toHaveLength(19);
    expect(existsSync(`${database(laptop)}-wal`)).toBe(false);

    appendFileSync(transcript(laptop), turnsOf(laptop, 2, 3));
    copyFileSync(made, database(laptop));
    done(await laptop.run("save"));
    // What is in the desktop's log would be read into the database that comes.
    const refused = await desktop.json("resume");
    expect(refused).toMatchObject({ exit: 4, document: { error: { code: "session-live" } } });
    expect(readFileSync(transcript(desktop), "utf8")).toBe(turnsOf(desktop, 0, 2));
    rmSync(`${database(desktop)}-wal`);
    done(await desktop.run("resume"));
    expect(readFileSync(transcript(desktop), "utf8")).toBe(turnsOf(desktop, 0, 3));
    expect(readFileSync(database(desktop)).equals(readFileSync(made))).toBe(true);
    for (const machine of [desktop, laptop]) done(await machine.run("verify"));
  });

  test("is read and searched as any other; as its database is bound to it, it is not copied", async () => {
    done(await desktop.run("save"));
    const { stdout } = done(await desktop.run("show", id));
    expect(missing(stdout, ["Question 1", "Answer 1", "src/step1.ts"])).toEqual([]);
    expect(stdout).not.toContain("user_query");
    expect((await desktop.json("list")).document["sessions"]).toMatchObject([{ title: "Question 0" }]);
    expect((await desktop.json("search", "Answer 1")).document["results"]).toMatchObject([{ session: id }]);
    const copied = await desktop.json("fork", id);
    expect(copied).toMatchObject({ exit: 4, document: { error: { code: "not-copied" } } });
  });

  test("that went on on both sides goes on as one of them, with its database; neither joined nor copied", async () => {
    keep(desktop);
    done(await desktop.run("save"));
    done(await laptop.run("resume"));
    keep(desktop, { open: true });
    appendFileSync(transcript(desktop), turnsOf(desktop, 2, 3));
    done(await desktop.run("save"));
    appendFileSync(transcript(laptop), turnsOf(laptop, 5, 7));
    for (const flag of [[], ["--fork"], ["--merge"]]) {
      const { exit, document } = await laptop.json("resume", ...flag);
      expect(exit).toBe(5);
      const { hints } = document["error"] as { hints: string[] };
      expect(hints.filter((one) => one.includes("git convosync resume --"))).toHaveLength(2);
      expect(hints).toContainEqual(expect.stringMatching(/^--merge is not for Cursor/));
      expect(hints).toContainEqual(expect.stringMatching(/^--fork is not for Cursor/));
      expect(readFileSync(transcript(laptop), "utf8")).toBe(turnsOf(laptop, 0, 2) + turnsOf(laptop, 5, 7));
    }
    const { stderr } = done(await laptop.run("resume", "--theirs"));
    expect(readFileSync(transcript(laptop), "utf8")).toBe(turnsOf(laptop, 0, 3));
    expect(blobsIn(database(laptop))).toEqual(blobsIn(database(desktop)));
    const kept = /yours is kept as (\S+@\d+); read it with: git convosync show \1/.exec(stderr)![1]!;
    expect(done(await laptop.run("show", kept)).stdout).toContain("Answer 6");
    for (const machine of [desktop, laptop]) done(await machine.run("verify"));
  });

  test("is saved without a database that cannot be read, which is said; what was saved of it stays", async () => {
    keep(desktop);
    done(await desktop.run("save"));
    desktop.write(database(desktop), "SQLite format 3\0, but for the rest of it");
    desktop.write(transcript(desktop), turnsOf(desktop, 0, 3));
    const { stderr } = done(await desktop.run("save"));
    const notice = "warning: left out of the conversation, as it cannot be read: 'store.db'";
    expect(missing(stderr, [notice, database(desktop)])).toEqual([]);
    expect((await desktop.json("save")).document).toMatchObject({ leftOut: [database(desktop)] });
    done(await laptop.run("resume"));
    expect(readFileSync(transcript(laptop), "utf8")).toBe(turnsOf(laptop, 0, 3));
    expect(readFileSync(database(laptop)).equals(readFileSync(made))).toBe(true);
  });

  test("is not taken for that of a directory whose folder has the same name", async () => {
    // Held in the editor, and speaking of another directory.
    const elsewhere = `${desktop.scene.cwd}-2`;
    const foreign = turnsOf(desktop, 0, 1).replaceAll(desktop.scene.cwd, elsewhere);
    desktop.write(transcript(desktop, other), foreign);
    const found = async () => {
      const { document } = await desktop.json("save", "--all-sessions", "--dry-run");
      return document["sessions"].map((one: { session: string }) => one.session);
    };
    expect(await found()).toEqual([id]);
    // Held in the terminal: the folder of its database tells whose it is, whatever it speaks of.
    mkdirSync(chat(desktop, other), { recursive: true });
    expect((await found()).sort()).toEqual([id, other]);
    mkdirSync(chat(desktop, id, elsewhere), { recursive: true });
    expect(await found()).toEqual([other]);
  });

  test("is saved at the end of a turn, though Cursor runs its user's hooks in a folder of its own", async () => {
    done(await desktop.run("hooks", "install", "--agent", "cursor"));
    const hooks = JSON.parse(readFileSync(join(desktop.home, ".cursor/hooks.json"), "utf8"))["hooks"];
    const [{ command }] = hooks.stop;
    const told = { conversation_id: id, hook_event_name: "stop", workspace_roots: [desktop.path] };
    const ran = spawnSync("sh", ["-c", command], {
      cwd: join(desktop.home, ".cursor"),
      env: desktop.env,
      input: JSON.stringify(told),
    });
    expect(ran.status).toBe(0);
    await untilIdle(desktop);
    const { document } = await desktop.json("show", id);
    expect(document["snapshots"]).toMatchObject([{ via: "hook" }]);
  });
});
