import { ConvosyncError, Exit } from "../errors.ts";
import type { Decide } from "../sessions/decide.ts";
import { withRepository } from "../sessions/repository.ts";
import { type ResumeEvent, type ResumeResult, resume } from "../sessions/resume.ts";
import { warmUp } from "../sessions/warm-up.ts";
import { commandIn } from "../ui/command-line.ts";
import { safeText } from "../ui/safe-text.ts";
import type { Terminal } from "../ui/terminal.ts";
import { grouped, plural, relativeTime } from "../ui/time.ts";
import type { Invocation } from "../world.ts";
import list from "./list.ts";
import { type Answers, decider } from "./questions.ts";

interface Options {
  list?: boolean;
  pull?: boolean;
  switchBranch?: boolean;
  stayOnBranch?: boolean;
  exact?: boolean;
  stash?: boolean;
  commit?: boolean;
  merge?: boolean;
  mine?: boolean;
  theirs?: boolean;
  fork?: boolean;
  code?: "merge" | "theirs" | "mine";
  readOnly?: boolean;
  launch?: boolean;
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
  const answers = answersOf(options);
  // Whoever forces it wants no questions.
  const asks = terminal.interactive && options.force !== true;
  const decide = decider(terminal, answers, asks, world.now());
  if (options.launch && !terminal.interactive) {
    throw new ConvosyncError("usage", Exit.usage, "--launch needs a terminal for the agent", [
      "without it resume prints the command to run",
    ]);
  }
  if (options.readOnly) return readOnly(invocation, args[0], asks, decide);
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
          asks,
          decide,
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
    work: result.work,
    variables: Object.keys(result.variables),
    timeline: result.timeline,
    code: result.code,
  });
  if (result.dryRun) {
    for (const path of result.restored) terminal.print(`would write ${path}`);
    return Exit.done;
  }
  terminal.note(`\n${terminal.style("bold", "Session restored.")}`);
  terminal.note(`  Directory:    ${result.workingDirectory}`);
  if (result.branch) terminal.note(`  Branch:       ${safeText(result.branch)}`);
  const commit = result.at?.commit ?? result.commit;
  if (commit) terminal.note(`  Commit:       ${commit.slice(0, 7)}`);
  // Only where save had anything to commit it is what the commit is called.
  if (snapshot?.message) terminal.note(`  Saved as:     "${safeText(snapshot.message, 60)}"`);
  terminal.note(`  Conversation: ${plural(result.messages, "message")}`);
  if (result.localAhead)
    terminal.note("  The conversation here has lines that are not saved yet: git convosync save");
  tellTimeline(terminal, result);
  if (options.launch) {
    terminal.note(`\nStarting: ${result.resumeCommand.join(" ")}`);
    return launch(result.resumeCommand, result.workingDirectory, { ...world.env, ...result.variables });
  }
  terminal.note("\nContinue with:");
  terminal.print(commandIn(result.workingDirectory, world.cwd, result.resumeCommand));
  return Exit.done;
}

const shownStretches = 6;

/** Which messages went with which code, and whether both are together now. */
function tellTimeline(terminal: Terminal, { timeline, code, at, branch, commit }: ResumeResult): void {
  const name = (one: { branch: string | null; commit: string | null }): string =>
    `${safeText(one.branch ?? "detached", 40)}${one.commit ? ` @ ${one.commit.slice(0, 7)}` : ""}`;
  if (timeline.length > 1) {
    terminal.note("\nTimeline:");
    const hidden = Math.max(0, timeline.length - shownStretches);
    if (hidden > 0) terminal.note(terminal.style("dim", `  … ${plural(hidden, "earlier line")}`));
    for (const [at, one] of timeline.entries()) {
      if (at < hidden) continue;
      const before = timeline[at - 1];
      if (before && before.branch !== one.branch)
        terminal.note(terminal.style("dim", `  moved to ${safeText(one.branch ?? "a detached HEAD", 40)}`));
      const span = one.from === one.to ? `message ${one.from}` : `messages ${one.from}–${one.to}`;
      terminal.note(`  ${span.padEnd(20)} ${name(one)}`);
    }
  }
  terminal.note("");
  if (code === "same") {
    const here = at ?? { branch, commit };
    const place = name({ ...here, branch: here.branch ?? "a detached HEAD" });
    terminal.step(`You are on ${place}: code and conversation are in sync`);
  } else if (code === "newer") terminal.step("The code has all of the conversation's, and newer commits");
  else if (commit) terminal.warn(`the code here is not the conversation's (${name({ branch, commit })})`);
}

