import * as v from "valibot";
import { oneLine } from "../glimpse.ts";
import { parseLine, parseLines } from "../json-line.ts";
import { type JoinedLogs, joinByActivity, textOf } from "../line-logs.ts";
import type { StoreGlimpse } from "../one-store.ts";

// A session is a log of events: `{type, data, id, timestamp, parentId}`, the first of type `session.start`.

const text = v.fallback(v.optional(v.string()), undefined);

const event = v.object({
  type: text,
  timestamp: text,
  data: v.fallback(
    v.optional(
      v.object({
        sessionId: text,
        copilotVersion: text,
        content: text,
        context: v.fallback(v.optional(v.object({ cwd: text, branch: text })), undefined),
      }),
    ),
    undefined,
  ),
});

export interface Glimpse extends StoreGlimpse {
  readonly version: string | null;
  readonly branch: string | null;
  readonly updatedAt: Date | null;
}

/** What the two ends of a log tell; the windows may overlap. Null where the first does not begin a session. */
export function glimpse(head: Uint8Array, tail: Uint8Array): Glimpse | null {
  const first = parseLines(head).map((line) => v.parse(event, line));
  const last = parseLines(tail).map((line) => v.parse(event, line));
  const [start] = first;
  if (start?.type !== "session.start" || start.data?.sessionId === undefined) return null;
  const all = [...first, ...last];
  const said = all.find(({ type, data }) => type === "user.message" && data?.content?.trim());
  const newest = [...all].reverse();
  const places = newest.flatMap(({ type, data }) =>
    /^session\.(?:start|resume|context_changed)$/.test(type ?? "") && data?.context ? [data.context] : [],
  );
  const at = new Date(newest.find(({ timestamp }) => timestamp)?.timestamp ?? "");
  return {
    id: start.data.sessionId,
    helper: false,
    title: oneLine(said?.data?.content ?? ""),
    directories: [...new Set(places.flatMap(({ cwd }) => cwd ?? []))],
    version: start.data.copilotVersion ?? null,
    branch: places.find(({ branch }) => branch)?.branch ?? null,
    updatedAt: Number.isNaN(at.getTime()) ? null : at,
  };
}

/**
 * Logs as one, in which an event that has its id already is not added again: the client writes each only once, and after a
 * work tree has moved the same ones may be there with other paths.
 */
export const joinEvents = (logs: readonly Uint8Array[]): JoinedLogs => joinByActivity(logs, keyOf);

const named = v.object({ id: v.string(), type: v.string() });

function keyOf(line: Uint8Array): string {
  const event = v.safeParse(named, parseLine(new TextDecoder().decode(line)));
  return event.success ? `${event.output.type} ${event.output.id}` : textOf(line);
}
