import * as v from "valibot";
import { parseLine } from "../json-line.ts";
import { byLastActivity, type JoinedLogs, joinLines, linesOf } from "../line-logs.ts";

const record = v.object({
  type: v.optional(v.string()),
  uuid: v.optional(v.string()),
  isSidechain: v.optional(v.boolean()),
  sessionId: v.optional(v.string()),
  leafUuid: v.optional(v.string()),
});
type Entry = v.InferOutput<typeof record>;

function entryOf(line: Uint8Array): Entry | null {
  const parsed = v.safeParse(record, parseLine(new TextDecoder().decode(line).trimEnd()));
  return parsed.success ? parsed.output : null;
}

/**
 * Continuations of one transcript as one. Records form a tree (`parentUuid`), so a file may hold several branches; the
 * client goes on with the one that the last `last-prompt` record names. The log that was last active comes last, so
 * that it is this one, on every device, whoever joins them.
 */
export function joinTranscripts(logs: readonly Uint8Array[]): JoinedLogs {
  const seen = logs.map((log) => linesOf(log));
  const order = byLastActivity(logs);
  const joined = joinLines(logs, order);
  const branch = leafOf(seen[order.at(-1)!]!);
  const named = lastPrompt(joined.added) ?? lastPrompt(seen[order[0]!]!);
  if (branch === null || named === null || named.leafUuid === branch.uuid) return joined;
  const pointer = { type: "last-prompt", leafUuid: branch.uuid, sessionId: branch.sessionId };
  return { ...joined, added: [...joined.added, new TextEncoder().encode(`${JSON.stringify(pointer)}\n`)] };
}

function lastPrompt(lines: readonly Uint8Array[]): Entry | null {
  for (let at = lines.length - 1; at >= 0; at--) {
    const line = lines[at]!;
    // Most lines need not be parsed to know that they are none.
    if (!Buffer.from(line.buffer, line.byteOffset, line.length).includes('"last-prompt"')) continue;
    const entry = entryOf(line);
    if (entry?.type === "last-prompt") return entry;
  }
  return null;
}

interface Leaf {
  readonly uuid: string;
  readonly sessionId: string | undefined;
}

/** Where the client would go on in this log alone: what its last `last-prompt` names, else its newest record. */
function leafOf(lines: readonly Uint8Array[]): Leaf | null {
  const named = lastPrompt(lines);
  if (named?.leafUuid !== undefined) return { uuid: named.leafUuid, sessionId: named.sessionId };
  for (let at = lines.length - 1; at >= 0; at--) {
    const entry = entryOf(lines[at]!);
    if (entry?.uuid !== undefined && !entry.isSidechain)
      return { uuid: entry.uuid, sessionId: entry.sessionId };
  }
  return null;
}
