// Refusals as a person and as a script meet them: exit status, stdout, stderr, and the document under --json.

import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { settings } from "../../src/sessions/settings.ts";
import { cli, done, git, type Machine, one, pair, type Sandbox, sandbox, three, two } from "./harness.ts";

/** Runs a command that must fail, in words and as JSON: both say the same, and say it in full. */
async function refuses(
  machine: Machine,
  argv: readonly string[],
  wanted: { code: string; exit: number; says: readonly [message: string, ...hints: string[]] },
): Promise<void> {
  const { code, exit, says } = wanted;
  const [message, ...hints] = says;
  const before = machine.footprint();
  const told = await machine.run(...argv);
  expect({ exit: told.exit, stdout: told.stdout }).toEqual({ exit, stdout: "" });
  const block = [`error: ${message}`, ...hints.map((hint) => `hint: ${hint}`), ""].join("\n");
  expect(told.stderr.slice(-block.length)).toBe(block);
  const { document, exit: status } = await machine.json(...argv);
  expect({ status, error: document["error"] }).toEqual({
    status: exit,
    error: { code, message, hints, exit },
  });
  expect(machine.footprint()).toEqual(before);
}

describe("before anything is saved", () => {
  let box: Sandbox;
  let desktop: Machine;
  beforeAll(async () => {
    box = await pair();
    ({ desktop } = box);
  });

  test("no conversation belongs to this work tree", () =>
    refuses(desktop, ["save"], {
      code: "no-conversation",
      exit: 1,
      says: [
        "no conversation of Claude Code, Codex, Gemini CLI, GitHub Copilot CLI, Qwen Code, opencode or Cursor belongs to this work tree",
        "start one here first, or run this where the agent was started",
        "nothing was committed; for the code alone use git itself",
      ],
    }));

  test("nothing has been saved", () =>
    refuses(desktop, ["resume"], {
      code: "nothing-saved",
      exit: 1,
      says: [
        "no session has been saved in this repository yet",
        "save one where the conversation is: git convosync save",
      ],
    }));

  test("a transcript of more than 512 MiB", async () => {
    const path = join(desktop.home, "large.jsonl");
    writeFileSync(path, "");
    truncateSync(path, 512 * 2 ** 20 + 1);
    await refuses(desktop, ["import", path], {
      code: "session-too-large",
      exit: 1,
      says: [`'${path}' is larger than 512 MiB`],
    });
  });

  test("a bug is told from what is wrong outside", async () => {
    const script = join(desktop.home, "broken.cjs");
    writeFileSync(script, `Date.prototype.getTime = () => { throw new TypeError("broken on purpose") };`);
    const broken = desktop.with({ env: { NODE_OPTIONS: `--require=${script}` } });
    const hint = "this is a bug in convosync; run the command again with --debug and report what it prints";
    expect(await broken.spawn("sync")).toEqual({
      exit: 1,
      stdout: "",
      stderr: `error: unexpected: broken on purpose\nhint: ${hint}\n`,
    });
    const { exit, stdout } = await broken.spawn("sync", "--json");
    expect({ exit, error: JSON.parse(stdout).error }).toEqual({
      exit: 1,
      error: { code: "internal", message: "unexpected: broken on purpose", hints: [hint], exit: 1 },
    });
  });

  test("a Node that is bound to FIPS 140", async () => {
    const script = join(desktop.home, "fips.cjs");
    const refused = "error:0308010C:digital envelope routines::unsupported";
    writeFileSync(
      script,
      `const crypto = require("node:crypto");
const unless = (all, allowed) => (...args) => {
  if (!allowed.test(String(args[0]))) throw new Error("${refused}");
  return all(...args);
};
crypto.getFips = () => 1;
crypto.createCipheriv = unless(crypto.createCipheriv, /^aes/);
crypto.createDecipheriv = unless(crypto.createDecipheriv, /^aes/);
crypto.generateKeyPairSync = unless(crypto.generateKeyPairSync, /^ed25519$/);
`,
    );
    const bound = desktop.with({ env: { NODE_OPTIONS: `--require=${script}` } });
    const before = desktop.footprint();
    const message = "this Node cannot do X25519 and ChaCha20-Poly1305, as it is bound to FIPS 140";
    const hint =
      "age needs it: run convosync with a Node that has its own OpenSSL, as the builds of the Node project have";
    for (const argv of [["save"], ["status"], ["init", "--join", "--recovery-file", "none"]])
      expect((await bound.spawn(...argv)).stderr).toMatch(`error: ${message}\nhint: ${hint}\n`);
    const { exit, stdout } = await bound.spawn("resume", "--json");
    const error = { code: "no-cryptography", message, hints: [hint], exit: 1 };
    expect({ exit, error: JSON.parse(stdout).error }).toEqual({ exit: 1, error });
    expect(desktop.footprint()).toEqual(before);
  });

  test("nothing to undo", async () => {
    const message = "nothing was done here that could be undone";
    await refuses(desktop, ["undo"], { code: "nothing-to-undo", exit: 1, says: [message] });
    await refuses(desktop, ["undo", "99"], {
      code: "nothing-to-undo",
      exit: 1,
      says: ["there is no operation 99", "see them: git convosync undo --list"],
    });
  });

  test("a bare repository", async () => {
    const bare = desktop.with({ path: box.remote });
    const { exit, stdout, stderr } = await bare.run("save");
    expect({ exit, stdout }).toEqual({ exit: 4, stdout: "" });
    expect(stderr).toContain(
      "error: this repository has no work tree\nhint: run this inside a work tree of it: git worktree list\n",
    );
    const { document } = await bare.json("save");
    expect(document["error"]).toMatchObject({ code: "bare-repository", exit: 4 });
  });

  test.each([
    [["log"], "missing required argument 'session'", ["see: git convosync log -h"]],
    [["hooks"], "'hooks' goes on with one of: install, uninstall, status", ["see: git convosync hooks -h"]],
    [["hooks", "install", "--nope"], "unknown option '--nope'", ["see: git convosync hooks install -h"]],
    [["sav"], "unknown command 'sav'", ["Did you mean save?", "see: git convosync -h"]],
    [["help", "nope"], "unknown command 'nope'", ["see: git convosync -h"]],
    [["save", "--stash", "-b", "x"], "--stash and --branch exclude each other", ["choose one of them"]],
    [["save", "--no-code", "--stash"], "--no-code and --stash exclude each other", ["choose one of them"]],
    [["save", "--retry", "--no-push"], "--retry and --no-push exclude each other", ["choose one of them"]],
    [
      ["resume", "--read-only", "--stash"],
      "--read-only and --stash exclude each other",
      ["choose one of them"],
    ],
    [
      ["save", "--session", "1", "--all-sessions"],
      "--session and --all-sessions exclude each other",
      ["choose one of them"],
    ],
    [
      ["save", "one", "-m", "other"],
      "--message and a message as an argument exclude each other",
      ["choose one of them"],
    ],
    [
      ["show", "1", "--raw", "--last", "2"],
      "--raw is all of it, without --from, --limit and --last",
      ["leave --raw out, or cut its lines yourself: … --raw | tail -n 5"],
    ],
    [["list", "--limit", "1.5"], "'1.5' is not a number of sessions", ["for instance: --limit 5"]],
    [["log", "1", "--limit", "0"], "'0' is not a number of snapshots", ["for instance: --limit 5"]],
  ])("a command line that is none: %j", async (argv, message, hints) => {
    const { exit, stdout, stderr } = await desktop.run(...argv);
    const told = [`error: ${message}`, ...hints.map((hint) => `hint: ${hint}`), ""].join("\n");
    expect({ exit, stdout, stderr }).toEqual({ exit: 2, stdout: "", stderr: told });
  });

  test("an agent nobody knows", async () => {
    const known = "known agents: claude, codex, gemini, copilot, qwen, opencode, cursor";
    const says = ["no agent is called 'nobody'", known] as const;
    for (const verb of [["save"], ["list"], ["search", "text"], ["import", desktop.path]])
      await refuses(desktop, [...verb, "--agent", "nobody"], { code: "unknown-agent", exit: 2, says });
  });

  test("settings", async () => {
    const names = `settings: ${settings.map((one) => one.name).join(", ")}`;
    await refuses(desktop, ["config", "hotrefs.x"], {
      code: "unknown-setting",
      exit: 2,
      says: ["there is no setting 'hotrefs.x'", names],
    });
    await refuses(desktop, ["config", "hotRefs", "many"], {
      code: "bad-setting",
      exit: 2,
      says: [
        "'many' does not fit: hotRefs is a whole number from 1",
        settings.find((one) => one.name === "hotRefs")!.what,
      ],
    });
    await refuses(desktop, ["config", "hotRefs", "--unset"], {
      code: "not-set",
      exit: 1,
      says: [
        "hotRefs is not set in this repository's configuration",
        "see where it is: git convosync config hotRefs",
      ],
    });
  });

  test("templates", async () => {
    await refuses(desktop, ["template", "show", "nope"], {
      code: "no-such-template",
      exit: 1,
      says: [
        "there is no template 'nope'",
        "see them: git convosync template list",
        "fetch what other devices saved: git convosync sync",
      ],
    });
    writeFileSync(join(desktop.home, "long.txt"), "word ".repeat(10_000));
    await refuses(desktop, ["template", "save", "long", "--file", join(desktop.home, "long.txt")], {
      code: "template-too-large",
      exit: 1,
      says: [
        "a prompt has at most 16,000 characters",
        "shorten it, or have the agent read a file: it needs to say only which",
      ],
    });
  });

  test("what is to be imported", async () => {
    await refuses(desktop, ["import", "nowhere.jsonl"], {
      code: "unreadable-file",
      exit: 2,
      says: [
        `cannot read '${join(desktop.path, "nowhere.jsonl")}'`,
        "give a bundle, an agent's transcript, or a folder with one: git convosync import --help",
      ],
    });
    await refuses(desktop, ["import", "README.md"], {
      code: "not-a-conversation",
      exit: 1,
      says: [
        `'${join(desktop.path, "README.md")}' is neither a bundle nor a conversation of a known agent`,
        "make one: git convosync export <session> --format bundle -o talk.convosync",
      ],
    });
  });
});

