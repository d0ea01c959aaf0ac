import { ConvosyncError, Exit } from "../errors.ts";
import { deleteSessions } from "../sessions/delete.ts";
import { queuedError } from "../sessions/publish.ts";
import { withRepository } from "../sessions/repository.ts";
import { confirm } from "../ui/prompts.ts";
import { safeText } from "../ui/safe-text.ts";
import type { Invocation } from "../world.ts";

export default async function deleteCommand(
  { world, terminal }: Invocation,
  args: readonly string[],
  options: { yes?: boolean },
): Promise<number> {
  const result = await withRepository(world, (context) =>
    deleteSessions(context, args, async (sessions) => {
      if (options.yes) return true;
      const names = sessions
        .map((one) => `${one.id.slice(0, 8)} "${safeText(one.newest.entry.t, 40)}"`)
        .join(", ");
      const sure = await confirm(terminal, {
        message: `Delete ${names} here and on the remote, for all devices?`,
        flag: "--yes",
      });
      if (!sure) throw new ConvosyncError("cancelled", Exit.cancelled, "cancelled; nothing was deleted");
      return true;
    }),
  );
  for (const id of result.deleted) terminal.step(`Deleted ${id}`);
  terminal.detail("the agent's own files on this machine are untouched");
  if (result.deleted.length > 0) terminal.detail("to bring it back, while git still can: git convosync undo");
  terminal.document({
    deleted: result.deleted,
    remote: result.publish?.status === "pushed" ? (result.remote?.title ?? null) : null,
  });
  if (result.publish?.status !== "queued" || !result.remote) return Exit.done;
  const waiting = queuedError(result.publish, result.remote);
  if (!terminal.json) terminal.fail(waiting);
  return waiting.exit;
}
