import type { Message } from "../agents/conversation.ts";

/** Which messages are wanted. */
export interface Range {
  /** Number of the first one. */
  readonly from: number;
  readonly limit: number;
  /** Only so many, counted from the end. */
  readonly last: number | null;
}

/** Stops reading as soon as nothing more is wanted. */
export async function* within(messages: AsyncIterable<Message>, range: Range): AsyncGenerator<Message> {
  if (range.last !== null) {
    const kept: Message[] = [];
    for await (const message of messages) {
      kept.push(message);
      if (kept.length > range.last) kept.shift();
    }
    yield* kept;
    return;
  }
  let count = 0;
  for await (const message of messages) {
    if (message.n < range.from) continue;
    if (count++ >= range.limit) return;
    yield message;
  }
}
