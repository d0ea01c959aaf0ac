import * as v from "valibot";
import { type ConversationReader, type ReadingPlace, transcriptStart } from "../conversation.ts";
import { parseLine } from "../json-line.ts";
import { blocksOf, parts, resultOf, saidByPerson, text } from "../parts.ts";
import { asObject, RecordReader, type Said, saying } from "../records.ts";
import { isPerson, isSpoken } from "./records.ts";

// Qwen Code's records as a neutral conversation. Messages are lists of Gemini's parts; what is of type `system` tells of
// the client, but for a compression of what came before.

const record = v.object({
  type: text,
  subtype: text,
  timestamp: text,
  model: text,
  message: v.fallback(v.optional(v.object({ parts })), undefined),
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
  const said = entry.message?.parts ?? [];
  switch (entry.type) {
    case "user":
      return isPerson(entry.subtype)
        ? saidByPerson(said.filter((one) => one.text === undefined || isSpoken(one.text)).flatMap(blocksOf))
        : told(entry);
    case "assistant":
      return saying("assistant", said.flatMap(blocksOf));
    case "tool_result": {
      const failed = entry.toolCallResult?.status === "error";
      const results = said.flatMap(({ functionResponse: one }) =>
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

/** What the client tells the model in a person's name, as it shows it itself. */
function told({ systemPayload, message }: Entry): Said | null {
  const { displayText } = asObject(systemPayload);
  const first = message?.parts.find((one) => one.text !== undefined)?.text;
  const note = typeof displayText === "string" ? displayText : first;
  return note === undefined ? null : saying("system", [{ kind: "note", text: note.trim() }]);
}

/** The first words of the history that takes the place of the old one. */
function summaryIn(payload: unknown): string {
  const history = asObject(payload)["compressedHistory"];
  const first = Array.isArray(history) ? asObject(history[0])["parts"] : null;
  const said = Array.isArray(first) ? asObject(first[0])["text"] : null;
  return typeof said === "string" ? said.trim() : "";
}
