import {
  chmod,
  copyFile,
  link,
  lstat,
  readlink,
  realpath,
  rename,
  rm,
  rmdir,
  stat,
  symlink,
} from "node:fs/promises";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import { ConvosyncError, Exit } from "../errors.ts";
import { processName } from "../leftovers.ts";
import { makeFolder } from "../make-folder.ts";
import { readIfPresent, writeAtomic } from "./files.ts";
import {
  examineHook,
  type HookName,
  hookEvents,
  keptFolder,
  newHook,
  withBlock,
  withoutBlock,
  wrapperHook,
} from "./hook-files.ts";
import { programPath, shellScript, startingScript } from "./installation.ts";
import type { Context } from "./repository.ts";

/** What is, or was done, about one hook. */
export interface HookState {
  readonly event: HookName;
  /** What git runs for it: a file, its own configuration, or nothing. */
  readonly runs: string | null;
  /**
   * `current` and `outdated`: ours runs. `ignored`: it is there, but git passes over the file, which is not
   * executable. `by-hand`: the file is the project's own, so that nobody but the user may put our line into it.
   */
  readonly ours: "current" | "outdated" | "ignored" | "absent" | "by-hand";
  /** What an install did. */
  readonly did?: "created" | "added" | "wrapped" | "renewed" | "nothing";
}

export interface HooksStatus {
  /** The folder git looks in, and the setting that says so. */
  readonly folder: string;
  readonly hooksPath: string | null;
  /** The folder belongs to the project's own files. */
  readonly tracked: boolean;
  /** Other repositories use the folder too. */
  readonly shared: boolean;
  readonly hooks: readonly HookState[];
  /** The line to add by hand where `by-hand` says so. */
  readonly line: (event: HookName) => string;
  /** Whether what the hooks run is there, and is this version's. */
  readonly script: "current" | "outdated" | "absent";
}

/** Whether git can run hooks that its configuration names, beside those in files. */
export function hasConfiguredHooks(version: string): boolean {
  const [, major = "0", minor = "0"] = /(\d+)\.(\d+)/.exec(version) ?? [];
  return Number(major) > 2 || (Number(major) === 2 && Number(minor) >= 54);
}

const gitVersion = (context: Context): Promise<string> => context.git.text(["version"]);

const scriptPath = (context: Context): string => join(context.cloneDir, "hook.sh");
const runPath = (context: Context): string => join(context.cloneDir, "run.sh");

/** The script as this installation writes it. */
const scriptText = (): string => startingScript("hook.sh");

/** Puts our hooks wherever git looks today, beside what is there. Nothing that belongs to the project is changed. */
export async function installHooks(context: Context, version?: string): Promise<HooksStatus> {
  await writeAtomic(scriptPath(context), scriptText());
  await writeAtomic(runPath(context), shellScript("run.sh"));
  const configured = hasConfiguredHooks(version ?? (await gitVersion(context)));
  const where = await hooksFolder(context);
  const did = new Map<HookName, HookState["did"]>();
  for (const event of hookEvents) {
    if (configured) {
      did.set(event, await configure(context, event));
      // What an older git was given would now run twice.
      if (!where.tracked) await removeFrom(where.folder, event);
    } else if (where.tracked) did.set(event, "nothing");
    else did.set(event, await addTo(where.folder, event).catch((error) => unwritable(where, error)));
  }
  const status = await hooksStatus(context, version);
  return { ...status, hooks: status.hooks.map((one) => ({ ...one, did: did.get(one.event) ?? "nothing" })) };
}

/** Takes our hooks out again and leaves every file as it was before. Returns the hooks that were there. */
export async function uninstallHooks(context: Context): Promise<HookName[]> {
  const removed = new Set<HookName>();
  const where = await hooksFolder(context);
  // core.hooksPath may have been set, or unset, since.
  const folders = new Set([...(where.tracked ? [] : [where.folder]), join(context.repo.commonDir, "hooks")]);
  for (const event of hookEvents) {
    for (const folder of folders) if (await removeFrom(folder, event)) removed.add(event);
    const section = `hook.convosync-${event}`;
    const known = await context.git.code(["config", "--local", "--get", `${section}.command`]);
    if (known === 0) {
      await context.git.run(["config", "--local", "--remove-section", section]);
      removed.add(event);
    }
  }
  // Blocks in files that were copied elsewhere do nothing without these.
  for (const path of [scriptPath(context), runPath(context)]) {
    if (await readIfPresent(path)) await rm(path, { force: true });
  }
  return [...removed];
}

