import * as v from "valibot";
import { oneLine } from "../glimpse.ts";
import { parseLines } from "../json-line.ts";

// A line is a message: whose it is, and a list of blocks as those of Anthropic's API. There are no times, no ids of messages,
// and no results of tools in those of 2026.

const text = v.fallback(v.optional(v.string()), undefined);

export const block = v.object({
  type: text,
  text,
  thinking: text,
  id: text,
  name: text,
  input: v.optional(v.unknown()),
  tool_use_id: text,
  content: v.optional(v.unknown()),
  is_error: v.fallback(v.optional(v.boolean()), undefined),
});
export type RawBlock = v.InferOutput<typeof block>;

const content = v.fallback(
  v.union([
    v.pipe(
      v.string(),
      v.transform((said): RawBlock[] => [v.parse(block, { type: "text", text: said })]),
    ),
    v.array(v.fallback(block, v.parse(block, {}))),
  ]),
  [],
);

export const record = v.object({
  role: text,
  message: v.fallback(v.optional(v.object({ content })), undefined),
});

/** What the person typed: the client wraps it, and puts beside it what it tells the model of itself. */
export function spokenIn(said: string): string {
  const asked = [...said.matchAll(/<user_query>([\s\S]*?)<\/user_query>/g)].map(([, words]) => words!.trim());
  if (asked.length > 0) return asked.join("\n\n");
  return /^\s*<[a-z_-]+>/.test(said) ? "" : said;
}

/** A title: the first thing that was asked. */
export function titleIn(head: Uint8Array): string {
  for (const line of parseLines(head)) {
    const { role, message } = v.parse(record, line);
    if (role !== "user") continue;
    const title = oneLine((message?.content ?? []).map((one) => spokenIn(one.text ?? "")).join(" "));
    if (title) return title;
  }
  return "";
}

/** Whether a window of a transcript speaks of a directory, or of something in it. */
export function mentions(window: Uint8Array, directory: string): boolean {
  const bytes = Buffer.from(window.buffer, window.byteOffset, window.length);
  const path = Buffer.from(JSON.stringify(directory).slice(1, -1));
  for (let at = bytes.indexOf(path); at >= 0; at = bytes.indexOf(path, at + 1)) {
    const next = String.fromCharCode(bytes[at + path.length] ?? 0);
    if (!/[A-Za-z0-9._\x80-\xff-]/.test(next)) return true;
  }
  return false;
}
