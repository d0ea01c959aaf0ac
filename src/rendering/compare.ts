import type { Block, Message } from "../agents/conversation.ts";

/** How two conversations relate: what both begin with, then what each has alone. */
export interface Compared {
  /** Messages both begin with. */
  readonly common: number;
  /** The last of them; null when there are none. */
  readonly last: Message | null;
  readonly onlyA: readonly Message[];
  readonly onlyB: readonly Message[];
}

/** Reads both side by side; only what differs is kept. */
export async function compare(a: AsyncIterable<Message>, b: AsyncIterable<Message>): Promise<Compared> {
  const left = a[Symbol.asyncIterator]();
  const right = b[Symbol.asyncIterator]();
  let common = 0;
  let last: Message | null = null;
  for (;;) {
    const [x, y] = [await left.next(), await right.next()];
    if (!x.done && !y.done && sameMessage(x.value, y.value)) {
      common++;
      last = x.value;
      continue;
    }
    return {
      common,
      last,
      onlyA: x.done ? [] : [x.value, ...(await rest(left))],
      onlyB: y.done ? [] : [y.value, ...(await rest(right))],
    };
  }
}

async function rest(messages: AsyncIterator<Message>): Promise<Message[]> {
  const found: Message[] = [];
  for (let next = await messages.next(); !next.done; next = await messages.next()) found.push(next.value);
  return found;
}

/** Whether the same was said. A fork and a copy have other ids and the same words. */
export function sameMessage(a: Message, b: Message): boolean {
  return a.role === b.role && JSON.stringify(a.blocks.map(said)) === JSON.stringify(b.blocks.map(said));
}

function said(block: Block): unknown {
  if (block.kind !== "tool") return block;
  return [block.name, block.input, block.result?.text ?? null];
}

export interface Sums {
  readonly messages: number;
  readonly prompts: number;
  readonly toolCalls: number;
  readonly files: readonly string[];
}

export function sumsOf(messages: readonly Message[]): Sums {
  const files = new Set<string>();
  let toolCalls = 0;
  for (const block of messages.flatMap((one) => one.blocks)) {
    if (block.kind !== "tool") continue;
    toolCalls++;
    if (block.action?.kind === "edit" || block.action?.kind === "write") files.add(block.action.path);
  }
  const prompts = messages.filter((one) => one.role === "user").length;
  return { messages: messages.length, prompts, toolCalls, files: [...files] };
}
