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
import {
  actionOfPatch,
  asObject,
  hunksIn,
  planState,
  RecordReader,
  type Said,
  subjectOf,
  textsIn,
} from "../records.ts";
import { message, type Part } from "./records.ts";

// opencode's messages as a neutral conversation. Parts of an answer hold calls and their results alike; steps, snapshots
// and patches tell of the client, and what is synthetic is told to the model in the person's name.

export function conversationReader(from: ReadingPlace = transcriptStart): ConversationReader {
  return new RecordReader(from, (line) => {
    const parsed = v.safeParse(message, parseLine(line));
    if (!parsed.success) return null;
    const { info, parts, timestamp } = parsed.output;
    const role = info.role === "assistant" ? "assistant" : "user";
    const said: Said = { role, blocks: parts.flatMap(blocksOf), results: parts.flatMap(resultsOf) };
    const failed = info.error?.data?.message ?? info.error?.name;
    if (failed) said.blocks.push({ kind: "note", text: failed });
    if (info.summary === true) {
      const summary = parts.flatMap((one) => (one.type === "text" && one.text ? [one.text] : [])).join("\n");
      const blocks: Block[] = [{ kind: "compaction", summary: summary.trim() }];
      return { said: { role: "system", blocks, results: [] }, timestamp, model: null };
    }
    return { said, timestamp, model: info.modelID ?? null };
  });
}

function blocksOf(one: Part): Block[] {
  const said = one.text?.trim() ?? "";
  switch (one.type) {
    case "text":
      return said === "" || one.synthetic || one.ignored ? [] : [{ kind: "text", text: said }];
    case "reasoning":
      return said === "" ? [] : [{ kind: "thinking", text: said }];
    case "file": {
      const [, mediaType, data] = /^data:(image\/[\w.+-]+);base64,(.*)$/s.exec(one.url ?? "") ?? [];
      return mediaType && data ? [{ kind: "image", image: { mediaType, data } }] : [];
    }
    case "tool":
      return [toolCall(one)];
    default:
      return [];
  }
}

function toolCall({ callID, tool, state }: Part): Block {
  const name = tool ?? "";
  const input = asObject(state?.input);
  const action = actionOf(name, input);
  const subject = subjectOf(input, action);
  return { kind: "tool", id: callID ?? "", name, subject, input, action, result: null };
}

function actionOf(name: string, input: Record<string, unknown>): Action | null {
  const word = textsIn(input);
  const path = word("filePath");
  switch (name) {
    case "bash": {
      const command = word("command");
      return command === null ? null : { kind: "run", command };
    }
    case "read":
      return path === null ? null : { kind: "read", path };
    case "write":
      return path === null ? null : { kind: "write", path, content: word("content") ?? "" };
    case "edit": {
      const edits = [{ before: word("oldString") ?? "", after: word("newString") ?? "" }];
      return path === null ? null : { kind: "edit", path, edits };
    }
    case "apply_patch":
    case "patch":
      return actionOfPatch(word("patchText") ?? "");
    case "todowrite": {
      const todos = Array.isArray(input["todos"]) ? input["todos"].map(asObject) : [];
      const items = todos.flatMap(({ content, status }) =>
        typeof content === "string" ? [{ text: content, state: planState(status) }] : [],
      );
      return { kind: "plan", items };
    }
    default:
      return null;
  }
}

function resultsOf({ type, callID, state }: Part): { id: string; result: ToolResult }[] {
  if (type !== "tool" || callID === undefined) return [];
  const failed = state?.status === "error";
  if (!failed && state?.status !== "completed") return [];
  const text = (failed ? state.error : state.output) ?? "";
  const hunks = hunksIn(state.metadata?.filediff?.patch ?? state.metadata?.diff ?? "");
  return [{ id: callID, result: { text, failed, images: [], hunks } }];
}
