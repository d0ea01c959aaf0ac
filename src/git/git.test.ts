import { chmod, mkdir, mkdtemp, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { childEnvironment, repositoryVariables } from "./environment.ts";
import { discover, type Git, openGit, readConfig, repositoryGit, scrubUrl } from "./git.ts";

let folder: string;
let repo: string;
let git: Git;

beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), "convosync gït ")));
  repo = join(folder, "repo");
  await openGit(folder).run(["init", "--quiet", "-b", "main", "repo"]);
  git = openGit(repo);
  await git.run(["commit", "--quiet", "--allow-empty", "-m", "first"]);
  await git.run(["worktree", "add", "--quiet", "-b", "linked", join(folder, "linked")]);
  await openGit(folder).run(["clone", "--quiet", "--bare", repo, "bare.git"]);
  await openGit(join(folder, "bare.git")).run([
    "worktree",
    "add",
    "--quiet",
    join(folder, "of bare"),
    "main",
  ]);
  await openGit(folder).run(["init", "--quiet", "--object-format=sha256", "sha256"]);
  await git.run(["commit", "--quiet", "--allow-empty", "-m", "second"]);
  await openGit(folder).run(["clone", "--quiet", "--depth=1", `file://${repo}`, "shallow"]);
  await mkdir(join(repo, "deep", "er"), { recursive: true });
});

afterAll(() => rm(folder, { recursive: true, force: true }));

describe("discover", () => {
  const at = (...names: string[]) => join(folder, ...names);

  test("finds a repository from its folders", async () => {
    const found = {
      root: repo,
      gitDir: at("repo", ".git"),
      commonDir: at("repo", ".git"),
      objectFormat: "sha1",
      prefix: "",
      bare: false,
      shallow: false,
      explicit: false,
    };
    expect(await discover(repo)).toEqual(found);
    expect(await discover(join(repo, "deep", "er"))).toEqual({ ...found, prefix: "deep/er/" });
    expect(await discover(join(repo, ".git"))).toEqual({ ...found, root: null, explicit: true });
  });

  test("knows linked worktrees, bare, SHA-256 and shallow repositories", async () => {
    const linked = { root: at("linked"), gitDir: at("repo", ".git", "worktrees", "linked"), explicit: false };
    expect(await discover(at("linked"))).toMatchObject({ ...linked, commonDir: at("repo", ".git") });
    const bare = {
      root: null,
      gitDir: at("bare.git"),
      commonDir: at("bare.git"),
      bare: true,
      explicit: true,
    };
    expect(await discover(at("bare.git"))).toMatchObject(bare);
    const ofBare = { root: at("of bare"), commonDir: at("bare.git"), bare: false };
    expect(await discover(at("of bare"))).toMatchObject(ofBare);
    expect(await discover(at("sha256"))).toMatchObject({ objectFormat: "sha256", root: at("sha256") });
    expect(await discover(at("shallow"))).toMatchObject({ shallow: true });
  });

  test("honours the repository the user named", async () => {
    const env = { ...process.env, GIT_DIR: "repo/.git", GIT_WORK_TREE: "repo/deep" };
    const repository = await discover(folder, env);
    expect(repository).toMatchObject({
      root: join(repo, "deep"),
      gitDir: join(repo, ".git"),
      explicit: true,
    });
    expect(await repositoryGit(repository, env).text(["rev-parse", "--show-toplevel"])).toBe(
      join(repo, "deep"),
    );
  });

  test("says so outside of one", async () => {
    await expect(discover(folder)).rejects.toMatchObject({
      code: "not-a-repository",
      exit: 4,
      hints: [expect.any(String)],
    });
    await expect(discover(join(folder, "none"))).rejects.toMatchObject({
      message: expect.stringMatching(/^no such folder/),
    });
  });

  test("passes on what git says of a repository it refuses", async () => {
    await openGit(folder).run(["init", "--quiet", "future"]);
    await openGit(join(folder, "future")).run(["config", "core.repositoryFormatVersion", "99"]);
    await expect(discover(join(folder, "future"))).rejects.toMatchObject({
      code: "git-failed",
      message: expect.stringContaining("99"),
    });
  });
});

