import * as v from "valibot";
import {
  type Action,
  type Block,
  type ConversationReader,
  type Hunk,
  type Image,
  type Piece,
  type PlanItem,
  type ReadingPlace,
  type Role,
  type ToolResult,
  transcriptStart,
} from "../conversation.ts";
import { parseLine } from "../json-line.ts";
import { asObject, planState, planSubject, timeOf } from "../records.ts";

// Claude Code's records, from version 1 to 2.1, as a neutral conversation. The client writes an answer of the model
// as several records with one `message.id`, a tool's result as a record of the user, and much beside that is no part
// of the talk. What is not known is skipped.

const text = v.fallback(v.optional(v.string()), undefined);
const flag = v.fallback(v.optional(v.boolean()), undefined);

const record = v.object({
  type: text,
  subtype: text,
  timestamp: text,
  isMeta: flag,
  isSidechain: flag,
  isCompactSummary: flag,
  content: v.optional(v.unknown()),
  message: v.fallback(
    v.optional(v.object({ id: text, model: text, content: v.optional(v.unknown()) })),
    undefined,
  ),
  toolUseResult: v.optional(v.unknown()),
  attachment: v.fallback(v.optional(v.object({ type: text, prompt: v.optional(v.unknown()) })), undefined),
});
type Entry = v.InferOutput<typeof record>;

const block = v.object({
  type: text,
  text,
  thinking: text,
  id: text,
  name: text,
  input: v.optional(v.unknown()),
  tool_use_id: text,
  content: v.optional(v.unknown()),
  is_error: flag,
  source: v.fallback(v.optional(v.object({ type: text, media_type: text, data: text })), undefined),
});
type RawBlock = v.InferOutput<typeof block>;

export function conversationReader(from: ReadingPlace = transcriptStart): ConversationReader {
  return new Reader(from);
}

class Reader implements ConversationReader {
  place: ReadingPlace;

  constructor(from: ReadingPlace) {
    this.place = from;
  }

  read(line: string): Piece | null {
    const at = this.place.line + 1;
    this.place = { ...this.place, line: at };
    const value = parseLine(line);
    const parsed = value && v.safeParse(record, value);
    if (!parsed?.success) return null;
    const entry = parsed.output;
    const found = contentOf(entry);
    if (!found || (found.blocks.length === 0 && found.results.length === 0)) return null;
    const key = found.role === "assistant" ? (entry.message?.id ?? null) : null;
    const more = (key !== null && key === this.place.key) || (found.blocks.length === 0 && this.place.n > 0);
    if (!more) this.place = { line: at, n: this.place.n + 1, key };
    return {
      n: this.place.n,
      line: at,
      opens: !more,
      role: found.role,
      at: timeOf(entry.timestamp),
      model: entry.message?.model ?? null,
      aside: entry.isSidechain === true,
      blocks: found.blocks,
      results: found.results,
    };
  }
}

interface Content {
  readonly role: Role;
  readonly blocks: Block[];
  readonly results: Piece["results"][number][];
}

function contentOf(entry: Entry): Content | null {
  switch (entry.type) {
    case "user":
      if (entry.isMeta) return null;
      if (entry.isCompactSummary) {
        const summary = blocksIn(entry.message?.content)
          .map((one) => one.text ?? "")
          .join("\n");
        return { role: "system", blocks: [{ kind: "compaction", summary }], results: [] };
      }
      return fromUser(entry);
    case "assistant":
      return {
        role: "assistant",
        blocks: blocksIn(entry.message?.content).flatMap(fromAssistant),
        results: [],
      };
    case "attachment": {
      // What a person typed while the agent was at work.
      if (entry.attachment?.type !== "queued_command") return null;
      return { role: "user", blocks: blocksIn(entry.attachment.prompt).flatMap(spoken), results: [] };
    }
    case "system": {
      if (entry.subtype !== "local_command" || typeof entry.content !== "string") return null;
      return { role: "system", blocks: spokenText(entry.content), results: [] };
    }
    default:
      return null;
  }
}