async function readOnly(
  invocation: Invocation,
  session: string | undefined,
  asks: boolean,
  decide: Decide,
): Promise<number> {
  const { world, terminal } = invocation;
  const { peek } = await import("../sessions/peek.ts");
  const found = await withRepository(world, (context) =>
    peek(context, { ...(session !== undefined && { session }), asks, decide }, (event) =>
      tell(terminal, event, world.now()),
    ),
  );
  if (!terminal.json) {
    const { default: show } = await import("./show.ts");
    return show(invocation, [session ?? found.session], {});
  }
  terminal.document({
    session: found.session,
    agent: found.agent,
    snapshot: found.snapshot?.n ?? null,
    commit: found.snapshot?.commit ?? null,
    branch: found.snapshot?.branch ?? null,
    messages: found.messages,
    restored: [],
    resumeCommand: [],
    workingDirectory: null,
    readOnly: true,
    localAhead: false,
  });
  return Exit.done;
}

/** Hands the terminal to the agent. It runs as its user has set it up; nothing is switched off for it. */
async function launch(command: readonly string[], cwd: string, env: NodeJS.ProcessEnv): Promise<number> {
  const { spawn } = await import("node:child_process");
  const [program = "", ...args] = command;
  return new Promise((settle, fail) => {
    // On Windows agents are started by .cmd files, which only a shell finds; the arguments are a checked id.
    const child = spawn(program, args, { cwd, env, stdio: "inherit", shell: process.platform === "win32" });
    child.on("error", (cause) =>
      fail(
        new ConvosyncError(
          "agent-not-started",
          Exit.failed,
          `'${program}' could not be started; everything is in place`,
          [`run it yourself, in ${cwd}: ${command.join(" ")}`],
          cause,
        ),
      ),
    );
    child.on("close", () => settle(Exit.done));
  });
}

