import * as v from "valibot";
import {
  type Action,
  type Block,
  type ConversationReader,
  type ReadingPlace,
  type ToolResult,
  transcriptStart,
} from "../conversation.ts";
import { parseLine } from "../json-line.ts";
import { actionOfPatch, RecordReader, type Said, saying, subjectOf, textsIn } from "../records.ts";

// The events of Copilot CLI, from version 0.0.330 on, as a neutral conversation: what was said, and the calls of tools
// with their results. The rest tells of the client.

const text = v.fallback(v.optional(v.string()), undefined);
const request = v.object({
  toolCallId: text,
  name: text,
  toolTitle: text,
  intentionSummary: text,
  arguments: v.optional(v.unknown()),
});

const data = v.object({
  content: text,
  reasoningText: text,
  model: text,
  parentToolCallId: text,
  toolRequests: v.fallback(v.array(v.fallback(request, {})), []),
  toolCallId: text,
  success: v.fallback(v.optional(v.boolean()), undefined),
  result: v.fallback(v.optional(v.object({ content: text, detailedContent: text })), undefined),
  error: v.fallback(v.optional(v.object({ message: text })), undefined),
  summaryContent: text,
  message: text,
});
type Data = v.InferOutput<typeof data>;

const event = v.object({ type: text, timestamp: text, data: v.fallback(v.optional(data), undefined) });

export function conversationReader(from: ReadingPlace = transcriptStart): ConversationReader {
  return new RecordReader(from, (line) => {
    const parsed = v.safeParse(event, parseLine(line));
    if (!parsed.success || !parsed.output.data) return null;
    const { type, timestamp, data: told } = parsed.output;
    return { said: saidIn(type, told), timestamp, model: told.model ?? null, helper: told.parentToolCallId };
  });
}

const textBlock = (said: string | undefined): Block[] =>
  said?.trim() ? [{ kind: "text", text: said.trim() }] : [];

function saidIn(type: string | undefined, told: Data): Said | null {
  switch (type) {
    case "user.message":
      return saying("user", textBlock(told.content));
    case "assistant.message": {
      const thought = told.reasoningText?.trim();
      return saying("assistant", [
        ...(thought ? ([{ kind: "thinking", text: thought }] as const) : []),
        ...textBlock(told.content),
        ...told.toolRequests.map(toolCall),
      ]);
    }
    case "assistant.reasoning":
      return saying(
        "assistant",
        told.content?.trim() ? [{ kind: "thinking", text: told.content.trim() }] : [],
      );
    case "tool.execution_complete":
      return {
        role: "assistant",
        blocks: [],
        results: told.toolCallId === undefined ? [] : [{ id: told.toolCallId, result: resultOf(told) }],
      };
    case "session.compaction_complete":
      return saying("system", [{ kind: "compaction", summary: told.summaryContent?.trim() ?? "" }]);
    case "session.error":
    case "session.warning":
      return saying("system", told.message?.trim() ? [{ kind: "note", text: told.message.trim() }] : []);
    default:
      return null;
  }
}

function toolCall(one: v.InferOutput<typeof request>): Block {
  const name = one.name ?? "";
  const given = one.arguments;
  const input: unknown = typeof given === "string" ? (parseLine(given) ?? given) : given;
  const action = actionOf(name, input);
  return {
    kind: "tool",
    id: one.toolCallId ?? "",
    name,
    subject: subjectOf(input, action) || (one.intentionSummary ?? ""),
    input,
    action,
    result: null,
  };
}

function actionOf(name: string, input: unknown): Action | null {
  if (name === "apply_patch") return typeof input === "string" ? actionOfPatch(input) : null;
  const word = textsIn(input);
  const path = word("path") ?? word("file_path");
  switch (name) {
    case "bash":
    case "powershell":
    case "shell": {
      const command = word("command");
      return command === null ? null : { kind: "run", command };
    }
    case "view":
      return path === null ? null : { kind: "read", path };
    case "create":
      return path === null ? null : { kind: "write", path, content: word("file_text") ?? "" };
    case "edit":
    case "str_replace":
      return path === null
        ? null
        : { kind: "edit", path, edits: [{ before: word("old_str") ?? "", after: word("new_str") ?? "" }] };
    default:
      return null;
  }
}

const resultOf = ({ success, result, error }: Data): ToolResult => ({
  text: result?.content ?? result?.detailedContent ?? error?.message ?? "",
  failed: success === false,
  images: [],
  hunks: [],
});
