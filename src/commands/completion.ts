import { Exit } from "../errors.ts";
import { completionScripts, type Shell } from "../shells.ts";
import type { Invocation } from "../world.ts";

export default async function completionCommand(
  { terminal }: Invocation,
  args: readonly string[],
): Promise<number> {
  const shell = args[0] as Shell;
  const script = completionScripts[shell];
  if (terminal.json) terminal.document({ shell, script });
  else terminal.write(new TextEncoder().encode(script));
  return Exit.done;
}
