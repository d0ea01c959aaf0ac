import type { Writable } from "node:stream";

/**
 * Writes chunks to a child's input as it takes them, and then ends it; not when making them fails, as then the child must
 * not take what it has for all. That it goes away in the midst is no failure here: its exit status tells. (Node's
 * `pipeline` can do more, and takes 4 ms of a process that has just started.)
 */
export async function writeAll(to: Writable, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  // EPIPE; from then on it is destroyed.
  to.on("error", () => undefined);
  for await (const chunk of chunks) {
    if (to.destroyed) return;
    if (!to.write(chunk)) await drained(to);
  }
  to.end();
}

const drained = (stream: Writable): Promise<void> =>
  new Promise((resolve) => {
    const done = () => {
      stream.off("drain", done).off("close", done);
      resolve();
    };
    stream.on("drain", done).on("close", done);
  });
