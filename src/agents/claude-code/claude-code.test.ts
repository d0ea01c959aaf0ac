import { spawn } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ConvosyncError } from "../../errors.ts";
import type { Workplace } from "../agent.ts";
import { agentNames, isAgentName, loadAgents } from "../registry.ts";
import { claudeCode } from "./agent.ts";
import { projectKey, projectsDir } from "./store.ts";

const one = "11111111-1111-4111-8111-111111111111";
const two = "22222222-2222-4222-8222-222222222222";
const three = "33333333-3333-4333-8333-333333333333";

let base: string;
let place: Workplace;
beforeEach(() => {
  base = realpathSync(mkdtempSync(join(tmpdir(), "convosync-claude-")));
  const root = join(base, "code", "shop");
  mkdirSync(join(root, "sub"), { recursive: true });
  place = {
    root,
    worktrees: [root, join(base, "code", "shop-wt")],
    cwd: root,
    home: join(base, "me"),
    env: {},
  };
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

const user = (cwd: string, text: string, more: object = {}) => ({
  type: "user",
  message: { role: "user", content: text },
  cwd,
  version: "2.1.329",
  gitBranch: "main",
  timestamp: "2026-11-20T10:00:00.000Z",
  ...more,
});

let clock = 1_700_000_000;
function session(folder: string, id: string, records: readonly object[], in_: Workplace = place): string {
  const path = join(projectsDir(in_), folder, `${id}.jsonl`);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, records.map((record) => `${JSON.stringify(record)}\n`).join(""));
  utimesSync(path, ++clock, clock);
  return path;
}

function put(path: string, content: string | Buffer = "x\n"): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  return path;
}

describe("project key", () => {
  test.each([
    ["/home/me/my proj_ü.x", "-home-me-my-proj---x"],
    ["C:\\Users\\me\\p", "C--Users-me-p"],
    ["/a/😀", "-a---"],
    ["/a/e\u0301", "-a--"],
    [`/${"a".repeat(199)}`, `-${"a".repeat(199)}`],
    [`/${"a".repeat(206)}`, `-${"a".repeat(199)}-5v3h9t`],
  ])("%s", (path, key) => {
    expect(projectKey(path)).toBe(key);
  });
});

