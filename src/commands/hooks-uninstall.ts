import { Exit } from "../errors.ts";
import { uninstallAgentHooks } from "../sessions/agent-hooks.ts";
import { uninstallHooks } from "../sessions/hooks.ts";
import { withRepository } from "../sessions/repository.ts";
import { userStateDir } from "../user-directories.ts";
import type { Invocation } from "../world.ts";

export default async function hooksUninstallCommand(
  { world, terminal }: Invocation,
  _args: readonly string[],
  options: { agent?: readonly string[] },
): Promise<number> {
  const removed: string[] = [];
  if (options.agent) {
    for (const name of options.agent) {
      if (await uninstallAgentHooks(name, { env: world.env, stateDir: userStateDir(world.env) }))
        removed.push(name);
    }
  } else removed.push(...(await withRepository(world, uninstallHooks)));
  if (removed.length > 0)
    terminal.step(`Took out of ${removed.join(", ")}; what was there before is as it was`);
  else terminal.step("No hook of convosync was installed");
  terminal.document({ removed });
  return Exit.done;
}
