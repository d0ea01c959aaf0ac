import { parseLine } from "./json-line.ts";

/** What a person said in a line of a transcript; null where it is something else, or said by the client for them. */
export function promptIn(line: string): string | null {
  const record = parseLine(line) as Record<string, unknown> | null;
  if (record?.["type"] !== "user" || record["isMeta"] === true || record["isSidechain"] === true) return null;
  const content = (record["message"] as { content?: unknown } | null | undefined)?.content;
  const blocks = Array.isArray(content) ? content : [{ type: "text", text: content }];
  const texts = blocks.flatMap((block: { type?: unknown; text?: unknown } | null) =>
    block?.type === "text" && typeof block.text === "string" ? [block.text] : [],
  );
  const said = texts.join("\n").trim();
  // Commands, their output, reminders: the client wraps them in tags.
  return said === "" || /^<[a-z-]+>/.test(said) ? null : said;
}