/** What git really runs, hook by hook. */
export async function hooksStatus(context: Context, version?: string): Promise<HooksStatus> {
  const where = await hooksFolder(context);
  const configured = hasConfiguredHooks(version ?? (await gitVersion(context)));
  const hooks: HookState[] = [];
  for (const event of hookEvents) {
    hooks.push((configured && (await configuredState(context, event))) || (await fileState(where, event)));
  }
  const script = (await readIfPresent(scriptPath(context)))?.toString("utf8");
  const current = script === scriptText() ? "current" : "outdated";
  return { ...where, hooks, script: script === undefined ? "absent" : current, line: handLine };
}

/**
 * Renews what the hooks run when the program has moved, as with a new version of Node: the way they know ends in
 * nothing, and they have found us by name.
 */
export async function healScript(cloneDir: string): Promise<void> {
  const path = join(cloneDir, "hook.sh");
  const text = (await readIfPresent(path))?.toString("utf8");
  if (text === undefined || text === scriptText()) return;
  const cli = /^cli='(.*)'$/m.exec(text)?.[1]?.replaceAll("'\\''", "'");
  const gone = cli === undefined || cli === programPath() || (await stat(cli).catch(() => null)) === null;
  if (gone) await writeAtomic(path, scriptText());
}

interface Where {
  readonly folder: string;
  readonly hooksPath: string | null;
  readonly tracked: boolean;
  readonly shared: boolean;
}

async function hooksFolder(context: Context): Promise<Where> {
  const { root, gitDir, commonDir } = context.repo;
  const base = root ?? gitDir;
  const given = await context.git.text(["rev-parse", "--git-path", "hooks"]);
  const folder = await realpath(resolve(base, given)).catch(() => resolve(base, given));
  const { stdout, code } = await context.git.run(["config", "--show-scope", "--get", "core.hooksPath"], {
    okCodes: [0, 1],
  });
  const [scope = "", hooksPath = null] = code === 0 ? stdout.toString().trimEnd().split("\t") : [];
  const inGit = isBelow(folder, commonDir) || isBelow(folder, gitDir);
  return {
    folder,
    hooksPath,
    tracked: !inGit && root !== null && isBelow(folder, root),
    shared: hooksPath !== null && ["global", "system"].includes(scope) && !inGit,
  };
}

function isBelow(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way === "" || (!way.startsWith(`..${sep}`) && way !== ".." && resolve(folder, way) === path);
}

/** A folder that is root's, or none at all: `core.hooksPath=/dev/null` is how hooks are turned off. */
function unwritable({ folder, hooksPath }: Where, error: NodeJS.ErrnoException): never {
  if (error.syscall === undefined || error.code === "ENOSPC") throw error;
  throw new ConvosyncError(
    "hooks-folder",
    Exit.failed,
    `git looks for hooks in ${folder}, and nothing can be put there`,
    hooksPath === null ? [] : ["see what says so: git config --show-origin core.hooksPath"],
    error,
  );
}

// ------------------------------------------------------------------------------------ configured (git 2.54)

/** git adds the hook's arguments. It names no path, so that the clone can be moved; a linked worktree's git directory lies two below. */
const commandFor = (event: HookName): string =>
  [
    'f() { c=$GIT_DIR; [ -n "$c" ] || c=.git; [ -d "$c" ] || read -r _ c 2>/dev/null <"$c";',
    'for d in "$c" "$c/../.."; do',
    `[ ! -r "$d/convosync/run.sh" ] || { sh "$d/convosync/run.sh" ${event} "$@"; break; };`,
    "done; }; f",
  ].join(" ");

async function configure(context: Context, event: HookName): Promise<HookState["did"]> {
  const section = `hook.convosync-${event}`;
  const before = await context.git.code(["config", "--local", "--get", `${section}.command`]);
  await context.git.run(["config", "--local", `${section}.command`, commandFor(event)]);
  await context.git.run(["config", "--local", "--replace-all", `${section}.event`, event]);
  return before === 0 ? "renewed" : "created";
}

async function configuredState(context: Context, event: HookName): Promise<HookState | null> {
  const key = `hook.convosync-${event}.command`;
  const { stdout, code } = await context.git.run(["config", "--local", "--get", key], { okCodes: [0, 1] });
  if (code !== 0) return null;
  const command = stdout.toString().replace(/\n$/, "");
  return { event, runs: key, ours: command === commandFor(event) ? "current" : "outdated" };
}

// ----------------------------------------------------------------------------------------------- hook files