describe("setting up", () => {
  test("a remote without a vault, no remote at all, a vault that is somebody's", async () => {
    const { desktop, tablet, code } = sandbox();
    mkdirSync(desktop.path, { recursive: true });
    desktop.git("init", "-q");
    await refuses(desktop, ["init", "--join", "--recovery-file", code], {
      code: "no-remote",
      exit: 8,
      says: ["this repository has no remote", "add one: git remote add origin <url>"],
    });
    rmSync(desktop.path, { recursive: true });
    await desktop.begin();
    tablet.clone();
    await refuses(tablet, ["init"], {
      code: "vault-exists",
      exit: 4,
      says: [
        "this repository has a vault that this device has not joined",
        "join it with its recovery code: git convosync init --join",
        "if it is somebody else's, make your own beside it: git convosync init --new-vault",
      ],
    });
    await refuses(tablet, ["list"], {
      code: "not-set-up",
      exit: 7,
      says: [
        "convosync is not set up in this repository",
        "on your first machine: git convosync init",
        "on every other one: git convosync init --join",
      ],
    });
  });

  test("a remote that takes no enrolment", async () => {
    const box = sandbox();
    await box.desktop.begin();
    box.tablet.clone();
    const hook = join(box.remote, "hooks", "pre-receive");
    mkdirSync(join(box.remote, "hooks"), { recursive: true });
    writeFileSync(hook, "#!/bin/sh\nexit 1\n");
    chmodSync(hook, 0o755);
    await refuses(box.tablet, ["init", "--join", "--recovery-file", box.code], {
      code: "join-refused",
      exit: 8,
      says: [
        "'origin' did not take the enrolment of this device",
        "you need permission to push to it; then try again",
      ],
    });
  });

  test("a keyring under another vault's name", async () => {
    const box = sandbox();
    await box.desktop.begin();
    box.tablet.clone();
    const ref = box.remoteGit("for-each-ref", "--format=%(refname)", "refs/convosync/*/keyring");
    const other = ref.replace(/convosync\/(.)/, (_, first) => `convosync/${first === "a" ? "b" : "a"}`);
    box.remoteGit("update-ref", other, ref);
    box.remoteGit("update-ref", "-d", ref);
    await refuses(box.tablet, ["init", "--join", "--recovery-file", box.code], {
      code: "wrong-vault",
      exit: 6,
      says: ["a keyring stands under another vault's name"],
    });
  });

  test("a repository that anyone can read", async () => {
    const { desktop, remote } = sandbox();
    mkdirSync(desktop.path, { recursive: true });
    desktop.git("init", "-q");
    desktop.write("README.md", "# Shop\n");
    desktop.commit("first");
    desktop.git("push", "-q", remote, "main");
    git(remote, desktop.env, "update-server-info");
    const server = createServer((request, response) => {
      const path = join(remote, new URL(request.url ?? "/", "http://localhost").pathname);
      if (!existsSync(path) || !statSync(path).isFile()) response.writeHead(404).end();
      else response.end(readFileSync(path));
    });
    await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
    try {
      const { port } = server.address() as AddressInfo;
      desktop.git("remote", "add", "origin", `http://127.0.0.1:${port}/`);
      await refuses(desktop, ["init", "--yes"], {
        code: "public-repository",
        exit: 4,
        says: [
          "anyone can read this repository",
          "what is pushed stays public for ever, if only as ciphertext; if you accept that: git convosync init --public",
        ],
      });
    } finally {
      server.close();
    }
  });

  test("keys and what is remembered of them", async () => {
    const { laptop } = await pair();
    const keys = join(laptop.home, ".config/convosync/device.txt");
    chmodSync(keys, 0o644);
    await refuses(laptop, ["list"], {
      code: "key-exposed",
      exit: 7,
      says: [
        `others can read the key file ${keys}`,
        `make it yours alone: chmod 600 '${keys}'`,
        "where the disk keeps no permissions, have your keys on another: XDG_CONFIG_HOME",
      ],
    });
    chmodSync(keys, 0o600);
    const state = join(laptop.home, ".config/convosync/state.json");
    const was = readFileSync(state);
    writeFileSync(state, "{");
    await refuses(laptop, ["list"], {
      code: "damaged-state",
      exit: 1,
      says: [
        `${state} is damaged`,
        "restore it from a backup",
        "or remove it: what it remembers against rollbacks is learnt anew",
      ],
    });
    writeFileSync(state, was);
    done(await laptop.run("list"));
  });
});

