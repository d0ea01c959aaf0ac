import { safeBlock } from "../ui/safe-text.ts";
import { type Inline, type ListItem, type MarkdownBlock, parseMarkdown } from "./markdown.ts";

/** Text as HTML shows it, in an element or a quoted attribute; what would reorder or hide text becomes visible. */
export function htmlText(text: string): string {
  return safeBlock(text)
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");
}

/** Markdown of a conversation as HTML. Nothing in it becomes markup but what is made here. */
export function markdownHtml(text: string): string {
  return blocksHtml(parseMarkdown(text), false);
}

function blocksHtml(blocks: readonly MarkdownBlock[], tight: boolean): string {
  return blocks.map((block) => blockHtml(block, tight)).join("");
}

function blockHtml(block: MarkdownBlock, tight: boolean): string {
  switch (block.kind) {
    case "heading": {
      // Below the headings of the page itself.
      const level = Math.min(6, block.level + 2);
      return `<h${level}>${inlineHtml(block.text)}</h${level}>\n`;
    }
    case "paragraph":
      return tight ? `${inlineHtml(block.text)}\n` : `<p>${inlineHtml(block.text)}</p>\n`;
    case "code":
      return `<pre><code>${htmlText(block.lines.join("\n"))}</code></pre>\n`;
    case "quote":
      return `<blockquote>\n${blocksHtml(block.children, false)}</blockquote>\n`;
    case "list": {
      const items = block.items.map(itemHtml).join("");
      if (block.start === null) return `<ul>\n${items}</ul>\n`;
      return `<ol${block.start === 1 ? "" : ` start="${block.start}"`}>\n${items}</ol>\n`;
    }
    case "table": {
      const [head = [], ...rows] = block.rows;
      const cells = (row: readonly (readonly Inline[])[], tag: string): string =>
        row.map((cell) => `<${tag}>${inlineHtml(cell)}</${tag}>`).join("");
      const body = rows.map((row) => `<tr>${cells(row, "td")}</tr>\n`).join("");
      return `<table>\n<tr>${cells(head, "th")}</tr>\n${body}</table>\n`;
    }
    case "rule":
      return "<hr>\n";
  }
}

function itemHtml({ done, children }: ListItem): string {
  const box = done === null ? "" : done ? "☑ " : "☐ ";
  return `<li>${box}${blocksHtml(children, true)}</li>\n`;
}

function inlineHtml(text: readonly Inline[]): string {
  return text.map(oneHtml).join("");
}

const tags = { strong: "strong", emphasis: "em", struck: "s" } as const;

function oneHtml(one: Inline): string {
  switch (one.kind) {
    case "text":
      return htmlText(one.text).replaceAll("\n", "<br>\n");
    case "code":
      return `<code>${htmlText(one.text)}</code>`;
    case "link": {
      const shown = inlineHtml(one.children);
      if (!/^(?:https?:\/\/|mailto:)[^\s]/i.test(one.target)) return shown;
      return `<a href="${htmlText(one.target)}" rel="noreferrer noopener nofollow">${shown}</a>`;
    }
    default:
      return `<${tags[one.kind]}>${inlineHtml(one.children)}</${tags[one.kind]}>`;
  }
}
