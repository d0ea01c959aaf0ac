import { dirname } from "node:path";
import { Exit } from "../errors.ts";
import { manPage } from "../manual.ts";
import { type SetupResult, setUp, setupFiles } from "../sessions/setup.ts";
import { completionScripts, mark } from "../shells.ts";
import type { Invocation } from "../world.ts";

export default async function setupCommand(
  { world, terminal, commandLine }: Invocation,
  _args: readonly string[],
  options: { uninstall?: boolean; dryRun?: boolean },
): Promise<number> {
  const uninstall = options.uninstall === true;
  const dryRun = options.dryRun === true;
  const files = await setupFiles(world, { ...completionScripts, man: manPage(commandLine) });
  const results = await setUp(files, mark, { uninstall, dryRun });
  for (const one of results) tell(one);
  const zsh = results.find((one) => one.what === "zsh completion" && one.state !== "foreign");
  if (zsh && !uninstall)
    terminal.note(`For zsh, once, before compinit in ~/.zshrc: fpath=(${dirname(zsh.path)} $fpath)`);
  if (!uninstall && results.some((one) => one.state === "written") && !dryRun)
    terminal.note("Completions work in shells that are started from now on.");
  terminal.document({ files: results, dryRun });
  return Exit.done;

  function tell({ what, path, state }: SetupResult): void {
    switch (state) {
      case "written":
        terminal.step(`${dryRun ? "Would write" : "Wrote"} the ${what}: ${path}`);
        return;
      case "removed":
        terminal.step(`${dryRun ? "Would remove" : "Removed"} the ${what}: ${path}`);
        return;
      case "current":
        terminal.step(`The ${what} is there: ${path}`);
        return;
      case "foreign":
        terminal.warn(`left alone, as it is not ours: ${path}`);
        return;
      case "absent":
        return;
    }
  }
}
