import { type Replay, replay } from "../sessions/replay.ts";
import { withCloneLock, withRepository } from "../sessions/repository.ts";
import { safeText } from "../ui/safe-text.ts";
import type { Terminal } from "../ui/terminal.ts";
import type { Invocation } from "../world.ts";
import { printReading, rangeOf, type ShowOptions } from "./show.ts";

interface Options extends ShowOptions {
  atCommit: string;
}

export default async function replayCommand(
  { world, terminal }: Invocation,
  args: readonly string[],
  options: Options,
): Promise<number> {
  const range = rangeOf(options);
  return withRepository(world, async (context) => {
    const found = await withCloneLock(context, () => replay(context, options.atCommit, args[0]));
    tell(terminal, found, options.atCommit);
    const { link, how, commit } = found;
    const more = {
      atCommit: commit ?? options.atCommit,
      how,
      link: { commit: link.commit, branch: link.branch, upto: link.upto },
    };
    return printReading({ world, terminal }, context, found.reading, options, range, more);
  });
}

/** How the commit led to the conversation, where that is not plain. */
function tell(terminal: Terminal, { link, how, others }: Replay, given: string): void {
  const name = safeText(given, 40);
  const was = link.commit.slice(0, 7);
  const said: Record<Replay["how"], string | null> = {
    itself: null,
    rewritten: `${name} was ${was} when this was saved: it was rewritten since`,
    author: `${name} was ${was} when this was saved; known by its author date`,
    tree: `${name} was ${was} when this was saved; known by its content`,
    patch: `${name} was ${was} when this was saved; known by its change`,
    squash: `${was}, saved with this, was squashed into ${name}`,
    ancestor: null,
    before: `nothing was saved at ${name} itself; this is how it stood at ${was}, the nearest commit before it`,
  };
  const text = said[how];
  if (text) terminal.note(text);
  for (const one of others.slice(0, 3))
    terminal.note(`also at this commit: git convosync replay ${one.id.slice(0, 8)} --at-commit ${name}`);
}
