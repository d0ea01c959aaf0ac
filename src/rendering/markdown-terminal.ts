import { safeBlock } from "../ui/safe-text.ts";
import type { Style } from "../ui/terminal.ts";
import { type Run, textWidth, wrapRuns } from "../ui/width.ts";
import { type Inline, type ListItem, type MarkdownBlock, parseMarkdown } from "./markdown.ts";

/** How text is shown on this terminal. */
export interface Look {
  readonly style: (style: Style, text: string) => string;
  /** Columns; infinite where nothing is to be wrapped. */
  readonly width: number;
  readonly unicode: boolean;
}

/** Markdown of a conversation as lines for a terminal; nothing in it can steer the terminal. */
export function markdownLines(text: string, look: Look): string[] {
  return blockLines(parseMarkdown(safeBlock(text)), look, look.width);
}

function blockLines(blocks: readonly MarkdownBlock[], look: Look, width: number, tight = false): string[] {
  const lines: string[] = [];
  for (const [at, block] of blocks.entries()) {
    const close = tight && (block.kind === "list" || blocks[at - 1]?.kind === "list");
    if (at > 0 && !close) lines.push("");
    lines.push(...oneBlock(block, look, width));
  }
  return lines;
}

function oneBlock(block: MarkdownBlock, look: Look, width: number): string[] {
  const { style, unicode } = look;
  switch (block.kind) {
    case "heading":
      return inlineLines(block.text, look, width, block.level <= 2 ? "bold underline" : "bold");
    case "paragraph":
      return inlineLines(block.text, look, width);
    case "code":
      return block.lines.map((line) => `    ${codeLine(line, block.language, look)}`);
    case "quote": {
      const bar = style("dim", unicode ? "│ " : "| ");
      return blockLines(block.children, look, narrower(width, 2)).map((line) => bar + line);
    }
    case "list":
      return listLines(block.start, block.items, look, width);
    case "table":
      return tableLines(block.rows, look, width);
    case "rule":
      return [style("dim", (unicode ? "─" : "-").repeat(Math.min(width, 40)))];
  }
}

const narrower = (width: number, columns: number): number => Math.max(20, width - columns);

function codeLine(line: string, language: string, { style }: Look): string {
  if (/^(?:diff|patch)$/.test(language)) {
    if (line.startsWith("+")) return style("green", line);
    if (line.startsWith("-")) return style("red", line);
  }
  return line;
}

function listLines(start: number | null, items: readonly ListItem[], look: Look, width: number): string[] {
  const bullet = look.unicode ? "•" : "-";
  const last = (start ?? 0) + items.length - 1;
  const columns = start === null ? 1 : `${last}.`.length;
  return items.flatMap(({ done, children }, at) => {
    const mark = start === null ? bullet : `${start + at}.`.padStart(columns);
    const box = done === null ? "" : done ? "[x] " : "[ ] ";
    const indent = columns + 1 + box.length;
    const [first = "", ...rest] = blockLines(children, look, narrower(width, indent), true);
    const blank = " ".repeat(indent);
    return [
      `${look.style("dim", mark)} ${box}${first}`,
      ...rest.map((line) => (line === "" ? "" : blank + line)),
    ];
  });
}

function tableLines(rows: readonly (readonly (readonly Inline[])[])[], look: Look, width: number): string[] {
  const columns = Math.max(...rows.map((row) => row.length));
  const gap = 2;
  const widths = Array.from({ length: columns }, (_, at) =>
    Math.max(
      1,
      ...rows.map((row) => runsOf(row[at] ?? [], "").reduce((sum, run) => sum + textWidth(run.text), 0)),
    ),
  );
  const room = width - gap * (columns - 1);
  // What does not fit shares what the narrow columns leave.
  const fair = Math.max(8, Math.floor(room / columns));
  const spare = widths.reduce((sum, one) => sum + Math.max(0, fair - one), 0);
  const wideOnes = widths.filter((one) => one > fair).length;
  const total = widths.reduce((sum, one) => sum + one, 0);
  const most = total <= room ? Number.POSITIVE_INFINITY : fair + Math.floor(spare / Math.max(1, wideOnes));
  const capped = widths.map((one) => Math.min(one, most));
  const lines: string[] = [];
  for (const [index, row] of rows.entries()) {
    const cells = capped.map((columnWidth, at) =>
      wrapRuns(runsOf(row[at] ?? [], index === 0 ? "bold" : ""), columnWidth),
    );
    for (let line = 0; line < Math.max(...cells.map((cell) => cell.length)); line++) {
      const parts = cells.map((cell, at) => {
        const runs = cell[line] ?? [];
        const used = runs.reduce((sum, run) => sum + textWidth(run.text), 0);
        return paint(runs, look) + " ".repeat(at === columns - 1 ? 0 : Math.max(0, capped[at]! - used));
      });
      lines.push(parts.join(" ".repeat(gap)).trimEnd());
    }
    if (index === 0) {
      const bar = look.unicode ? "─" : "-";
      lines.push(look.style("dim", capped.map((one) => bar.repeat(one)).join(" ".repeat(gap))));
    }
  }
  return lines;
}

function inlineLines(text: readonly Inline[], look: Look, width: number, style = ""): string[] {
  return wrapRuns(runsOf(text, style), width).map((line) => paint(line, look));
}

/** Styles are words separated by spaces. */
function runsOf(text: readonly Inline[], style: string): Run<string>[] {
  return text.flatMap((one) => runsOfOne(one, style));
}

function runsOfOne(one: Inline, style: string): Run<string>[] {
  switch (one.kind) {
    case "text":
      return [{ text: one.text, style }];
    case "code":
      return [{ text: one.text, style: `${style} cyan` }];
    case "strong":
      return runsOf(one.children, `${style} bold`);
    case "emphasis":
      return runsOf(one.children, `${style} italic`);
    case "struck":
      return runsOf(one.children, `${style} dim`);
    case "link": {
      const shown = runsOf(one.children, `${style} underline`);
      const same = shown.map((run) => run.text).join("") === one.target || one.target === "";
      return same ? shown : [...shown, { text: ` (${one.target})`, style: `${style} dim` }];
    }
  }
}

function paint(runs: readonly Run<string>[], { style }: Look): string {
  return runs
    .map(({ text, style: words }) =>
      words
        .split(" ")
        .filter((word) => word !== "")
        .reduce((shown, word) => style(word as Style, shown), text as string),
    )
    .join("");
}
