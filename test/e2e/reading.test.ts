// The verbs that read: what a person sees of a conversation, and what programs get.

import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { turns } from "../fixtures/conversation.ts";
import { done, lines, type Machine, one, pair, type Sandbox, two } from "./harness.ts";

let box: Sandbox;
/** Commits of the three saves of the first conversation. */
const commits: string[] = [];

/** Two turns on the desktop, one more on the laptop, and one more on the desktop. */
beforeAll(async () => {
  box = await pair();
  const { desktop, laptop } = box;
  desktop.say(0, 2);
  desktop.write("src/a.ts", "1\n");
  commits.push(await saved(desktop, "first part"));
  done(await laptop.run("resume", one));
  laptop.say(2, 3);
  laptop.write("src/b.ts", "1\n");
  commits.push(await saved(laptop, "second part"));
  done(await desktop.run("resume", one));
  desktop.say(3, 4);
  desktop.write("src/c.ts", "1\n");
  commits.push(await saved(desktop, "third part"));
  desktop.say(0, 1, two, " of another");
  done(await desktop.run("save", "--no-code", "--session", two));
  done(await laptop.run("sync"));
});

async function saved(machine: Machine, message: string): Promise<string> {
  const { exit, document } = await machine.json("save", message, "--session", one);
  expect(exit).toBe(0);
  return document["commit"] as string;
}

/** The first of some texts that does not come after the one before it; null when all stand in this order. */
function outOfOrder(text: string, ...parts: string[]): string | null {
  let at = 0;
  for (const part of parts) {
    const found = text.indexOf(part, at);
    if (found < 0) return part;
    at = found + part.length;
  }
  return null;
}

describe("show", () => {
  test("tells who wrote what, and where the code stood, between the messages", async () => {
    const { stdout } = done(await box.laptop.run("show", one));
    const [first, second] = commits.map((commit) => `main @ ${commit.slice(0, 7)}`);
    expect(
      outOfOrder(
        stdout,
        "── on Desktop ──",
        "Step 0: mend",
        "▸ Read src/part0.ts",
        "Mended",
        "Step 1",
        `── ${first} · on Laptop ──`,
        "Step 2",
        `── ${second} · on Desktop ──`,
        "Step 3",
      ),
    ).toBeNull();
  });

  test("ends with the snapshot that is named, by number or commit", async () => {
    for (const at of ["1", commits[0]!.slice(0, 8)]) {
      const { stdout } = done(await box.laptop.run("show", `${one}@${at}`));
      expect(stdout).toContain("snapshot 1 of 3");
      expect(stdout).toContain("Step 1");
      expect(stdout).not.toContain("Step 2");
    }
    expect((await box.laptop.run("show", `${one}@9`)).exit).toBe(1);
  });

  test("a range of messages; a document with those alone", async () => {
    const last = done(await box.laptop.run("show", one, "--last", "2")).stdout;
    expect(last).toContain("Mended");
    expect(last).not.toContain("Step 3");
    const { document } = await box.laptop.json("show", one, "--from", "4", "--limit", "2");
    expect(document["messages"].map((message: { n: number }) => message.n)).toEqual([4, 5]);
    expect(document["messages"][1]["blocks"][0]).toMatchObject({
      kind: "tool",
      name: "Read",
      action: { kind: "read", path: join(box.laptop.path, "src/part1.ts") },
      result: { failed: false },
    });
    expect((await box.laptop.run("show", one, "--last", "2", "--from", "1")).exit).toBe(2);
    expect((await box.laptop.run("show", one, "--limit", "none")).exit).toBe(2);
  });

  test("--tools unfolds what tools said", async () => {
    expect(done(await box.laptop.run("show", one)).stdout).not.toContain("file_path:");
    expect(done(await box.laptop.run("show", one, "--tools")).stdout).toContain("file_path:");
  });
});

