import * as v from "valibot";
import type { Action, Block, PlanItem, ToolResult } from "./conversation.ts";
import { asObject, planState, type Said, saying, subjectOf, textsIn } from "./records.ts";

// The parts of which Gemini CLI, and Qwen Code that began as a copy of it, make their messages: those of Gemini's API.

export const text = v.fallback(v.optional(v.string()), undefined);
const flag = v.fallback(v.optional(v.boolean()), undefined);

const call = v.object({ id: text, name: text, args: v.optional(v.unknown()) });
const answer = v.object({ id: text, response: v.optional(v.unknown()) });
const media = v.object({ mimeType: text, data: text });

/** One part; what is malformed in it is left out. */
export const part = v.object({
  text,
  thought: flag,
  functionCall: v.fallback(v.optional(call), undefined),
  functionResponse: v.fallback(v.optional(answer), undefined),
  inlineData: v.fallback(v.optional(media), undefined),
});
export type Part = v.InferOutput<typeof part>;

export const parts = v.fallback(v.array(v.fallback(part, {})), []);

/** What a part says, but for the result of a call. */
export function blocksOf(one: Part): Block[] {
  if (one.functionCall) return [toolCall(one.functionCall)];
  if (one.inlineData?.data && one.inlineData.mimeType?.startsWith("image/"))
    return [{ kind: "image", image: { mediaType: one.inlineData.mimeType, data: one.inlineData.data } }];
  const said = one.text?.trim() ?? "";
  if (said === "") return [];
  return [{ kind: one.thought ? "thinking" : "text", text: said }];
}

const ran = "I ran the following shell command:\n```sh\n";
const produced = "\n```\n\nThis produced the following result:\n```\n";

/** What a person says. A command that they ran in the client's own shell is told the model in their name. */
export function saidByPerson(blocks: readonly Block[]): Said {
  const told = blocks.flatMap((block) => (block.kind === "text" ? commandIn(block.text) : null) ?? [block]);
  const isNote = told.length > 0 && told.every(({ kind }) => kind === "note");
  return saying(isNote ? "system" : "user", told);
}

function commandIn(said: string): Block[] | null {
  const end = said.startsWith(ran) ? said.indexOf(produced) : -1;
  if (end < 0) return null;
  const output = said
    .slice(end + produced.length)
    .replace(/\n?```$/, "")
    .trim();
  const command: Block = { kind: "note", text: `! ${said.slice(ran.length, end).trim()}` };
  return output === "" ? [command] : [command, { kind: "note", text: output }];
}

export function toolCall({ id, name = "", args }: v.InferOutput<typeof call>): Block {
  const input = asObject(args);
  const action = actionOf(name, input);
  return { kind: "tool", id: id ?? "", name, subject: subjectOf(input, action), input, action, result: null };
}

function actionOf(name: string, input: Record<string, unknown>): Action | null {
  const word = textsIn(input);
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
    case "write_todos":
      return { kind: "plan", items: Array.isArray(input["todos"]) ? input["todos"].flatMap(planItem) : [] };
    default:
      return null;
  }
}

function planItem(value: unknown): PlanItem[] {
  const { content, description, status } = asObject(value);
  const said = content ?? description;
  return typeof said === "string" ? [{ text: said, state: planState(status) }] : [];
}

/** The result of a call, from the response that the model is given. */
export function resultOf(response: unknown, failed: boolean): ToolResult {
  const { output, error } = asObject(response);
  const said = typeof output === "string" ? output : typeof error === "string" ? error : "";
  return {
    text: said,
    failed: failed || (typeof error === "string" && output === undefined),
    images: [],
    hunks: [],
  };
}
