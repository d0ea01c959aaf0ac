import * as v from "valibot";
import {
  type Block,
  type ConversationReader,
  type ReadingPlace,
  type ToolResult,
  transcriptStart,
} from "../conversation.ts";
import { parseLine } from "../json-line.ts";
import { blocksOf, type Part, part, parts, resultOf, saidByPerson, text, toolCall } from "../parts.ts";
import { hunksIn, RecordReader, type Said, saying } from "../records.ts";
import { isSpoken } from "./records.ts";

// Gemini CLI's operations as a neutral conversation, which tells all that was said in the order in which it was: what
// was dropped later (`$rewindTo`) as well, and nothing twice when the client writes down a history it has changed.

const content = v.fallback(v.optional(v.union([v.string(), v.array(v.fallback(part, {})), part])), undefined);

const call = v.object({
  id: text,
  name: text,
  args: v.optional(v.unknown()),
  result: parts,
  status: text,
  resultDisplay: v.fallback(v.optional(v.object({ fileDiff: text })), undefined),
});

const thought = v.object({ subject: text, description: text });

const message = v.object({
  id: text,
  type: text,
  timestamp: text,
  model: text,
  content,
  thoughts: v.fallback(v.array(v.fallback(thought, {})), []),
  toolCalls: v.fallback(v.array(v.fallback(call, { result: [] })), []),
});
type Message = v.InferOutput<typeof message>;

const change = v.object({
  $set: v.object({ messages: v.array(v.fallback(message, { thoughts: [], toolCalls: [] })) }),
});

export function conversationReader(from: ReadingPlace = transcriptStart): ConversationReader {
  return new RecordReader(from, (line, memory) => {
    const known = remembered(memory);
    const value = parseLine(line);
    const changed = v.safeParse(change, value);
    if (changed.success) return { ...summed(changed.output.$set.messages, known), model: null };
    const parsed = v.safeParse(message, value);
    if (!parsed.success || parsed.output.id === undefined) return null;
    const { timestamp, model = null } = parsed.output;
    return { ...newIn(parsed.output, known), timestamp, model };
  });
}

/** What has been told of the last message: the client writes it again whenever there is more of it. */
interface Told {
  readonly id: string;
  readonly thoughts: number;
  readonly words: boolean;
  /** A letter for each call: `r` once its result was told, before that `c`. */
  readonly calls: string;
  /** The message with the last summary that took the place of what came before. */
  readonly summary: string;
}

const remember = ({ id, thoughts, words, calls, summary }: Told): string =>
  [id, thoughts, words ? 1 : 0, calls, summary].join("\t");

function remembered(memory: string): Told {
  const [id = "", thoughts = "0", words = "", calls = "", summary = ""] = memory.split("\t");
  return { id, thoughts: Number(thoughts), words: words === "1", calls, summary };
}

/** An id as it is remembered; the client's own have 36 characters. */
const oneWord = (id: string): string => id.slice(0, 64).replace(/\s/g, " ");

/** What a message adds to what was told of it, and what is told of it then. */
function newIn(one: Message, known: Told): { said: Said | null; memory: string } {
  const id = oneWord(one.id ?? "");
  const told = known.id === id ? known : { ...known, id, thoughts: 0, words: false, calls: "" };
  switch (one.type) {
    case "gemini": {
      const blocks: Block[] = one.thoughts.slice(told.thoughts).flatMap(thinking);
      const words = told.words ? [] : wordsOf(one);
      const calls = one.toolCalls.slice(told.calls.length).map((each) => toolCall(each));
      const results = one.toolCalls.flatMap((each, n) =>
        each.id === undefined || each.result.length === 0 || told.calls[n] === "r"
          ? []
          : [{ id: each.id, result: resultIn(each) }],
      );
      const memory = remember({
        ...told,
        thoughts: Math.max(told.thoughts, one.thoughts.length),
        words: told.words || words.length > 0,
        calls: one.toolCalls.map(({ result }) => (result.length > 0 ? "r" : "c")).join(""),
      });
      return { said: { role: "assistant", blocks: [...blocks, ...words, ...calls], results }, memory };
    }
    case "user": {
      const spoken = told.words ? [] : wordsOf(one);
      return { said: saidByPerson(spoken), memory: remember({ ...told, words: true }) };
    }
    case "info":
    case "warning":
    case "error": {
      const notes = told.words
        ? []
        : wordsOf(one).flatMap((block): Block[] =>
            block.kind === "text" ? [{ kind: "note", text: block.text }] : [],
          );
      return { said: saying("system", notes), memory: remember({ ...told, words: true }) };
    }
    default:
      return { said: null, memory: remember(known) };
  }
}

/** A history in the place of the old one: only a summary in it is new. */
function summed(
  history: readonly Message[],
  known: Told,
): { said: Said | null; timestamp: string | undefined; memory: string } {
  for (const one of history) {
    const summary = partsOf(one.content)
      .map((each) => each.text?.trim() ?? "")
      .find((said) => said.startsWith("<state_snapshot>"));
    const id = oneWord(one.id ?? "");
    if (summary === undefined || id === known.summary) continue;
    return {
      said: saying("system", [{ kind: "compaction", summary }]),
      timestamp: one.timestamp,
      memory: remember({ ...known, summary: id }),
    };
  }
  return { said: null, timestamp: undefined, memory: remember(known) };
}

const partsOf = (value: Message["content"]): readonly Part[] =>
  typeof value === "string" ? [{ text: value }] : [value ?? []].flat();

/** Words and images; calls stand beside them, with their results. */
const wordsOf = ({ type, content: said }: Message): Block[] =>
  partsOf(said)
    .filter((one) => !one.functionCall && (type !== "user" || one.text === undefined || isSpoken(one.text)))
    .flatMap(blocksOf);

function thinking({ subject, description }: v.InferOutput<typeof thought>): Block[] {
  const said = [subject, description].flatMap((one) => one?.trim() || []).join(": ");
  return said === "" ? [] : [{ kind: "thinking", text: said }];
}

function resultIn({ result, status, resultDisplay }: v.InferOutput<typeof call>): ToolResult {
  const failed = status === "error" || status === "cancelled";
  const response = result.find(({ functionResponse }) => functionResponse)?.functionResponse?.response;
  const images = result.flatMap(blocksOf).flatMap((block) => (block.kind === "image" ? [block.image] : []));
  return { ...resultOf(response, failed), images, hunks: hunksIn(resultDisplay?.fileDiff ?? "") };
}
