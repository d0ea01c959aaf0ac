import { existsSync } from "node:fs";
import { lstat, stat } from "node:fs/promises";
import { join } from "node:path";
import { loadAgents } from "../agents/registry.ts";
import { ConvosyncError, Exit } from "../errors.ts";
import { openGit, scrubUrl } from "../git/git.ts";
import { olderThan } from "../leftovers.ts";
import { INCOMING, OWN } from "../refs/names.ts";
import { reftableLock } from "../refs/ref-locks.ts";
import { fetchingOurs } from "../worktree/remotes.ts";
import { type ChosenRemote, currentBranch, findRemote } from "./chosen-remote.ts";
import { readSettings } from "./config.ts";
import { findDamage, type Repair, repairDamage } from "./damage.ts";
import { abandoned } from "./files.ts";
import { loadHeads } from "./heads.ts";
import { hooksStatus } from "./hooks.ts";
import { findUnusable } from "./permissions.ts";
import { describePending, remoteQueue } from "./queue.ts";
import { type Context, openRepository, type World } from "./repository.ts";
import { inspectSetup, type SetupFile } from "./setup.ts";
import { type OpenVault, openVault } from "./vault.ts";
import { workerReport } from "./worker-report.ts";
import { openWorkplace } from "./workplace.ts";

export interface Check {
  readonly name: string;
  readonly status: "ok" | "info" | "warning" | "error";
  readonly message: string;
  /** What to do about it. */
  readonly hint: string | null;
  /** `doctor --fix` can mend it. */
  readonly repair?: Repair;
}

export interface DoctorOptions {
  /** Push a ref to the remote and remove it again, to see whether it may. */
  readonly probe?: boolean;
  readonly setup: { readonly files: readonly SetupFile[]; readonly mark: string };
}

const ok = (name: string, message: string): Check => ({ name, status: "ok", message, hint: null });
const info = (name: string, message: string, hint: string | null = null): Check => ({
  name,
  status: "info",
  message,
  hint,
});
const warning = (name: string, message: string, hint: string | null = null): Check => ({
  name,
  status: "warning",
  message,
  hint,
});
/** What a look ended with; one that a file stands in the way of is no reason not to take the others. */
const failed = (name: string, error: unknown): Check => {
  const { message, hints } = error instanceof ConvosyncError ? error : systemFailure(error);
  return { name, status: "error", message, hint: hints[0] ?? null };
};

/** A failure of the system's; everything else is a bug, and thrown. */
function systemFailure(error: unknown): { message: string; hints: readonly string[] } {
  const { code, syscall, message } = error as NodeJS.ErrnoException;
  if (code === undefined || syscall === undefined) throw error;
  return { message, hints: [] };
}

/** Looks at everything the program needs, and changes nothing (with `probe`, nothing that stays). */
export async function examine(world: World, options: DoctorOptions): Promise<Check[]> {
  const checks = [...(await programs(world)), ...(await keyFile(world))];
  let context: Context;
  try {
    context = await openRepository(world);
  } catch (error) {
    checks.push(failed("repository", error), ...(await installed(options)));
    return checks;
  }
  try {
    for (const [name, look] of repositoryChecks) {
      checks.push(...(await look(context, options).catch((error: unknown) => [failed(name, error)])));
    }
  } finally {
    await context.close();
  }
  return [...checks, ...(await installed(options))];
}

type Look = (context: Context, options: DoctorOptions) => Promise<Check[]>;

/** One look after the other at a repository; what else can be looked at is added here. */
const repositoryChecks: readonly (readonly [name: string, look: Look])[] = [
  ["repository", repository],
  ["files", permissions],
  ["refs", damage],
  ["locks", locks],
  ["vault", vaultAndIndex],
  ["remote", remote],
  ["agent", agentFolders],
  ["hooks", gitHooks],
  ["settings", configuration],
];

async function programs(world: World): Promise<Check[]> {
  const node = process.versions.node;
  const checks = [ok("node", `Node ${node}`)];
  const said = await openGit(world.cwd, world.env).text(["version"]);
  const [major = 0, minor = 0] = (/(\d+)\.(\d+)/.exec(said)?.slice(1) ?? []).map(Number);
  const old = major < 2 || (major === 2 && minor < 39);
  checks.push(
    old
      ? warning("git", `${said}; 2.39 or newer is what convosync is tested with`, "update git")
      : ok("git", said),
  );
  return checks;
}

