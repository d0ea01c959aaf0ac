import type { Message } from "../agents/conversation.ts";
import { safeText } from "../ui/safe-text.ts";
import { type Detail, rule, showMessage } from "./terminal.ts";

/** What is told between two messages. */
export interface Between {
  /** Behind this line of the transcript. */
  readonly after: number;
  readonly commit: string | null;
  readonly branch: string | null;
  /** Name of the device that wrote what follows. */
  readonly device: string | null;
}

/** `── main @ abc1234 · Laptop ──` */
export function betweenText(
  { commit, branch, device }: Between,
  detail: Pick<Detail, "style" | "unicode">,
): string {
  const parts = [
    ...(commit ? [`${branch === null ? "detached" : safeText(branch, 80)} @ ${commit.slice(0, 7)}`] : []),
    ...(device ? [`on ${safeText(device, 40)}`] : []),
  ];
  return detail.style("cyan", `${rule(detail)} ${parts.join(" · ")} ${rule(detail)}`);
}

/** A conversation as text for a person, part by part. What is told between messages is told where both are shown. */
export async function* conversationText(
  messages: AsyncIterable<Message>,
  between: readonly Between[],
  detail: Detail,
  whole: boolean,
): AsyncGenerator<string> {
  let next = 0;
  let before: Message | null = null;
  let close = false;
  let first = true;
  const apart = (lines: readonly string[]): string => {
    const gap = first ? "" : "\n";
    first = false;
    return `${gap}${lines.join("\n")}\n`;
  };
  for await (const message of messages) {
    // Of what happened before the first message shown only the last counts: it is where things stood.
    const passed = between.slice(next).filter((mark) => mark.after < message.line);
    next += passed.length;
    for (const mark of first ? passed.slice(-1) : passed) {
      yield apart([betweenText(mark, detail)]);
      before = null;
      close = false;
    }
    const shown = showMessage(message, before, detail);
    if (!shown) continue;
    yield close && shown.opensShort ? `${shown.lines.join("\n")}\n` : apart(shown.lines);
    before = message;
    close = shown.endsShort;
  }
  if (!whole) return;
  for (const mark of between.slice(next)) yield apart([betweenText(mark, detail)]);
}
