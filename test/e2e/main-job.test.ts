// Save here, resume there, go on, and back again.

import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { done, lines, type Machine, one, pair, type Sandbox } from "./harness.ts";

/** Wraps the remote's receive-pack so that every push leaves a line. Returns how many there were. */
function countPushes(machine: Machine, { base }: Sandbox): () => number {
  const log = join(base, `pushes-${machine.name}`);
  const wrapper = join(base, `receive-pack-${machine.name}`);
  writeFileSync(wrapper, `#!/bin/sh\necho push >> '${log}'\nexec git receive-pack "$@"\n`, { mode: 0o755 });
  machine.git("config", "remote.origin.receivepack", wrapper);
  return () => (existsSync(log) ? readFileSync(log, "utf8").split("\n").length - 1 : 0);
}

const sidecars = (machine: Machine): Record<string, string> => {
  const session = join(machine.project, one);
  const { cwd, home } = machine.scene;
  return {
    [join(session, "subagents/agent-a1.jsonl")]:
      `${JSON.stringify({ type: "user", isSidechain: true, cwd, message: { role: "user", content: `look at ${cwd}/x` } })}\n`,
    [join(session, "subagents/agent-a1.meta.json")]: JSON.stringify({
      agentType: "general-purpose",
      spawnDepth: 1,
    }),
    [join(session, "subagents/workflows/w1/journal.jsonl")]: `${JSON.stringify({ at: `${cwd}/journal` })}\n`,
    [join(session, "workflows/w1.json")]: JSON.stringify({ script: `${session}/workflows/scripts/w1.js` }),
    [join(session, "workflows/scripts/w1.js")]: "export const meta = {};\n",
    [join(home, ".claude/tasks", one, "1.json")]: JSON.stringify(
      { id: "1", subject: `mend ${cwd}/x` },
      null,
      2,
    ),
    [join(session, "tool-results/toolu_1.txt")]: `listing of ${cwd}\n${home}/notes\n`,
    [history(machine)]: `raw bytes, ${"kept as they are"}\n`,
  };
};

/** Whatever session's it is, of the files as they were before the client changed them. */
const history = (machine: Machine, session = one): string =>
  join(machine.home, ".claude/file-history", session, "992963597d5e2ddf@v1");

describe("the main job", () => {
  let box: Sandbox;
  let pushes: () => number;
  beforeAll(async () => {
    box = await pair();
    pushes = countPushes(box.desktop, box);
  });

  test("save commits, seals and pushes code and conversation together", async () => {
    const { desktop, remoteGit } = box;
    desktop.git("switch", "-q", "-c", "feature/oauth");
    desktop.write("src/auth.ts", "export const auth = 1;\n");
    desktop.say(0, 10);
    for (const [path, content] of Object.entries(sidecars(desktop))) {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, content);
    }
    const { exit, stdout, stderr } = await desktop.run("save", "Implemented OAuth login");
    expect({ exit, stdout }).toEqual({ exit: 0, stdout: "" });
    expect(stderr).toMatch(/Committed: "Implemented OAuth login \[ConvoSync\]"/);
    expect(stderr).toMatch(/Pushed origin\/feature\/oauth and the conversation together/);
    expect(stderr).toContain(`git convosync resume ${one.slice(0, 8)}`);
    expect(pushes()).toBe(1);
    expect(remoteGit("log", "-1", "--format=%s %H", "feature/oauth")).toBe(
      `Implemented OAuth login [ConvoSync] ${desktop.head()}`,
    );
    expect(desktop.git("status", "--porcelain")).toBe("");
  });

  test("an unchanged save says so and starts no push", async () => {
    const { desktop, remoteGit } = box;
    const before = remoteGit("for-each-ref");
    const { exit, stderr } = await desktop.run("save");
    expect(exit).toBe(0);
    expect(stderr).toMatch(/Nothing new since the last save/);
    expect(pushes()).toBe(1);
    expect(remoteGit("for-each-ref")).toBe(before);
  });

  test("resume brings code and conversation to the other machine, in its own paths", async () => {
    const { desktop, laptop } = box;
    const started = Date.now() - 2000;
    const { exit, stdout, stderr } = await laptop.run("resume");
    expect({ exit, stdout }).toEqual({ exit: 0, stdout: `claude --resume ${one}\n` });
    expect(stderr).toMatch(/Found session from Desktop/);
    expect(stderr).toMatch(/Switched to branch 'feature\/oauth' \(new here\)/);
    expect(laptop.branch()).toBe("feature/oauth");
    expect(laptop.head()).toBe(desktop.head());
    expect(laptop.read("src/auth.ts")).toBe("export const auth = 1;\n");
    expect(laptop.git("status", "--porcelain")).toBe("");
    laptop.hears(10);
    expect(laptop.heard()).not.toContain(desktop.home);
    const { mode, mtimeMs } = statSync(laptop.transcript());
    expect(mode & 0o777).toBe(0o600);
    expect(mtimeMs).toBeGreaterThan(started);
    for (const [path, content] of Object.entries(sidecars(laptop)))
      expect({ path, content: readFileSync(path, "utf8") }).toEqual({ path, content });
  });

  test("resume again changes nothing", async () => {
    const { laptop } = box;
    const before = laptop.footprint();
    const { exit, stderr } = await laptop.run("resume");
    expect(exit).toBe(0);
    expect(stderr).toMatch(/The conversation is here already/);
    expect(laptop.footprint()).toEqual(before);
  });

  test("the laptop goes on and saves; the desktop fast-forwards without a question", async () => {
    const { desktop, laptop } = box;
    laptop.say(10, 13);
    laptop.write("src/auth.ts", "export const auth = 2;\n");
    const saved = await laptop.json("save", "On the train");
    expect(saved.exit).toBe(0);
    expect(saved.document).toMatchObject({
      messages: lines(13),
      newMessages: lines(3),
      pushed: true,
      snapshot: 2,
    });
    const resumed = await desktop.json("resume", one.slice(0, 6));
    expect(resumed.exit).toBe(0);
    desktop.hears(13);
    expect(desktop.head()).toBe(laptop.head());
    expect(desktop.read("src/auth.ts")).toBe("export const auth = 2;\n");
    expect(desktop.git("status", "--porcelain")).toBe("");
  });

  test("and so on, back and forth, code or no code", async () => {
    const { desktop, laptop } = box;
    let at = 13;
    for (const [here, there] of [
      [desktop, laptop],
      [laptop, desktop],
      [desktop, laptop],
    ] as const) {
      here.say(at, ++at);
      done(await here.run("save"));
      done(await there.run("resume"));
      there.hears(at);
      expect(there.head()).toBe(here.head());
    }
    const { document } = await laptop.json("list");
    expect(document["sessions"]).toHaveLength(1);
    expect(document["sessions"][0]).toMatchObject({ id: one, messages: lines(at), device: "Desktop" });
    for (const machine of [desktop, laptop]) {
      expect((await machine.run("verify")).exit).toBe(0);
      machine.git("fsck", "--strict");
    }
    box.remoteGit("fsck", "--strict");
  });

  test("nothing on the remote can be read: neither words, nor paths, nor ids", () => {
    const { remoteGit, desktop } = box;
    const names = remoteGit("rev-list", "--objects", "--glob=refs/convosync/*");
    for (const secret of [one, "oauth", "Implemented", "Desktop", "me", "auth"]) {
      for (const line of names.split("\n")) expect(line.split(" ")[1] ?? "").not.toBe(secret);
    }
    const objects = names.split("\n").map((line) => line.split(" ")[0]!);
    for (const oid of objects) {
      const content = remoteGit("cat-file", "-p", oid);
      for (const secret of [
        one,
        one.slice(0, 13),
        desktop.home,
        "Step 1",
        "feature/oauth",
        "Implemented",
        "toolu_",
      ])
        expect(content.includes(secret)).toBe(false);
    }
  });
});