describe("find", () => {
  test("sessions of the root, a subdirectory and a linked worktree, newest first", async () => {
    const wt = place.worktrees[1]!;
    session(projectKey(place.root), one, [user(place.root, "in the root")]);
    session(projectKey(join(place.root, "sub")), two, [user(join(place.root, "sub"), "below")]);
    session(projectKey(wt), three, [user(wt, "beside", { entrypoint: "sdk-cli" })]);
    const found = await claudeCode.find(place);
    expect(found.map(({ id, cwd, workTree, title }) => ({ id, cwd, workTree, title }))).toEqual([
      { id: three, cwd: wt, workTree: wt, title: "beside" },
      { id: two, cwd: join(place.root, "sub"), workTree: place.root, title: "below" },
      { id: one, cwd: place.root, workTree: place.root, title: "in the root" },
    ]);
  });

  test("keys are lossy: the recorded directory decides, and the last one inside the repository", async () => {
    const neighbour = `${place.root}-x`;
    session(projectKey(neighbour), one, [user(neighbour, "another project")]);
    session(projectKey(place.root), two, [
      user(place.root, "a"),
      user(join(place.root, "sub"), "b"),
      user("/tmp", "c"),
    ]);
    session(projectKey(place.root), three, [{ type: "summary", summary: "no directory" }]);
    const found = await claudeCode.find(place);
    expect(found.map(({ id, cwd }) => [id, cwd])).toEqual([[two, join(place.root, "sub")]]);
  });

  describe("in a work tree that Claude Code made", () => {
    const inside = () => join(place.root, ".claude/worktrees/feat");
    const there = () => ({ ...place, worktrees: [...place.worktrees, inside()] });

    test("taken there or begun there, its paths are told from the checkout, also when the work tree is gone", async () => {
      session(projectKey(inside()), one, [user(place.root, "begun"), user(inside(), "taken there")]);
      session(projectKey(inside()), two, [user(inside(), "begun there")]);
      const found = await claudeCode.find(there());
      expect(found.map(({ id, cwd, workTree }) => [id, cwd, workTree])).toEqual([
        [two, inside(), inside()],
        [one, inside(), inside()],
      ]);
      const key = projectKey(place.root);
      const expected = { root: [place.root], keys: [key, key] };
      for (const one of found) expect(claudeCode.places(one, there())).toMatchObject(expected);
      const gone = await claudeCode.find(place);
      expect(gone.map(({ workTree }) => workTree)).toEqual([place.root, place.root]);
      for (const one of gone) expect(claudeCode.places(one, place)).toMatchObject(expected);
    });

    test("gone on with on another device, and so told from the checkout, it stays where its file is", async () => {
      session(projectKey(inside()), one, [user(inside(), "here"), user(place.root, "there")]);
      session(projectKey(inside()), two, [user(place.root, "all of it there")]);
      const found = await claudeCode.find(there());
      expect(found.map(({ cwd, workTree }) => [cwd, workTree])).toEqual([
        [inside(), inside()],
        [inside(), inside()],
      ]);
    });

    test("back in the checkout, it belongs there", async () => {
      session(projectKey(place.root), one, [
        user(inside(), "there"),
        { type: "relocated", relocatedCwd: place.root },
      ]);
      expect(await claudeCode.find(there())).toMatchObject([{ cwd: place.root, workTree: place.root }]);
    });
  });

  test("taken to a work tree beside, its paths are told from where it was begun", async () => {
    const wt = place.worktrees[1]!;
    session(projectKey(wt), one, [user(place.root, "begun"), user(wt, "taken there")]);
    const [found] = await claudeCode.find(place);
    expect(found).toMatchObject({ cwd: wt, workTree: wt });
    expect(claudeCode.places(found!, place).root).toEqual([place.root]);
  });

  test("gone on with in another work tree, from where the client finds it as well, it belongs there", async () => {
    const wt = place.worktrees[1]!;
    session(projectKey(place.root), one, [user(place.root, "begun"), user(wt, "gone on")]);
    expect(await claudeCode.find(place)).toMatchObject([{ cwd: wt, workTree: wt, begunIn: place.root }]);
  });

  test("a session that came from Windows keeps its subdirectory", async () => {
    session(projectKey(place.root), one, [user(`${place.root}\\src\\api`, "hi")]);
    expect((await claudeCode.find(place))[0]?.cwd).toBe(join(place.root, "src", "api"));
  });

  test("the directory is found behind lines that are longer than the window", async () => {
    const long = user(place.root, "x".repeat(200_000));
    session(projectKey(place.root), one, [long]);
    expect((await claudeCode.find(place)).map(({ cwd }) => cwd)).toEqual([place.root]);
  });

  test("what is no session is passed over: other names, folders, symlinks, damaged files", async () => {
    const folder = join(projectsDir(place), projectKey(place.root));
    const outside = put(join(base, "elsewhere.jsonl"), `${JSON.stringify(user(place.root, "secret"))}\n`);
    put(join(folder, "agent-abc.jsonl"), readFileSync(outside));
    put(join(folder, `${one}.jsonl.tmp`), readFileSync(outside));
    symlinkSync(outside, join(folder, `${one}.jsonl`));
    mkdirSync(join(folder, `${two}.jsonl`));
    put(join(folder, `${three}.jsonl`), Buffer.from([0xff, 0, 0x0a, 0x7b]));
    const other = join(base, "other-store");
    put(join(other, `${one}.jsonl`), readFileSync(outside));
    symlinkSync(other, join(projectsDir(place), `${projectKey(place.root)}-sub`));
    expect(await claudeCode.find(place)).toEqual([]);
  });

  test("CLAUDE_CONFIG_DIR and CLAUDE_CODE_PROJECT_DIR_NAME", async () => {
    const env = { CLAUDE_CONFIG_DIR: join(base, "cfg"), CLAUDE_CODE_PROJECT_DIR_NAME: "fixed" };
    const moved = { ...place, env };
    session("fixed", one, [user(place.root, "hi")], moved);
    expect((await claudeCode.find(moved)).map(({ path }) => path)).toEqual([
      join(base, "cfg", "projects", "fixed", `${one}.jsonl`),
    ]);
    expect(claudeCode.target("main", "stream", { id: two, cwd: place.root }, moved).path).toBe(
      join(base, "cfg", "projects", "fixed", `${two}.jsonl`),
    );
    const nameOnly = { ...place, env: { CLAUDE_CODE_PROJECT_DIR_NAME: "fixed" } };
    expect(claudeCode.target("main", "stream", { id: two, cwd: place.root }, nameOnly).path).toContain(
      projectKey(place.root),
    );
  });

  test("no store at all", async () => {
    expect(await claudeCode.find(place)).toEqual([]);
    expect(await claudeCode.current(place)).toBeNull();
  });
});