function fromUser(entry: Entry): Content {
  const blocks: Block[] = [];
  const results: Content["results"] = [];
  for (const one of blocksIn(entry.message?.content)) {
    if (one.type !== "tool_result") blocks.push(...spoken(one));
    else if (one.tool_use_id !== undefined)
      results.push({ id: one.tool_use_id, result: resultOf(one, entry.toolUseResult) });
  }
  const role = blocks.length > 0 && blocks.every((one) => one.kind === "note") ? "system" : "user";
  return { role, blocks, results };
}

function fromAssistant(one: RawBlock): Block[] {
  switch (one.type) {
    case "text":
      return one.text?.trim() ? [{ kind: "text", text: one.text }] : [];
    case "thinking":
      return one.thinking?.trim() ? [{ kind: "thinking", text: one.thinking }] : [];
    case "tool_use":
    case "server_tool_use":
    case "mcp_tool_use": {
      const input = asObject(one.input);
      const name = one.name ?? "";
      const action = actionOf(name, input);
      return [
        {
          kind: "tool",
          id: one.id ?? "",
          name,
          subject: subjectOf(name, input, action),
          input,
          action,
          result: null,
        },
      ];
    }
    default:
      return spoken(one);
  }
}

function spoken(one: RawBlock): Block[] {
  if (one.type === "text") return spokenText(one.text ?? "");
  const image = one.type === "image" ? imageOf(one) : null;
  return image ? [{ kind: "image", image }] : [];
}

/** What the client wraps a person's commands and their output in. */
const wrapped =
  /<(command-name|command-message|command-args|command-contents|local-command-stdout|local-command-stderr|bash-input|bash-stdout|bash-stderr|task-notification|system-reminder|user-prompt-submit-hook|ide_opened_file|ide_selection)>/g;

/** A person's words, with what the client put around or among them told apart. Linear in the text's length. */
function spokenText(raw: string): Block[] {
  const parts: Block[] = [];
  const tags = new Map<string, string>();
  let typed = "";
  let from = 0;
  wrapped.lastIndex = 0;
  for (let open = wrapped.exec(raw); open; open = wrapped.exec(raw)) {
    const tag = open[1]!;
    const close = raw.indexOf(`</${tag}>`, wrapped.lastIndex);
    if (close < 0) break;
    typed += raw.slice(from, open.index);
    tags.set(tag, raw.slice(wrapped.lastIndex, close).trim());
    from = close + tag.length + 3;
    wrapped.lastIndex = from;
  }
  typed += raw.slice(from);
  const command = tags.get("command-name") ?? tags.get("command-message");
  if (command) {
    const args = tags.get("command-args");
    parts.push({ kind: "note", text: args ? `${command} ${args}` : command });
  }
  if (tags.get("bash-input")) parts.push({ kind: "note", text: `! ${tags.get("bash-input")}` });
  for (const tag of ["local-command-stdout", "local-command-stderr", "bash-stdout", "bash-stderr"]) {
    if (tags.get(tag)) parts.push({ kind: "note", text: tags.get(tag)! });
  }
  const told = tags.get("task-notification");
  if (told)
    parts.push({ kind: "note", text: /<summary>([^<]*)<\/summary>/.exec(told)?.[1] ?? "a task ended" });
  if (/^\[Request interrupted by user[^\]]*\]$/.test(typed.trim()))
    return [...parts, { kind: "note", text: typed.trim() }];
  if (typed.trim() !== "" && !/^(?:Caveat: The messages below|No response requested)/.test(typed.trim()))
    parts.push({ kind: "text", text: typed.trim() });
  return parts;
}

function resultOf(one: RawBlock, details: unknown): ToolResult {
  const parts = blocksIn(one.content);
  return {
    text: parts
      .map((part) => part.text ?? "")
      .filter((part) => part !== "")
      .join("\n"),
    failed: one.is_error === true,
    images: parts.flatMap((part) => (part.type === "image" ? (imageOf(part) ?? []) : [])),
    hunks: hunksOf(details),
  };
}

