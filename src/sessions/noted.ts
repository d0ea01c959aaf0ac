import { pendingEvents } from "./events.ts";
import type { Context } from "./repository.ts";

/** Captures what hooks have noted and no worker has dealt with, as when the machine went off in between. */
export async function captureNoted(context: Context): Promise<void> {
  if ((await pendingEvents(context.cloneDir)).length === 0) return;
  // Loaded only then: there hardly ever is any.
  const { captureOnce } = await import("./worker.ts");
  await captureOnce(context);
}
