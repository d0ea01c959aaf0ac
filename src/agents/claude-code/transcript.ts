import * as v from "valibot";
import { oneLine } from "../glimpse.ts";
import { parseLines } from "../json-line.ts";

const text = v.fallback(v.optional(v.string()), undefined);
const flag = v.fallback(v.optional(v.boolean()), undefined);
const block = v.object({ type: text, text });
const message = v.object({
  content: v.fallback(v.union([v.string(), v.array(v.fallback(block, {}))]), ""),
});

/** The fields that are looked at; records have many more, and their types are open. */
const record = v.object({
  type: text,
  cwd: text,
  relocatedCwd: text,
  gitBranch: text,
  version: text,
  timestamp: text,
  customTitle: text,
  aiTitle: text,
  summary: text,
  lastPrompt: text,
  isMeta: flag,
  isCompactSummary: flag,
  isSidechain: flag,
  message: v.fallback(v.optional(message), undefined),
});
type Entry = v.InferOutput<typeof record>;

/** What the two ends of a transcript tell. */
export interface Glimpse {
  /** One line, at most 200 characters, "" when nothing names the conversation. */
  readonly title: string;
  /** Recorded directories, the newest first. */
  readonly directories: readonly string[];
  /** The one it began in, where its beginning tells. */
  readonly begunIn: string | null;
  readonly branch: string | null;
  readonly version: string | null;
  readonly updatedAt: Date | null;
}

const sessionRecord = v.object({
  type: v.string(),
  sessionId: v.string(),
  uuid: v.string(),
  version: v.string(),
});

/** Qwen Code has records of this shape too, but its messages are lists of parts. */
const foreign = v.object({ message: v.object({ parts: v.array(v.unknown()) }) });

/** The session a transcript belongs to, by its first records of the talk; null when it has none. */
export function sessionOf(head: Uint8Array): string | null {
  const lines = parseLines(head);
  if (lines.some((line) => v.is(foreign, line))) return null;
  for (const line of lines) {
    const parsed = v.safeParse(sessionRecord, line);
    if (parsed.success) return parsed.output.sessionId;
  }
  return null;
}

/** The windows may overlap or begin and end within lines. */
export function glimpse(head: Uint8Array, tail: Uint8Array): Glimpse {
  const first = parseLines(head).map((line) => v.parse(record, line));
  const last = parseLines(tail).map((line) => v.parse(record, line));
  const newest = [...first, ...last].reverse();
  const latest = (field: (record: Entry) => string | undefined): string | undefined =>
    newest.map(field).find((value) => value !== undefined && value !== "");
  const title =
    latest((r) => (r.type === "custom-title" ? r.customTitle : undefined)) ??
    latest((r) => (r.type === "ai-title" ? r.aiTitle : undefined)) ??
    latest((r) => (r.type === "summary" ? r.summary : undefined)) ??
    latest((r) => (r.type === "last-prompt" ? r.lastPrompt : undefined)) ??
    [...first, ...last].map(promptOf).find((prompt) => prompt !== null) ??
    "";
  const at = new Date(latest((r) => r.timestamp) ?? "");
  return {
    title: oneLine(title),
    directories: [...new Set(newest.flatMap((r) => r.relocatedCwd ?? r.cwd ?? []))],
    begunIn: first.find((r) => r.cwd !== undefined)?.cwd ?? null,
    branch: latest((r) => r.gitBranch) ?? null,
    version: latest((r) => r.version) ?? null,
    updatedAt: Number.isNaN(at.getTime()) ? null : at,
  };
}

/** What a person typed; not tool results, summaries, or the client's own `<command-…>` and caveat texts. */
function promptOf(record: Entry): string | null {
  if (record.type !== "user" || record.isMeta || record.isCompactSummary || record.isSidechain) return null;
  const content = record.message?.content ?? "";
  const texts =
    typeof content === "string" ? [content] : content.map((b) => (b.type === "text" ? b.text : ""));
  const typed = texts.find((t) => t !== undefined && /^\s*[^\s<[]/.test(t) && !t.startsWith("Caveat: "));
  return typed ?? null;
}
