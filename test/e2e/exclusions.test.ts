// What save never commits, and what it commits only when told to.

import { copyFileSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { done, git, type Machine, one, pair, type Sandbox } from "./harness.ts";

/** A repository whose work tree is the home directory, with one file and a vault. */
async function dotfiles({ base, desktop }: Sandbox, gitDir: string): Promise<Machine> {
  const { home } = desktop;
  const remote = join(base, "dotfiles.git");
  git(base, desktop.env, "init", "-q", "--bare", "-b", "main", remote);
  const folder = join(home, gitDir);
  const env = { GIT_DIR: folder, GIT_WORK_TREE: home };
  git(home, { ...desktop.env, ...env }, "init", "-q", folder);
  const machine = desktop.with({ path: home, env });
  machine.git("remote", "add", "origin", remote);
  machine.write(".bashrc", "one\n");
  machine.git("add", ".bashrc");
  machine.git("commit", "-q", "-m", "first");
  machine.git("push", "-q", "-u", "origin", "main");
  await machine.init();
  return machine;
}

const committed = (machine: Machine): string[] =>
  machine.git("ls-tree", "-r", "--name-only", "HEAD").split("\n");

describe("exclusions", () => {
  test("untracked secrets are left out, wherever they are, and named; tracked ones are the user's decision", async () => {
    const { desktop, laptop } = await pair();
    desktop.write(".env.local", "TRACKED=1\n");
    desktop.git("add", "--force", ".env.local");
    desktop.git("commit", "-q", "-m", "tracked on purpose");
    desktop.say(0, 1);
    const secrets = [
      ".env",
      ".env.production",
      "deploy/.ENV",
      "config/credentials.json",
      "server.key",
      "certs/site.pem",
      "id_rsa",
      "keys/id_ed25519.bak",
      "store.p12",
      "packages/api/.claude/settings.local.json",
      "CLAUDE.local.md",
      ".aider.chat.history.md",
    ];
    for (const name of secrets) desktop.write(name, "secret\n");
    desktop.write(".env.local", "TRACKED=2\n");
    desktop.write(".env.example", "EXAMPLE=\n");
    desktop.write("src/keyboard.ts", "fine\n");
    const { exit, stderr } = await desktop.run("save", "Work");
    expect(exit).toBe(0);
    expect(stderr).toMatch(/warning: left out, as it looks like a secret: .*\.env/);
    const committed = desktop.git("ls-tree", "-r", "--name-only", "HEAD").split("\n");
    expect(committed).toEqual([".env.example", ".env.local", "README.md", "src/keyboard.ts"]);
    expect(desktop.git("show", "HEAD:.env.local")).toBe("TRACKED=2");
    for (const name of secrets) expect(desktop.read(name)).toBe("secret\n");
    expect((await desktop.run("save")).stderr).toMatch(/Nothing new/);
    done(await desktop.run("save", "--force"));
    expect(desktop.git("ls-tree", "-r", "--name-only", "HEAD").split("\n")).toEqual(committed);
    done(await laptop.run("resume"));
    expect(laptop.has(".env")).toBe(false);
  });

  test("a repository within this one is left out, and called what it is", async () => {
    const { desktop } = await pair();
    desktop.git("init", "-q", "nested");
    desktop.git("-C", "nested", "commit", "-q", "--allow-empty", "-m", "its own");
    desktop.write("c.txt", "x\n");
    desktop.say(0, 1);
    const { stderr } = done(await desktop.run("save", "Work"));
    expect(stderr).toContain(
      "warning: left out, as it is a repository of its own: nested/\nhint: make it a sub",
    );
    expect(desktop.git("ls-tree", "-r", "--name-only", "HEAD").split("\n")).toEqual(["README.md", "c.txt"]);
  });

  test("convosync.exclude adds patterns", async () => {
    const { desktop } = await pair();
    desktop.git("config", "--add", "convosync.exclude", "*.secret");
    desktop.git("config", "--add", "convosync.exclude", "private/");
    desktop.write("a.secret", "x\n");
    desktop.write("private/deep/b.txt", "x\n");
    desktop.write("c.txt", "x\n");
    desktop.say(0, 1);
    done(await desktop.run("save", "Work"));
    expect(desktop.git("ls-tree", "-r", "--name-only", "HEAD").split("\n")).toEqual(["README.md", "c.txt"]);
  });

  test("an untracked file over 10 MB stops save with its name; --force takes it", async () => {
    const { desktop } = await pair();
    desktop.write("movie.bin", new Uint8Array(10_000_001));
    desktop.write("small.bin", new Uint8Array(1_000));
    desktop.say(0, 1);
    const before = desktop.footprint();
    const { exit, stderr } = await desktop.run("save", "Movie");
    expect(exit).toBe(4);
    expect(stderr).toMatch(/error: 1 untracked file is larger than 10 MB: movie\.bin/);
    expect(stderr).toMatch(/hint: leave them out: add them to \.gitignore/);
    expect(stderr).toMatch(/hint: .*git convosync save --force/);
    expect(desktop.footprint()).toEqual(before);
    const { document } = await desktop.json("save");
    expect(document["error"]).toMatchObject({ code: "large-files", exit: 4 });
    const forced = done(await desktop.run("save", "--force", "Movie"));
    expect(forced.stderr).toMatch(/warning: large files are saved as well: movie\.bin \(10(?:\.0)? MB\)/);
    expect(desktop.git("ls-tree", "-r", "--name-only", "HEAD")).toContain("movie.bin");
  });

  test("more than 1,000 untracked files stop save with the folder they are in; --force takes them", async () => {
    const { desktop } = await pair();
    for (let n = 0; n < 1_001; n++) desktop.write(`node_modules/${n}.js`, "\n");
    desktop.write("index.js", "\n");
    desktop.say(0, 1);
    const before = desktop.footprint();
    const { exit, stderr } = await desktop.run("save", "Dependencies");
    expect(exit).toBe(4);
    expect(stderr).toMatch(/error: 1,002 untracked files, 1,001 of them in node_modules\//);
    expect(stderr).toMatch(/hint: leave them out: add them to \.gitignore/);
    expect(desktop.footprint()).toEqual(before);
    expect((await desktop.json("save")).document["error"]).toMatchObject({ code: "many-files", exit: 4 });
    done(await desktop.run("save", "--force", "Dependencies"));
    expect(committed(desktop)).toHaveLength(1_003);
    desktop.write(".gitignore", "build/\n");
    for (let n = 0; n < 1_001; n++) desktop.write(`build/${n}.js`, "\n");
    done(await desktop.run("save", "Ignored"));
    expect(committed(desktop)).toHaveLength(1_004);
  });

  test("ignored files stay out, strange names go in", async () => {
    const { desktop, laptop } = await pair();
    const names = [
      "-rf.txt",
      ":(top)x.txt",
      "a*b?.txt",
      "größe 日本.txt",
      "tab\tname.txt",
      "new\nline.txt",
      "q'\"uote.txt",
    ];
    desktop.write(".gitignore", "ignored.txt\n");
    desktop.write("ignored.txt", "x\n");
    for (const name of names) desktop.write(name, `${name}\n`);
    desktop.say(0, 1);
    done(await desktop.run("save", "Names"));
    done(await laptop.run("resume"));
    for (const name of names) expect(laptop.read(name)).toBe(`${name}\n`);
    expect(laptop.has("ignored.txt")).toBe(false);
  });

  test("what was staged, renamed and deleted is committed as it is in the work tree", async () => {
    const { desktop } = await pair();
    desktop.write("old.txt", "content that is long enough to be seen as renamed\n");
    desktop.write("gone.txt", "gone\n");
    desktop.commit("files");
    desktop.git("mv", "old.txt", "new.txt");
    desktop.git("rm", "-q", "--cached", "gone.txt");
    desktop.git("rm", "-q", "-f", "--ignore-unmatch", "gone.txt");
    desktop.write("staged.txt", "staged\n");
    desktop.git("add", "staged.txt");
    desktop.write("staged.txt", "and changed\n");
    desktop.say(0, 1);
    done(await desktop.run("save", "Moves"));
    expect(desktop.git("show", "HEAD:staged.txt")).toBe("and changed");
    expect(desktop.git("diff", "--name-status", "-M", "HEAD~1").split("\n")).toContain(
      "R100\told.txt\tnew.txt",
    );
  });

  test("the message is the user's, whatever it looks like", async () => {
    const { desktop } = await pair();
    for (const [turn, message] of [
      "# not a comment",
      "-m --amend",
      "first\n\n# second\nthird",
      "'\"$(x)`y`",
    ].entries()) {
      desktop.write("a.txt", `${turn}\n`);
      desktop.say(turn, turn + 1);
      done(await desktop.run("save", "-m", message));
      expect(desktop.git("log", "-1", "--format=%B").trim()).toBe(`${message} [ConvoSync]`);
    }
    desktop.write("a.txt", "no message\n");
    done(await desktop.run("save"));
    expect(desktop.git("log", "-1", "--format=%s")).toMatch(
      /^Save of \d{4}-\d\d-\d\d \d\d:\d\d \[ConvoSync\]$/,
    );
  });
});

describe("what would give away conversations or keys", () => {
  test("dotfiles in a bare repository: what git is told not to look at is left alone", async () => {
    const machine = await dotfiles(await pair(), ".dotfiles");
    machine.git("config", "status.showUntrackedFiles", "no");
    machine.write("diary.txt", "private\n");
    machine.write(".bashrc", "two\n");
    machine.say(0, 1);
    for (const options of [["--dry-run"], ["--stash"], []]) {
      const { stderr } = done(await machine.run("save", ...options));
      expect(stderr).toMatch(/untracked files are left out, as status\.showUntrackedFiles says/);
    }
    expect(committed(machine)).toEqual([".bashrc"]);
    expect(machine.git("show", "HEAD:.bashrc")).toBe("two");
    expect((await machine.json("status")).document).toMatchObject({ clean: true });
  });

  test("a home directory that is a repository: what was not added by hand is nobody's but the user's", async () => {
    const box = await pair();
    const { desktop } = box;
    const machine = await dotfiles(box, ".git");
    machine.write("diary.txt", "private\n");
    machine.write(".vimrc", "set nocompatible\n");
    machine.git("add", ".vimrc");
    machine.say(0, 1);
    // The projects in it are repositories of their own, and so are their conversations.
    desktop.say(0, 1, "44444444-4444-4444-8444-444444444444");
    const { stderr } = done(await machine.run("save"));
    expect((await machine.json("list")).document["sessions"]).toMatchObject([{ id: one }]);
    expect(stderr).toMatch(/left out, as your home directory lies in this work tree: git add what belongs/);
    expect(committed(machine)).toEqual([".bashrc", ".vimrc"]);
  });

  test("an agent's folder in the work tree", async () => {
    const { desktop, laptop } = await pair();
    const machine = desktop.with({ env: { CLAUDE_CONFIG_DIR: join(desktop.path, ".agent/claude") } });
    machine.say(0, 1);
    machine.write("c.txt", "x\n");
    for (const options of [["--stash"], []]) {
      const { stderr } = done(await machine.run("save", ...options));
      expect(stderr).toMatch(
        /warning: left out, as it belongs to an agent or holds keys.*: \.agent\/claude\//,
      );
    }
    expect(committed(machine)).toEqual(["README.md", "c.txt"]);
    // A folder of that name is like any other where it is not the agent's.
    desktop.say(0, 1, "44444444-4444-4444-8444-444444444444");
    done(await laptop.run("resume", one));
    laptop.hears(1);
  });

  test("keys and recovery codes, whatever they are called", async () => {
    const { desktop, code } = await pair();
    mkdirSync(join(desktop.path, "notes"));
    copyFileSync(code, join(desktop.path, "notes/wifi.txt"));
    copyFileSync(join(desktop.home, ".config/convosync/device.txt"), join(desktop.path, "backup"));
    desktop.write("lorem.txt", "not a code, but as long\n");
    // git takes along what a link says; and what it leads to may have no end.
    symlinkSync(join(desktop.home, ".config/convosync/device.txt"), join(desktop.path, "link"));
    desktop.say(0, 1);
    const { stderr } = done(await desktop.run("save"));
    expect(stderr).toMatch(/left out, as it belongs to an agent or holds keys.*: backup, notes\/wifi\.txt/);
    expect(committed(desktop)).toEqual(["README.md", "link", "lorem.txt"]);
  });
});