async function keyFile(world: World): Promise<Check[]> {
  const { KeyStore } = await import("./key-store.ts");
  const keys = new KeyStore(world.env);
  const from = ["CONVOSYNC_IDENTITY", "CONVOSYNC_IDENTITY_CMD", "CONVOSYNC_IDENTITY_FILE"].find(
    (name) => world.env[name],
  );
  try {
    const device = await keys.device();
    if (!device)
      return [info("keys", "this device has no keys yet", "set up a repository: git convosync init")];
    const where = from ? `from ${from}` : keys.devicePath;
    const checks = [ok("keys", `device '${device.name}' (${device.type}), ${where}`)];
    const mode = from || process.platform === "win32" ? 0 : (await stat(keys.dir)).mode & 0o077;
    if (mode !== 0)
      checks.push(warning("keys", `others can look into ${keys.dir}`, `chmod 700 '${keys.dir}'`));
    return checks;
  } catch (error) {
    return [failed("keys", error)];
  }
}

async function repository(context: Context): Promise<Check[]> {
  const { repo, git } = context;
  const storage = (await git.text(["config", "extensions.refStorage"], { okCodes: [0, 1] })) || "files";
  const kinds = [
    repo.objectFormat,
    `refs in ${storage}`,
    ...(repo.bare ? ["bare"] : []),
    ...(repo.shallow ? ["shallow"] : []),
  ];
  return [ok("repository", `${repo.root ?? repo.gitDir} (${kinds.join(", ")})`)];
}

async function permissions({ keys, cloneDir, cacheDir, repo }: Context): Promise<Check[]> {
  const needed = [
    { folder: keys.dir, depth: 1 },
    { folder: cloneDir, depth: 3 },
    { folder: join(repo.commonDir, "objects"), depth: 1 },
    ...[OWN, INCOMING].map((refs) => ({ folder: join(repo.commonDir, refs), depth: 4 })),
  ];
  const cache = { folder: cacheDir, depth: 3 };
  const found = await findUnusable([...needed, cache]);
  if (found.length === 0) return [ok("files", "all files of convosync can be read and written")];
  return found.map(({ folder, paths, readOnly }) => {
    const few = paths.length === 1 ? paths[0] : `${paths[0]} and ${paths.length - 1} more`;
    return {
      name: "files",
      status: folder === cache.folder ? "warning" : "error",
      message: readOnly ? `${folder} is on a file system that is read-only` : `no permission to use ${few}`,
      hint: readOnly || process.platform === "win32" ? null : `sudo chown -R "$(id -un)" '${folder}'`,
    };
  });
}

async function damage(context: Context): Promise<Check[]> {
  const found = await findDamage(context);
  if (found.length === 0) return [ok("refs", "no ref or object of the conversations was left half written")];
  return found.map(({ repair, what, serious }) => ({
    name: "refs",
    status: serious ? "error" : "info",
    message: what,
    hint: "mend it: git convosync doctor --fix",
    repair,
  }));
}

/** What git runs by itself, and how that went the last time: it had nobody to tell. */
async function gitHooks(context: Context): Promise<Check[]> {
  const { hooks, script } = await hooksStatus(context);
  const present = hooks.filter((one) => one.ours !== "absent" && one.ours !== "by-hand");
  const checks: Check[] = [];
  if (present.length === 0) checks.push(info("hooks", "none: conversations are saved when you say so"));
  else if (script === "current" && present.every((one) => one.ours === "current"))
    checks.push(ok("hooks", `git runs convosync in ${present.map((one) => one.event).join(", ")}`));
  else {
    const idle = present.filter((one) => one.ours !== "current").map((one) => `${one.event} (${one.ours})`);
    const what = idle.length > 0 ? idle.join(", ") : `what they run (${script})`;
    checks.push(warning("hooks", `not in order: ${what}`, "git convosync hooks install"));
  }
  const report = await workerReport(context.cloneDir);
  if (report?.error) checks.push(warning("hooks", `the last capture failed: ${report.error.message}`));
  return checks;
}

