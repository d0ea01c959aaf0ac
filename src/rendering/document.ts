import type { Block, Image, Message } from "../agents/conversation.ts";

/** One JSON document with a long list at its end, in parts: its length is no matter of memory. */
export async function* longDocument(
  fields: Record<string, unknown>,
  list: string,
  items: AsyncIterable<unknown>,
): AsyncGenerator<string> {
  const head = JSON.stringify({ convosync: 1, ...fields });
  yield `${head.slice(0, -1)},${JSON.stringify(list)}:[`;
  let first = true;
  for await (const item of items) {
    yield `${first ? "" : ","}${JSON.stringify(item)}`;
    first = false;
  }
  yield "]}\n";
}

/** A message as the documents of `show` have it: pictures are named, not carried. */
export function withoutImages(message: Message): unknown {
  return { ...message, blocks: message.blocks.map(bare) };
}

function bare(block: Block): unknown {
  if (block.kind === "image") return { kind: "image", image: measured(block.image) };
  if (block.kind !== "tool" || !block.result) return block;
  return { ...block, result: { ...block.result, images: block.result.images.map(measured) } };
}

const measured = ({ mediaType, data }: Image): unknown => ({
  mediaType,
  bytes: Math.floor((data.length * 3) / 4),
});
