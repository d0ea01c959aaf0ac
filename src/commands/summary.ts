import { Exit } from "../errors.ts";
import { markdownExport } from "../rendering/markdown-export.ts";
import { markdownLines } from "../rendering/markdown-terminal.ts";
import { type Summary, summarise } from "../rendering/summary.ts";
import { type LinkedSubject, subjectsOf } from "../sessions/link-subjects.ts";
import { openReading, type Reading } from "../sessions/reading.ts";
import { type Context, withCloneLock, withRepository } from "../sessions/repository.ts";
import { safeText } from "../ui/safe-text.ts";
import type { Terminal } from "../ui/terminal.ts";
import { plural } from "../ui/time.ts";
import { wrapRuns } from "../ui/width.ts";
import type { Invocation } from "../world.ts";

export default async function summaryCommand(
  { world, terminal }: Invocation,
  args: readonly string[],
  options: { offline?: boolean },
): Promise<number> {
  return withRepository(world, async (context) => {
    const shown = await withCloneLock(context, () => openReading(context, args[0]!));
    const command = options.offline ? undefined : context.settings.get("summaryCommand");
    if (command) await byCommand(terminal, context, shown, command);
    else await extract(terminal, context, shown);
    return Exit.done;
  });
}

async function byCommand(
  terminal: Terminal,
  context: Context,
  shown: Reading,
  command: string,
): Promise<void> {
  terminal.note(`Handing the conversation, decrypted, to your own command: ${safeText(command, 200)}`);
  terminal.note("It leaves this machine only if that command sends it.");
  const { summaryBy } = await import("../sessions/summary-command.ts");
  const { world, repo } = context;
  const text = await summaryBy(
    command,
    markdownExport({
      session: shown.session.id,
      agent: shown.session.agent,
      agentTitle: shown.agentTitle,
      title: shown.session.newest.entry.t,
      snapshot: shown.snapshot?.n ?? null,
      root: shown.root,
      between: [],
      messages: shown.messages,
    }),
    repo.root ?? repo.gitDir,
    world.env,
  );
  terminal.document({ session: shown.session.id, agent: shown.session.agent, by: "command", text });
  const look = { style: terminal.style.bind(terminal), width: terminal.width, unicode: terminal.unicode };
  for (const line of markdownLines(text, look)) terminal.print(line);
}

async function extract(terminal: Terminal, context: Context, shown: Reading): Promise<void> {
  const summary = await summarise(shown.messages(), shown.root);
  const commits = await subjectsOf(context.git, shown);
  terminal.document({
    session: shown.session.id,
    agent: shown.session.agent,
    title: shown.session.newest.entry.t,
    by: "extract",
    ...summary,
    commits,
  });
  if (!terminal.json) printSummary(terminal, shown, summary, commits);
}

function printSummary(
  terminal: Terminal,
  shown: Reading,
  summary: Summary,
  commits: readonly LinkedSubject[],
): void {
  const { entry } = shown.session.newest;
  const head = (text: string): void => terminal.print(`\n${terminal.style("bold", text)}`);
  const list = (texts: readonly string[]): void => {
    for (const text of texts) item(terminal, safeText(text, 400));
  };
  terminal.printBeside("", 0, safeText(entry.t || shown.session.id), "bold");
  const branches = [...new Set(shown.stored.manifest.links.flatMap((one) => one.branch ?? []))];
  const facts = [
    shown.session.id.slice(0, 8),
    ...(summary.began && summary.ended ? [days(summary.began, summary.ended)] : []),
    ...(branches.length > 0 ? [branches.map((one) => safeText(one, 40)).join(", ")] : []),
    plural(summary.messages, "message"),
    plural(summary.toolCalls, "tool call"),
  ];
  terminal.printBeside("", 0, facts.join(" · "), "dim");
  head("Goal");
  list([summary.goal || "(nothing was asked)"]);
  if (summary.asked.length > 0) {
    head("Then asked");
    list(summary.asked);
  }
  if (summary.done.length > 0) {
    head("Done");
    list(summary.done);
  }
  if (commits.length > 0) {
    head("Commits");
    for (const { commit, subject, branch } of commits)
      item(
        terminal,
        `${commit.slice(0, 7)} ${safeText(subject ?? "(not here any more)", 100)}${branch ? ` (${safeText(branch, 40)})` : ""}`,
      );
  }
  if (summary.files.length > 0) {
    head("Files changed");
    for (const { path, changes, added, removed } of summary.files) {
      const lines = added + removed > 0 ? `, +${added} -${removed}` : "";
      item(terminal, `${safeText(path, 120)} (${plural(changes, "change")}${lines})`);
    }
  }
  if (summary.commands.length > 0) {
    head("Commands run");
    for (const { command, runs, failed } of summary.commands) {
      const times =
        runs > 1
          ? ` (${runs} times${failed > 0 ? `, ${failed} failed` : ""})`
          : failed > 0
            ? " (failed)"
            : "";
      item(terminal, `${safeText(command, 120)}${times}`);
    }
  }
  if (summary.next.length > 0) {
    head("Open, and next");
    list(summary.next);
  }
}

function item(terminal: Terminal, text: string): void {
  const width = Number.isFinite(terminal.width)
    ? Math.max(20, Math.min(terminal.width, 120) - 4)
    : terminal.width;
  const bullet = terminal.unicode ? "•" : "-";
  for (const [at, line] of wrapRuns([{ text, style: "" }], width).entries())
    terminal.print(
      `  ${at === 0 ? terminal.style("dim", bullet) : " "} ${line.map((run) => run.text).join("")}`,
    );
}

/** `2026-11-20`, or both days where it took longer. */
function days(began: string, ended: string): string {
  const [from, to] = [began.slice(0, 10), ended.slice(0, 10)];
  return from === to ? from : `${from} to ${to}`;
}