describe("log", () => {
  test("lists snapshots, newest first", async () => {
    const { document } = await box.laptop.json("log", one);
    expect(document["snapshots"]).toMatchObject([
      {
        n: 3,
        device: "Desktop",
        message: "third part",
        commit: commits[2],
        newMessages: lines(1),
        messages: lines(4),
      },
      { n: 2, device: "Laptop", message: "second part", commit: commits[1], newMessages: lines(1) },
      {
        n: 1,
        device: "Desktop",
        message: "first part",
        commit: commits[0],
        newMessages: lines(2),
        via: "save",
      },
    ]);
    const { stdout } = done(await box.laptop.run("log", one, "--limit", "1"));
    expect(stdout).toContain(`${one.slice(0, 8)}@3  third part`);
    expect(stdout).not.toContain("second part");
  });
});

describe("search", () => {
  test("finds what was said on any device, and says where", async () => {
    const { document } = await box.laptop.json("search", "step 2: MEND", "-i");
    expect(document).toMatchObject({ total: 1, sessions: 1, missing: 1 });
    expect(document["results"][0]).toMatchObject({
      session: one,
      message: 7,
      role: "user",
      hit: "Step 2: mend",
    });
    const { stdout } = done(await box.laptop.run("search", "Step 2"));
    expect(stdout).toContain("#7");
  });

  test("--fetch brings in what is on other devices only; then nothing is missing", async () => {
    const { laptop } = box;
    const all = await laptop.json("search", "of another", "--fetch");
    expect(all.document).toMatchObject({ total: 1, sessions: 2, missing: 0 });
    const only = await laptop.json("search", "of another", "--session", one);
    expect(only).toMatchObject({ exit: 1, document: { total: 0, results: [] } });
  });

  test("capital letters count when there are any; a pattern is one on request", async () => {
    const { desktop } = box;
    const total = async (...argv: string[]): Promise<number> =>
      (await desktop.json("search", ...argv)).document["total"] as number;
    expect(await total("mended", "--session", one)).toBe(4);
    expect(await total("MENDED", "--session", one)).toBe(0);
    expect(await total("Step \\d", "--session", one)).toBe(0);
    expect(await total("-E", "^Step [12]", "--session", one)).toBe(2);
    expect(await total("part1", "--role", "tool", "--session", one)).toBe(2);
    expect((await desktop.run("search", "-E", "(")).exit).toBe(2);
  });

  test("finds what was saved since, without reading again what is known", async () => {
    const { desktop } = box;
    desktop.say(1, 2, two, " new");
    expect((await desktop.json("search", "Step 1 new")).document["total"]).toBe(0);
    done(await desktop.run("save", "--no-code", "--session", two));
    const folder = join(desktop.home, ".cache/convosync/search");
    const texts = (): string[] =>
      readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".txt"));
    const before = texts();
    expect((await desktop.json("search", "Step 1 new")).document["total"]).toBe(1);
    expect((await desktop.json("search", "of another")).document["total"]).toBe(1);
    expect(texts()).toEqual(before);
    for (const name of texts()) expect(statSync(join(folder, name)).mode & 0o777).toBe(0o600);
  });

  test("a cache that was damaged is made anew", async () => {
    const { desktop } = box;
    const folder = join(desktop.home, ".cache/convosync/search");
    for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" }))
      if (name.endsWith(".json")) writeFileSync(join(folder, name), "{");
    expect((await desktop.json("search", "Step 2", "--session", one)).document["total"]).toBe(1);
  });

  test("keeps nothing of a session that was deleted", async () => {
    const { desktop, laptop } = await pair();
    desktop.say(0, 1);
    done(await desktop.run("save"));
    done(await laptop.run("sync"));
    for (const machine of [desktop, laptop])
      expect((await machine.json("search", "Step", "--fetch")).document["total"]).toBe(1);
    const kept = (machine: Machine): string[] =>
      readdirSync(join(machine.home, ".cache/convosync/search"), {
        recursive: true,
        encoding: "utf8",
      }).filter((name) => /\.(txt|json)$/.test(name));
    expect(kept(laptop)).toHaveLength(2);
    done(await desktop.run("delete", one, "--yes"));
    expect(kept(desktop)).toEqual([]);
    done(await laptop.run("sync"));
    expect(kept(laptop)).toEqual([]);
  });
});