async function addTo(folder: string, event: HookName): Promise<HookState["did"]> {
  const path = join(folder, event);
  const info = await lstat(path).catch(() => null);
  if (!info) {
    await put(path, newHook(event), 0o755);
    return "created";
  }
  const content = info.isFile() ? (await readIfPresent(path))!.toString("latin1") : "";
  const found = examineHook(event, content);
  if (found.block === "current") return "nothing";
  if (found.kind === "made") await put(path, newHook(event), info.mode);
  else if (found.kind === "wrapper") await put(path, wrapperHook(event), info.mode);
  else if (found.kind === "shell" && info.isFile() && isExecutable(info)) {
    await put(path, withBlock(event, content), info.mode);
    return found.block === "none" ? "added" : "renewed";
  } else return wrap(folder, event);
  return "renewed";
}

/** Keeps a hook that no block fits into beside ours, which runs it; one that git did not run stays unrun. */
async function wrap(folder: string, event: HookName): Promise<HookState["did"]> {
  const path = join(folder, event);
  const keptPath = join(folder, keptFolder, event);
  makeFolder(dirname(keptPath));
  const info = await lstat(path);
  await rm(keptPath, { force: true });
  const target = info.isSymbolicLink() ? await readlink(path) : null;
  // Both names at once, then one: at no moment is there no hook.
  if (target === null) await link(path, keptPath).catch(() => copyFile(path, keptPath));
  else await symlink(target.startsWith(sep) ? target : join("..", target), keptPath);
  const runs = target !== null || isExecutable(info);
  await put(path, runs ? wrapperHook(event) : wrapperHook(event).replace(/^exec .*\n/m, ""), 0o755);
  return "wrapped";
}

async function removeFrom(folder: string, event: HookName): Promise<boolean> {
  const path = join(folder, event);
  const info = await lstat(path).catch(() => null);
  if (!info?.isFile()) return false;
  const content = (await readIfPresent(path))!.toString("latin1");
  const found = examineHook(event, content);
  if (found.block === "none") return false;
  if (found.kind === "made") await rm(path, { force: true });
  else if (found.kind === "wrapper") await unwrap(folder, event);
  else await put(path, withoutBlock(event, content), info.mode);
  return true;
}

async function unwrap(folder: string, event: HookName): Promise<void> {
  const path = join(folder, event);
  const keptPath = join(folder, keptFolder, event);
  const info = await lstat(keptPath).catch(() => null);
  if (info?.isSymbolicLink()) {
    const target = await readlink(keptPath);
    const back = `${path}.${processName()}`;
    await symlink(target.startsWith(sep) ? target : target.replace(/^\.\.[\\/]/, ""), back);
    await rename(back, path);
    await rm(keptPath, { force: true });
  } else if (info) await rename(keptPath, path);
  else await rm(path, { force: true });
  // Only when nothing else is kept there.
  await rmdir(dirname(keptPath)).catch(() => undefined);
}

async function put(path: string, content: string, mode: number): Promise<void> {
  makeFolder(dirname(path));
  await writeAtomic(path, Buffer.from(content, "latin1"), mode & 0o7777);
  // writeAtomic leaves out what the umask forbids; a file that was there keeps what it had.
  await chmod(path, mode & 0o7777);
}

const isExecutable = ({ mode }: { mode: number }): boolean =>
  process.platform === "win32" || (mode & 0o111) !== 0;

async function fileState(where: Where, event: HookName): Promise<HookState> {
  const path = join(where.folder, event);
  const info = await stat(path).catch(() => null);
  const runs = info?.isFile() && isExecutable(info) ? path : null;
  if (where.tracked) {
    const files = [path, ...(basename(where.folder) === "_" ? [join(dirname(where.folder), event)] : [])];
    const texts = await Promise.all(files.map((one) => readIfPresent(one)));
    const there = texts.some((text) => text?.includes("convosync/run.sh"));
    return { event, runs, ours: there ? "current" : "by-hand" };
  }
  if (!info) return { event, runs: null, ours: "absent" };
  const content = (await readIfPresent(path))?.toString("latin1") ?? "";
  const found = examineHook(event, content);
  if (found.block === "none") return { event, runs, ours: "absent" };
  return { event, runs, ours: runs === null ? "ignored" : found.block };
}

/** Harmless where convosync is not set up, since a project's hooks run on everybody's machine. */
const handLine = (event: HookName): string =>
  `c=$(git rev-parse --git-common-dir)/convosync/run.sh; [ ! -r "$c" ] || sh "$c" ${event} "$@"`;