async function locks(context: Context): Promise<Check[]> {
  const paths = [
    join(context.cloneDir, "lock"),
    join(context.cloneDir, "queue.lock"),
    join(context.keys.dir, "state.lock"),
  ];
  const checks: Check[] = [];
  for (const path of paths.filter((one) => existsSync(one))) {
    checks.push(
      abandoned(path)
        ? {
            ...warning("locks", `${path} was left by a process that is gone`, "the next command removes it"),
            repair: { kind: "lock", path },
          }
        : info("locks", `another convosync is at work (${path})`),
    );
  }
  const reftable = reftableLock(context.repo.commonDir);
  if (reftable !== undefined && olderThan(reftable, fewMinutesMs)) {
    const message = `${reftable} was there minutes ago; while it is, no ref can be written`;
    checks.push(warning("locks", message, `if no git process is running: rm '${reftable}'`));
  }
  return checks.length > 0 ? checks : [ok("locks", "none is held")];
}

const fewMinutesMs = 5 * 60_000;

async function vaultAndIndex(context: Context): Promise<Check[]> {
  let vault: OpenVault;
  try {
    vault = await openVault(context);
  } catch (error) {
    if (!(error instanceof ConvosyncError)) throw error;
    if (error.code !== "not-set-up") return [failed("vault", error)];
    return [warning("vault", error.message, error.hints.join("; "))];
  }
  const members = [...vault.keyring.members.values()].filter((one) => !one.removedAt);
  const devices = members.filter((one) => one.type !== "recovery").length;
  const many = `${devices} ${devices === 1 ? "device" : "devices"}`;
  const checks = [ok("vault", `this device opens it; it has ${many}`)];
  if (devices === members.length)
    checks.push(warning("vault", "it has no recovery code: losing all devices loses all conversations"));
  try {
    const heads = await loadHeads(context, vault);
    checks.push(ok("index", `${heads.all.length} signed ${heads.all.length === 1 ? "index" : "indexes"}`));
    const now = context.world.now().getTime();
    const ahead = heads.others.filter((one) => Date.parse(one.head.ts) - now > fewMinutesMs);
    const whose = ahead.map((one) => vault.keyring.members.get(one.head.device)?.name ?? one.head.device);
    checks.push(
      ahead.length > 0
        ? warning(
            "clock",
            `${[...new Set(whose)].join(", ")} saved at a time that is still to come here`,
            "set the clock of this device or of that one",
          )
        : ok("clock", "no other device is ahead of it"),
    );
  } catch (error) {
    checks.push(failed("index", error));
  }
  return checks;
}

async function remote(context: Context, options: DoctorOptions): Promise<Check[]> {
  let chosen: ChosenRemote | null;
  try {
    chosen = await findRemote(context, await currentBranch(context));
  } catch (error) {
    return [failed("remote", error)];
  }
  if (!chosen)
    return [warning("remote", "this repository has no remote", "add one: git remote add origin <url>")];
  const checks: Check[] = [];
  const answer = await context.git
    .run(["ls-remote", "--quiet", chosen.name, "HEAD"], { okCodes: "any", timeoutMs: 10_000 })
    .catch((error: unknown) => {
      if (error instanceof ConvosyncError) return { code: 1, stderr: error.message };
      throw error;
    });
  const name = `'${chosen.name}' (${scrubUrl(chosen.url)})`;
  if (answer.code !== 0) {
    const why =
      scrubUrl(answer.stderr)
        .split("\n")
        .find((line) => line.trim() !== "") ?? "no answer";
    checks.push(warning("remote", `${name} cannot be reached: ${why}`, `git ls-remote ${chosen.name}`));
  } else {
    checks.push(ok("remote", `${name} answers`));
    checks.push(
      options.probe
        ? await probePush(context, chosen)
        : info("push", "not tried", "push a ref and remove it again: git convosync doctor --probe"),
    );
  }
  return [...checks, ...refspecs(context), ...(await queue(context, chosen))];
}

const refspecs = ({ config }: Context): Check[] =>
  fetchingOurs(config).map((name) =>
    warning(
      "refspec",
      `git fetch overwrites what was not sent yet with what '${name}' has (remote.${name}.fetch)`,
      `git config --add remote.${name}.fetch '^refs/convosync/*'`,
    ),
  );

const dayMs = 86_400_000;

async function queue(context: Context, chosen: ChosenRemote): Promise<Check[]> {
  const entry = await remoteQueue(context, chosen.key);
  let waiting: string[];
  try {
    const vault = await openVault(context);
    waiting = await describePending(context, vault, await loadHeads(context, vault), chosen);
  } catch (error) {
    if (error instanceof ConvosyncError) return [];
    throw error;
  }
  if (waiting.length === 0) return [ok("queue", "nothing waits to be sent")];
  const since = entry.since ?? context.world.now().toISOString();
  const old = context.world.now().getTime() - Date.parse(since) > dayMs;
  const what = `${waiting.join(", ")} since ${since.slice(0, 16).replace("T", " ")}`;
  const reason = entry.reason ? ` (${entry.reason})` : "";
  return [(old ? warning : info)("queue", `waiting: ${what}${reason}`, "send it: git convosync sync")];
}

