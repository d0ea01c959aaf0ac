import type { Invocation } from "../world.ts";
import { setPinned } from "./pin.ts";

export default function unpinCommand(invocation: Invocation, args: readonly string[]): Promise<number> {
  return setPinned(invocation, args, false);
}
