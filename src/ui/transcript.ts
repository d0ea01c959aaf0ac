import { safeBlock, safeText } from "./safe-text.ts";

type Style = (style: "bold" | "dim" | "green" | "yellow" | "cyan" | "red", text: string) => string;

/** Most nesting a line may have before it is looked at: deeper ones are data for an attack, not conversation. */
const depthLimit = 200;
const resultLines = 8;

/**
 * One line of a transcript as text for a person, or "" when it says nothing to one. Understands what Claude Code
 * and its relatives write: `type` user or assistant, `message.content` a string or a list of blocks.
 */
export function renderLine(line: string, style: Style): string {
  const record = parseShallow(line);
  const type = record?.["type"];
  if (type !== "user" && type !== "assistant") return "";
  if (record?.["isMeta"] === true) return "";
  const message = record?.["message"];
  const content = isObject(message) ? message["content"] : undefined;
  const blocks =
    typeof content === "string" ? [{ type: "text", text: content }] : Array.isArray(content) ? content : [];
  const parts = blocks.filter(isObject).map((block) => renderBlock(block, style));
  const body = parts.filter((part) => part !== "").join("\n");
  if (body === "") return "";
  const spoken = blocks.some((block) => isObject(block) && block["type"] === "text");
  const who =
    type === "user" ? (spoken ? style("green", "You") : "") : spoken ? style("yellow", "Agent") : "";
  return `${who === "" ? "" : `${who}\n`}${body}\n\n`;
}

function renderBlock(block: Record<string, unknown>, style: Style): string {
  switch (block["type"]) {
    case "text":
      return safeBlock(String(block["text"] ?? ""));
    case "tool_use": {
      const input = isObject(block["input"]) ? block["input"] : {};
      const first = Object.values(input).find((value) => typeof value === "string");
      return style(
        "dim",
        `  [${safeText(String(block["name"] ?? "tool"), 40)}] ${safeText(String(first ?? ""), 100)}`,
      );
    }
    case "tool_result":
      return style("dim", folded(textOf(block["content"])));
    case "image":
      return style("dim", "  [image]");
    default:
      return "";
  }
}

function folded(text: string): string {
  const lines = safeBlock(text).split("\n");
  const shown = lines.slice(0, resultLines).map((line) => `  | ${line.slice(0, 200)}`);
  if (lines.length > resultLines) shown.push(`  | … ${lines.length - resultLines} more lines`);
  return shown.join("\n");
}

function textOf(content: unknown): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content
    .map((one) => (isObject(one) && typeof one["text"] === "string" ? one["text"] : ""))
    .join("\n");
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Parses a line unless it nests too deeply or is no JSON object. */
function parseShallow(line: string): Record<string, unknown> | null {
  let depth = 0;
  let quoted = false;
  for (let at = 0; at < line.length; at++) {
    const char = line.charCodeAt(at);
    if (quoted) {
      if (char === 0x5c) at++;
      else if (char === 0x22) quoted = false;
    } else if (char === 0x22) quoted = true;
    else if ((char === 0x7b || char === 0x5b) && ++depth > depthLimit) return null;
    else if (char === 0x7d || char === 0x5d) depth--;
  }
  try {
    const value: unknown = JSON.parse(line);
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}