/** What the flags answer. Those of a divergence answer for the conversation and, unless `--code` does, for the code. */
function answersOf(options: Options): Answers {
  const one = (...flags: readonly (keyof Options)[]): string | undefined => {
    const given = flags.filter((flag) => options[flag] === true);
    if (given.length <= 1) return given[0];
    const names = given.map((flag) => `--${flag.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`);
    throw new ConvosyncError("usage", Exit.usage, `${names.join(" and ")} exclude each other`, [
      "choose one of them",
    ]);
  };
  const where = one("switchBranch", "stayOnBranch", "exact", "readOnly");
  const conversation = one("merge", "theirs", "mine", "fork");
  // It changes nothing.
  for (const flag of ["stash", "commit", "merge", "theirs", "mine", "fork", "launch"] as const)
    one("readOnly", flag);
  return {
    branch: where === "switchBranch" ? "switch" : undefined,
    changes: one("stash", "commit"),
    conversation,
    open: options.fork ? "fork" : undefined,
    code: options.code ?? conversation,
  };
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
    case "switched-back":
      terminal.step(`Back on '${safeText(event.branch)}'`);
      return;
    case "forwarded":
      terminal.step(`Fast-forwarded '${safeText(event.branch)}' to ${event.commit.slice(0, 7)}`);
      return;
    case "put-aside":
      terminal.step("Put your changes aside");
      return;
    case "left-aside":
      terminal.detail(
        event.branch
          ? `get your changes back with: git switch ${safeText(event.branch)} && git stash pop`
          : "get your changes back with: git stash pop",
      );
      return;
    case "taken-back":
      terminal.step("Your changes are back in place");
      return;
    case "committed-first":
      terminal.step(`Committed your changes (${event.commit.slice(0, 7)})`);
      return;
    case "merged":
      terminal.step(`Merged ${event.commit.slice(0, 7)} into '${safeText(event.branch)}'`);
      return;
    case "replaced":
      terminal.step(`Put '${safeText(event.branch)}' at ${event.commit.slice(0, 7)}`);
      terminal.detail(`what it was before is kept on branch '${safeText(event.backup)}'`);
      return;
    case "detached":
      terminal.step(`Checked out ${event.commit.slice(0, 7)}, detached`);
      return;
    case "renamed":
      terminal.step(
        `Commit ${event.was.slice(0, 7)} was rewritten since: it is ${event.commit.slice(0, 7)} now`,
      );
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
    case "joined":
      if (event.idle) return;
      terminal.step(
        event.how === "merge"
          ? `Merged both versions of the conversation (${plural(event.messages, "message")}); no line is lost`
          : event.how === "theirs"
            ? "Went on with the other version"
            : "Went on with this version",
      );
      return;
    case "kept-version": {
      const at = `${event.session.slice(0, 8)}@${event.snapshot}`;
      const whose = event.here ? "yours" : `the one of ${safeText(event.device)}`;
      if (event.idle) {
        const where = event.here ? "here" : `on ${safeText(event.device)}`;
        terminal.detail(
          `nobody went on ${where} since they parted; what the agent noted there is kept as ${at}`,
        );
        return;
      }
      const next = event.copies
        ? "make it a session of its own with: git convosync fork"
        : "read it with: git convosync show";
      terminal.detail(`${whose} is kept as ${at}; ${next} ${at}`);
      return;
    }
    case "forked":
      terminal.step(
        `The version of ${safeText(event.device)} is a session of its own here: ${event.session}`,
      );
      terminal.detail(`continue it with: ${event.command.join(" ")}`);
      return;
    case "restored":
      terminal.step(
        event.files === 0
          ? "The conversation is here already"
          : `Restored the conversation (${plural(event.messages, "message")}, ${grouped(event.fresh)} new here)`,
      );
      return;
    case "work":
      if (event.how === "applied")
        terminal.step(`Brought the uncommitted work from ${safeText(event.device)}`);
      else if (event.how === "baseless") {
        const base = event.base.slice(0, 7);
        terminal.warn(
          `the uncommitted work from ${safeText(event.device)} stands on commit ${base}, which is not here`,
        );
        terminal.hint("it stays in the session; push that commit from there, then run the command again");
      } else {
        terminal.warn(
          `the uncommitted work from ${safeText(event.device)} does not fit here; it is in the stash`,
        );
        terminal.hint("look at it: git stash show -p, and take it: git stash pop");
      }
      return;
    case "environment":
      terminal.step(
        `The session carries ${plural(event.names.length, "variable")}: ${event.names.join(", ")}`,
      );
      terminal.detail(`load them with: . '${event.path}'`);
      return;
    case "incomplete":
      terminal.warn(
        `what ${safeText(event.device)} saved of it (${relativeTime(event.at, now)}) is not on the remote, which was reset`,
      );
      terminal.hint(`if ${safeText(event.device)} has it still, there: git convosync sync`);
      return;
    case "kept-backup":
      terminal.detail(`the version that was here is kept in ${event.path}`);
      return;
    case "made-folder":
      terminal.detail(
        `made the folder the conversation runs in, which is not in this code: ${safeText(event.path, 400)}`,
      );
      return;
    case "bypass":
      terminal.warn(
        `on ${safeText(event.device)} this conversation ran with permission questions switched off`,
      );
      return;
  }
}