describe("current", () => {
  const registered = (pid: number, more: object = {}) =>
    put(
      join(place.home, ".claude", "sessions", `${pid}.json`),
      JSON.stringify({
        pid,
        sessionId: one,
        cwd: place.root,
        startedAt: Date.now(),
        updatedAt: Date.now(),
        ...more,
      }),
    );

  test("the agent's environment, else a live process, else the newest of this work tree", async () => {
    const wt = place.worktrees[1]!;
    session(projectKey(place.root), one, [user(place.root, "1")]);
    session(projectKey(place.root), two, [user(place.root, "2")]);
    session(projectKey(wt), three, [user(wt, "3")]);
    const pick = async (env: NodeJS.ProcessEnv = {}) => {
      const found = await claudeCode.current({ ...place, env });
      return [found?.session.id, found?.how];
    };
    expect(await pick()).toEqual([two, "newest"]);
    registered(process.pid);
    expect(await pick()).toEqual([one, "live"]);
    expect(await pick({ CLAUDE_CODE_SESSION_ID: three })).toEqual([three, "environment"]);
    expect(await pick({ CLAUDE_CODE_SESSION_ID: "../../x" })).toEqual([one, "live"]);
  });

  test("the session the environment names counts wherever the agent was started", async () => {
    session(projectKey(base), one, [user(base, "started above")]);
    const found = await claudeCode.current({ ...place, env: { CLAUDE_CODE_SESSION_ID: one } });
    expect(found).toMatchObject({
      how: "environment",
      session: { id: one, cwd: place.root, workTree: place.root },
    });
  });

  test("live: dead processes, entries from before the boot and forged ones do not count", async () => {
    const child = spawn(process.execPath, ["-e", ""]);
    const dead = await new Promise<number>((done) => child.on("exit", () => done(child.pid!)));
    registered(dead);
    expect(await claudeCode.live(one, place)).toBeNull();
    registered(process.pid, { startedAt: 1 });
    expect(await claudeCode.live(one, place)).toBeNull();
    registered(process.pid, { pid: 1 });
    expect(await claudeCode.live(one, place)).toBeNull();
    put(join(place.home, ".claude", "sessions", `${process.pid}.json`), "[".repeat(10_000));
    expect(await claudeCode.live(one, place)).toBeNull();
    registered(process.pid);
    expect(await claudeCode.live(one, place)).toMatchObject({ pid: process.pid, cwd: place.root });
    expect(await claudeCode.live(two, place)).toBeNull();
  });
});

