import type { Message } from "../agents/conversation.ts";
import type { Between } from "./conversation-text.ts";

/** A conversation that is to be written in another form. All text in it is hostile. */
export interface Exported {
  readonly session: string;
  readonly agent: string;
  /** What the agent is called. */
  readonly agentTitle: string;
  readonly title: string;
  /** The snapshot it ends with, if one was named. */
  readonly snapshot: number | null;
  /** Paths of the work tree begin with it. */
  readonly root: string;
  readonly between: readonly Between[];
  messages(): AsyncIterable<Message>;
}

/** Calls `mark` for what is told between messages and `message` for each, in order. */
export async function* inOrder(
  { between, messages }: Exported,
  mark: (one: Between) => string,
  message: (one: Message, before: Message | null) => string,
): AsyncGenerator<string> {
  let next = 0;
  let before: Message | null = null;
  for await (const one of messages()) {
    for (; next < between.length && between[next]!.after < one.line; next++) {
      yield mark(between[next]!);
      before = null;
    }
    const text = message(one, before);
    if (text !== "") {
      yield text;
      before = one;
    }
  }
  for (; next < between.length; next++) yield mark(between[next]!);
}

/** `2026-11-20 09:05 UTC`: who reads an export may live anywhere. */
export function utcClock(at: string): string {
  return `${at.slice(0, 10)} ${at.slice(11, 16)} UTC`;
}
