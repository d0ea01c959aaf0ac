import { Exit } from "../errors.ts";
import { queuedError } from "../sessions/publish.ts";
import { withRepository } from "../sessions/repository.ts";
import { deleteTemplate } from "../sessions/templates.ts";
import type { Invocation } from "../world.ts";

export default async function templateDeleteCommand(
  { world, terminal }: Invocation,
  args: readonly string[],
): Promise<number> {
  const name = args[0]!;
  const { scope, remote, publish } = await withRepository(world, (context) => deleteTemplate(context, name));
  terminal.step(`Deleted the template '${name}'${scope === "user" ? ", in all your repositories" : ""}`);
  terminal.document({
    deleted: [name],
    scope,
    remote: publish?.status === "pushed" ? (remote?.title ?? null) : null,
  });
  if (publish?.status !== "queued" || !remote) return Exit.done;
  const waiting = queuedError(publish, remote);
  if (!terminal.json) terminal.fail(waiting);
  return waiting.exit;
}
