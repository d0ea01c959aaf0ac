import { Exit } from "../errors.ts";
import { openReading, type Reading } from "../sessions/reading.ts";
import { withCloneLock, withRepository } from "../sessions/repository.ts";
import { gainedBy } from "../sessions/timeline.ts";
import { openOutput } from "../ui/pager.ts";
import { safeText } from "../ui/safe-text.ts";
import type { Terminal } from "../ui/terminal.ts";
import { plural, relativeTime } from "../ui/time.ts";
import type { Invocation } from "../world.ts";
import { numberGiven } from "./number.ts";

interface ListedSnapshot {
  readonly n: number;
  readonly at: string;
  readonly device: string;
  readonly via: string;
  readonly branch: string | null;
  readonly commit: string | null;
  readonly message: string;
  readonly messages: number;
  readonly newMessages: number;
}

export default async function logCommand(
  { world, terminal }: Invocation,
  args: readonly string[],
  options: { limit?: string },
): Promise<number> {
  const limit = numberGiven(options.limit, Number.POSITIVE_INFINITY, "snapshots", "--limit 5");
  return withRepository(world, async (context) => {
    const shown = await withCloneLock(context, () => openReading(context, args[0]!));
    const snapshots = snapshotsOf(shown).slice(0, limit);
    terminal.document({
      session: shown.session.id,
      agent: shown.session.agent,
      title: shown.session.newest.entry.t,
      snapshots,
    });
    if (terminal.json) return Exit.done;
    const output = await openOutput(terminal, world.env, () => context.git.text(["var", "GIT_PAGER"]));
    for (const one of snapshots) {
      if (!(await output.write(entryText(terminal, shown, one, world.now())))) break;
    }
    await output.end();
    return Exit.done;
  });
}

/** The newest first; up to the snapshot that was named, when one was. */
function snapshotsOf(shown: Reading): ListedSnapshot[] {
  const { snapshots } = shown.stored.manifest;
  const upTo = shown.snapshot ? snapshots.indexOf(shown.snapshot) + 1 : snapshots.length;
  return snapshots
    .slice(0, upTo)
    .map((one, at) => ({
      n: one.n,
      at: one.ts,
      device: shown.deviceName(one.device),
      via: one.via,
      branch: one.branch,
      commit: one.commit,
      message: one.message,
      messages: one.upto["main"]?.[0] ?? 0,
      newMessages: gainedBy(one, snapshots[at - 1]),
    }))
    .reverse();
}

function entryText(terminal: Terminal, shown: Reading, one: ListedSnapshot, now: Date): string {
  const name = `${shown.session.id.slice(0, 8)}@${one.n}`;
  const facts = [
    safeText(one.device, 30),
    relativeTime(new Date(one.at), now),
    ...(one.commit
      ? [`${one.branch === null ? "detached" : safeText(one.branch, 40)} @ ${one.commit.slice(0, 7)}`]
      : []),
    `${plural(one.messages, "message")}${one.newMessages > 0 ? ` (+${one.newMessages.toLocaleString("en")})` : ""}`,
    one.via,
  ];
  const title = safeText(one.message || "(no message)", 72);
  const indent = " ".repeat(name.length + 2);
  return `${terminal.style("yellow", name)}  ${terminal.style("bold", title)}\n${indent}${terminal.style("dim", facts.join(" · "))}\n`;
}
