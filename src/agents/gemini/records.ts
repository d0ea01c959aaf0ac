import * as v from "valibot";
import { oneLine } from "../glimpse.ts";
import { parseLines } from "../json-line.ts";
import type { StoreGlimpse } from "../one-store.ts";
import { text } from "../parts.ts";

/**
 * A log's lines are operations: the header; a message, which takes the place of an earlier one with its id; `$set`, which
 * changes the header's fields, or replaces all messages; `$rewindTo`, which drops messages from one on.
 * (gemini-cli, packages/core/src/services/chatRecordingService.ts)
 */

const content = v.union([v.string(), v.array(v.fallback(v.object({ text }), {})), v.object({ text })]);

const message = v.object({
  id: v.string(),
  type: text,
  timestamp: text,
  content: v.fallback(v.optional(content), ""),
});

const record = v.object({
  sessionId: text,
  projectHash: text,
  kind: text,
  lastUpdated: text,
  id: text,
  type: text,
  timestamp: text,
  content: v.fallback(v.optional(content), undefined),
  $set: v.fallback(
    v.optional(
      v.object({
        lastUpdated: text,
        summary: text,
        messages: v.fallback(v.array(v.fallback(v.nullable(message), null)), []),
      }),
    ),
    undefined,
  ),
});

export interface Glimpse extends StoreGlimpse {
  readonly updatedAt: Date | null;
}

/** What the two ends of a log tell; the windows may overlap. Null where it has no header or nothing was said yet. */
export function glimpse(head: Uint8Array, tail: Uint8Array): Glimpse | null {
  const all = [...parseLines(head), ...parseLines(tail)].map((line) => v.parse(record, line));
  const header = all[0];
  if (header?.sessionId === undefined || header.projectHash === undefined) return null;
  const said = all.flatMap((one) => [one, ...(one.$set?.messages ?? []).flatMap((inner) => inner ?? [])]);
  const prompts = said.filter(({ type }) => type === "user").map((one) => textOf(one.content));
  const prompt = prompts.find(isSpoken);
  if (prompt === undefined && !said.some(({ type }) => type === "gemini")) return null;
  const newest = [...all].reverse();
  const summary = newest.find(({ $set }) => $set?.summary)?.$set?.summary;
  const at = new Date(
    newest.map((one) => one.$set?.lastUpdated ?? one.timestamp ?? one.lastUpdated).find(Boolean) ?? "",
  );
  const directory = prompts.map(directoryIn).find((one) => one !== null);
  return {
    id: header.sessionId,
    helper: header.kind === "subagent",
    title: oneLine(summary ?? prompt ?? ""),
    directories: directory ? [directory] : [],
    updatedAt: Number.isNaN(at.getTime()) ? null : at,
  };
}

/** The words of a message's content: text, a part, or parts. */
function textOf(value: v.InferOutput<typeof content> | undefined): string {
  if (typeof value === "string" || value === undefined) return value ?? "";
  return [value]
    .flat()
    .map((part) => part.text ?? "")
    .join("");
}

/** Whether a text in the person's name is the person's own: neither a command to the client nor what it tells the model. */
export const isSpoken = (said: string): boolean => /^\s*(?!<(?:session|hook)_context>)[^\s/?]/.test(said);

/** The first directory that the client's first words to the model name as the workspace. */
function directoryIn(said: string): string | null {
  const heading = "**Workspace Directories:**\n";
  const at = said.startsWith("<session_context>") ? said.indexOf(heading) : -1;
  // No pattern over the whole: the text is another's, and may be made to be searched for long.
  const [line = ""] = at < 0 ? [] : said.slice(at + heading.length, at + heading.length + 4096).split("\n");
  return /^ *- (.+)$/.exec(line)?.[1]?.trim() ?? null;
}
