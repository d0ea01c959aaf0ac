import { ConvosyncError, Exit } from "../errors.ts";
import { manPage } from "../manual.ts";
import { type Check, examine, mend, worst } from "../sessions/doctor.ts";
import { setupFiles } from "../sessions/setup.ts";
import { completionScripts, mark } from "../shells.ts";
import { confirm } from "../ui/prompts.ts";
import { safeText } from "../ui/safe-text.ts";
import type { Terminal } from "../ui/terminal.ts";
import { plural } from "../ui/time.ts";
import type { Invocation } from "../world.ts";

interface Options {
  probe?: boolean;
  fix?: boolean;
  yes?: boolean;
}

export default async function doctorCommand(
  { world, terminal, commandLine }: Invocation,
  _args: readonly string[],
  options: Options,
): Promise<number> {
  const files = await setupFiles(world, { ...completionScripts, man: manPage(commandLine) });
  const look = { probe: options.probe === true, setup: { files, mark } };
  let checks = await examine(world, look);
  const mendable = checks.filter((one) => one.repair);
  let fixed: string[] = [];
  if (options.fix && mendable.length > 0) {
    for (const one of mendable) terminal.note(`- ${safeText(one.message, 300)}`);
    const question = { message: `Mend ${plural(mendable.length, "thing")}?`, flag: "--yes" };
    if (!options.yes && !(await confirm(terminal, question)))
      throw new ConvosyncError("cancelled", Exit.cancelled, "cancelled; nothing was changed");
    fixed = await mend(world, mendable);
    for (const one of fixed) terminal.step(safeText(one, 300));
    checks = await examine(world, { ...look, probe: false });
  }
  for (const one of checks) print(terminal, one);
  terminal.document({
    checks: checks.map(({ name, status, message, hint }) => ({ name, status, message, hint })),
    fixed,
  });
  return worst(checks);
}

const styles = { ok: "green", info: "cyan", warning: "yellow", error: "red" } as const;

function print(terminal: Terminal, { name, status, message, hint }: Check): void {
  const before = `${terminal.style(styles[status], status.padEnd(8))} ${name.padEnd(10)} `;
  terminal.printBeside(before, 20, safeText(message, 400));
  if (hint) terminal.printBeside("".padEnd(20), 20, safeText(hint, 400), "dim");
}