describe("describe", () => {
  const title = (...records: unknown[]) =>
    claudeCode.describe(Buffer.from(records.map((r) => `${JSON.stringify(r)}\n`).join("")), Buffer.alloc(0))
      .title;
  const prompt = user("/p", "first prompt");

  test("custom title, ai title, summary, last prompt, first prompt, in this order", () => {
    const records: object[] = [prompt, user("/p", "second")];
    expect(title(...records)).toBe("first prompt");
    records.push({ type: "last-prompt", lastPrompt: "last" });
    expect(title(...records)).toBe("last");
    records.push({ type: "summary", summary: "sum" }, { type: "ai-title", aiTitle: "ai" });
    expect(title(...records)).toBe("ai");
    records.push(
      { type: "custom-title", customTitle: "mine" },
      { type: "custom-title", customTitle: "mine  now\n" },
    );
    expect(title(...records)).toBe("mine now");
  });

  test("only what a person typed is a prompt", () => {
    const notTyped = [
      user("/p", "meta", { isMeta: true }),
      user("/p", "<command-name>/clear</command-name>"),
      user("/p", "[Request interrupted by user]"),
      { ...prompt, message: { content: [{ type: "tool_result", content: "x" }] } },
      { ...prompt, message: { content: 7 } },
      { ...prompt, message: null },
    ];
    expect(title(...notTyped)).toBe("");
    expect(title(...notTyped, { ...prompt, message: { content: [{ type: "text", text: "typed" }] } })).toBe(
      "typed",
    );
  });

  test("versions, branch, directory and time are the latest", () => {
    const later = user("/q", "x", { version: "3", gitBranch: "dev", timestamp: "2026-11-21T00:00:00Z" });
    const [head, tail] = [prompt, later].map((record) =>
      Buffer.from(`torn"}\n${JSON.stringify(record)}\n{"torn`),
    );
    expect(claudeCode.describe(head!, tail!)).toEqual({
      title: "first prompt",
      toolVersion: "3",
      cwd: "/q",
      branch: "dev",
      updatedAt: new Date("2026-11-21T00:00:00Z"),
    });
  });

  test("never throws, whatever the bytes", () => {
    const hostile = [
      '{"type":"user","message":'.repeat(5000),
      `{"type":"custom-title","customTitle":${"[".repeat(300)}1${"]".repeat(300)}}`,
      '{"__proto__":{"type":"custom-title","customTitle":"polluted"}}',
      '{"type":"custom-title","customTitle":"x","constructor":{"prototype":{"y":1}}}',
    ].join("\n");
    expect(claudeCode.describe(Buffer.from(hostile), Buffer.alloc(0)).title).toBe("x");
    fc.assert(
      fc.property(fc.uint8Array(), fc.json(), (bytes, json) => {
        const { title } = claudeCode.describe(
          bytes,
          Buffer.from(`{"type":"summary","summary":${json}}\n${json}`),
        );
        expect([...title].length).toBeLessThanOrEqual(200);
      }),
    );
  });
});

