import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { files, initialise, type Machine, Sandbox, sessionId } from "../faults/sandbox.ts";
import { onRemote, readTree } from "./forge.ts";

// The remote must hold nothing of a conversation: not in objects, not in names, not in the fields of commits.

const sandbox = new Sandbox();
afterAll(() => sandbox.remove());

/** Words that occur nowhere but in what must stay secret. */
const secrets = {
  text: "zanzibar-quokka-marmalade",
  title: "Xylophone Gherkin Refactoring",
  branch: "feature/wombat-lighthouse",
  message: "Porcupine Observatory Milestone",
  device: "Thunderclap Rutabaga",
  sidecar: "flibbertigibbet-output",
  fileName: "hullabaloo-result",
  agent: "agent-skedaddle",
  email: "kerfuffle@lollygag.example",
} as const;

let desktop: Machine;
let laptop: Machine;

beforeAll(() => {
  desktop = sandbox.machine("desktop");
  desktop.sandbox.git("config", "gc.auto", "0");
  desktop.clone();
  desktop.git("switch", "--quiet", "--orphan", secrets.branch);
  Object.assign(desktop.env, { GIT_AUTHOR_EMAIL: secrets.email, GIT_COMMITTER_EMAIL: secrets.email });
  initialise(desktop, "--device-name", secrets.device);
  for (let round = 0; round < 3; round++) {
    desktop.talk(round * 20, 20);
    desktop.say({ type: "user", text: `${secrets.text} number ${round}` });
    desktop.say({ type: "custom-title", customTitle: secrets.title });
    desktop.sidecar(`tool-results/${secrets.fileName}-${round}.txt`, `${secrets.sidecar} ${round}\n`);
    desktop.sidecar(`subagents/${secrets.agent}.jsonl`, `{"type":"user","text":"${secrets.sidecar}"}\n`);
    desktop.convosync(["save", "--no-code", secrets.message]);
  }
  laptop = sandbox.machine("laptop");
  laptop.clone();
  initialise(laptop, "--join");
  laptop.convosync(["resume", "--stay-on-branch"]);
  laptop.talk(60, 5);
  laptop.convosync(["save", "--no-code", secrets.message]);
  desktop.convosync(["delete", "--yes", sessionId]);
  desktop.convosync(["save", "--no-code", "--force", secrets.message]);
});

/** Every object of the remote, whole and in the open, also what no ref holds any more. */
function objects(): Buffer[] {
  const names = sandbox
    .git("cat-file", "--batch-all-objects", "--batch-check=%(objectname) %(objecttype)")
    .split("\n");
  return names.map((line) => {
    const [name, type] = line.split(" ") as [string, string];
    return sandbox.bytes("cat-file", type, name);
  });
}

/** The first 8-byte piece of a word, in any of the spellings a program might leave behind, that occurs in bytes. */
function leaked(bytes: Buffer, word: string): string | undefined {
  for (const spelling of [word, word.toLowerCase(), Buffer.from(word).toString("hex"), base64(word)]) {
    for (let at = 0; at + 8 <= spelling.length; at++) {
      const piece = spelling.slice(at, at + 8);
      if (bytes.includes(piece)) return piece;
    }
  }
  return undefined;
}

const base64 = (word: string): string =>
  Buffer.from(word)
    .toString("base64")
    .replace(/.{0,2}=*$/, "");

describe("the remote", () => {
  const words = (): string[] => [
    ...Object.values(secrets),
    sessionId,
    "number 0",
    "login.js, then log in again",
    "code-of-desktop",
    "code-of-laptop",
    "claude-code",
    '"sessionId"',
    "AGE-SECRET-KEY",
    readFileSync(join(sandbox.root, "live", "recovery-code.txt"), "utf8").trim(),
  ];

  test("really has what was saved", async () => {
    const refs = sandbox.git("for-each-ref", "--format=%(refname)").split("\n");
    expect(refs.filter((ref) => ref.includes("/session/")).length).toBeGreaterThan(0);
    const trees = await onRemote(sandbox, (db) =>
      Promise.all(refs.map((ref) => readTree(db, sandbox.git("rev-parse", ref)))),
    );
    expect(trees.reduce((sum, tree) => sum + tree.size, 0)).toBeGreaterThan(10);
    expect(leaked(Buffer.from(`…${secrets.text}…`), secrets.text)).toBeDefined();
  });

  test("holds no plaintext in any object, reachable or not", () => {
    const all = objects();
    expect(all.length).toBeGreaterThan(30);
    for (const bytes of all) for (const word of words()) expect(leaked(bytes, word)).toBeUndefined();
  });

  test("holds none in the bytes of its files, nor in their names", () => {
    for (const path of files(sandbox.remote)) {
      const name = path.slice(sandbox.remote.length);
      // git's own samples and settings say nothing of ours.
      if (/^\/(?:hooks|info|description|config)/.test(name)) continue;
      for (const word of words()) {
        expect(leaked(readFileSync(path), word), name).toBeUndefined();
        expect(leaked(Buffer.from(name), word), name).toBeUndefined();
      }
    }
  });

  test("shows the same person, message and whole hour in every commit", () => {
    const log = sandbox.git(
      "log",
      "--all",
      "--glob=refs/convosync",
      "--format=%an|%ae|%cn|%ce|%s|%b|%at|%ct|%ai",
    );
    for (const line of log.split("\n")) {
      const [author, mail, committer, committerMail, subject, body, at, ct, iso] = line.split("|");
      expect([author, mail, committer, committerMail, subject, body]).toEqual([
        "convosync",
        "convosync@invalid",
        "convosync",
        "convosync@invalid",
        "convosync",
        "",
      ]);
      expect([Number(at) % 3600, Number(ct) % 3600]).toEqual([0, 0]);
      expect(iso).toMatch(/ \+0000$/);
    }
  });

  test("has names of one shape only", () => {
    for (const ref of sandbox.git("for-each-ref", "--format=%(refname)").split("\n")) {
      expect(ref).toMatch(
        /^refs\/convosync\/[a-z2-7]{13}\/(?:keyring|head\/[a-z2-7]{13}|session\/[a-z2-7]{16}\/[a-z2-7]{13})$/,
      );
    }
  });
});
