import { ConvosyncError, Exit } from "../errors.ts";
import { type Operation, operations } from "../sessions/operations.ts";
import { queuedError } from "../sessions/publish.ts";
import { withRepository } from "../sessions/repository.ts";
import { type UndoEvent, undo } from "../sessions/undo.ts";
import { safeText } from "../ui/safe-text.ts";
import type { Terminal } from "../ui/terminal.ts";
import { plural, relativeTime } from "../ui/time.ts";
import type { Invocation } from "../world.ts";

export default async function undoCommand(
  { world, terminal }: Invocation,
  args: readonly string[],
  options: { list?: boolean },
): Promise<number> {
  if (options.list) {
    const all = [...(await withRepository(world, operations))].reverse();
    for (const one of all) printOperation(terminal, one, world.now());
    if (all.length === 0) terminal.note("Nothing was done here that could be undone.");
    terminal.document({ operations: all.map(documentOf) });
    return Exit.done;
  }
  const given = args[0];
  if (given !== undefined && !/^[1-9][0-9]{0,9}$/.test(given))
    throw new ConvosyncError("usage", Exit.usage, `'${given}' is not the number of an operation`, [
      "see them: git convosync undo --list",
    ]);
  const { operation, did, remote, publish } = await withRepository(world, (context) =>
    undo(context, given === undefined ? null : Number(given)),
  );
  terminal.note(`Undid operation ${operation.n}: ${wordsFor(operation)}`);
  for (const event of did) tell(terminal, event);
  terminal.document({
    operation: documentOf({ ...operation, undone: world.now().toISOString() }),
    did,
    remote: publish?.status === "pushed" ? (remote?.title ?? null) : null,
  });
  if (publish?.status !== "queued" || !remote) return Exit.done;
  const waiting = queuedError(publish, remote);
  if (!terminal.json) terminal.fail(waiting);
  return waiting.exit;
}

function tell(terminal: Terminal, event: UndoEvent): void {
  if (event.step === "not-session") terminal.warn(`${event.id} was left: ${event.why}`);
  else terminal.step(said(event));
  if (event.step === "session" && event.left > 0)
    terminal.warn(
      `${plural(event.left, "other version")} of it, with lines this one lacks, did not come back`,
    );
  if (event.step === "uncommitted")
    terminal.detail("what it held is staged; the conversation that was saved with it stays saved");
}

function said(event: Exclude<UndoEvent, { step: "not-session" }>): string {
  switch (event.step) {
    case "session":
      return `Brought back ${event.id}, for all devices`;
    case "pin":
      return `${event.pinned ? "Pinned" : "Unpinned"} ${event.id}`;
    case "uncommitted":
      return `Took the commit ${event.commit.slice(0, 7)} off ${event.branch ? `'${safeText(event.branch)}'` : "HEAD"}`;
    case "switched":
      return `Switched back to ${safeText(event.to)}`;
    case "branch-removed":
      return `Removed the branch '${safeText(event.branch)}', which resume had made`;
    case "branch-moved":
      return `Moved the branch '${safeText(event.branch)}' back to where it was`;
    case "file-removed":
      return `Removed ${safeText(event.path, 400)}, which resume had written`;
    case "file-restored":
      return `Put back ${safeText(event.path, 400)} as it was`;
  }
}

function wordsFor(one: Operation): string {
  switch (one.kind) {
    case "delete":
      return `deleted ${plural(one.sessions.length, "session")}`;
    case "retention":
      return `deleted ${plural(one.sessions.length, "session")} by retention`;
    case "pin":
      return `${one.pinned ? "pinned" : "unpinned"} ${plural(one.sessions.length, "session")}`;
    case "save":
      return `saved with the commit ${one.commit.slice(0, 7)}`;
    case "resume":
      return `resumed ${idOf(one.session).slice(0, 8)}`;
  }
}

function printOperation(terminal: Terminal, one: Operation, now: Date): void {
  const ids = "sessions" in one ? one.sessions.slice(0, 3).map((key) => idOf(key).slice(0, 8)) : [];
  const more =
    ids.length > 0 ? `: ${ids.join(", ")}${"sessions" in one && one.sessions.length > 3 ? ", …" : ""}` : "";
  const state = one.undone ? ", undone" : "";
  terminal.print(
    `${terminal.style("yellow", String(one.n).padStart(4))}  ${wordsFor(one)}${more}  ${terminal.style(
      "dim",
      `${relativeTime(new Date(one.at), now)}${state}`,
    )}`,
  );
}

const idOf = (key: string): string => key.slice(key.indexOf(":") + 1);

function documentOf(one: Operation): Record<string, unknown> {
  const { n, at, undone, kind } = one;
  const base = { n, kind, at, undone };
  switch (one.kind) {
    case "delete":
    case "retention":
    case "pin":
      return { ...base, sessions: one.sessions.map(idOf), ...(one.kind === "pin" && { pinned: one.pinned }) };
    case "save":
      return { ...base, commit: one.commit, branch: one.branch };
    case "resume":
      return { ...base, session: idOf(one.session), before: one.before, after: one.after };
  }
}