describe("replay", () => {
  test("stops where the commit was made, and names the session by it", async () => {
    for (const argv of [[one], []]) {
      const { stdout, stderr } = done(
        await box.laptop.run("replay", ...argv, "--at-commit", commits[1]!.slice(0, 9)),
      );
      expect(stdout).toContain("Step 2");
      expect(stdout).not.toContain("Step 3");
      expect(stderr).toBe("");
    }
    const { document } = await box.laptop.json("replay", "--at-commit", commits[0]!);
    expect(document).toMatchObject({ session: one, how: "itself", atCommit: commits[0] });
  });

  test("finds a commit that was rewritten, and says how", async () => {
    const { desktop } = await pair();
    desktop.say(0, 1);
    desktop.write("a", "1\n");
    const first = (await desktop.json("save", "one")).document["commit"] as string;
    desktop.say(1, 2);
    desktop.write("b", "1\n");
    done(await desktop.run("save", "two"));
    desktop.git("commit", "-q", "--amend", "-m", "better words");
    const { exit, stdout, stderr } = await desktop.run("replay", one, "--at-commit", "HEAD");
    expect({ exit, stderr }).toMatchObject({
      exit: 0,
      stderr: expect.stringMatching(/known by its (author date|content)/),
    });
    expect(stdout).toContain("Step 1");
    desktop.write("c", "1\n");
    desktop.commit("without a conversation");
    const later = await desktop.json("replay", "--at-commit", "HEAD");
    expect(later.document).toMatchObject({ how: "before", session: one });
    expect((await desktop.json("replay", "--at-commit", `${first}^`)).exit).toBe(1);
    const missing = await desktop.json("replay", one, "--at-commit", "nonsense");
    expect(missing.document["error"]["code"]).toBe("commit-not-linked");
  });

  test("takes a commit of the same second for another one", async () => {
    const when = "2026-01-02T03:04:05Z";
    const { desktop } = await pair();
    const machine = desktop.with({ env: { GIT_AUTHOR_DATE: when, GIT_COMMITTER_DATE: when } });
    machine.say(0, 1);
    machine.write("a", "1\n");
    done(await machine.run("save", "one"));
    machine.write("b", "1\n");
    machine.commit("without a conversation");
    expect(machine.git("log", "--format=%at")).toMatch(/^(\d+)\n\1(\n|$)/);
    const { document } = await machine.json("replay", "--at-commit", "HEAD");
    expect(document).toMatchObject({ how: "before", session: one });
  });
});

describe("diff", () => {
  test("two snapshots: what both begin with, then what the later one has alone", async () => {
    const { document } = await box.laptop.json("diff", `${one}@1`, `${one}@3`);
    expect(document).toMatchObject({
      common: 6,
      a: { messages: 0 },
      b: { messages: 6, prompts: 2, snapshot: 3 },
    });
    const { stdout } = done(await box.laptop.run("diff", `${one}@1..@3`));
    expect(stdout).toContain("6 messages in common");
    expect(stdout).toMatch(/^\+ Step 2/m);
    expect(stdout).not.toMatch(/^[+-] Step 1/m);
  });

  test("two sessions: both sides; --stat counts", async () => {
    const { stdout } = done(await box.laptop.run("diff", two, one));
    expect(outOfOrder(stdout, "- Step 0 of another", "+ Step 0: mend")).toBeNull();
    const stat = done(await box.laptop.run("diff", two, one, "--stat")).stdout;
    expect(stat).toContain("0 messages in common");
    expect(stat).not.toContain("Step");
    expect((await box.laptop.run("diff", one)).exit).toBe(2);
  });
});