/** Whether the remote takes refs of ours: pushes one that nobody reads, and removes it. */
async function probePush(context: Context, chosen: ChosenRemote): Promise<Check> {
  const ref = `refs/convosync/probe/${Math.random().toString(36).slice(2, 12)}`;
  const when = context.world.now();
  const local = await context.db.refs(OWN);
  // An object the remote has already, if there is one, so that nothing is sent.
  const oid =
    [...local].find(([name]) => name.endsWith("/keyring"))?.[1] ??
    (await context.db.commit({ parents: [], files: [], when }));
  const push = (spec: string) =>
    context.git.run(["push", "--quiet", "--no-verify", "--no-follow-tags", chosen.name, spec], {
      okCodes: "any",
      timeoutMs: 30_000,
      prompt: true,
    });
  const sent = await push(`${oid}:${ref}`);
  if (sent.code !== 0) {
    const why = scrubUrl(sent.stderr)
      .split("\n")
      .find((line) => /rejected|denied|fatal|error/i.test(line));
    return {
      name: "push",
      status: "error",
      message: `'${chosen.name}' refuses refs/convosync/*: ${why?.trim() ?? "no reason given"}`,
      hint: "you need permission to push, and a host that takes refs outside refs/heads",
    };
  }
  const removed = await push(`:${ref}`);
  return removed.code === 0
    ? ok("push", `'${chosen.name}' takes refs/convosync/*, and lets them be deleted`)
    : warning(
        "push",
        `'${chosen.name}' takes refs/convosync/* but does not delete them: deleted sessions stay there`,
        `remove the trial: git push ${chosen.name} :${ref}`,
      );
}

async function agentFolders(context: Context): Promise<Check[]> {
  if (!context.repo.root) return [];
  const place = await openWorkplace(context);
  const checks: Check[] = [];
  for (const agent of await loadAgents()) {
    const folder = (agent.home ?? agent.store)(place);
    const why = agent.unreadable?.(place) ?? null;
    if (why !== null) {
      const doing = "its conversations are left alone; a newer convosync may know what it keeps";
      checks.push(warning("agent", `${agent.title}: what is in ${folder} cannot be read: ${why}`, doing));
      continue;
    }
    const there = await lstat(folder).catch(() => null);
    checks.push(
      there
        ? ok("agent", `${agent.title}: ${folder}`)
        : info("agent", `${agent.title}: no folder ${folder}`, "it has not been used on this machine"),
    );
  }
  return checks;
}

async function configuration(context: Context): Promise<Check[]> {
  const { settings, unknown } = await readSettings(context.world, context.git);
  const checks = settings
    .filter((one) => one.problem !== null)
    .map(({ setting, problem, origin }) =>
      warning("settings", `${setting.name} ${problem} (${origin})`, `git convosync config ${setting.name}`),
    );
  for (const name of unknown)
    checks.push(info("settings", `no setting is called ${name}`, "see: git convosync config"));
  return checks.length > 0 ? checks : [ok("settings", "all fit")];
}

async function installed({ setup }: DoctorOptions): Promise<Check[]> {
  const missing: string[] = [];
  for (const file of setup.files) {
    const state = await inspectSetup(file, setup.mark);
    if (state === "absent" || state === "older") missing.push(file.what);
  }
  if (missing.length === 0) return [ok("setup", "manual page and completions are installed")];
  return [
    info("setup", `not installed: ${[...new Set(missing)].join(", ")}`, "install: git convosync setup"),
  ];
}

/** Mends what `examine` found to be mendable. Returns what was done, a sentence each. */
export async function mend(world: World, checks: readonly Check[]): Promise<string[]> {
  const repairs = checks.flatMap((one) => (one.repair ? [one.repair] : []));
  if (repairs.length === 0) return [];
  const context = await openRepository(world);
  try {
    return await repairDamage(context, repairs);
  } finally {
    await context.close();
  }
}

export const worst = (checks: readonly Check[]): number =>
  checks.some((one) => one.status === "error") ? Exit.failed : Exit.done;
