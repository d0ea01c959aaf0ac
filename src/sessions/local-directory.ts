import { resolve } from "node:path";
import type { Agent, Workplace } from "../agents/agent.ts";
import { toLocal } from "../agents/portable-paths.ts";
import { checkoutAround, isInside } from "../agents/spellings.ts";
import { fromUtf8, utf8 } from "../crypto/encoding.ts";

/**
 * The directory the conversation runs in here: the same place in this work tree, or its root. Where it ran in a work tree
 * within that one, it is not taken to run in there: that is a work tree of its own, or gone.
 */
export function localDirectory(agent: Agent, place: Workplace, recorded: string): string {
  const rooted = agent.places({ cwd: place.root, workTree: place.root }, place);
  const cwd = resolve(fromUtf8(toLocal(utf8(recorded), rooted, "text")));
  return isInside(cwd, place.root) && checkoutAround(cwd, place) !== place.root ? cwd : place.root;
}