describe("summary", () => {
  test("drawn from the conversation: goal, commits, nothing invented", async () => {
    const { document } = await box.desktop.json("summary", one);
    expect(document).toMatchObject({ session: one, by: "extract", messages: 12, toolCalls: 4 });
    expect(document["goal"]).toContain("Step 0: mend");
    expect(document["commits"].map((commit: { subject: string }) => commit.subject)).toEqual([
      "first part [ConvoSync]",
      "second part [ConvoSync]",
      "third part [ConvoSync]",
    ]);
    expect(done(await box.desktop.run("summary", one)).stdout).toContain("third part [ConvoSync]");
  });

  test("by the user's own command, which is told and gets the conversation as Markdown", async () => {
    const own = box.laptop.with({ env: { CONVOSYNC_SUMMARY_COMMAND: "grep -c '^## You'" } });
    const { stdout, stderr } = done(await own.run("summary", one));
    expect(stdout.trim()).toBe("4");
    expect(stderr).toContain("grep -c");
    expect(stderr).toContain("leaves this machine only if that command sends it");
    expect((await own.json("summary", one, "--offline")).document["by"]).toBe("extract");
    const deaf = box.laptop.with({ env: { CONVOSYNC_SUMMARY_COMMAND: "echo done" } });
    expect((await deaf.json("summary", one)).document).toMatchObject({ by: "command", text: "done" });
    const broken = box.laptop.with({ env: { CONVOSYNC_SUMMARY_COMMAND: "exit 3" } });
    const failed = await broken.json("summary", one);
    expect(failed).toMatchObject({ exit: 1, document: { error: { code: "summary-failed" } } });
  });
});

