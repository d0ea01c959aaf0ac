import { ConvosyncError, Exit } from "../errors.ts";
import { type GcResult, gc } from "../sessions/gc.ts";
import { queuedError } from "../sessions/publish.ts";
import { withRepository } from "../sessions/repository.ts";
import type { DueSession, RetentionRule } from "../sessions/retention.ts";
import { confirm } from "../ui/prompts.ts";
import { safeText } from "../ui/safe-text.ts";
import type { Terminal } from "../ui/terminal.ts";
import { byteSize, plural, relativeTime } from "../ui/time.ts";
import type { Invocation } from "../world.ts";

interface Options {
  dryRun?: boolean;
  retention?: boolean;
  yes?: boolean;
}

export default async function gcCommand(
  { world, terminal }: Invocation,
  _args: readonly string[],
  options: Options,
): Promise<number> {
  const result = await withRepository(world, (context) =>
    gc(
      context,
      { noRetention: options.retention === false, dryRun: options.dryRun === true },
      async (due, rule, everything) => {
        if (options.yes) return;
        const today = world.now().toISOString().slice(0, 10);
        const unused = `Nothing was used for ${rule.days} days, if today is ${today}. `;
        if (terminal.interactive) printDue(terminal, due, rule, world.now());
        const sure = await confirm(terminal, {
          message: `${everything ? unused : ""}Delete ${plural(due.length, "session")} by retention, here and on the remote, for all devices?`,
          flag: "--yes, or --no-retention to keep everything",
        });
        if (!sure) throw new ConvosyncError("cancelled", Exit.cancelled, "cancelled; nothing was deleted");
      },
    ),
  );
  tell(terminal, result, world.now(), options.dryRun === true);
  terminal.document({
    folded: result.folded,
    compacted: result.compacted,
    generations: result.generations,
    pushed: result.publish?.status === "pushed",
    dryRun: options.dryRun === true,
    retention: {
      days: result.rule.days,
      sessions: result.rule.sessions,
      postponed: result.postponed,
      due: result.due.map((one) => ({
        id: one.session.id,
        agent: one.session.agent,
        title: one.session.newest.entry.t,
        why: one.why,
        lastUse: one.lastUse,
        bytes: one.session.newest.entry.b,
      })),
      kept: result.kept.map(({ session, why }) => ({ id: session.id, agent: session.agent, why })),
    },
  });
  const waiting =
    result.publish?.status === "queued" && result.remote ? queuedError(result.publish, result.remote) : null;
  if (!waiting) return Exit.done;
  if (!terminal.json) terminal.fail(waiting);
  return waiting.exit;
}

function tell(terminal: Terminal, result: GcResult, now: Date, dryRun: boolean): void {
  const { folded, compacted, generations, due, kept, postponed, rule } = result;
  if (postponed) terminal.warn("the remote cannot be reached; retention waits until it can");
  for (const { session, why } of kept)
    terminal.detail(
      `kept ${session.id.slice(0, 8)} "${safeText(session.newest.entry.t, 50)}": ${
        why === "unsaved" ? "it has lines that are not saved yet" : "it was used on this machine"
      }`,
    );
  if (dryRun) {
    if (due.length > 0) printDue(terminal, due, rule, now);
    terminal.step(due.length > 0 ? "Nothing was deleted" : "Nothing is due for retention");
    return;
  }
  if (due.length > 0) {
    const bytes = due.reduce((sum, one) => sum + one.session.newest.entry.b, 0);
    terminal.step(
      `Deleted ${plural(due.length, "session")} by retention (${byteSize(bytes)} of conversation)`,
    );
    terminal.detail("the agent's own files on this machine are untouched");
    terminal.detail("to bring them back, while git still can: git convosync undo");
  }
  if (generations > 0) terminal.step(`Dropped old versions of ${plural(generations, "transcript")}`);
  if (folded > 0) terminal.step(`Folded ${plural(folded, "old session")} into an archive`);
  if (compacted > 0) terminal.step(`Repacked ${plural(compacted, "session")}`);
  if (folded + compacted + generations + due.length === 0) terminal.step("Nothing to tidy");
}

function printDue(terminal: Terminal, due: readonly DueSession[], rule: RetentionRule, now: Date): void {
  for (const { session, why, lastUse } of due) {
    const { entry } = session.newest;
    const reason = why === "age" ? `older than ${rule.days} days` : `beyond the newest ${rule.sessions}`;
    terminal.print(
      `${terminal.style("yellow", session.id.slice(0, 8))}  ${terminal.style("bold", safeText(entry.t || entry.msg || "(no title)", 60))}`,
    );
    terminal.print(
      terminal.style(
        "dim",
        `          last used ${relativeTime(new Date(lastUse), now)} · ${byteSize(entry.b)} · ${reason}`,
      ),
    );
  }
  terminal.note("Keep one with: git convosync pin <session>");
}
