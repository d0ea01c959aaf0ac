import type { Message } from "../agents/conversation.ts";
import { ConvosyncError, Exit } from "../errors.ts";
import { type Compared, compare, type Sums, sumsOf } from "../rendering/compare.ts";
import { withoutImages } from "../rendering/document.ts";
import { type Detail, shortPath, showMessage } from "../rendering/terminal.ts";
import { openReading, type Reading } from "../sessions/reading.ts";
import { withCloneLock, withRepository } from "../sessions/repository.ts";
import { openOutput, writeAll } from "../ui/pager.ts";
import { safeText } from "../ui/safe-text.ts";
import type { Terminal } from "../ui/terminal.ts";
import { plural } from "../ui/time.ts";
import type { Invocation } from "../world.ts";

interface Options {
  stat?: boolean;
  tools?: boolean;
  thinking?: boolean;
}

export default async function diffCommand(
  { world, terminal }: Invocation,
  args: readonly string[],
  options: Options,
): Promise<number> {
  const [first = "", second] = args;
  const names = pairOf(first, second);
  return withRepository(world, async (context) => {
    const [a, b] = await withCloneLock(
      context,
      async () => [await openReading(context, names[0]), await openReading(context, names[1])] as const,
    );
    const compared = await compare(a.messages(), b.messages());
    const sums = { a: sumsOf(compared.onlyA), b: sumsOf(compared.onlyB) };
    if (terminal.json) {
      const side = (one: Reading, messages: readonly Message[], sum: Sums): unknown => ({
        session: one.session.id,
        snapshot: one.snapshot?.n ?? null,
        ...sum,
        ...(options.stat ? {} : { only: messages.map(withoutImages) }),
      });
      terminal.document({
        common: compared.common,
        a: side(a, compared.onlyA, sums.a),
        b: side(b, compared.onlyB, sums.b),
      });
      return Exit.done;
    }
    const output = await openOutput(terminal, world.env, () => context.git.text(["var", "GIT_PAGER"]));
    const parts = options.stat
      ? statText(terminal, [a, b], compared, sums)
      : diffText(terminal, [a, b], compared, options);
    await writeAll(output, parts);
    await output.end();
    return Exit.done;
  });
}

/** `a b`, or `a..b` as git has it. */
function pairOf(first: string, second: string | undefined): [string, string] {
  if (second !== undefined) return [first, second];
  const [a = "", b = ""] = first.split("..");
  if (a !== "" && b !== "") return [a, b.startsWith("@") ? `${a.split("@")[0]}${b}` : b];
  throw new ConvosyncError("usage", Exit.usage, "two sessions or snapshots are needed to compare", [
    "two snapshots of one: git convosync diff 5d0c7e1a@1 5d0c7e1a@3",
  ]);
}

const nameOf = ({ session, snapshot }: Reading): string =>
  `${session.id.slice(0, 8)}${snapshot ? `@${snapshot.n}` : ""}`;

async function* diffText(
  terminal: Terminal,
  [a, b]: readonly [Reading, Reading],
  { common, last, onlyA, onlyB }: Compared,
  options: Options,
): AsyncGenerator<string> {
  const { style } = terminal;
  const paint = style.bind(terminal);
  yield `${paint("bold", `--- ${title(a, terminal.width - 4)}`)}\n${paint("bold", `+++ ${title(b, terminal.width - 4)}`)}\n`;
  yield `${paint("cyan", `@@ ${plural(common, "message")} in common @@`)}\n`;
  const detail = (one: Reading): Detail => ({
    style: paint,
    width: Number.isFinite(terminal.width) ? Math.min(terminal.width, 120) - 2 : terminal.width,
    unicode: terminal.unicode,
    tools: options.tools === true,
    thinking: options.thinking === true,
    agent: one.agentTitle,
    root: one.root,
  });
  if (last) for (const line of showMessage(last, null, detail(a))?.lines.slice(-6) ?? []) yield `  ${line}\n`;
  for (const [mark, colour, messages, one] of [
    ["-", "red", onlyA, a],
    ["+", "green", onlyB, b],
  ] as const) {
    let before: Message | null = null;
    for (const message of messages) {
      const shown = showMessage(message, before, detail(one));
      if (!shown) continue;
      before = message;
      for (const line of shown.lines) yield `${paint(colour, mark)} ${line}\n`;
      yield `${paint(colour, mark)}\n`;
    }
  }
  if (onlyA.length === 0 && onlyB.length === 0) yield "The two are the same.\n";
}

/** In one line of `width` columns, if it can be. */
function title(one: Reading, width: number): string {
  const when = one.snapshot ? ` (${one.snapshot.ts.slice(0, 16).replace("T", " ")})` : "";
  const name = nameOf(one);
  const room = width - name.length - 2 - when.length;
  return `${name}  ${safeText(one.session.newest.entry.t, Math.min(60, Math.max(20, room)))}${when}`;
}

async function* statText(
  terminal: Terminal,
  [a, b]: readonly [Reading, Reading],
  { common }: Compared,
  sums: { readonly a: Sums; readonly b: Sums },
): AsyncGenerator<string> {
  yield `${plural(common, "message")} in common\n`;
  for (const [mark, colour, one, sum] of [
    ["-", "red", a, sums.a],
    ["+", "green", b, sums.b],
  ] as const) {
    const facts = [
      plural(sum.messages, "message"),
      plural(sum.prompts, "prompt"),
      plural(sum.toolCalls, "tool call"),
    ];
    yield `${terminal.style(colour, mark)} ${nameOf(one)}: ${facts.join(", ")}\n`;
    for (const path of sum.files.slice(0, 40))
      yield `    ${terminal.style(colour, mark)} ${safeText(shortPath(path, one.root), 120)}\n`;
    if (sum.files.length > 40) yield `    … ${sum.files.length - 40} more files\n`;
  }
}
