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
import { asObject, planState, RecordReader, type Said, saying, subjectOf } from "../records.ts";
import { isSpoken } from "./records.ts";

// Qwen Code's records as a neutral conversation. Messages are lists of Gemini's parts; what is of type `system` tells of
// the client, but for a compression of what came before.

const text = v.fallback(v.optional(v.string()), undefined);
const flag = v.fallback(v.optional(v.boolean()), undefined);

const call = v.object({ id: text, name: text, args: v.optional(v.unknown()) });
const answer = v.object({ id: text, response: v.optional(v.unknown()) });
const media = v.object({ mimeType: text, data: text });
const part = v.object({
  text,
  thought: flag,
  functionCall: v.fallback(v.optional(call), undefined),
  functionResponse: v.fallback(v.optional(answer), undefined),
  inlineData: v.fallback(v.optional(media), undefined),
});
type Part = v.InferOutput<typeof part>;

const record = v.object({
  type: text,
  subtype: text,
  timestamp: text,
  model: text,
  message: v.fallback(
    v.optional(v.object({ parts: v.fallback(v.array(v.fallback(part, {})), []) })),
    undefined,
  ),
  toolCallResult: v.fallback(v.optional(v.object({ status: text })), undefined),
  systemPayload: v.optional(v.unknown()),
});
type Entry = v.InferOutput<typeof record>;

export function conversationReader(from: ReadingPlace = transcriptStart): ConversationReader {
  return new RecordReader(from, (line) => {
    const parsed = v.safeParse(record, parseLine(line));
    if (!parsed.success) return null;
    const { timestamp, model } = parsed.output;
    return { said: saidIn(parsed.output), timestamp, model: model ?? null };
  });
}

function saidIn(entry: Entry): Said | null {
  const parts = entry.message?.parts ?? [];
  switch (entry.type) {
    case "user":
      return saying(
        "user",
        parts.filter((one) => one.text === undefined || isSpoken(one.text)).flatMap(blockOf),
      );
    case "assistant":
      return saying("assistant", parts.flatMap(blockOf));
    case "tool_result": {
      const failed = entry.toolCallResult?.status === "error";
      const results = parts.flatMap(({ functionResponse: one }) =>
        one?.id === undefined ? [] : [{ id: one.id, result: resultOf(one.response, failed) }],
      );
      return { role: "assistant", blocks: [], results };
    }
    case "system":
      return entry.subtype === "chat_compression"
        ? saying("system", [{ kind: "compaction", summary: summaryIn(entry.systemPayload) }])
        : null;
    default:
      return null;
  }
}

function blockOf(one: Part): Block[] {
  if (one.functionCall) return [toolCall(one.functionCall)];
  if (one.inlineData?.data && one.inlineData.mimeType?.startsWith("image/"))
    return [{ kind: "image", image: { mediaType: one.inlineData.mimeType, data: one.inlineData.data } }];
  const said = one.text?.trim() ?? "";
  if (said === "") return [];
  return [{ kind: one.thought ? "thinking" : "text", text: said }];
}

/** The first words of the history that takes the place of the old one. */
function summaryIn(payload: unknown): string {
  const history = asObject(payload)["compressedHistory"];
  const first = Array.isArray(history) ? asObject(history[0])["parts"] : null;
  const said = Array.isArray(first) ? asObject(first[0])["text"] : null;
  return typeof said === "string" ? said.trim() : "";
}

function toolCall({ id, name = "", args }: v.InferOutput<typeof call>): Block {
  const input = asObject(args);
  const action = actionOf(name, input);
  return { kind: "tool", id: id ?? "", name, subject: subjectOf(input, action), input, action, result: null };
}

function actionOf(name: string, input: Record<string, unknown>): Action | null {
  const word = (field: string): string | null => {
    const value = input[field];
    return typeof value === "string" ? value : null;
  };
  const path = word("file_path") ?? word("absolute_path") ?? word("path");
  switch (name) {
    case "run_shell_command": {
      const command = word("command");
      return command === null ? null : { kind: "run", command };
    }
    case "read_file":
      return path === null ? null : { kind: "read", path };
    case "write_file":
      return path === null ? null : { kind: "write", path, content: word("content") ?? "" };
    case "edit":
    case "replace":
      return path === null
        ? null
        : {
            kind: "edit",
            path,
            edits: [{ before: word("old_string") ?? "", after: word("new_string") ?? "" }],
          };
    case "todo_write":
      return { kind: "plan", items: Array.isArray(input["todos"]) ? input["todos"].flatMap(planItem) : [] };
    default:
      return null;
  }
}

function planItem(value: unknown): PlanItem[] {
  const { content, status } = asObject(value);
  return typeof content === "string" ? [{ text: content, state: planState(status) }] : [];
}

function resultOf(response: unknown, failed: boolean): ToolResult {
  const { output, error } = asObject(response);
  const said = typeof output === "string" ? output : typeof error === "string" ? error : "";
  return {
    text: said,
    failed: failed || (typeof error === "string" && output === undefined),
    images: [],
    hunks: [],
  };
}