test("a conversation is said to be long once, when it becomes so", async () => {
  const { desktop } = await pair();
  const notice = "a long conversation by now; each save sends only what is new";
  const turns = Math.ceil(500 / lines(1));
  desktop.say(0, turns - 1);
  expect(done(await desktop.run("save")).stderr).not.toContain(notice);
  desktop.say(turns - 1, turns);
  expect(done(await desktop.run("save")).stderr).toContain(notice);
  desktop.say(turns, turns + 1);
  expect(done(await desktop.run("save")).stderr).not.toContain(notice);
});

test("a file beside the conversation that is too large is left out, and what was saved of it before is kept", async () => {
  const { desktop, laptop } = await pair();
  const log = (machine: Machine): string => join(machine.project, one, "tool-results", "log.txt");
  desktop.say(0, 2);
  desktop.write(log(desktop), "short\n");
  done(await desktop.run("save"));
  desktop.write(log(desktop), new Uint8Array((32 << 20) + 1));
  desktop.say(2, 4);
  const saved = done(await desktop.run("save"));
  expect(saved.stderr).toContain(
    "warning: left out of the conversation, as it is over 32 MiB: 'tool-results/log.txt'",
  );
  expect(saved.stderr).toContain(log(desktop));
  expect((await desktop.json("save")).document).toMatchObject({ pushed: true, leftOut: [log(desktop)] });
  done(await laptop.run("resume"));
  laptop.hears(4);
  expect(readFileSync(log(laptop), "utf8")).toBe("short\n");
});

// Of a file that is as long, has the same mode and is not younger, the client would believe that it is what the copy is.
test("the client's copies of files keep their permissions, however they come, and are older than any file", async () => {
  const { desktop, laptop, base } = await pair();
  desktop.say(0, 2);
  desktop.write(history(desktop), "#!/bin/sh\n");
  chmodSync(history(desktop), 0o775);
  done(await desktop.run("save"));
  done(await desktop.run("export", one, "--format", "bundle", "--output", join(base, "bundle")));
  const isAsItWas = (session: string): void => {
    const { mode, mtimeMs } = statSync(history(laptop, session));
    expect((mode & 0o777).toString(8)).toBe("755");
    expect(mtimeMs).toBeLessThan(Date.UTC(1971, 0));
  };
  done(await laptop.run("resume"));
  isAsItWas(one);
  isAsItWas((await laptop.json("fork", one)).document["session"]);
  for (const path of [history(laptop), laptop.transcript()]) rmSync(path);
  isAsItWas((await laptop.json("import", join(base, "bundle"))).document["session"]);
});
