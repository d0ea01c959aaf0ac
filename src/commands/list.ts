import { Exit } from "../errors.ts";
import { type ListedSession, listSessions } from "../sessions/list.ts";
import { withRepository } from "../sessions/repository.ts";
import { safeText } from "../ui/safe-text.ts";
import type { Terminal } from "../ui/terminal.ts";
import { plural, relativeTime } from "../ui/time.ts";
import { cutTo } from "../ui/width.ts";
import type { Invocation } from "../world.ts";
import { numberGiven } from "./number.ts";

interface Options {
  all?: boolean;
  branch?: string;
  device?: string;
  agent?: string;
  search?: string;
  limit?: string;
  fetch?: boolean;
}

const usualLimit = 20;
/** Columns of a short id and the space after it. */
const indent = 10;

export default async function listCommand(
  { world, terminal }: Invocation,
  _args: readonly string[],
  options: Options,
): Promise<number> {
  const usual = options.all ? Number.POSITIVE_INFINITY : usualLimit;
  const limit = numberGiven(options.limit, usual, "sessions", "--limit 5");
  const { branch, device, agent, search } = options;
  const { sessions, offline } = await withRepository(world, (context) =>
    listSessions(context, {
      ...(branch !== undefined && { branch }),
      ...(device !== undefined && { device }),
      ...(agent !== undefined && { agent }),
      ...(search !== undefined && { search }),
      fetch: options.fetch === true,
    }),
  );
  if (offline !== null)
    terminal.warn(`the remote cannot be reached; this is what is known here (${safeText(offline)})`);
  terminal.document({ sessions: sessions.slice(0, limit) });
  for (const one of sessions.slice(0, limit)) printSession(terminal, one, world.now());
  if (sessions.length === 0) terminal.note(noneOf(options));
  if (sessions.length > limit)
    terminal.note(`… and ${plural(sessions.length - limit, "more session")}: git convosync list --all`);
  return Exit.done;
}

/** A device that has just joined knows of none before it has looked at the remote. */
function noneOf({ branch, device, agent, search, fetch }: Options): string {
  if ([branch, device, agent, search].some((filter) => filter !== undefined))
    return "No session is like that.";
  if (fetch) return "No sessions. Save one with: git convosync save";
  return "No sessions are known here. Save one with: git convosync save\nSee those of other devices with: git convosync list --fetch";
}

function printSession(terminal: Terminal, one: ListedSession, now: Date): void {
  // A table that wraps cannot be read; what reads it from a pipe gets all of it.
  const width = Math.max(20, terminal.width - indent);
  const title = safeText(one.message || one.title || "(no title)", Math.min(60, width));
  const facts = [
    safeText(one.device, 30),
    relativeTime(new Date(one.updatedAt), now),
    ...(one.branch ? [`${safeText(one.branch, 40)}${one.commit ? ` @ ${one.commit.slice(0, 7)}` : ""}`] : []),
    plural(one.messages, "message"),
    one.agent,
    ...(one.pinned ? ["pinned"] : []),
    ...(one.openOn ? [`open on ${safeText(one.openOn, 30)}`] : []),
  ];
  terminal.print(`${terminal.style("yellow", one.id.slice(0, 8))}  ${terminal.style("bold", title)}`);
  terminal.print(`${" ".repeat(indent)}${terminal.style("dim", cutTo(facts.join(" · "), width))}`);
}
