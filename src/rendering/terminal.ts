import type { Action, Block, Message, ToolCall } from "../agents/conversation.ts";
import { safeBlock, safeText } from "../ui/safe-text.ts";
import { cutTo, textWidth, wrapRuns } from "../ui/width.ts";
import { type DiffLine, diffLines, withContext } from "./diff-lines.ts";
import { type Look, markdownLines } from "./markdown-terminal.ts";

export interface Detail extends Look {
  /** Tool calls with all they were given and gave back. */
  readonly tools: boolean;
  readonly thinking: boolean;
  /** What the agent is called. */
  readonly agent: string;
  /** The work tree: paths in it are shown from there. */
  readonly root: string;
}

/** So much of a change, and of what a tool said, is shown unless all of it is asked for. */
const changeLines = 24;
const failureLines = 4;
/** No more of one result than this, even then. */
const resultChars = 1 << 20;

/** A message as lines for a person; one-line tool calls at its ends may stand close to those of its neighbours. */
export interface ShownMessage {
  readonly lines: readonly string[];
  readonly opensShort: boolean;
  readonly endsShort: boolean;
}

/** Null when nothing of the message is shown. `before` is the message shown above it, if that is to be continued. */
export function showMessage(message: Message, before: Message | null, detail: Detail): ShownMessage | null {
  const shown = message.blocks
    .map((block) => ({ block, lines: blockLines(block, detail) }))
    .filter(({ lines }) => lines.length > 0);
  if (shown.length === 0) return null;
  const same = before?.role === message.role && before.aside === message.aside && message.role !== "user";
  const headless = same || message.role === "system";
  const lines = headless ? [] : [header(message, detail)];
  for (const [at, { block, lines: body }] of shown.entries()) {
    const previous = shown[at - 1];
    if (previous && !(isShort(previous.lines, previous.block) && isShort(body, block))) lines.push("");
    lines.push(...body);
  }
  const last = shown.at(-1)!;
  return {
    lines,
    opensShort: headless && isShort(shown[0]!.lines, shown[0]!.block),
    endsShort: isShort(last.lines, last.block),
  };
}

const isShort = (lines: readonly string[], block: Block): boolean =>
  block.kind === "tool" && lines.length === 1;

function header(message: Message, { style, agent }: Detail): string {
  const who =
    message.role === "user"
      ? style("green", style("bold", "You"))
      : style("yellow", style("bold", safeText(agent)));
  const aside = message.aside ? style("dim", message.role === "user" ? " to a helper" : "'s helper") : "";
  const at = message.at ? `  ${clock(new Date(message.at))}` : "";
  return `${who}${aside}${style("dim", `${at}  #${message.n}`)}`;
}

const two = (n: number): string => String(n).padStart(2, "0");