describe("the environment of a git child", () => {
  test("has nothing that ties git to another repository", async () => {
    const names = await git.text(["rev-parse", "--local-env-vars"]);
    const configuration = ["GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT"];
    for (const name of names.split("\n").filter((line) => !configuration.includes(line))) {
      expect(repositoryVariables).toContain(name);
    }
    const env = {
      ...process.env,
      GIT_DIR: "/nowhere",
      GIT_INDEX_FILE: ".git/none",
      GIT_OBJECT_DIRECTORY: "/nowhere",
    };
    expect(await openGit(repo, env).text(["rev-parse", "--git-dir"])).toBe(".git");
    const hook = { ...process.env, GIT_INDEX_FILE: join(folder, "none") };
    expect(await repositoryGit(await discover(repo, hook), hook).code(["diff", "--cached", "--quiet"])).toBe(
      0,
    );
  });

  test("keeps the user's git -c, and characters beyond ASCII", async () => {
    const env = {
      ...process.env,
      GIT_CONFIG_COUNT: "1",
      GIT_CONFIG_KEY_0: "convosync.x",
      GIT_CONFIG_VALUE_0: "ÿ",
    };
    expect(await openGit(repo, env).text(["config", "convosync.x"])).toBe("ÿ");
  });

  test("has no secrets, no translation, no question, and nobody else's way with pathspecs", () => {
    const env = {
      CONVOSYNC_IDENTITY: "s",
      CONVOSYNC_IDENTITY_FILE: "s",
      CONVOSYNC_PASSPHRASE_COMMAND: "s",
      CONVOSYNC_NEW_PASSPHRASE: "s",
      CONVOSYNC_REMOTE: "origin",
      LC_ALL: "de_DE.UTF-8",
      LANGUAGE: "de",
      GIT_LITERAL_PATHSPECS: "1",
      GIT_ICASE_PATHSPECS: "1",
    };
    const child = {
      CONVOSYNC_REMOTE: "origin",
      LC_CTYPE: "de_DE.UTF-8",
      LC_MESSAGES: "C",
      CONVOSYNC_INSIDE: "1",
      GIT_OPTIONAL_LOCKS: "0",
    };
    expect(childEnvironment(env, true)).toEqual({ ...child, GIT_TERMINAL_PROMPT: "1" });
    expect(childEnvironment(env, false)).toMatchObject({ ...child, GIT_TERMINAL_PROMPT: "0" });
    const background = childEnvironment(
      { ...env, CONVOSYNC_BACKGROUND: "1", GIT_ASKPASS: "/usr/bin/ask" },
      true,
    );
    expect(background).toMatchObject({
      GIT_TERMINAL_PROMPT: "0",
      GIT_ASKPASS: "",
      SSH_ASKPASS_REQUIRE: "never",
    });
  });

  test("lets a hook of the user's commit make a repository elsewhere", async () => {
    const elsewhere = join(folder, "elsewhere");
    const hook = join(repo, ".git", "hooks", "pre-commit");
    await mkdir(join(hook, ".."), { recursive: true });
    await writeFile(hook, `#!/bin/sh\nunset $(git rev-parse --local-env-vars)\ngit init -q '${elsewhere}'\n`);
    await chmod(hook, 0o755);
    const repository = await discover(join(repo, "deep"));
    await repositoryGit(repository).run(["commit", "--quiet", "--allow-empty", "-m", "with a hook"]);
    await rm(hook);
    expect(await discover(elsewhere)).toMatchObject({ root: elsewhere });
  });
});

describe("run", () => {
  test("gives text, NUL-separated lines, bytes, exit statuses", async () => {
    await writeFile(join(repo, "ä b\n.txt"), "x");
    expect(await git.lines0(["ls-files", "-z", "--others"])).toEqual(["ä b\n.txt"]);
    expect(await git.lines0(["ls-files", "-z"])).toEqual([]);
    expect(await git.text(["symbolic-ref", "HEAD"])).toBe("refs/heads/main");
    const input = new Uint8Array([0, 255, 10, 13]);
    const oid = await git.text(["hash-object", "-w", "--stdin"], { input });
    expect(new Uint8Array((await git.run(["cat-file", "blob", oid])).stdout)).toEqual(input);
    expect(await git.code(["rev-parse", "--verify", "--quiet", "refs/none"])).toBe(1);
  });

  test("fails with git's own words", async () => {
    await expect(git.run(["checkout", "nothing"])).rejects.toMatchObject({
      code: "git-failed",
      exit: 1,
      message: "git checkout: pathspec 'nothing' did not match any file(s) known to git",
      cause: { message: expect.stringContaining("exit status 1") },
    });
    await expect(git.run(["-c", "x.y=1", "fetch", "https://u:secret@localhost:1/x"])).rejects.toMatchObject({
      message: expect.not.stringContaining("secret"),
      cause: { message: expect.not.stringContaining("secret") },
    });
  });

  test("says what to do about a full disk", async () => {
    const full = [
      "-c",
      "alias.full=!echo 'fatal: sha1 file x write error. Out of diskspace' >&2; exit 128",
      "full",
    ];
    const hints = [expect.stringContaining("disk is full")];
    await expect(git.run(full)).rejects.toMatchObject({ code: "git-failed", hints });
  });

  test("does not mind a child that leaves its input unread", async () => {
    const input = new Uint8Array(4_000_000);
    expect(await git.run(["rev-parse", "--git-dir"], { input })).toMatchObject({ code: 0 });
  });

  test("stops at a limit of bytes, of time, and at a signal", async () => {
    const endless = ["-c", "alias.endless=!while :; do echo; done", "endless"];
    await expect(git.run(endless, { maxBytes: 1000 })).rejects.toMatchObject({
      code: "git-output-too-large",
    });
    const wait = ["-c", "alias.wait=!exec sleep 3", "wait"];
    for (const start of [git.run, git.runLong]) {
      await expect(start(wait, { timeoutMs: 50 })).rejects.toMatchObject({ code: "git-timeout" });
      await expect(start(wait, { signal: AbortSignal.timeout(50) })).rejects.toMatchObject({ exit: 130 });
      await expect(start(wait, { signal: AbortSignal.abort() })).rejects.toMatchObject({
        code: "cancelled",
        exit: 130,
      });
    }
  });

  test("says when there is no git", async () => {
    const none = openGit(repo, { ...process.env, PATH: folder });
    await expect(none.run(["version"])).rejects.toMatchObject({
      code: "git-missing",
      hints: [expect.any(String)],
    });
    await expect(none.runLong(["version"])).rejects.toMatchObject({ code: "git-missing" });
  });

  test("says when the folder it is to run in is gone", async () => {
    const gone = openGit(join(folder, "gone"), process.env);
    await expect(gone.run(["version"])).rejects.toMatchObject({ code: "no-folder", exit: 1 });
  });

  test("traces commands and times, without what goes in or secrets", async () => {
    const write = vi.spyOn(process.stderr, "write").mockReturnValue(true);
    const loud = openGit(repo, { ...process.env, CONVOSYNC_DEBUG: "1" });
    await loud.run(["hash-object", "--stdin"], { input: "private" });
    await loud.code(["ls-remote", "https://u:secret@localhost:1/x"]);
    const said = write.mock.calls.map(([text]) => String(text));
    write.mockRestore();
    expect(said).toEqual([
      expect.stringMatching(/^convosync: git hash-object --stdin \(\d+ ms\)\n$/),
      expect.stringMatching(/^convosync: git ls-remote https:\/\/localhost:1\/x \(\d+ ms\)\n$/),
    ]);
  });
});

