import { ConvosyncError, Exit } from "../errors.ts";
import { conversationText } from "../rendering/conversation-text.ts";
import { longDocument, withoutImages } from "../rendering/document.ts";
import { type Range, within } from "../rendering/range.ts";
import { openReading, type Reading } from "../sessions/reading.ts";
import { type Context, withCloneLock, withRepository } from "../sessions/repository.ts";
import { timelineOf } from "../sessions/timeline.ts";
import { openOutput, plainOutput, writeAll } from "../ui/pager.ts";
import { safeText } from "../ui/safe-text.ts";
import type { Terminal } from "../ui/terminal.ts";
import { plural } from "../ui/time.ts";
import type { Invocation } from "../world.ts";
import { numberGiven } from "./number.ts";

export interface ShowOptions {
  raw?: boolean;
  tools?: boolean;
  thinking?: boolean;
  from?: string;
  limit?: string;
  last?: string;
}

/** Longer lines are hard to read. */
const widest = 120;

export default async function showCommand(
  { world, terminal }: Invocation,
  args: readonly string[],
  options: ShowOptions,
): Promise<number> {
  const range = rangeOf(options);
  return withRepository(world, async (context) => {
    const shown = await withCloneLock(context, () => openReading(context, args[0]!));
    return printReading({ world, terminal }, context, shown, options, range);
  });
}

/** Prints what was opened; `more` goes into the document of `--json`. */
export async function printReading(
  { world, terminal }: Pick<Invocation, "world" | "terminal">,
  context: Context,
  shown: Reading,
  options: ShowOptions,
  range: Range,
  more: Record<string, unknown> = {},
): Promise<number> {
  if (options.raw) {
    await writeAll(plainOutput(terminal.streams.stdout), shown.content());
    return Exit.done;
  }
  if (terminal.json) {
    await printDocument(terminal, shown, range, more);
    return Exit.done;
  }
  const output = await openOutput(terminal, world.env, () => context.git.text(["var", "GIT_PAGER"]));
  const detail = {
    style: terminal.style.bind(terminal),
    width: Number.isFinite(terminal.width) ? Math.min(terminal.width, widest) : terminal.width,
    unicode: terminal.unicode,
    tools: options.tools === true,
    thinking: options.thinking === true,
    agent: shown.agentTitle,
    root: shown.root,
  };
  const marks = timelineOf(shown.stored.manifest, shown.gen).map((mark) => ({
    ...mark,
    device: mark.device && shown.deviceName(mark.device),
  }));
  const between = marks.filter((mark) => mark.after <= shown.lines);
  const whole = range.limit === Number.POSITIVE_INFINITY;
  await output.write(title(terminal, shown));
  await writeAll(output, conversationText(within(shown.messages(), range), between, detail, whole));
  await output.end();
  return Exit.done;
}

export function rangeOf(options: ShowOptions): Range {
  const messages = (flag: "from" | "last" | "limit", otherwise: number): number =>
    numberGiven(options[flag]?.replace(/^#/, ""), otherwise, "messages", `--${flag} 20`);
  const last = options.last === undefined ? null : messages("last", 0);
  const part = options.from !== undefined || options.limit !== undefined;
  if (last !== null && part)
    throw new ConvosyncError("usage", Exit.usage, "--last excludes --from and --limit", [
      "choose one of them",
    ]);
  if (options.raw && (last !== null || part))
    throw new ConvosyncError("usage", Exit.usage, "--raw is all of it, without --from, --limit and --last", [
      "leave --raw out, or cut its lines yourself: … --raw | tail -n 5",
    ]);
  return {
    from: messages("from", 1),
    limit: messages("limit", Number.POSITIVE_INFINITY),
    last,
  };
}

/** All that names the conversation, above it. */
function title(terminal: Terminal, shown: Reading): string {
  const { entry } = shown.session.newest;
  const { snapshots } = shown.stored.manifest;
  const devices = [...new Set(snapshots.map((one) => safeText(shown.deviceName(one.device), 40)))];
  const facts = [
    shown.session.id,
    shown.agentTitle,
    ...(shown.snapshot
      ? [`snapshot ${shown.snapshot.n} of ${snapshots.at(-1)?.n ?? 0}`]
      : [plural(snapshots.length, "snapshot")]),
    devices.join(", "),
  ];
  const name = safeText(entry.t || shown.session.id);
  return `${terminal.style("bold", name)}\n${terminal.style("dim", facts.join(" · "))}\n\n`;
}

async function printDocument(
  terminal: Terminal,
  shown: Reading,
  range: Range,
  more: Record<string, unknown>,
): Promise<void> {
  // Only the whole stream proves itself; once the document has begun, a failure could no longer be told in one.
  for await (const _ of shown.portable());
  const { manifest } = shown.stored;
  const fields = {
    session: shown.session.id,
    title: shown.session.newest.entry.t,
    agent: manifest.agent,
    ...more,
    snapshot: shown.snapshot?.n ?? null,
    snapshots: manifest.snapshots,
    links: manifest.links,
  };
  async function* messages(): AsyncGenerator<unknown> {
    for await (const message of within(shown.messages(), range)) yield withoutImages(message);
  }
  await writeAll(plainOutput(terminal.streams.stdout), longDocument(fields, "messages", messages()));
}