describe("export and import", () => {
  const file = (name: string): string => join(box.base, name);

  test("as Markdown, HTML and JSON; no file is replaced unasked", async () => {
    const { laptop } = box;
    const md = done(await laptop.run("export", one)).stdout;
    expect(
      outOfOrder(md, "# ", "## You", "Step 0", "<details><summary>Read src/part0.ts", "Step 3"),
    ).toBeNull();
    expect(done(await laptop.run("export", one, "-o", "-")).stdout).toBe(md);
    done(await laptop.run("export", one, "-o", file("x.html")));
    const html = readFileSync(file("x.html"), "utf8");
    expect(html).toContain("<!doctype html>");
    expect(html).toContain("Step 3: mend");
    expect(html).not.toMatch(/<script|https?:\/\//);
    expect(statSync(file("x.html")).mode & 0o777).toBe(0o600);
    expect((await laptop.json("export", one, "-o", file("x.html"))).document["error"]["code"]).toBe(
      "file-exists",
    );
    done(await laptop.run("export", one, "-o", file("x.html"), "--force", "--format", "json"));
    laptop.write(".gitignore", "talks/\n");
    const inside = (name: string) => laptop.run("export", one, "-o", join(laptop.path, name));
    expect(done(await inside("talk.md")).stderr).toMatch(/warning: it lies in the work tree/);
    for (const name of ["talks/talk.md", "talk.convosync"])
      expect(done(await inside(name)).stderr).not.toMatch(/work tree/);
    const document = JSON.parse(readFileSync(file("x.html"), "utf8"));
    expect(document).toMatchObject({ convosync: 1, type: "conversation", session: one });
    expect(document["messages"]).toHaveLength(12);
  });

  test("a bundle goes to another clone of the vault, and the agent there has the very conversation", async () => {
    const { desktop, laptop, tablet } = await pair();
    desktop.say(0, 3);
    mkdirSync(join(desktop.project, one, "subagents"), { recursive: true });
    writeFileSync(join(desktop.project, one, "subagents/agent-x.jsonl"), `{"cwd":"${desktop.path}"}\n`);
    mkdirSync(join(desktop.project, one, "tool-results"), { recursive: true });
    writeFileSync(join(desktop.project, one, "tool-results/t.txt"), `see ${desktop.path}/a`);
    done(await desktop.run("save", "--no-push"));
    const bundle = join(desktop.home, "talk.convosync");
    done(await desktop.run("export", one, "-o", bundle));
    expect(readFileSync(bundle).includes("Step")).toBe(false);
    const dry = await laptop.json("import", bundle, "--dry-run");
    expect(dry.document["files"]).toHaveLength(3);
    expect(existsSync(laptop.transcript())).toBe(false);
    const { document } = await laptop.json("import", bundle);
    expect(document).toMatchObject({ session: one, imported: true, original: null, messages: lines(3) });
    laptop.hears(3);
    const beside = (name: string): string => readFileSync(join(laptop.project, one, name), "utf8");
    expect(beside("subagents/agent-x.jsonl")).toBe(`{"cwd":"${laptop.path}"}\n`);
    expect(beside("tool-results/t.txt")).toBe(`see ${laptop.path}/a`);
    const again = await laptop.json("import", bundle);
    expect(again.document).toMatchObject({ session: one, imported: false });
    // Another vault has no key for it.
    tablet.clone();
    done(await tablet.run("init", "--yes", "--new-vault", "--recovery-file", join(tablet.home, "code")));
    expect((await tablet.json("import", bundle)).document["error"]).toMatchObject({
      code: "no-key",
      exit: 7,
    });
    const open = join(desktop.home, "open.convosync");
    const words = join(desktop.home, "words");
    writeFileSync(words, "correct horse\n");
    done(await desktop.run("export", one, "-o", open, "--passphrase-file", words));
    expect((await tablet.json("import", open)).document["error"]["code"]).toBe("answer-needed");
    expect((await tablet.json("import", open, "--passphrase-file", words)).document["imported"]).toBe(true);
    tablet.hears(3);
    done(await tablet.run("save", "--no-code"));
    writeFileSync(words, "wrong horse\n");
    const wrong = await laptop.json("import", open, "--passphrase-file", words);
    expect(wrong.document["error"]).toMatchObject({ code: "wrong-passphrase", exit: 7 });
  });

  test("what is there is never replaced: another conversation of the same id gets a new one", async () => {
    const { desktop, laptop } = await pair();
    desktop.say(0, 2);
    done(await desktop.run("save"));
    done(await desktop.run("export", one, "-o", join(desktop.home, "a.jsonl")));
    laptop.say(0, 2, one, " told otherwise");
    const before = laptop.heard();
    const { document } = await laptop.json("import", join(desktop.home, "a.jsonl"));
    expect(document).toMatchObject({ imported: true, original: one });
    expect(laptop.heard()).toBe(before);
    const id = document["session"] as string;
    // Where the other machine's home lay, its paths do not tell.
    const scene = { ...laptop.scene, home: desktop.home };
    expect(laptop.heard(id)).toBe(turns(scene, one, 0, 2).replaceAll(one, id));
    // What goes on from the file is the same conversation.
    desktop.say(2, 3);
    expect((await desktop.json("import", join(desktop.home, "a.jsonl"))).document["imported"]).toBe(false);
    // A folder of the agent's own files comes in as well.
    done(await desktop.run("export", one, "--format", "native", "-o", join(desktop.home, "native")));
    const folder = await laptop.json("import", join(desktop.home, "native"));
    expect(folder.document).toMatchObject({ imported: true, original: one });
  });

  test("hostile files are refused, and nothing of them is kept", async () => {
    const { desktop, laptop } = await pair();
    desktop.say(0, 2);
    done(await desktop.run("save"));
    const bundle = join(desktop.home, "talk.convosync");
    done(await desktop.run("export", one, "-o", bundle));
    const good = readFileSync(bundle);
    const before = laptop.footprint();
    const refused = async (bytes: Uint8Array, exits: readonly number[]): Promise<void> => {
      writeFileSync(join(laptop.home, "bad.convosync"), bytes);
      const { exit } = await laptop.run("import", join(laptop.home, "bad.convosync"));
      expect(exits).toContain(exit);
    };
    for (let at = 19; at < good.length; at += Math.ceil(good.length / 10)) {
      const altered = Uint8Array.from(good);
      altered[at]! ^= 1;
      await refused(altered, [6, 7]);
    }
    for (const length of [19, 22, 100, good.length - 1]) await refused(good.subarray(0, length), [6]);
    await refused(Buffer.concat([good, Buffer.from("x")]), [6]);
    expect((await laptop.json("import", join(laptop.home, "bad.convosync"))).document["error"]).toMatchObject(
      {
        code: "damaged-bundle",
        exit: 6,
      },
    );
    await refused(Buffer.from("convosync-bundle 1\n\xff\xff\xff\xff", "latin1"), [6]);
    await refused(Buffer.from("hello"), [1]);
    await refused(Buffer.from('{"type":"user","sessionId":"../../../etc","uuid":"u","version":"1"}\n'), [1]);
    const after = laptop.footprint();
    delete after["work tree: bad.convosync"];
    expect(after).toEqual(before);
  });
});