describe("runLong", () => {
  test("streams its input and answers like run", async () => {
    async function* input() {
      for (let n = 0; n < 50; n++) yield new Uint8Array(10_000).fill(n);
    }
    const long = await git.runLong(["hash-object", "--stdin"], { input: input() });
    const whole = Buffer.concat(Array.from({ length: 50 }, (_, n) => Buffer.alloc(10_000, n)));
    expect(long).toEqual(
      await git.run(["hash-object", "--stdin"], { input: whole }).then((r) => ({ ...r, how: "exit" })),
    );
    await expect(git.runLong(["nonsense"])).rejects.toMatchObject({ code: "git-failed" });
    expect(await git.runLong(["rev-parse", "--verify", "-q", "x"], { okCodes: [1] })).toMatchObject({
      code: 1,
    });
  });

  test("says when it has begun to wait for git, which it does not while it feeds it", async () => {
    let waits = 0;
    const waiting = repositoryGit(await discover(repo), process.env, () => waits++);
    async function* input() {
      yield new Uint8Array(1);
    }
    await waiting.runLong(["hash-object", "--stdin"], { input: input() });
    await waiting.run(["rev-parse", "HEAD"], { okCodes: "any" });
    expect(waits).toBe(0);
    const running = waiting.runLong(["version"]);
    await new Promise((next) => setImmediate(next));
    expect(waits).toBe(1);
    await running;
  });

  test("passes on what went wrong with the input", async () => {
    async function* input() {
      yield new Uint8Array(1);
      throw new RangeError("no more");
    }
    await expect(git.runLong(["hash-object", "--stdin"], { input: input() })).rejects.toThrow("no more");
  });
});

test("readConfig keeps order, case of subsections, and valueless names", async () => {
  await writeFile(
    join(folder, "config"),
    '[convosync]\nremote = a\nremote = "b\\nc"\nflag\n[convosync "Sub.X"]\nKey = 1\n',
  );
  const env = { ...process.env, GIT_CONFIG_GLOBAL: join(folder, "config") };
  const settings = await readConfig(openGit(repo, env), "^convosync\\.");
  expect([...settings]).toEqual([
    ["convosync.remote", ["a", "b\nc"]],
    ["convosync.flag", ["true"]],
    ["convosync.Sub.X.key", ["1"]],
  ]);
  expect(await readConfig(git, "^convosync\\.")).toEqual(new Map());
  expect(await readFile(join(repo, ".git", "config"), "utf8")).not.toContain("convosync");
});

test.each([
  ["https://user:pa:ss@host/x.git", "https://host/x.git"],
  ["https://token@host:8443/x?y=a@b", "https://host:8443/x?y=a@b"],
  ["https://user:p@ss@host/x", "https://host/x"],
  [
    "unable to access 'https://u:p@h/x/': no (see http://h/y@z)",
    "unable to access 'https://h/x/': no (see http://h/y@z)",
  ],
  ["ssh://git@host/x", "ssh://host/x"],
  ["git@host:x.git", "git@host:x.git"],
  ["/home/me@work/x", "/home/me@work/x"],
  ["https://host/x", "https://host/x"],
])("scrubUrl %s", (text, clean) => expect(scrubUrl(text)).toBe(clean));
