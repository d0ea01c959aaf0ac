import { Exit } from "../errors.ts";
import { captureNoted } from "../sessions/noted.ts";
import { queuedError } from "../sessions/publish.ts";
import { withRepository } from "../sessions/repository.ts";
import { sync } from "../sessions/sync.ts";
import { safeText } from "../ui/safe-text.ts";
import { plural } from "../ui/time.ts";
import type { Invocation } from "../world.ts";

export default async function syncCommand(
  { world, terminal }: Invocation,
  _args: readonly string[],
  options: { code?: boolean; retry?: boolean },
): Promise<number> {
  const result = await withRepository(world, async (context) => {
    await captureNoted(context);
    return sync(context, { noCode: options.code === false, restore: options.retry === true });
  });
  const { pushed, elsewhere, fetched, queued, publish, remote, due, restored } = result;
  for (const to of new Set([remote.title, ...elsewhere.values()])) {
    const sent = pushed.filter((one) => (elsewhere.get(one) ?? remote.title) === to);
    if (sent.length > 0) terminal.step(`Sent to ${safeText(to)}: ${named(sent)}`);
  }
  if (fetched.length > 0) terminal.step(`Fetched ${plural(fetched.length, "session")} from other devices`);
  if (restored.length > 0)
    terminal.step(
      options.retry
        ? `Put back on ${safeText(remote.title)} what was here of ${named(restored)}`
        : `Sent to ${safeText(remote.title)} what ${named(restored)} had not sent from here`,
    );
  if (pushed.length + fetched.length + queued.length + restored.length === 0)
    terminal.step("Everything is up to date");
  if (due > 0)
    terminal.detail(`${plural(due, "session")} due for retention; see them: git convosync gc --dry-run`);
  terminal.document({ pushed, fetched, queued, restored, due });
  if (publish.status !== "queued") {
    if (queued.length > 0) terminal.detail(`still waiting: ${named(queued)}`);
    return Exit.done;
  }
  const waiting = queuedError(publish, remote);
  if (!terminal.json) terminal.fail(waiting);
  return waiting.exit;
}

const shownNames = 5;

function named(all: readonly string[]): string {
  const rest = all.length - shownNames;
  return [
    ...all.slice(0, shownNames).map((one) => safeText(one)),
    ...(rest > 0 ? [`and ${rest} more`] : []),
  ].join(", ");
}
