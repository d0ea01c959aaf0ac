import { ConvosyncError, Exit } from "../errors.ts";
import { withRepository } from "../sessions/repository.ts";
import { type ResumeEvent, resume } from "../sessions/resume.ts";
import { warmUp } from "../sessions/warm-up.ts";
import { safeText } from "../ui/safe-text.ts";
import type { Terminal } from "../ui/terminal.ts";
import { grouped, plural, relativeTime } from "../ui/time.ts";
import type { Invocation } from "../world.ts";
import list from "./list.ts";

interface Options {
  list?: boolean;
  pull?: boolean;
  switchBranch?: boolean;
  stayOnBranch?: boolean;
  exact?: boolean;
  dryRun?: boolean;
  force?: boolean;
}

export default async function resumeCommand(
  invocation: Invocation,
  args: readonly string[],
  options: Options,
): Promise<number> {
  if (options.list) return list(invocation, [], { fetch: true });
  const { world, terminal } = invocation;
  const chosen = [
    options.switchBranch && "--switch-branch",
    options.stayOnBranch && "--stay-on-branch",
    options.exact && "--exact",
  ];
  const given = chosen.filter((one) => typeof one === "string");
  if (given.length > 1) {
    throw new ConvosyncError("usage", Exit.usage, `${given.join(" and ")} exclude each other`, [
      "choose one of them",
    ]);
  }
  terminal.note("ConvoSync: resuming session…");
  const result = await withRepository(
    world,
    (context) =>
      resume(
        context,
        {
          ...(args[0] !== undefined && { session: args[0] }),
          noPull: options.pull === false,
          stayOnBranch: options.stayOnBranch === true,
          exact: options.exact === true,
          dryRun: options.dryRun === true,
          force: options.force === true,
        },
        (event) => tell(terminal, event, world.now()),
      ),
    warmUp,
  );
  const { snapshot } = result;
  terminal.document({
    session: result.session,
    agent: result.agent.name,
    snapshot: snapshot?.n ?? null,
    commit: result.commit,
    branch: result.branch,
    messages: result.messages,
    restored: result.restored,
    resumeCommand: result.resumeCommand,
    workingDirectory: result.workingDirectory,
    readOnly: false,
    localAhead: result.localAhead,
  });
  if (result.dryRun) {
    for (const path of result.restored) terminal.print(`would write ${path}`);
    return Exit.done;
  }
  terminal.note(`\n${terminal.style("bold", "Session restored.")}`);
  terminal.note(`  Directory:    ${result.workingDirectory}`);
  if (result.branch) terminal.note(`  Branch:       ${safeText(result.branch)}`);
  if (result.commit)
    terminal.note(
      `  Commit:       ${result.commit.slice(0, 7)} ${snapshot?.message ? `"${safeText(snapshot.message, 60)}"` : ""}`,
    );
  terminal.note(`  Conversation: ${plural(result.messages, "message")}`);
  if (result.localAhead)
    terminal.note("  The conversation here has lines that are not saved yet: git convosync save");
  terminal.note("\nContinue with:");
  terminal.print(result.resumeCommand.join(" "));
  return Exit.done;
}

function tell(terminal: Terminal, event: ResumeEvent, now: Date): void {
  switch (event.step) {
    case "offline":
      terminal.warn(`cannot reach '${event.remote}'; using what is here (${safeText(event.text)})`);
      return;
    case "found":
      terminal.step(
        `Found session from ${safeText(event.device)} (${relativeTime(event.at, now)}): ${safeText(event.title, 60)}`,
      );
      return;
    case "switched":
      terminal.step(`Switched to branch '${safeText(event.branch)}'${event.created ? " (new here)" : ""}`);
      if (event.from)
        terminal.detail(
          `you were on '${safeText(event.from)}'; back with: git switch ${safeText(event.from)}`,
        );
      return;
    case "forwarded":
      terminal.step(`Fast-forwarded '${safeText(event.branch)}' to ${event.commit.slice(0, 7)}`);
      return;
    case "detached":
      terminal.step(`Checked out ${event.commit.slice(0, 7)}, detached`);
      return;
    case "code":
      terminal.step(
        event.ahead
          ? `Code is at ${event.commit.slice(0, 7)} or newer`
          : `Code is at ${event.commit.slice(0, 7)}`,
      );
      return;
    case "stayed":
      terminal.step(`Left the code as it is${event.branch ? ` on '${safeText(event.branch)}'` : ""}`);
      if (event.wanted && event.wanted !== event.branch)
        terminal.detail(`the conversation was on '${safeText(event.wanted)}'`);
      return;
    case "restored":
      terminal.step(
        event.files === 0
          ? "The conversation is here already"
          : `Restored the conversation (${plural(event.messages, "message")}, ${grouped(event.fresh)} new here)`,
      );
      return;
    case "kept-backup":
      terminal.detail(`the version that was here is kept in ${event.path}`);
      return;
    case "bypass":
      terminal.warn(
        `on ${safeText(event.device)} this conversation ran with permission questions switched off`,
      );
      return;
  }
}