describe("with sessions", () => {
  let box: Sandbox;
  let desktop: Machine;
  let laptop: Machine;
  beforeAll(async () => {
    box = await pair();
    ({ desktop, laptop } = box);
    desktop.say(0, 1);
    desktop.say(0, 1, two);
    done(await desktop.run("save", "--all-sessions", "First"));
  });

  test("a name that could be several, and one that is none", async () => {
    const alike = "11111111-2222-4111-8111-111111111111";
    desktop.say(0, 1, alike);
    done(await desktop.run("save", "--session", alike));
    const { document, exit } = await desktop.json("show", "11111111");
    expect({ exit, error: document["error"] }).toMatchObject({
      exit: 2,
      error: { code: "ambiguous-session", message: "'11111111' could be 2 sessions" },
    });
    await refuses(desktop, ["show", "nothing-like-it"], {
      code: "session-not-found",
      exit: 1,
      says: [
        "no session matches 'nothing-like-it'",
        "see what is saved: git convosync list",
        "fetch what other devices saved: git convosync sync",
        "one that was not saved yet: git convosync save --session <id>",
      ],
    });
  });

  test("snapshots that are not there", async () => {
    await refuses(desktop, ["show", `${one}@abcdef1`], {
      code: "snapshot-not-found",
      exit: 1,
      says: ["no snapshot of this session is at 'abcdef1'", "see its snapshots: git convosync log 11111111"],
    });
  });

  test("a file beside a conversation that is imported is too large", async () => {
    const folder = join(desktop.home, "taken-along");
    const huge = join(folder, one, "tool-results", "huge.txt");
    desktop.write(join(folder, `${one}.jsonl`), readFileSync(desktop.transcript(one)));
    desktop.write(huge, new Uint8Array((32 << 20) + 1));
    await refuses(desktop, ["import", folder], {
      code: "file-too-large",
      exit: 1,
      says: [`'${huge}' is larger than 32 MiB`, "move it out of the folder to import the rest"],
    });
    rmSync(folder, { recursive: true });
  });

  test("a conversation in which nobody says anything", async () => {
    const silent = "44444444-4444-4444-8444-444444444444";
    desktop.write(desktop.transcript(silent), `{"type":"mode","cwd":${JSON.stringify(desktop.path)}}\n`);
    done(await desktop.run("save", "--session", silent));
    await refuses(desktop, ["template", "save", "silent", "--from", silent], {
      code: "no-prompt",
      exit: 1,
      says: [
        "nobody says anything in this conversation",
        "give the text itself: git convosync template save <name> <text>",
      ],
    });
  });

  test("work in progress where nothing has been committed", async () => {
    const unborn = desktop.with({ path: join(desktop.home, "code/unborn") });
    mkdirSync(unborn.path, { recursive: true });
    unborn.git("init", "-q");
    done(await unborn.run("init", "--yes"));
    unborn.say(0, 1, three);
    unborn.write("new.txt", "new\n");
    await refuses(unborn, ["save", "--stash"], {
      code: "nothing-committed",
      exit: 4,
      says: [
        "there is no commit yet that work in progress could stand on",
        "make the first one: git convosync save",
        "or save the conversation alone: git convosync save --no-code",
      ],
    });
  });

  test("the agent removes its transcript while it is being saved", async () => {
    const id = "44444444-4444-4444-8444-444444444444";
    const transcript = desktop.transcript(id);
    desktop.write(transcript, desktop.told(2, id, " (soon gone)", 1));
    desktop.write("README.md", "changed meanwhile\n");
    const real = execFileSync("sh", ["-c", "command -v git"], { encoding: "utf8" }).trim();
    const folder = join(desktop.home, "wrapper");
    mkdirSync(folder);
    // Between looking for conversations and reading this one, the code is committed.
    const gone = `case " $* " in *" commit "*) rm -f '${transcript}' ;; esac`;
    writeFileSync(join(folder, "git"), `#!/bin/sh\n${gone}\nexec ${real} "$@"\n`, { mode: 0o755 });
    const meddled = desktop.with({ env: { PATH: `${folder}:${desktop.env["PATH"]}` } });
    const before = desktop.git("rev-parse", "HEAD");
    const { exit, document } = await meddled.json("save", "--session", id);
    expect({ exit, error: document["error"] }).toEqual({
      exit: 1,
      error: {
        code: "no-transcript",
        message: `session ${id} has no transcript`,
        hints: [
          "its agent has removed the file meanwhile; what was saved of it before stays saved",
          "a commit that was made stands; see it and what is not pushed: git status",
        ],
        exit: 1,
      },
    });
    expect(desktop.git("rev-parse", "HEAD^")).toBe(before);
    done(await desktop.run("save", "--session", one));
    expect(desktop.git("rev-parse", "HEAD")).toBe(desktop.git("ls-remote", "origin", "main").split("\t")[0]);
  });

  test("the index is held by a hook that has failed", async () => {
    const hook = join(desktop.path, ".git", "hooks", "pre-commit");
    const lock = join(desktop.path, ".git", "index.lock");
    writeFileSync(hook, `#!/bin/sh\ntouch "${lock}"\nexit 1\n`, { mode: 0o755 });
    desktop.write("README.md", "changed\n");
    const { exit, document } = await desktop.json("save", "--session", one);
    expect({ exit, error: document["error"] }).toEqual({
      exit: 1,
      error: {
        code: "index-locked",
        message: "another git process holds the index, so what was staged could not be unstaged",
        hints: ["git restore --staged .", `if no git is running, first: rm '${lock}'`],
        exit: 1,
      },
    });
    expect(existsSync(lock)).toBe(true);
    rmSync(lock);
    rmSync(hook);
    desktop.git("checkout", "-q", "HEAD", "--", ".");
  });

  test("two conversations that have nothing in common", async () => {
    desktop.write(desktop.transcript(three), desktop.told(2, three, " (apart)", 1));
    done(await desktop.run("save", "--session", three));
    await refuses(desktop, ["merge", one, three], {
      code: "not-branches",
      exit: 1,
      says: [
        "11111111 and 33333333 are no branches of one conversation",
        "two sessions can be merged when one was forked from the other, or both from a third",
      ],
    });
  });

  test("an operation that was undone already", async () => {
    done(await desktop.run("pin", two));
    const { document } = await desktop.json("undo");
    const n = String(document["operation"]["n"]);
    await refuses(desktop, ["undo", n], {
      code: "cannot-undo",
      exit: 4,
      says: [`operation ${n} was undone already`],
    });
  });

  test("a session that was deleted", async () => {
    done(await desktop.run("delete", two, "--yes"));
    await refuses(desktop, ["save", "--session", two], {
      code: "session-deleted",
      exit: 4,
      says: [`session ${two} was deleted on purpose`, "save it all the same: git convosync save --force"],
    });
  });

  test("the remote is gone", async () => {
    done(await laptop.run("sync"));
    const away = `${box.remote}.away`;
    renameSync(box.remote, away);
    try {
      const { exit, document } = await laptop.json("sync");
      expect({ exit, error: document["error"] }).toMatchObject({
        exit: 8,
        error: {
          code: "remote-unreachable",
          message: expect.stringMatching(/^cannot reach 'origin': /),
          hints: ["check the network and your access: git ls-remote origin"],
        },
      });
      await refuses(laptop, ["resume", one], {
        code: "session-not-here",
        exit: 8,
        says: [
          "the conversation is not on this device yet, and the remote cannot be reached",
          "try again when it can: git convosync resume",
        ],
      });
    } finally {
      renameSync(away, box.remote);
    }
  });
});

