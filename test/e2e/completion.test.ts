// Completion as shells ask for it, and what setup puts where.

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { done, one, pair, type Sandbox, temporaryFolder, two } from "./harness.ts";

const cli = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));
const library = "/usr/share/bash-completion/bash_completion";

let box: Sandbox;
beforeAll(async () => {
  box = await pair();
  box.desktop.say(0, 1, one);
  box.desktop.say(0, 2, two);
  done(await box.desktop.run("save", "-m", "Both", "--all-sessions"));
  box.desktop.git("branch", "feature/oauth");
  // A program of its own name on the PATH, as an installation makes it.
  const bin = join(box.desktop.home, "bin");
  mkdirSync(bin);
  for (const name of ["git-convosync", "convosync"]) symlinkSync(cli, join(bin, name));
});

async function candidates(...words: string[]): Promise<string[]> {
  const { exit, stdout, stderr } = await box.desktop.run("__complete", "--", ...words);
  expect({ exit, stderr }).toEqual({ exit: 0, stderr: "" });
  return stdout.split("\n").filter((line) => line !== "");
}

describe("__complete", () => {
  test("sessions by id with their title, snapshots behind @, branches, devices", async () => {
    const sessions = await candidates("show", "");
    expect(sessions.map((line) => line.split("\t")[0]).sort()).toEqual([one.slice(0, 8), two.slice(0, 8)]);
    expect(sessions[0]!.split("\t")[1]).not.toBe("");
    expect(await candidates("show", "1111")).toHaveLength(1);
    expect((await candidates("show", "11111111-"))[0]).toMatch(new RegExp(`^${one}\t`));
    expect(await candidates("show", "1111@")).toEqual(["1111@1\tBoth"]);
    expect((await candidates("list", "--branch", "")).map((line) => line.trim())).toEqual([
      "feature/oauth",
      "main",
    ]);
    expect(await candidates("list", "--branch=fea")).toEqual(["--branch=feature/oauth\t"]);
    expect(await candidates("list", "--device", "d")).toEqual([]);
    expect(await candidates("list", "--device", "D")).toEqual(["Desktop\tdesktop"]);
    expect(await candidates("init", "--recovery-file", "")).toEqual([":files"]);
  });

  test("outside a repository, and for nonsense, it is silent", async () => {
    const nowhere = box.desktop.with({ path: box.base });
    expect(await nowhere.run("__complete", "--", "show", "")).toEqual({ exit: 0, stdout: "", stderr: "" });
    expect(await candidates("frobnicate", "x", "")).toEqual([]);
  });

  test("a title that would steer the terminal does not", async () => {
    box.desktop.git("branch", "weird\u202eename");
    const lines = await candidates("list", "--branch", "");
    expect(lines.join("")).not.toMatch(/[\u0000-\u0008\u202e\u001b]/);
  });
});

describe("setup", () => {
  test("writes, writes again only what changed, leaves alone what is not ours, and removes its own", async () => {
    const { tablet } = box;
    const here = tablet.with({ path: box.base });
    const dry = await here.json("setup", "--dry-run");
    const files = dry.document["files"] as { what: string; path: string; state: string }[];
    expect(files.map((file) => file.what)).toEqual(expect.arrayContaining(["man page", "bash completion"]));
    expect(files.every((file) => file.state === "written" && !existsSync(file.path))).toBe(true);
    done(await here.run("setup"));
    expect(files.every((file) => existsSync(file.path))).toBe(true);
    const man = files.find((file) => file.what === "man page")!.path;
    expect(man).toBe(join(tablet.home, ".local/share/man/man1/git-convosync.1"));
    expect(readFileSync(man, "utf8")).toBe(
      readFileSync(new URL("../../man/git-convosync.1", import.meta.url), "utf8"),
    );
    const states = async (...argv: string[]): Promise<string[]> =>
      ((await here.json("setup", ...argv)).document["files"] as { state: string }[]).map(
        (file) => file.state,
      );
    expect(new Set(await states())).toEqual(new Set(["current"]));
    writeFileSync(man, `.\\" made by git-convosync, an older one\n`);
    expect((await states())[0]).toBe("written");
    writeFileSync(man, "mine\n");
    expect((await states())[0]).toBe("foreign");
    const removed = await states("--uninstall");
    expect(removed[0]).toBe("foreign");
    expect(new Set(removed.slice(1))).toEqual(new Set(["removed"]));
    expect(readFileSync(man, "utf8")).toBe("mine\n");
    expect(files.filter((file) => existsSync(file.path))).toHaveLength(1);
  });
});

describe("bash", () => {
  // The words as readline splits them at its usual breaks, which a shell that is not interactive does not
  // have; bash-completion takes the @ out of them.
  const script = `
    COMP_WORDBREAKS=$' \\t\\n"\\'@><=;|&(:'
    . ${library}
    _completion_loader git; _completion_loader git-convosync
    . <(git-convosync completion bash)
    COMP_TYPE=9 COMP_LINE=$1 COMP_POINT=\${#1}
    shift
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    if [[ $1 == git ]]; then __git_wrap__git_main; else __git_convosync_program; fi
    printf '%s\\n' "\${COMPREPLY[@]}"`;

  test.skipIf(!existsSync(library)).for([
    ["git convosync show 1", ["git", "convosync", "show", "1"], one.slice(0, 8)],
    ["git -C . convosync pin 2", ["git", "-C", ".", "convosync", "pin", "2"], two.slice(0, 8)],
    ["convosync show 1111@", ["convosync", "show", "1111@"], "1111@1"],
    ["git convosync list --branch=fe", ["git", "convosync", "list", "--branch", "=", "fe"], "feature/oauth"],
    ["git-convosync sho", ["git-convosync", "sho"], "show"],
  ] as const)("%s", ([line, words, reply]) => {
    const { desktop } = box;
    const env = { ...desktop.env, PATH: `${join(desktop.home, "bin")}:${desktop.env["PATH"]}` };
    const stdout = execFileSync("bash", ["--norc", "-c", script, "bash", line, ...words], {
      cwd: desktop.path,
      env,
      encoding: "utf8",
    });
    expect(stdout).toBe(`${reply}\n`);
  });

  test("the other shells' scripts name the same engine", async () => {
    const here = box.desktop.with({ path: temporaryFolder() });
    for (const shell of ["bash", "zsh", "fish"]) {
      const { stdout } = done(await here.run("completion", shell));
      expect(stdout).toContain("git-convosync __complete -- ");
      expect(stdout.slice(0, 400)).toContain("made by git-convosync");
    }
    expect((await here.run("completion", "tcsh")).exit).toBe(2);
  });
});