const hunk = v.object({
  oldStart: v.number(),
  newStart: v.number(),
  lines: v.array(v.string()),
});
const changed = v.object({ structuredPatch: v.array(hunk) });

function hunksOf(details: unknown): Hunk[] {
  const parsed = v.safeParse(changed, details);
  return parsed.success ? parsed.output.structuredPatch : [];
}

function imageOf(one: RawBlock): Image | null {
  const { source } = one;
  if (source?.type !== "base64" || !source.data) return null;
  return { mediaType: source.media_type ?? "image/png", data: source.data };
}

/** A message's content, a string or a list of blocks, as blocks. */
function blocksIn(content: unknown): RawBlock[] {
  if (typeof content === "string") return [v.parse(block, { type: "text", text: content })];
  if (!Array.isArray(content)) return [];
  return content.flatMap((one) => {
    const parsed = v.safeParse(block, one);
    return parsed.success ? [parsed.output] : [];
  });
}

type Input = Record<string, unknown>;

const stringIn = (input: Input, ...names: string[]): string | undefined =>
  names.map((name) => input[name]).find((value): value is string => typeof value === "string");

function actionOf(name: string, input: Input): Action | null {
  const path = stringIn(input, "file_path", "notebook_path", "path");
  switch (name) {
    case "Edit":
      return path === undefined ? null : { kind: "edit", path, edits: [editOf(input)] };
    case "MultiEdit": {
      const edits = Array.isArray(input["edits"]) ? input["edits"].map((one) => editOf(asObject(one))) : [];
      return path === undefined ? null : { kind: "edit", path, edits };
    }
    case "NotebookEdit": {
      const after = stringIn(input, "new_source") ?? "";
      return path === undefined ? null : { kind: "edit", path, edits: [{ before: "", after }] };
    }
    case "Write":
      return path === undefined ? null : { kind: "write", path, content: stringIn(input, "content") ?? "" };
    case "Read":
    case "NotebookRead":
      return path === undefined ? null : { kind: "read", path };
    case "Bash": {
      const command = stringIn(input, "command");
      return command === undefined ? null : { kind: "run", command };
    }
    case "TaskCreate":
      return { kind: "task", id: null, text: stringIn(input, "subject") ?? null, state: "pending" };
    case "TaskUpdate": {
      const status = stringIn(input, "status");
      const state = status === undefined ? null : status === "deleted" ? "dropped" : planState(status);
      return {
        kind: "task",
        id: stringIn(input, "taskId") ?? null,
        text: stringIn(input, "subject") ?? null,
        state,
      };
    }
    case "TodoWrite":
      return { kind: "plan", items: Array.isArray(input["todos"]) ? input["todos"].flatMap(planItem) : [] };
    default:
      return null;
  }
}

const editOf = (input: Input): { before: string; after: string } => ({
  before: stringIn(input, "old_string") ?? "",
  after: stringIn(input, "new_string") ?? "",
});

function planItem(value: unknown): PlanItem[] {
  const input = asObject(value);
  const what = stringIn(input, "content", "subject");
  if (what === undefined) return [];
  return [{ text: what, state: planState(stringIn(input, "status")) }];
}

function subjectOf(name: string, input: Input, action: Action | null): string {
  if (action && "path" in action) return action.path;
  if (action?.kind === "run") return action.command;
  if (action?.kind === "plan") return planSubject(action.items);
  if (action?.kind === "task")
    return [action.id === null ? "" : `#${action.id}`, action.text ?? "", stringIn(input, "status") ?? ""]
      .filter((part) => part !== "")
      .join(" ");
  const telling = ["pattern", "query", "url", "subject", "description", "command", "skill", "prompt", "plan"];
  const first = Object.values(input).find((value) => typeof value === "string");
  if (name === "AskUserQuestion" && Array.isArray(input["questions"]))
    return stringIn(asObject(input["questions"][0]), "question") ?? "";
  return stringIn(input, ...telling) ?? (typeof first === "string" ? first : "");
}
