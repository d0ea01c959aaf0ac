import { type ConversationReader, linesOf, type Piece } from "../agents/conversation.ts";

/**
 * So many messages may follow the last one that is shared without anybody having gone on: a conversation is often saved from
 * within, and then there come the save's own output and the agent's answer to it, and, when the agent is left, its notes.
 */
const mostMessages = 4;

/**
 * Whether nobody has gone on with a conversation beyond its first `shared` lines: nothing was typed there, and next to
 * nothing was said.
 *
 * @param reader one that goes on with the line after them
 */
export async function isIdleBeyond(
  shared: number,
  content: AsyncIterable<Uint8Array>,
  reader: ConversationReader,
): Promise<boolean> {
  let line = 0;
  let messages = 0;
  for await (const text of linesOf(content)) {
    if (++line <= shared) continue;
    const piece = reader.read(text);
    if (piece === null) continue;
    if (isTyped(piece) || (piece.opens && ++messages > mostMessages)) return false;
  }
  return true;
}

/** Words or a command of a person's; but not leaving the agent, nor the save itself. */
function isTyped({ role, aside, blocks }: Piece): boolean {
  return blocks.some((block) => {
    if (block.kind === "note") return /^(?:\/(?!(?:exit|quit)\b)|! (?!.*\bconvosync\b))/.test(block.text);
    return role === "user" && !aside && block.kind !== "compaction";
  });
}