/** `2026-11-20 09:05`, in the time of this machine. */
export function clock(at: Date): string {
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}`;
}

function blockLines(block: Block, detail: Detail): string[] {
  const { style } = detail;
  switch (block.kind) {
    case "text":
      return markdownLines(block.text, detail);
    case "thinking":
      return detail.thinking ? dimLines(block.text, detail) : [];
    case "image": {
      const kilobytes = Math.max(1, Math.round((block.image.data.length * 3) / 4 / 1000));
      return [style("dim", `  [image: ${safeText(block.image.mediaType, 40)}, ${kilobytes} KB]`)];
    }
    case "compaction":
      return [
        style("cyan", `${rule(detail)} what came before was summarised ${rule(detail)}`),
        ...(detail.tools ? ["", ...markdownLines(block.summary, detail)] : []),
      ];
    case "note":
      return clip(
        safeBlock(block.text).split("\n"),
        detail.tools ? Number.POSITIVE_INFINITY : failureLines,
      ).map((line) => style("dim", `  ${line}`));
    case "tool":
      return toolLines(block, detail);
  }
}

export const rule = ({ unicode }: Pick<Look, "unicode">): string => (unicode ? "──" : "--");

function dimLines(text: string, { style, width }: Detail): string[] {
  const runs = [{ text: safeBlock(text).trim(), style: "" }];
  return wrapRuns(runs, width - 2).map((line) =>
    style("dim", style("italic", `  ${line.map((run) => run.text).join("")}`)),
  );
}

function clip(lines: readonly string[], most: number): string[] {
  if (lines.length <= most) return [...lines];
  return [
    ...lines.slice(0, most),
    `… ${lines.length - most} more ${lines.length - most === 1 ? "line" : "lines"}`,
  ];
}

function toolLines(call: ToolCall, detail: Detail): string[] {
  const { style, unicode, tools } = detail;
  const name = safeText(call.name || "result", 40);
  const subject = safeText(shortPath(call.subject, detail.root), 1000);
  const change = call.action ? changeOf(call) : null;
  const failed = call.result?.failed === true;
  const outcome = failed ? "failed" : change ? countChange(change) : shortResult(call);
  const arrow = unicode ? "→" : "->";
  const tail = outcome === "" ? "" : ` ${arrow} ${outcome}`;
  const room = Number.isFinite(detail.width) ? detail.width : 160;
  const head = cutTo(`${name} ${subject}`.trim(), Math.max(24, room - 4 - Math.min(textWidth(tail), 48)));
  const rest = cutTo(tail, Math.max(12, room - 4 - textWidth(head)));
  const mark = unicode ? "▸" : ">";
  const lines = [
    `  ${style("dim", mark)} ${style("cyan", head.slice(0, name.length))}${head.slice(name.length)}${style(failed ? "red" : "dim", rest)}`,
  ];
  if (change) lines.push(...changeText(change, detail));
  if (tools && !change) lines.push(...argumentLines(call, detail));
  const { result } = call;
  if (result && (tools || failed)) {
    const text = safeBlock(result.text.slice(0, resultChars)).trimEnd();
    const body = text === "" ? [] : text.split("\n");
    const shown = clip(body, tools ? Number.POSITIVE_INFINITY : failureLines);
    lines.push(...shown.map((line) => style(failed ? "red" : "dim", `    ${unicode ? "│" : "|"} ${line}`)));
  }
  for (const image of result?.images ?? [])
    lines.push(style("dim", `    [image: ${safeText(image.mediaType, 40)}]`));
  return lines;
}

export function shortPath(path: string, root: string): string {
  return root !== "" && path.startsWith(`${root}/`) ? path.slice(root.length + 1) : path;
}

/** What a tool said, on less than a line. */
function shortResult({ result, action }: ToolCall): string {
  if (!result) return "";
  const lines = result.text.split("\n").filter((line) => line.trim() !== "");
  if (lines.length === 0) return result.images.length > 0 ? "an image" : "";
  if (action?.kind === "read") return `${lines.length} ${lines.length === 1 ? "line" : "lines"}`;
  const first = safeText(lines[0]!, 60);
  return lines.length === 1 ? first : `${first} (+${lines.length - 1})`;
}

function argumentLines({ input, action }: ToolCall, { style }: Detail): string[] {
  if (action?.kind === "plan") {
    const boxes = { done: "[x]", active: "[>]", pending: "[ ]" };
    return action.items.map((one) => style("dim", `    ${boxes[one.state]} ${safeText(one.text, 400)}`));
  }
  if (action?.kind === "run")
    return safeBlock(action.command)
      .split("\n")
      .map((line) => `    $ ${line}`);
  const given = typeof input === "object" && input !== null ? Object.entries(input) : [];
  return given.flatMap(([name, value]) => {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    return safeBlock(`${safeText(name, 80)}: ${text}`)
      .split("\n")
      .map((line) => style("dim", `    ${line}`));
  });
}

/** The lines a tool call changed in a file; null when it changed none that are known. */
export function changeOf({
  action,
  result,
}: Pick<ToolCall, "action" | "result">): (DiffLine | null)[] | null {
  if (result && result.hunks.length > 0) {
    return result.hunks.flatMap(({ lines }, at): (DiffLine | null)[] => {
      const body = lines.map((line): DiffLine => {
        const kind = line[0] === "-" || line[0] === "+" ? line[0] : " ";
        return { kind, text: line.slice(1) };
      });
      return at === 0 ? body : [null, ...body];
    });
  }
  return action ? changeOfAction(action) : null;
}

function changeOfAction(action: Action): (DiffLine | null)[] | null {
  switch (action.kind) {
    case "edit":
      return action.edits.flatMap(({ before, after }, at): (DiffLine | null)[] => {
        const lines = withContext(diffLines(before, after), 2);
        return at === 0 ? lines : [null, ...lines];
      });
    case "write":
      return diffLines("", action.content.replace(/\n$/, ""));
    default:
      return null;
  }
}

export function countChange(change: readonly (DiffLine | null)[]): string {
  const count = (kind: string): number => change.filter((line) => line?.kind === kind).length;
  return [...(count("+") > 0 ? [`+${count("+")}`] : []), ...(count("-") > 0 ? [`-${count("-")}`] : [])].join(
    " ",
  );
}

function changeText(change: readonly (DiffLine | null)[], { style, tools }: Detail): string[] {
  const lines = change.map((line) => {
    if (!line) return style("dim", "    …");
    const text = `    ${line.kind}${safeBlock(line.text)}`;
    return line.kind === "+"
      ? style("green", text)
      : line.kind === "-"
        ? style("red", text)
        : style("dim", text);
  });
  if (tools || lines.length <= changeLines) return lines;
  return [...lines.slice(0, changeLines), style("dim", `    … ${lines.length - changeLines} more lines`)];
}