describe("inventory and target", () => {
  test("are inverse, and leave out what belongs to this machine alone", async () => {
    const records = [
      user(place.root, "hi", { slug: "some-first-plan" }),
      user(place.root, "go", { slug: "brave-old-cake" }),
    ];
    const path = session(projectKey(place.root), one, records);
    const beside = join(dirname(path), one);
    const history = join(place.home, ".claude", "file-history", one);
    put(join(beside, "subagents", "agent-a1.jsonl"));
    put(join(beside, "subagents", "agent-a1.meta.json"));
    put(join(beside, "subagents", "workflows", "wf-1", "journal.jsonl"));
    put(join(beside, "tool-results", "toolu_01.txt"));
    put(join(beside, "tool-results", "out.bin"));
    put(join(beside, "workflows", "wf_1.json"));
    put(join(beside, "workflows", "scripts", "x-wf_1.js"));
    put(join(history, "992963597d5e2ddf@v1"), Buffer.from([0, 255]));
    put(join(place.home, ".claude", "tasks", one, "1.json"));
    put(join(place.home, ".claude", "tasks", one, ".highwatermark"));
    put(join(place.home, ".claude", "tasks", one, "other", "2.json"));
    for (const plan of ["brave-old-cake", "brave-old-cake-agent-a1", "brave-old-cakes", "other"])
      put(join(place.home, ".claude", "plans", `${plan}.md`));
    put(join(beside, "resume-head.jsonl"));
    put(join(beside, "subagents", "agent-a1.jsonl.compact.tmp.77"));
    put(join(beside, "subagents", "resume-head.jsonl"));
    put(join(dirname(path), `${one}.precompact.json`));
    put(join(beside, "tool-results", "a:b.txt"));
    symlinkSync("/etc/passwd", join(beside, "tool-results", "link.txt"));
    const [found] = await claudeCode.find(place);
    const { streams, files } = await claudeCode.inventory(found!, place);
    expect(streams.map(({ name }) => name)).toEqual([
      "main",
      "subagents/agent-a1.jsonl",
      "subagents/workflows/wf-1/journal.jsonl",
    ]);
    expect(files.map(({ name, form, size }) => [name, form, size])).toEqual([
      ["subagents/agent-a1.meta.json", "jsonl", 2],
      ["tool-results/out.bin", "raw", 2],
      ["tool-results/toolu_01.txt", "text", 2],
      ["workflows/scripts/x-wf_1.js", "raw", 2],
      ["workflows/wf_1.json", "jsonl", 2],
      ["file-history/992963597d5e2ddf@v1", "raw", 2],
      ["tasks/1.json", "jsonl", 2],
      ["plans/brave-old-cake-agent-a1.md", "text", 2],
      ["plans/brave-old-cake.md", "text", 2],
    ]);
    for (const stream of streams) {
      expect(claudeCode.target(stream.name, "stream", found!, place)).toEqual({
        path: stream.path,
        form: "jsonl",
      });
    }
    for (const file of files) {
      expect(claudeCode.target(file.name, "file", { id: one, cwd: place.root }, place)).toEqual({
        path: file.path,
        form: file.form,
        ...(file.name.startsWith("file-history/") && { copied: true }),
      });
    }
  });

  test("a sidecar folder that is a symlink is not entered", async () => {
    const path = session(projectKey(place.root), one, [user(place.root, "hi")]);
    put(join(base, "private", "tool-results", "key.txt"));
    symlinkSync(join(base, "private"), join(dirname(path), one));
    const [found] = await claudeCode.find(place);
    expect((await claudeCode.inventory(found!, place)).files).toEqual([]);
  });

  const refused = (name: string, kind: "stream" | "file" = "file", id = one) => {
    try {
      return claudeCode.target(name, kind, { id, cwd: place.root }, place).path;
    } catch (error) {
      expect(error).toBeInstanceOf(ConvosyncError);
      return (error as ConvosyncError).code;
    }
  };

  test.each([
    "tool-results/../../../.bashrc",
    "tool-results/..",
    "tool-results/.",
    "tool-results//x",
    "tool-results/",
    "tool-results",
    "/etc/passwd",
    "../x",
    "",
    ".",
    "tool-results\\x",
    "tool-results/a\\b",
    "tool-results/a\0b",
    "tool-results/a:b",
    "tool-results/con",
    "tool-results/NUL.txt",
    "tool-results/com1.log",
    "tool-results/x.",
    "tool-results/x ",
    "tool-results/.hidden",
    "Tool-Results/x.txt",
    "TOOL-RESULTS/x.txt",
    "tool-results/é.txt",
    "tool-results/x.tmp",
    "subagents/Resume-Head.jsonl",
    `tool-results/${"x".repeat(129)}`,
    `tool-results/${"x/".repeat(8)}x`,
    "settings.json",
    "tasks/a/1.json",
    "tasks/1.txt",
    "plans/a/b.md",
    "plans/A.md",
    "plans/x.txt",
    "memory/MEMORY.md",
    "hooks/x.sh",
    "main",
    "subagents/agent-1.jsonl",
    "tool-results/-\u202ex",
    "tool-results/a\nb",
  ])("no file is named %j", (name) => {
    expect(refused(name)).toBe("unsafe-name");
  });

  test.each([
    "main.jsonl",
    "Main",
    "tool-results/x.jsonl",
    "subagents/x.json",
    "subagents/../x.jsonl",
    "other/x.jsonl",
  ])("no stream is named %j", (name) => {
    expect(refused(name, "stream")).toBe("unsafe-name");
  });

  test("no session has such an id", () => {
    for (const id of [
      "..",
      "",
      "x",
      `${one}/..`,
      `${one}\n`,
      "agent-a1",
      "-1111111-1111-4111-8111-111111111111",
    ]) {
      expect(refused("main", "stream", id)).toBe("unsafe-name");
      expect(claudeCode.validId(id)).toBe(false);
    }
    expect(claudeCode.validId(one)).toBe(true);
  });

  test("whatever the name, the path stays in the store", () => {
    fc.assert(
      fc.property(
        fc.string({
          unit: fc.constantFrom("..", "/", "a", ".", "\\", "subagents/", ".jsonl", "tool-results/"),
        }),
        (name) => {
          for (const kind of ["stream", "file"] as const) {
            const path = refused(name, kind);
            if (path !== "unsafe-name")
              expect(path.startsWith(`${claudeCode.store(place)}/`) && resolve(path) === path).toBe(true);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe("places", () => {
  test("root, home, store and keys, with symlinked spellings", () => {
    const link = join(base, "link");
    symlinkSync(place.root, link);
    mkdirSync(place.home);
    const there = { ...place, cwd: join(place.root, "sub"), env: { PWD: join(link, "sub") } };
    expect(claudeCode.places({ cwd: there.cwd, workTree: place.root }, there)).toEqual({
      root: [place.root, link],
      home: [place.home],
      store: [join(place.home, ".claude")],
      keys: [projectKey(place.root), projectKey(there.cwd)],
    });
  });

  test("the session's own folder is the one it lies in, wherever it has gone on since", () => {
    const begun = join(place.home, ".claude/projects", projectKey(join(place.root, "web")), `${one}.jsonl`);
    const at = { cwd: place.root, workTree: place.root };
    expect(claudeCode.places({ ...at, path: begun }, place).keys).toEqual([
      projectKey(place.root),
      projectKey(join(place.root, "web")),
    ]);
    const inTree = begun.replace("-web/", "--claude-worktrees-x/");
    expect(claudeCode.places({ ...at, path: inTree }, place).keys).toEqual(claudeCode.places(at, place).keys);
  });
});

test("the agent's own command, and the registry", async () => {
  expect(claudeCode.resumeCommand(one)).toEqual(["claude", "--resume", one]);
  expect((await loadAgents()).map(({ name }) => name)).toEqual(agentNames);
  expect(isAgentName("claude")).toBe(true);
  expect(isAgentName("__proto__")).toBe(false);
});

const corpus = process.env["CONVOSYNC_CORPUS"];
test.skipIf(!corpus)(
  "CONVOSYNC_CORPUS: real transcripts are found by their directory and have a title",
  async () => {
    for (const path of readdirSync(join(corpus!, "claude"), { recursive: true, encoding: "utf8" })) {
      const bytes = readFileSync(join(corpus!, "claude", path));
      const cwd = /"cwd":"([^"]+)"/.exec(bytes.toString("latin1"))?.[1];
      if (cwd === undefined) continue;
      put(join(projectsDir(place), projectKey(cwd), basename(path)), bytes);
      const found = (await claudeCode.find({ ...place, root: cwd, worktrees: [cwd] })).find((s) =>
        path.includes(s.id),
      );
      expect(found?.workTree, path).toBe(cwd);
      expect(found?.title, path).not.toBe("");
    }
  },
);
