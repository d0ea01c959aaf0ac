import * as v from "valibot";
import {
  type Action,
  type Block,
  type ConversationReader,
  type PlanItem,
  type ReadingPlace,
  type ToolResult,
  transcriptStart,
} from "../conversation.ts";
import { parseLine } from "../json-line.ts";
import {
  actionOfPatch,
  asObject,
  planState,
  RecordReader,
  type Said,
  subjectOf,
  textsIn,
} from "../records.ts";
import { type RawBlock, record, spokenIn } from "./records.ts";

// Cursor's transcripts as a neutral conversation. What is not known is skipped.

export function conversationReader(from: ReadingPlace = transcriptStart): ConversationReader {
  return new RecordReader(from, (line) => {
    const parsed = v.safeParse(record, parseLine(line));
    if (!parsed.success) return null;
    const { role, message } = parsed.output;
    return { said: saidIn(role, message?.content ?? []), timestamp: undefined, model: null };
  });
}

function saidIn(role: string | undefined, content: readonly RawBlock[]): Said | null {
  if (role !== "user" && role !== "assistant") return null;
  const results = content.flatMap((one) =>
    one.type === "tool_result" && one.tool_use_id !== undefined
      ? [{ id: one.tool_use_id, result: resultOf(one) }]
      : [],
  );
  return { role, blocks: content.flatMap((one, nth) => blockOf(one, nth, role === "user") ?? []), results };
}

function blockOf(one: RawBlock, nth: number, isSpoken: boolean): Block | null {
  switch (one.type) {
    case "text": {
      const said = isSpoken ? spokenIn(one.text ?? "") : (one.text ?? "");
      return said.trim() ? { kind: "text", text: said } : null;
    }
    case "thinking":
      return one.thinking?.trim() ? { kind: "thinking", text: one.thinking } : null;
    case "tool_use":
    case "tool_call": {
      const name = one.name ?? "";
      const action = actionOf(name, one.input);
      // Those of 2026 have no ids, and no results that would be looked for by them.
      return {
        kind: "tool",
        id: one.id ?? `${nth}`,
        name,
        subject: subjectOf(one.input, action),
        input: one.input,
        action,
        result: null,
      };
    }
    default:
      return null;
  }
}

function resultOf(one: RawBlock): ToolResult {
  const parts = Array.isArray(one.content) ? one.content : [{ text: one.content }];
  const texts = parts
    .map((part: unknown) => asObject(part)["text"])
    .filter((part) => typeof part === "string");
  return { text: texts.join("\n"), failed: one.is_error === true, images: [], hunks: [] };
}

/** What a tool does, by its name in lower case without what separates words. */
function actionOf(name: string, input: unknown): Action | null {
  const field = textsIn(input);
  const path = field("path") ?? field("file_path") ?? field("target_file");
  switch (name.toLowerCase().replace(/[^a-z]/g, "")) {
    case "shell":
    case "bash":
    case "runterminalcmd": {
      const command = field("command");
      return command === null ? null : { kind: "run", command };
    }
    case "read":
    case "readfile":
      return path === null ? null : { kind: "read", path };
    case "write":
    case "writefile": {
      const content = field("contents") ?? field("content");
      return path === null || content === null ? null : { kind: "write", path, content };
    }
    case "strreplace":
    case "searchreplace":
    case "edit": {
      const [before, after] = [field("old_string"), field("new_string")];
      return path === null || before === null || after === null
        ? null
        : { kind: "edit", path, edits: [{ before, after }] };
    }
    case "applypatch":
      return actionOfPatch(typeof input === "string" ? input : (field("patch") ?? ""));
    case "todowrite": {
      const { todos } = asObject(input);
      return Array.isArray(todos) ? { kind: "plan", items: todos.flatMap(itemOf) } : null;
    }
    default:
      return null;
  }
}

function itemOf(todo: unknown): PlanItem[] {
  const { content, status } = asObject(todo);
  return typeof content === "string" ? [{ text: content, state: planState(status) }] : [];
}
