import { relative, resolve, sep } from "node:path";
import type { Agent, Workplace } from "../agents/agent.ts";
import { toLocal } from "../agents/portable-paths.ts";
import { fromUtf8, utf8 } from "../crypto/encoding.ts";

/** The directory the conversation runs in here: the same place in this work tree, or its root. */
export function localDirectory(agent: Agent, place: Workplace, recorded: string): string {
  const rooted = agent.places({ cwd: place.root, workTree: place.root }, place);
  const cwd = resolve(fromUtf8(toLocal(utf8(recorded), rooted, "text")));
  const below = relative(place.root, cwd);
  return below === "" ||
    (!below.startsWith("..") && !below.startsWith(sep) && resolve(place.root, below) === cwd)
    ? cwd
    : place.root;
}
