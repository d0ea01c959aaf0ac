// The part of Markdown that agents write, as a tree. Time is linear in the length of the text, whatever it holds, and
// nesting is bounded: the text is hostile. Raw HTML is text.

export type Inline =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "code"; readonly text: string }
  | { readonly kind: "strong" | "emphasis" | "struck"; readonly children: readonly Inline[] }
  | { readonly kind: "link"; readonly target: string; readonly children: readonly Inline[] };

export type MarkdownBlock =
  | { readonly kind: "heading"; readonly level: number; readonly text: readonly Inline[] }
  | { readonly kind: "paragraph"; readonly text: readonly Inline[] }
  | { readonly kind: "code"; readonly language: string; readonly lines: readonly string[] }
  | { readonly kind: "quote"; readonly children: readonly MarkdownBlock[] }
  | { readonly kind: "list"; readonly start: number | null; readonly items: readonly ListItem[] }
  | { readonly kind: "table"; readonly rows: readonly (readonly (readonly Inline[])[])[] }
  | { readonly kind: "rule" };

export interface ListItem {
  /** Of a task list. */
  readonly done: boolean | null;
  readonly children: readonly MarkdownBlock[];
}

const deepest = 8;

export function parseMarkdown(text: string): MarkdownBlock[] {
  return parseBlocks(text.replace(/\r\n?/g, "\n").split("\n"), 0);
}

