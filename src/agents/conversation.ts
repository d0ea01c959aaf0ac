/**
 * A conversation as every agent has it, whatever its records look like: what is shown, searched, summarised and
 * exported knows this and nothing of an agent's own format. All text in it is hostile.
 */

export type Role = "user" | "assistant" | "system";

export interface Image {
  readonly mediaType: string;
  /** base64 */
  readonly data: string;
}

/** What a tool call does to the world, where the agent's tool is one whose meaning is known. */
export type Action =
  | { readonly kind: "edit"; readonly path: string; readonly edits: readonly Edit[] }
  | { readonly kind: "write"; readonly path: string; readonly content: string }
  | { readonly kind: "read"; readonly path: string }
  | { readonly kind: "run"; readonly command: string }
  | { readonly kind: "plan"; readonly items: readonly PlanItem[] }
  /** One entry of a plan is made or moves on; what is not told stays. The result of making one tells its id. */
  | {
      readonly kind: "task";
      readonly id: string | null;
      readonly text: string | null;
      readonly state: PlanItem["state"] | "dropped" | null;
    };

export interface Edit {
  readonly before: string;
  readonly after: string;
}

export interface PlanItem {
  readonly text: string;
  readonly state: "pending" | "active" | "done";
}

/** Lines of a changed file: each begins with a space, `-` or `+`. */
export interface Hunk {
  readonly oldStart: number;
  readonly newStart: number;
  readonly lines: readonly string[];
}

export interface ToolResult {
  readonly text: string;
  readonly failed: boolean;
  readonly images: readonly Image[];
  /** The change to a file as it was made, where the agent recorded it. */
  readonly hunks: readonly Hunk[];
}

export interface ToolCall {
  readonly kind: "tool";
  readonly id: string;
  readonly name: string;
  /** The argument that tells most: a path, a command, a pattern. One line is to be made of it. */
  readonly subject: string;
  readonly input: unknown;
  readonly action: Action | null;
  result: ToolResult | null;
}

export type Block =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "thinking"; readonly text: string }
  | { readonly kind: "image"; readonly image: Image }
  /** The agent replaced what came before by a summary of it. */
  | { readonly kind: "compaction"; readonly summary: string }
  /** Something that happened beside the talk: a command typed to the client, its output. */
  | { readonly kind: "note"; readonly text: string }
  | ToolCall;

export interface Message {
  /** From 1, in the order of the transcript. */
  readonly n: number;
  /** Line of the main stream it begins on, from 1. */
  readonly line: number;
  readonly role: Role;
  /** ISO 8601, in UTC. */
  readonly at: string | null;
  readonly model: string | null;
  /** Between an agent and its helper, not with the person. */
  readonly aside: boolean;
  readonly blocks: Block[];
}

/** What one line of a transcript adds: the beginning of a message, more of it, or results of its tool calls. */
export interface Piece extends Message {
  /** Begins message `n`; else it goes on with it. */
  readonly opens: boolean;
  readonly results: readonly { readonly id: string; readonly result: ToolResult }[];
}

/** How far a transcript was read; by it reading goes on with the next line. */
export interface ReadingPlace {
  /** Lines read. */
  readonly line: number;
  /** Messages begun. */
  readonly n: number;
  /** What the agent calls the last message, when more of it may follow. */
  readonly key: string | null;
}

/** Reads a transcript line by line. Lines that say nothing to a person, or are no records, give null; none throws. */
export interface ConversationReader {
  read(line: string): Piece | null;
  readonly place: ReadingPlace;
}

export const transcriptStart: ReadingPlace = { line: 0, n: 0, key: null };

/** The lines of a stream of bytes that holds whole lines. */
export async function* linesOf(content: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  for await (const bytes of content) {
    for (let from = 0; from < bytes.length; ) {
      const feed = bytes.indexOf(0x0a, from);
      const end = feed < 0 ? bytes.length : feed;
      yield decoder.decode(bytes.subarray(from, end));
      from = end + 1;
    }
  }
}

export async function* piecesOf(
  content: AsyncIterable<Uint8Array>,
  reader: ConversationReader,
): AsyncGenerator<Piece> {
  for await (const line of linesOf(content)) {
    const piece = reader.read(line);
    if (piece) yield piece;
  }
}

/** So many messages wait for the results of an earlier one's tool calls; then it goes out without them. */
const patience = 64;

/** Puts pieces together: each message comes once, with the results of its tool calls. */
export async function* messagesOf(pieces: AsyncIterable<Piece>): AsyncGenerator<Message> {
  const waiting: Message[] = [];
  const open = new Map<string, ToolCall>();
  const isOpen = (message: Message): boolean =>
    message.blocks.some((block) => block.kind === "tool" && open.get(block.id) === block);
  for await (const piece of pieces) {
    const { opens, results, ...rest } = piece;
    let last = waiting.at(-1);
    if (opens || !last) {
      last = { ...rest, blocks: [] };
      waiting.push(last);
    }
    for (const block of piece.blocks) {
      last.blocks.push(block);
      if (block.kind === "tool") open.set(block.id, block);
    }
    for (const { id, result } of results) {
      const call = open.get(id);
      open.delete(id);
      if (call) call.result = result;
      else last.blocks.push({ kind: "tool", id, name: "", subject: "", input: null, action: null, result });
    }
    while (waiting.length > 1 && (waiting.length > patience || !isOpen(waiting[0]!))) {
      const done = waiting.shift()!;
      for (const block of done.blocks) if (block.kind === "tool") open.delete(block.id);
      if (done.blocks.length > 0) yield done;
    }
  }
  yield* waiting.filter((one) => one.blocks.length > 0);
}

/** All that a block says, as plain text; for searching. */
export function textOfBlock(block: Block): string {
  switch (block.kind) {
    case "text":
    case "thinking":
    case "note":
      return block.text;
    case "compaction":
      return block.summary;
    case "image":
      return "";
    case "tool":
      return [block.name, ...stringsIn(block.input), block.result?.text ?? ""].join("\n");
  }
}

/** All strings in a value, in order. Its depth is bounded by the reader. */
function stringsIn(value: unknown): string[] {
  if (typeof value === "string") return [value];
  if (typeof value !== "object" || value === null) return [];
  return Object.values(value).flatMap(stringsIn);
}