test("a folder for temporary files that is not there is named, with where that is said", async () => {
  const { desktop } = await pair();
  desktop.say(0, 1);
  desktop.write("work.txt", "work\n");
  const gone = join(desktop.home, "gone");
  const elsewhere = desktop.with({ env: { TMPDIR: gone, TEMP: gone, TMP: gone } });
  const { exit, stderr } = await elsewhere.spawn("save", "--stash");
  expect({ exit, stderr }).toEqual({
    exit: 1,
    stderr: expect.stringContaining(`hint: temporary files go to ${gone}, as TMPDIR or the system says`),
  });
  done(await elsewhere.spawn("save"));
});

test.skipIf(process.platform === "win32")(
  "a shell in a directory that was removed is told so (not Windows)",
  async () => {
    const { desktop } = await pair();
    const gone = join(desktop.home, "gone");
    const inGone = (argv: string) => {
      mkdirSync(gone, { recursive: true });
      const program = `rmdir '${gone}' && '${process.execPath}' '${cli}' ${argv}`;
      return spawnSync("sh", ["-c", program], { cwd: gone, env: desktop.env, encoding: "utf8" });
    };
    const { status, stderr } = inGone("status");
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: "error: the directory you are in is gone\nhint: go to one that is there: cd\n",
    });
    expect(JSON.parse(inGone("save --json").stdout)).toMatchObject({
      error: { code: "no-directory", exit: 1 },
    });
    expect(inGone("--help").status).toBe(0);
  },
);

