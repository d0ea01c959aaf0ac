import * as v from "valibot";
import {
  type Action,
  type Block,
  type ConversationReader,
  type Image,
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
  saying,
  subjectOf,
} from "../records.ts";
import { isSpoken } from "./rollout.ts";

// Codex's rollouts, from version 0.32 on, as a neutral conversation. What the model saw and said are records of type
// `response_item`; `event_msg` tells the same again for the client's screen and is skipped.

const text = v.fallback(v.optional(v.string()), undefined);
const part = v.object({ type: text, text, image_url: text });

const payload = v.object({
  type: text,
  role: text,
  content: v.optional(v.unknown()),
  summary: v.optional(v.unknown()),
  name: text,
  call_id: text,
  id: text,
  arguments: text,
  input: text,
  output: v.optional(v.unknown()),
  action: v.optional(v.unknown()),
  message: text,
  model: text,
});
type Payload = v.InferOutput<typeof payload>;

const record = v.object({ type: text, timestamp: text, payload: v.fallback(v.optional(payload), undefined) });

export function conversationReader(from: ReadingPlace = transcriptStart): ConversationReader {
  let model: string | null = null;
  return new RecordReader(from, (line) => {
    const parsed = v.safeParse(record, parseLine(line));
    if (!parsed.success || !parsed.output.payload) return null;
    const { type, timestamp, payload: told } = parsed.output;
    if (type === "turn_context") model = told.model ?? model;
    const said = type === "compacted" ? compacted(told) : type === "response_item" ? saidIn(told) : null;
    return { said, timestamp, model };
  });
}

function saidIn(told: Payload): Said | null {
  switch (told.type) {
    case "message":
      if (told.role === "assistant") return saying("assistant", partsIn(told.content).flatMap(spoken));
      // The client's instructions to the model come as `developer` and `system`, and some in the person's name.
      return told.role === "user"
        ? saying(
            "user",
            partsIn(told.content)
              .filter((one) => one.text === undefined || isSpoken(one.text))
              .flatMap(spoken),
          )
        : null;
    case "reasoning": {
      const thoughts = [...partsIn(told.summary), ...partsIn(told.content)].flatMap((one) => one.text ?? []);
      const thought = thoughts.join("\n\n").trim();
      return saying("assistant", thought === "" ? [] : [{ kind: "thinking", text: thought }]);
    }
    case "function_call":
    case "custom_tool_call":
    case "local_shell_call":
    case "web_search_call":
      return saying("assistant", [toolCall(told)]);
    case "function_call_output":
    case "custom_tool_call_output":
      return {
        role: "assistant",
        blocks: [],
        results: told.call_id === undefined ? [] : [{ id: told.call_id, result: resultOf(told.output) }],
      };
    default:
      return null;
  }
}

const compacted = ({ message }: Payload): Said =>
  saying("system", [{ kind: "compaction", summary: message?.trim() || "(kept from the person's eyes)" }]);

type Part = v.InferOutput<typeof part>;

/** A message's content, a string or a list of parts, as parts. */
function partsIn(content: unknown): Part[] {
  if (typeof content === "string") return [{ type: "text", text: content, image_url: undefined }];
  if (!Array.isArray(content)) return [];
  return content.flatMap((one) => {
    const parsed = v.safeParse(part, one);
    return parsed.success ? [parsed.output] : [];
  });
}

function spoken(one: Part): Block[] {
  const image = imageOf(one);
  if (image) return [{ kind: "image", image }];
  const said = one.text?.trim() ?? "";
  return said === "" ? [] : [{ kind: "text", text: said }];
}

function imageOf({ image_url }: Part): Image | null {
  const found = /^data:(image\/[a-z0-9.+-]+);base64,/.exec(image_url?.slice(0, 100) ?? "");
  return found ? { mediaType: found[1]!, data: image_url!.slice(found[0].length) } : null;
}

type Input = Record<string, unknown>;

function toolCall(told: Payload): Block {
  const name = told.name ?? told.type!.replace(/_call$/, "");
  const given = told.arguments ?? told.input;
  const input: unknown = given === undefined ? asObject(told.action) : (parseLine(given) ?? given);
  const action = actionOf(name, input);
  const id = told.call_id ?? told.id ?? "";
  return { kind: "tool", id, name, subject: subjectOf(input, action), input, action, result: null };
}

function actionOf(name: string, input: unknown): Action | null {
  const fields = asObject(input);
  const patch = patchIn(name, input);
  if (patch) return patch;
  const command = commandIn(fields);
  if (command !== null) return { kind: "run", command };
  if (name === "update_plan" && Array.isArray(fields["plan"]))
    return { kind: "plan", items: fields["plan"].flatMap(planItem) };
  const path = fields["path"];
  return name === "view_image" && typeof path === "string" ? { kind: "read", path } : null;
}

/** A command line; the shell that Codex wraps it in says nothing. */
function commandIn(fields: Input): string | null {
  const command = fields["cmd"] ?? fields["command"];
  if (typeof command === "string") return command;
  if (!Array.isArray(command) || !command.every((word) => typeof word === "string")) return null;
  const [shell = "", option = "", script, ...rest] = command;
  if (
    /(?:^|\/)(?:ba|z|da)?sh$/.test(shell) &&
    /^-l?c$/.test(option) &&
    script !== undefined &&
    rest.length === 0
  )
    return script;
  return command.join(" ");
}

/** The change that `apply_patch` makes, where it is to one file: given as its input, as an argument, or on a command line. */
function patchIn(name: string, input: unknown): Action | null {
  const fields = asObject(input);
  const command = fields["command"];
  const text =
    name === "apply_patch"
      ? typeof input === "string"
        ? input
        : fields["input"]
      : Array.isArray(command) && command[0] === "apply_patch"
        ? command[1]
        : null;
  return typeof text === "string" ? actionOfPatch(text) : null;
}

function planItem(value: unknown): PlanItem[] {
  const { step, status } = asObject(value);
  if (typeof step !== "string") return [];
  return [{ text: step, state: planState(status) }];
}

const oldOutput = v.object({
  output: v.string(),
  metadata: v.optional(v.object({ exit_code: v.optional(v.number()) })),
});

/** Older versions give JSON with the exit status beside the output, newer ones a text that begins with it. */
function resultOf(output: unknown): ToolResult {
  const said = partsIn(output);
  const raw = said.flatMap((one) => one.text ?? []).join("\n");
  const old = v.safeParse(oldOutput, parseLine(raw));
  const images = said.flatMap((one) => imageOf(one) ?? []);
  if (old.success) {
    const failed = (old.output.metadata?.exit_code ?? 0) !== 0;
    return { text: old.output.output, failed, images, hunks: [] };
  }
  const [header = "", ...rest] = raw.split(/^Output:\n/m);
  const status = /^(?:Exit code:|Process exited with code) (-?\d+)$/m.exec(header)?.[1];
  const text =
    status === undefined || rest.length === 0 ? raw : raw.slice(header.length + "Output:\n".length);
  return { text, failed: status !== undefined && status !== "0", images, hunks: [] };
}
