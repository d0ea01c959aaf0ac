import { ConvosyncError, Exit } from "../errors.ts";
import { discover, type Git, openGit, repositoryGit } from "../git/git.ts";
import type { World } from "./repository.ts";
import { complaint, type Setting, settingNamed, settings, variableOf } from "./settings.ts";

export interface SettingView {
  readonly setting: Setting;
  /** What counts: one value, or all of them where a setting may be given several times; none when nothing is set. */
  readonly values: readonly string[];
  /** `default`, `environment`, or git's scope: system, global, local, worktree, command. */
  readonly source: string;
  /** The file or variable it comes from. */
  readonly origin: string | null;
  /** What is wrong with a value, as a sentence that goes on from the name. */
  readonly problem: string | null;
}

export interface ConfigView {
  readonly settings: readonly SettingView[];
  /** Names below `convosync.` that no setting has. */
  readonly unknown: readonly string[];
}

interface Entry {
  readonly scope: string;
  readonly origin: string;
  readonly name: string;
  readonly value: string;
}

/** git where we stand: in a repository it knows that one's settings, elsewhere the user's. */
async function gitHere(world: World): Promise<Git> {
  try {
    return repositoryGit(await discover(world.cwd, world.env), world.env);
  } catch (error) {
    if (error instanceof ConvosyncError && error.code === "not-a-repository")
      return openGit(world.cwd, world.env);
    throw error;
  }
}

/** Every setting with its value and where that comes from. */
export async function readSettings(world: World, git?: Git): Promise<ConfigView> {
  const entries = await readEntries(git ?? (await gitHere(world)));
  const known = new Set(settings.map((one) => `convosync.${one.name.toLowerCase()}`));
  return {
    settings: settings.map((setting) => viewOf(setting, entries, world.env)),
    unknown: [...new Set(entries.map((one) => one.name).filter((name) => !known.has(name)))],
  };
}

async function readEntries(git: Git): Promise<Entry[]> {
  const args = ["config", "--null", "--show-scope", "--show-origin", "--get-regexp", "^convosync\\."];
  const fields = await git.lines0(args, { okCodes: [0, 1] });
  const entries: Entry[] = [];
  for (let at = 0; at + 2 < fields.length; at += 3) {
    const [scope = "", origin = "", line = ""] = fields.slice(at, at + 3);
    const end = line.indexOf("\n");
    const name = end < 0 ? line : line.slice(0, end);
    entries.push({
      scope,
      origin: origin.replace(/^file:/, ""),
      name,
      value: end < 0 ? "true" : line.slice(end + 1),
    });
  }
  return entries;
}

function viewOf(setting: Setting, entries: readonly Entry[], env: NodeJS.ProcessEnv): SettingView {
  const variable = variableOf(setting.name);
  const given = setting.env ? env[variable] : undefined;
  const found = entries.filter((one) => one.name === `convosync.${setting.name.toLowerCase()}`);
  const last = found.at(-1);
  const problem = (values: readonly string[]): string | null =>
    values.map((value) => complaint(setting, value)).find((one) => one !== null) ?? null;
  if (given)
    return { setting, values: [given], source: "environment", origin: variable, problem: problem([given]) };
  if (!last) return { setting, values: [], source: "default", origin: null, problem: null };
  const values = setting.type === "patterns" ? found.map((one) => one.value) : [last.value];
  return { setting, values, source: last.scope, origin: last.origin, problem: problem(values) };
}

/** The setting of that name. Exit 2. */
export function requireSetting(name: string): Setting {
  const setting = settingNamed(name);
  if (setting) return setting;
  throw new ConvosyncError("unknown-setting", Exit.usage, `there is no setting '${name}'`, [
    `settings: ${settings.map((one) => one.name).join(", ")}`,
  ]);
}

/** Writes a setting, checked, into the repository's or the user's own configuration. */
export async function writeSetting(
  world: World,
  setting: Setting,
  value: string | null,
  options: { global: boolean },
): Promise<SettingView> {
  const wrong = value === null ? null : complaint(setting, value);
  if (wrong !== null) {
    throw new ConvosyncError("bad-setting", Exit.usage, `'${value}' does not fit: ${setting.name} ${wrong}`, [
      setting.what,
    ]);
  }
  const git = await gitHere(world);
  const scope = options.global ? ["--global"] : ["--local"];
  const key = `convosync.${setting.name}`;
  const args =
    value === null
      ? ["--unset-all", key]
      : setting.type === "patterns"
        ? ["--add", key, value]
        : ["--replace-all", key, value];
  const result = await git.run(["config", ...scope, ...args], { okCodes: [0, 5, 128] });
  if (result.code === 5 && value === null) {
    const where = options.global ? "your own configuration" : "this repository's configuration";
    throw new ConvosyncError("not-set", Exit.failed, `${setting.name} is not set in ${where}`, [
      `see where it is: git convosync config ${setting.name}`,
    ]);
  }
  if (result.code !== 0) {
    throw new ConvosyncError("git-failed", Exit.failed, result.stderr.split("\n")[0] ?? "git config failed", [
      "outside a repository a setting can only be your own: --global",
    ]);
  }
  return viewOf(setting, await readEntries(git), world.env);
}
