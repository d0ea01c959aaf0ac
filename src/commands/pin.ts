import { Exit } from "../errors.ts";
import { pinSessions } from "../sessions/pins.ts";
import { queuedError } from "../sessions/publish.ts";
import { withRepository } from "../sessions/repository.ts";
import { safeText } from "../ui/safe-text.ts";
import type { Invocation } from "../world.ts";

export default function pinCommand(invocation: Invocation, args: readonly string[]): Promise<number> {
  return setPinned(invocation, args, true);
}

/** `pin` and `unpin`. */
export async function setPinned(
  { world, terminal }: Invocation,
  args: readonly string[],
  pinned: boolean,
): Promise<number> {
  const { sessions, changed, remote, publish } = await withRepository(world, (context) =>
    pinSessions(context, args, pinned),
  );
  for (const one of sessions) {
    const name = `${one.id.slice(0, 8)} "${safeText(one.newest.entry.t, 50)}"`;
    const already = changed.includes(one) ? "" : pinned ? " (it was already)" : " (it was not pinned)";
    terminal.step(`${pinned ? "Pinned" : "Unpinned"} ${name}${already}`);
  }
  terminal.document({
    [pinned ? "pinned" : "unpinned"]: sessions.map((one) => one.id),
    changed: changed.map((one) => one.id),
    remote: publish?.status === "pushed" ? (remote?.title ?? null) : null,
  });
  if (publish?.status !== "queued" || !remote) return Exit.done;
  const waiting = queuedError(publish, remote);
  if (!terminal.json) terminal.fail(waiting);
  return waiting.exit;
}