const fence = /^ {0,3}(`{3,}|~{3,})/;
const heading = /^ {0,3}(#{1,6})(?:\s+(.*))?$/;
const rule = /^ {0,3}(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const bullet = /^( {0,24})([-*+]|\d{1,9}[.)])(?: +|$)(.*)$/;

function isTableRule(line: string | undefined): boolean {
  return line?.includes("-") === true && cells(line).every((cell) => /^:?-+:?$/.test(cell));
}

function parseBlocks(lines: readonly string[], depth: number): MarkdownBlock[] {
  const blocks: MarkdownBlock[] = [];
  let paragraph: string[] = [];
  const close = (): void => {
    if (paragraph.length > 0) blocks.push({ kind: "paragraph", text: parseInline(paragraph.join("\n")) });
    paragraph = [];
  };
  for (let at = 0; at < lines.length; ) {
    const line = lines[at]!;
    const opened = openingFence(line);
    if (opened) {
      close();
      const end = closingFence(lines, at + 1, opened.mark);
      blocks.push({ kind: "code", language: opened.language, lines: lines.slice(at + 1, end) });
      at = end + 1;
      continue;
    }
    if (line.trim() === "") {
      close();
      at++;
      continue;
    }
    const title = heading.exec(line);
    if (title) {
      close();
      const text = (title[2] ?? "").trim();
      blocks.push({ kind: "heading", level: title[1]!.length, text: parseInline(text) });
      at++;
      continue;
    }
    if (rule.test(line)) {
      close();
      blocks.push({ kind: "rule" });
      at++;
      continue;
    }
    if (depth < deepest && /^ {0,3}>/.test(line)) {
      close();
      let end = at;
      while (end < lines.length && /^ {0,3}>/.test(lines[end]!)) end++;
      const inner = lines.slice(at, end).map((one) => one.replace(/^ {0,3}> ?/, ""));
      blocks.push({ kind: "quote", children: parseBlocks(inner, depth + 1) });
      at = end;
      continue;
    }
    if (depth < deepest && bullet.test(line) && (paragraph.length === 0 || !/^\s*\d/.test(line))) {
      close();
      const [list, end] = parseList(lines, at, depth);
      blocks.push(list);
      at = end;
      continue;
    }
    if (paragraph.length === 0 && line.includes("|") && isTableRule(lines[at + 1])) {
      let end = at + 2;
      while (end < lines.length && lines[end]!.includes("|") && lines[end]!.trim() !== "") end++;
      const rows = [line, ...lines.slice(at + 2, end)].map((row) => cells(row).map(parseInline));
      blocks.push({ kind: "table", rows });
      at = end;
      continue;
    }
    paragraph.push(line.trim());
    at++;
  }
  close();
  return blocks;
}

function openingFence(line: string): { mark: string; language: string } | null {
  const [all, mark] = fence.exec(line) ?? [];
  if (all === undefined || mark === undefined) return null;
  const info = line.slice(all.length);
  if (mark.startsWith("`") && info.includes("`")) return null;
  return { mark, language: info.trim().split(/\s/, 1)[0] ?? "" };
}

function closingFence(lines: readonly string[], from: number, mark: string): number {
  for (let at = from; at < lines.length; at++) {
    const line = lines[at]!.trim();
    if (line.length >= mark.length && line === mark[0]!.repeat(line.length)) return at;
  }
  return lines.length;
}

/** A list and the line behind it. An item holds what is indented deeper than its mark. */
function parseList(lines: readonly string[], from: number, depth: number): [MarkdownBlock, number] {
  const [, indent = "", first = ""] = bullet.exec(lines[from]!)!;
  const ordered = /\d/.test(first);
  const items: ListItem[] = [];
  let at = from;
  while (at < lines.length) {
    const item = bullet.exec(lines[at]!);
    if (!item || item[1]!.length > indent.length + 1 || item[1]!.length < indent.length) break;
    if (/\d/.test(item[2]!) !== ordered || rule.test(lines[at]!)) break;
    const task = /^\[([ xX])\] +/.exec(item[3]!);
    const inner = [task ? item[3]!.slice(task[0].length) : item[3]!];
    const inside = item[1]!.length + 2;
    const column = item[1]!.length + item[2]!.length + 1;
    for (at++; at < lines.length; at++) {
      const line = lines[at]!;
      if (line.trim() !== "" && !belongs(line, inside)) {
        // A lazy line goes on with the item's paragraph; anything else ends the item.
        const lazy = inner.at(-1)?.trim() !== "" && !startsBlock(line);
        if (!lazy) break;
      }
      if (line.trim() === "" && !belongs(lines[at + 1], inside)) break;
      inner.push(line.slice(Math.min(line.length - line.trimStart().length, column)));
    }
    items.push({ done: task ? task[1] !== " " : null, children: parseBlocks(inner, depth + 1) });
    while (lines[at]?.trim() === "" && continues(lines[at + 1], indent.length, ordered)) at++;
  }
  return [{ kind: "list", start: ordered ? Number.parseInt(first, 10) : null, items }, at];
}

const startsBlock = (line: string): boolean =>
  bullet.test(line) ||
  openingFence(line) !== null ||
  heading.test(line) ||
  rule.test(line) ||
  /^ {0,3}>/.test(line);

const belongs = (line: string | undefined, inside: number): boolean =>
  line !== undefined && line.trim() !== "" && line.length - line.trimStart().length >= inside;

function continues(line: string | undefined, indent: number, ordered: boolean): boolean {
  const item = line === undefined ? null : bullet.exec(line);
  return (
    item !== null &&
    item[1]!.length >= indent &&
    item[1]!.length <= indent + 1 &&
    /\d/.test(item[2]!) === ordered &&
    !rule.test(line!)
  );
}

function cells(row: string): string[] {
  const inner = row.trim().replace(/^\|/, "").replace(/\|$/, "");
  const parts: string[] = [];
  let cell = "";
  for (let at = 0; at < inner.length; at++) {
    if (inner[at] === "\\" && inner[at + 1] === "|") {
      cell += "|";
      at++;
    } else if (inner[at] === "|") {
      parts.push(cell.trim());
      cell = "";
    } else cell += inner[at];
  }
  return [...parts, cell.trim()].slice(0, 64);
}

const marks = [
  ["**", "strong"],
  ["__", "strong"],
  ["~~", "struck"],
  ["*", "emphasis"],
  ["_", "emphasis"],
] as const;

export function parseInline(text: string, depth = 0): Inline[] {
  const found: Inline[] = [];
  let plain = "";
  const flush = (): void => {
    if (plain !== "") found.push({ kind: "text", text: plain });
    plain = "";
  };
  const add = (one: Inline): void => {
    flush();
    found.push(one);
  };
  /** Where each mark comes next: looking anew from every place would make the whole quadratic. */
  const next = new Map<string, number>();
  const closing = (mark: string, from: number): number => {
    const known = next.get(mark);
    if (known !== undefined && (known < 0 || known >= from)) return known;
    const end = text.indexOf(mark, from);
    next.set(mark, end);
    return end;
  };
  for (let at = 0; at < text.length; ) {
    const char = text[at]!;
    if (char === "\\" && /[!-/:-@[-`{-~]/.test(text[at + 1] ?? "")) {
      plain += text[at + 1];
      at += 2;
      continue;
    }
    if (char === "`") {
      let length = 1;
      while (text[at + length] === "`") length++;
      const ticks = "`".repeat(length);
      const end = closing(ticks, at + length);
      if (end >= 0) {
        const code = text.slice(at + length, end).replace(/\n/g, " ");
        const framed = code.startsWith(" ") && code.endsWith(" ") && code.trim() !== "";
        add({ kind: "code", text: framed ? code.slice(1, -1) : code });
        at = end + length;
      } else {
        plain += ticks;
        at += length;
      }
      continue;
    }
    if ((char === "[" || (char === "!" && text[at + 1] === "[")) && depth < deepest) {
      const begin = char === "!" ? at + 2 : at + 1;
      const middle = closing("](", begin);
      const end = middle >= 0 && middle - begin <= 1000 ? closing(")", middle) : -1;
      if (end >= 0 && end - middle <= 2000) {
        const target = text.slice(middle + 2, end).split(/\s/)[0]!;
        add({ kind: "link", target, children: parseInline(text.slice(begin, middle), depth + 1) });
        at = end + 1;
        continue;
      }
    }
    const mark = depth < deepest ? marks.find(([one]) => text.startsWith(one, at)) : undefined;
    if (mark && opens(text, at, mark[0])) {
      const end = closing(mark[0], at + mark[0].length);
      if (end > at + mark[0].length && closes(text, end, mark[0])) {
        add({ kind: mark[1], children: parseInline(text.slice(at + mark[0].length, end), depth + 1) });
        at = end + mark[0].length;
        continue;
      }
      plain += mark[0];
      at += mark[0].length;
      continue;
    }
    plain += char;
    at++;
  }
  flush();
  return found;
}

const isWord = (char: string | undefined): boolean => char !== undefined && /[\p{L}\p{N}]/u.test(char);

/** `snake_case` and `2 * 3` are text. */
function opens(text: string, at: number, mark: string): boolean {
  const next = text[at + mark.length];
  if (next === undefined || /\s/.test(next)) return false;
  return mark[0] !== "_" || !isWord(text[at - 1]);
}

function closes(text: string, at: number, mark: string): boolean {
  if (/\s/.test(text[at - 1]!)) return false;
  return mark[0] !== "_" || !isWord(text[at + mark.length]);
}
