import { Exit } from "../errors.ts";
import { uninstallHooks } from "../sessions/hooks.ts";
import { withRepository } from "../sessions/repository.ts";
import type { Invocation } from "../world.ts";

export default async function hooksUninstallCommand({ world, terminal }: Invocation): Promise<number> {
  const removed = await withRepository(world, uninstallHooks);
  if (removed.length > 0)
    terminal.step(`Took out of ${removed.join(", ")}; what was there before is as it was`);
  else terminal.step("No hook of convosync was installed here");
  terminal.document({ removed });
  return Exit.done;
}
