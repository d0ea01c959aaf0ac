import { Exit } from "../errors.ts";
import { mergeSessions } from "../sessions/merge.ts";
import { queuedError } from "../sessions/publish.ts";
import { withRepository } from "../sessions/repository.ts";
import { commandIn } from "../ui/command-line.ts";
import { plural } from "../ui/time.ts";
import type { Invocation } from "../world.ts";

export default async function mergeCommand(
  { world, terminal }: Invocation,
  args: readonly string[],
  options: { push?: boolean },
): Promise<number> {
  const merged = await withRepository(world, (context) =>
    mergeSessions(context, [args[0]!, args[1]!], { noPush: options.push === false }),
  );
  const { publish, remote, ...rest } = merged;
  const waiting = publish.status === "queued" && remote ? queuedError(publish, remote) : null;
  terminal.document({ ...rest, pushed: publish.status === "pushed" });
  terminal.step(
    `Merged ${merged.with.slice(0, 8)} into ${merged.session.slice(0, 8)} (${plural(merged.messages, "message")}, ${merged.added.toLocaleString("en")} of them new)`,
  );
  terminal.detail(
    `${merged.with.slice(0, 8)} stays as it is; remove it with: git convosync delete ${merged.with.slice(0, 8)}`,
  );
  terminal.note("\nContinue with:");
  terminal.print(commandIn(merged.workingDirectory, world.cwd, merged.resumeCommand));
  if (!waiting) return Exit.done;
  if (!terminal.json) terminal.fail(waiting);
  return waiting.exit;
}
