import { ConvosyncError, Exit } from "../errors.ts";
import { clock } from "../rendering/terminal.ts";
import { withRepository } from "../sessions/repository.ts";
import { type SearchHit, search } from "../sessions/search.ts";
import { openOutput } from "../ui/pager.ts";
import { safeText } from "../ui/safe-text.ts";
import type { Terminal } from "../ui/terminal.ts";
import { plural } from "../ui/time.ts";
import { cutTo, textWidth } from "../ui/width.ts";
import type { Invocation } from "../world.ts";
import { numberGiven } from "./number.ts";

interface Options {
  ignoreCase?: boolean;
  regex?: boolean;
  session?: string;
  agent?: string;
  role?: "user" | "assistant" | "tool";
  limit?: string;
  all?: boolean;
  fetch?: boolean;
}

const usualLimit = 20;

export default async function searchCommand(
  { world, terminal }: Invocation,
  args: readonly string[],
  options: Options,
): Promise<number> {
  const usual = options.all ? Number.POSITIVE_INFINITY : usualLimit;
  const limit = numberGiven(options.limit, usual, "results", "--limit 50");
  if (args[0] === "")
    throw new ConvosyncError("usage", Exit.usage, "there is nothing to search for", [
      "for instance: git convosync search 'refresh token'",
    ]);
  return withRepository(world, async (context) => {
    const { hits, total, sessions, missing, offline } = await search(context, {
      text: args[0]!,
      limit,
      regex: options.regex === true,
      ignoreCase: options.ignoreCase === true,
      fetch: options.fetch === true,
      ...(options.session !== undefined && { session: options.session }),
      ...(options.agent !== undefined && { agent: options.agent }),
      ...(options.role !== undefined && { voice: options.role }),
    });
    if (offline !== null)
      terminal.warn(`the remote cannot be reached; this is what is here (${safeText(offline)})`);
    terminal.document({
      results: hits.map(({ session, n, voice, at, before, hit, after }) => ({
        session: session.id,
        agent: session.agent,
        title: session.newest.entry.t,
        message: n,
        role: voice,
        at,
        before,
        hit,
        after,
      })),
      total,
      sessions,
      missing,
    });
    if (!terminal.json && hits.length > 0) {
      const output = await openOutput(terminal, world.env, () => context.git.text(["var", "GIT_PAGER"]));
      let above: SearchHit | null = null;
      for (const hit of hits) {
        const text = hitText(terminal, hit, above);
        above = hit;
        if (!(await output.write(text))) break;
      }
      await output.end();
    }
    if (missing > 0)
      terminal.note(
        `${plural(missing, "session")} ${missing === 1 ? "is" : "are"} not on this device yet: git convosync search --fetch`,
      );
    if (total > hits.length)
      terminal.note(`… and ${plural(total - hits.length, "more result")}: git convosync search --all`);
    if (total === 0) terminal.note(`Nothing found in ${plural(sessions, "session")}.`);
    return total === 0 ? Exit.failed : Exit.done;
  });
}

function hitText(terminal: Terminal, hit: SearchHit, above: SearchHit | null): string {
  const { session, n, voice, at } = hit;
  const id = session.id.slice(0, 8);
  const head =
    above?.session === session
      ? ""
      : `${above ? "\n" : ""}${terminal.style("yellow", id)}  ${terminal.style("bold", safeText(session.newest.entry.t || "(no title)", 72))}\n`;
  const who = { user: "you", assistant: "agent", tool: "tool" }[voice];
  const facts = `#${n}`.padEnd(6) + who.padEnd(6) + (at ? clock(new Date(at)) : "");
  const room = Number.isFinite(terminal.width) ? terminal.width - 2 - textWidth(facts) - 2 : 160;
  return `${head}  ${terminal.style("dim", facts)}  ${snippet(terminal, hit, Math.max(30, room))}\n`;
}

/** The hit with as much around it as the line takes, more of it behind than before. */
function snippet(terminal: Terminal, { before, hit, after }: SearchHit, room: number): string {
  const found = safeText(hit, 120);
  const gapBefore = /\s$/.test(before) ? " " : "";
  const gapAfter = /^\s/.test(after) ? " " : "";
  const rest = Math.max(0, room - textWidth(found));
  const lead = safeText(before, 400);
  const left = textWidth(lead) > rest / 3 ? `…${[...lead].slice(-Math.floor(rest / 3) + 1).join("")}` : lead;
  const right = cutTo(safeText(after, 400), Math.max(1, rest - textWidth(left) - 2));
  return `${left}${gapBefore}${terminal.style("bold", terminal.style("red", found))}${gapAfter}${right}`;
}
