import { Exit } from "../errors.ts";
import { fork } from "../sessions/fork.ts";
import { withRepository } from "../sessions/repository.ts";
import { commandIn } from "../ui/command-line.ts";
import { safeText } from "../ui/safe-text.ts";
import { plural } from "../ui/time.ts";
import type { Invocation } from "../world.ts";

export default async function forkCommand(
  { world, terminal }: Invocation,
  args: readonly string[],
): Promise<number> {
  const made = await withRepository(world, (context) => fork(context, args[0]!));
  const { snapshot, commit, branch, ...rest } = made;
  terminal.document({ ...rest, snapshot: snapshot?.n ?? null, commit, branch });
  const what = snapshot ? `snapshot ${snapshot.n} of ${made.from.slice(0, 8)}` : made.from.slice(0, 8);
  terminal.step(`Made a session of ${what} (${plural(made.messages, "message")}): ${made.session}`);
  if (commit) {
    const where = branch ? ` on '${safeText(branch)}'` : "";
    terminal.detail(`its code was at ${commit.slice(0, 7)}${where}; the code here was left as it is`);
  }
  terminal.detail("nobody else hears of it before it is saved: git convosync save");
  terminal.note("\nContinue with:");
  terminal.print(commandIn(made.workingDirectory, world.cwd, made.resumeCommand));
  return Exit.done;
}
