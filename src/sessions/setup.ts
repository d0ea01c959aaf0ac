import { access, constants, rm } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { xdgDirectory } from "../user-directories.ts";
import { readIfPresent, writeAtomic } from "./files.ts";
import type { World } from "./repository.ts";

/** A file of ours in a folder of the user's that shells and man look into. */
export interface SetupFile {
  readonly what: "man page" | "bash completion" | "zsh completion" | "fish completion";
  readonly path: string;
  readonly content: string;
}

export type SetupState =
  | "current"
  | "written"
  | "removed"
  | "absent"
  /** Not by us: left alone. */
  | "foreign";

export interface SetupResult {
  readonly what: SetupFile["what"];
  readonly path: string;
  readonly state: SetupState;
}

export interface SetupContents {
  readonly man: string;
  readonly bash: string;
  readonly zsh: string;
  readonly fish: string;
}

/** Where the files go: man and bash always, the other shells where they are installed. */
export async function setupFiles(world: World, contents: SetupContents): Promise<SetupFile[]> {
  const data = xdgDirectory(world.env, "XDG_DATA_HOME", ".local/share");
  const config = xdgDirectory(world.env, "XDG_CONFIG_HOME", ".config");
  const completions = join(data, "bash-completion", "completions");
  const files: SetupFile[] = [
    { what: "man page", path: join(data, "man", "man1", "git-convosync.1"), content: contents.man },
    { what: "bash completion", path: join(completions, "git-convosync"), content: contents.bash },
    // bash looks for a file of the program's name.
    { what: "bash completion", path: join(completions, "convosync"), content: contents.bash },
  ];
  if (await isProgram(world, "zsh")) {
    const path = join(data, "zsh", "site-functions", "_git-convosync");
    files.push({ what: "zsh completion", path, content: contents.zsh });
  }
  if (await isProgram(world, "fish")) {
    const path = join(config, "fish", "conf.d", "git-convosync.fish");
    files.push({ what: "fish completion", path, content: contents.fish });
  }
  return files;
}

async function isProgram({ env }: World, name: string): Promise<boolean> {
  for (const folder of (env["PATH"] ?? "").split(delimiter)) {
    if (folder !== "" && (await access(join(folder, name), constants.X_OK).then(yes, no))) return true;
  }
  return false;
}

const yes = (): boolean => true;
const no = (): boolean => false;

/** How a file stands: ours and current, ours and older (`written` would be the answer), foreign, absent. */
export async function inspectSetup(
  file: SetupFile,
  mark: string,
): Promise<"current" | "older" | "foreign" | "absent"> {
  const there = (await readIfPresent(file.path))?.toString("utf8");
  if (there === undefined) return "absent";
  if (there === file.content) return "current";
  return there.slice(0, 400).includes(mark) ? "older" : "foreign";
}

/** Writes the files, or removes them; never touches one of that name that is not ours. */
export async function setUp(
  files: readonly SetupFile[],
  mark: string,
  options: { uninstall: boolean; dryRun: boolean },
): Promise<SetupResult[]> {
  const results: SetupResult[] = [];
  for (const file of files) {
    const now = await inspectSetup(file, mark);
    let state: SetupState = now === "older" ? "written" : now;
    if (options.uninstall && (now === "current" || now === "older")) {
      if (!options.dryRun) await rm(file.path, { force: true });
      state = "removed";
    } else if (!options.uninstall && (now === "absent" || now === "older")) {
      if (!options.dryRun) await writeAtomic(file.path, file.content, 0o644);
      state = "written";
    }
    results.push({ what: file.what, path: file.path, state });
  }
  return results;
}
