import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

let collect: (() => void) | null = null;

/**
 * Has what is not needed any more freed now. V8 counts objects, and lets some 64 MB of large buffers lie before it looks
 * for them: with a conversation of 100 MB that was 27 MB of the peak. Takes some 10 ms.
 */
export function freeMemory(): void {
  if (collect === null) {
    setFlagsFromString("--expose-gc");
    const gc: unknown = runInNewContext("typeof gc === 'function' ? gc : null");
    // V8 refuses compiled code that was kept under other flags.
    setFlagsFromString("--no-expose-gc");
    collect = typeof gc === "function" ? () => void gc() : () => undefined;
  }
  collect();
}
