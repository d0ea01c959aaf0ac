import { Exit } from "../errors.ts";
import { installHooks } from "../sessions/hooks.ts";
import { withRepository } from "../sessions/repository.ts";
import type { Invocation } from "../world.ts";
import { hooksDocument, tellInstalled } from "./hooks-status.ts";

export default async function hooksInstallCommand({ world, terminal }: Invocation): Promise<number> {
  const status = await withRepository(world, (context) => installHooks(context));
  tellInstalled(terminal, status);
  terminal.document(hooksDocument(status));
  return status.hooks.some((one) => one.ours === "by-hand") ? Exit.stopped : Exit.done;
}
