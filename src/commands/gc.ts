import { Exit } from "../errors.ts";
import { gc } from "../sessions/gc.ts";
import { queuedError } from "../sessions/publish.ts";
import { withRepository } from "../sessions/repository.ts";
import { plural } from "../ui/time.ts";
import type { Invocation } from "../world.ts";

export default async function gcCommand({ world, terminal }: Invocation): Promise<number> {
  const { folded, compacted, remote, publish } = await withRepository(world, gc);
  if (folded > 0) terminal.step(`Folded ${plural(folded, "old session")} into an archive`);
  if (compacted > 0) terminal.step(`Repacked ${plural(compacted, "session")}`);
  if (folded + compacted === 0) terminal.step("Nothing to tidy");
  const waiting = publish?.status === "queued" && remote ? queuedError(publish, remote) : null;
  terminal.document({ folded, compacted, pushed: publish?.status === "pushed" });
  if (!waiting) return Exit.done;
  if (!terminal.json) terminal.fail(waiting);
  return waiting.exit;
}
