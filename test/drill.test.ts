import { spawn, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseRef } from "../src/refs/names.ts";
import { codeFile, conversation, desktopAtWork, initialise, Sandbox } from "./faults/sandbox.ts";

// ConvoSync is gone, and only git, age, gunzip and xdelta3 are left: the README of the keyring must be enough.

const has = (program: string): boolean => spawnSync("sh", ["-c", `command -v ${program}`]).status === 0;
const hasTerminal = spawnSync("script", ["--version"], { encoding: "utf8" }).stdout?.includes("util-linux");
const lacking = ["age", "gunzip", "xdelta3"].filter((program) => !has(program));
if (!hasTerminal) lacking.push("script of util-linux");
const id = "5e55104e-0000-4000-8000-c0ffee000002";

describe(`the drill with stock tools${lacking.length > 0 ? ` (not here: ${lacking.join(", ")})` : ""}`, () => {
  const sandbox = new Sandbox();
  let clone: string;
  let readme: string;
  let stored: string;
  let session: string;
  let device: string;
  afterAll(() => sandbox.remove());

  beforeAll(() => {
    const desktop = desktopAtWork(sandbox);
    initialise(desktop);
    for (const part of [0, 1, 2]) {
      desktop.talk(part * 40, 40, id);
      desktop.convosync(["save", "--session", id, `part ${part}`]);
    }
    stored = conversation(desktop.work, 0, 120, id).replaceAll(desktop.work, "{{CS:ROOT}}");
    device = join(desktop.home, ".config", "convosync", "device.txt");
    clone = sandbox.machine("nobody").work;
    sandbox.machine("nobody").clone();
    const refs = sandbox.git("for-each-ref", "--format=%(refname)", "refs/convosync").split("\n");
    session = refs.find((ref) => parseRef(ref)?.kind === "session")!;
    readme = sandbox.git(
      "cat-file",
      "blob",
      `${refs.find((ref) => parseRef(ref)?.kind === "keyring")}:README.md`,
    );
  });

  /** The commands of the README, block by block, with what it asks to be filled in filled in. */
  const blocks = (): string[] => {
    const name = parseRef(session);
    if (name?.kind !== "session") throw new Error(`not a session: ${session}`);
    const found: string[] = [];
    for (const paragraph of readme.split(/\n(?=\S)|\n\n(?=\S)/)) {
      const code = paragraph.split("\n").filter((line) => line.startsWith("    "));
      if (code.length > 0) found.push(code.map((line) => line.slice(4)).join("\n"));
    }
    return found.map((block) => block.replace("<d>/<replica>", `${name.dir}/${name.replica}`));
  };

  /** Runs a script in the clone as a person at a terminal would, who types this when asked for a passphrase. */
  function atTerminal(script: string, typed: string): Promise<string> {
    return new Promise((done, fail) => {
      writeFileSync(join(clone, "drill.sh"), script);
      const child = spawn("script", ["-qec", "sh -eu drill.sh", "/dev/null"], { cwd: clone });
      let shown = "";
      child.stdout.on("data", (chunk: Buffer) => {
        shown += chunk.toString();
        if (/passphrase[^\n]*:\s*$/i.test(shown)) child.stdin.write(`${typed}\n`);
      });
      child.on("close", (code) =>
        code === 0 ? done(shown) : fail(new Error(`exit status ${code}: ${shown}`)),
      );
    });
  }

  test.skipIf(lacking.length > 0)("opens everything with the recovery code", async () => {
    const [open, list, manifest, read] = blocks() as [string, string, string, string];
    const code = readFileSync(codeFile(sandbox), "utf8").trim();
    const script = [open, list, manifest, read].join("\n");
    const shown = await atTerminal(script, code);
    expect(shown).toContain(`"s":"claude:${id}"`);
    expect(shown).toContain('"type":"manifest"');
    expect(readFileSync(join(clone, "session.jsonl"), "utf8")).toBe(stored);
  });

  test.skipIf(lacking.length > 0)("opens everything with the key file of a device", () => {
    const [open, , manifest, read] = blocks() as [string, string, string, string];
    const script = [open.replace("-i recovery.age", `-i ${device}`), manifest, read].join("\n");
    const { status, stderr } = spawnSync("sh", ["-eu"], { cwd: clone, input: script, encoding: "utf8" });
    expect(status, stderr).toBe(0);
    expect(readFileSync(join(clone, "session.jsonl"), "utf8")).toBe(stored);
  });
});