describe.skipIf(process.platform !== "linux")("output that cannot be written (Linux: /dev/full)", () => {
  let box: Sandbox;
  beforeAll(async () => {
    box = await pair();
    box.desktop.say(0, 1);
    done(await box.desktop.run("save"));
  });

  /** Runs the program in a shell, with what follows its arguments there. */
  const inShell = ({ cwd, env }: Machine, argv: string, redirection: string) => {
    const program = `'${process.execPath}' '${cli}' ${argv} ${redirection}`;
    return spawnSync("sh", ["-c", program], { cwd, env, encoding: "utf8" });
  };

  test("is told, and is a failure", () => {
    for (const argv of ["list --json", "list", `export ${one}`, `show ${one} --raw`, "--help"]) {
      const { status, stderr } = inShell(box.desktop, argv, ">/dev/full");
      expect({ argv, status, stderr }).toEqual({
        argv,
        status: 1,
        stderr: expect.stringMatching(/^error: write: ENOSPC.*\nhint: the disk is full.*\n$/),
      });
    }
  });

  test("is no reason to stop in the middle of a save", async () => {
    const { desktop, remoteGit } = box;
    for (const [at, nowhere] of ["2>/dev/full", "2>&1 | head -n 1"].entries()) {
      desktop.say(at + 1, at + 2);
      desktop.write("a.txt", `${at}\n`);
      expect(inShell(desktop, "save", nowhere).status).toBe(0);
      expect(desktop.git("status", "--porcelain")).toBe("");
      expect(remoteGit("rev-parse", "main")).toBe(desktop.head());
      expect((await desktop.run("save")).stderr).toMatch(/Nothing new/);
    }
  });
});
