import type { Block, Message, ToolCall } from "../agents/conversation.ts";
import { safeBlock, safeText } from "../ui/safe-text.ts";
import type { Between } from "./conversation-text.ts";
import { type Exported, inOrder, utcClock } from "./export.ts";
import { changeOf, countChange, shortPath } from "./terminal.ts";

/** A conversation as Markdown that any viewer may render: HTML in it is shown, never obeyed. */
export async function* markdownExport(exported: Exported): AsyncGenerator<string> {
  const { title, session, agentTitle, snapshot } = exported;
  yield `# ${inline(title || session)}\n\n`;
  yield `*${inline(agentTitle)} · ${inline(session)}${snapshot === null ? "" : ` · snapshot ${snapshot}`}*\n\n`;
  yield* inOrder(exported, betweenMarkdown, (message, before) => messageMarkdown(message, before, exported));
}

function betweenMarkdown({ commit, branch, device }: Between): string {
  const parts = [
    ...(commit ? [`${branch === null ? "detached" : inline(branch)} @ \`${commit.slice(0, 7)}\``] : []),
    ...(device ? [`on ${inline(device)}`] : []),
  ];
  return `---\n\n**${parts.join(" · ")}**\n\n`;
}

function messageMarkdown(message: Message, before: Message | null, exported: Exported): string {
  const body = message.blocks.map((block) => blockMarkdown(block, exported)).filter((one) => one !== "");
  if (body.length === 0) return "";
  const same = before?.role === message.role && message.role !== "user";
  const who = message.role === "user" ? "You" : inline(exported.agentTitle);
  const at = message.at ? ` · ${utcClock(message.at)}` : "";
  const head =
    same || message.role === "system" ? "" : `## ${who}${message.aside ? " (aside)" : ""}${at}\n\n`;
  return `${head}${body.join("\n\n")}\n\n`;
}

function blockMarkdown(block: Block, exported: Exported): string {
  switch (block.kind) {
    case "text":
      return withoutHtml(safeBlock(block.text));
    case "thinking":
      return "";
    case "note":
      return fenced(safeBlock(block.text), "");
    case "compaction":
      return folded("What came before was summarised", withoutHtml(safeBlock(block.summary)));
    case "image":
      return `*[image: ${inline(block.image.mediaType)}]*`;
    case "tool":
      return toolMarkdown(block, exported);
  }
}

function toolMarkdown(call: ToolCall, { root }: Exported): string {
  const change = changeOf(call);
  const counted = change ? countChange(change) : "";
  const name = call.name || "result";
  const failed = call.result?.failed ? " (failed)" : "";
  const head = `${name} ${shortPath(call.subject, root)}`.trim();
  const summary = `${html(safeText(head, 160))}${counted === "" ? "" : ` ${counted}`}${failed}`;
  const parts: string[] = [];
  if (change) {
    const lines = change.map((line) => (line ? `${line.kind}${line.text}` : "…"));
    parts.push(fenced(safeBlock(lines.join("\n")), "diff"));
  } else if (call.action?.kind === "run") parts.push(fenced(safeBlock(call.action.command), "sh"));
  const said = call.result ? safeBlock(call.result.text).trim() : "";
  if (said !== "" && (!change || call.result?.failed)) parts.push(fenced(said, ""));
  return folded(summary, parts.join("\n\n"));
}

const folded = (summary: string, body: string): string =>
  body === ""
    ? `<details><summary>${summary}</summary></details>`
    : `<details><summary>${summary}</summary>\n\n${body}\n\n</details>`;

/** In a fence that nothing in the text can close. */
function fenced(text: string, language: string): string {
  const longest = (text.match(/`+/g) ?? []).reduce((most, run) => Math.max(most, run.length), 2);
  const fence = "`".repeat(longest + 1);
  return `${fence}${language}\n${text}\n${fence}`;
}

const html = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

/** Text on one line in which nothing is Markdown. */
const inline = (text: string): string =>
  html(safeText(text)).replace(/[\\`*_[\]#~|]/g, (mark) => `\\${mark}`);

/**
 * Markdown with its HTML made visible. In code `<` must stay as it is, so it has to be known what a viewer takes for
 * code; where that could be mistaken, HTML is made visible in code too.
 */
export function withoutHtml(text: string): string {
  const odd = /^[^`~\n]+(?:```|~~~)/m.test(text);
  const shown: string[] = [];
  let fence: string | null = null;
  let paragraph: string[] = [];
  const close = (): void => {
    const balanced = !odd && paragraph.every((line) => codeSpans(line) !== null);
    for (const line of paragraph) shown.push(balanced ? codeSpans(line)! : visible(line));
    paragraph = [];
  };
  for (const line of text.split("\n")) {
    if (fence !== null) {
      shown.push(odd ? visible(line) : line);
      const end = line.trim();
      if (end.startsWith(fence) && end === fence[0]!.repeat(end.length)) fence = null;
      continue;
    }
    const opened = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1];
    if (opened && !(opened.startsWith("`") && line.trimStart().slice(opened.length).includes("`"))) {
      close();
      fence = opened;
      shown.push(visible(line));
    } else if (line.trim() === "") {
      close();
      shown.push(line);
    } else paragraph.push(line);
  }
  close();
  // A fence that is left open would swallow all that follows in the document; where it is not plain how a viewer
  // takes it, nothing but a fence of our own around the whole is sure.
  if (fence !== null && odd) return fenced(text, "");
  if (fence !== null) shown.push(fence);
  return shown.join("\n").replace(/^\n+/, "").trimEnd();
}

/** A line with HTML made visible outside its code spans; null when not all of its backticks pair up. */
function codeSpans(line: string): string | null {
  const runs = [...line.matchAll(/`+/g)].map(({ 0: run, index }) => ({ at: index, length: run.length }));
  const next = new Map<number, number>();
  const partner = runs.map(() => -1);
  for (let at = runs.length - 1; at >= 0; at--) {
    partner[at] = next.get(runs[at]!.length) ?? -1;
    next.set(runs[at]!.length, at);
  }
  let shown = "";
  let from = 0;
  for (let at = 0; at < runs.length; at = partner[at]! + 1) {
    const open = runs[at]!;
    const close = runs[partner[at]!];
    if (!close || line[open.at - 1] === "\\") return null;
    const end = close.at + close.length;
    shown += visible(line.slice(from, open.at)) + line.slice(open.at, end);
    from = end;
  }
  return shown + visible(line.slice(from));
}

const visible = (text: string): string => text.replace(/<(?=[A-Za-z/!?])/g, "&lt;");
