import { realpath } from "node:fs/promises";
import { ConvosyncError, Exit } from "../errors.ts";
import { runWorker } from "../sessions/worker.ts";
import type { Invocation } from "../world.ts";

/** What hooks start in the background: never heard, never in the way. */
export default async function hookCommand({ world }: Invocation, args: readonly string[]): Promise<number> {
  const [what, commonDir, once] = args;
  if (what !== "worker" || commonDir === undefined)
    throw new ConvosyncError("usage", Exit.usage, "this is for hooks to start", [
      "see: git convosync hooks -h",
    ]);
  // The terminal we were started from may go away, and it is not ours to be interrupted from.
  const signals = ["SIGHUP", "SIGINT"] as const;
  const ignore = (): void => undefined;
  for (const signal of signals) process.on(signal, ignore);
  try {
    await runWorker(world, await realpath(commonDir), once === "once" ? { outageMs: 0 } : {});
  } finally {
    for (const signal of signals) process.off(signal, ignore);
  }
  return Exit.done;
}
