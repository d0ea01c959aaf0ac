import * as v from "valibot";
import { oneLine } from "../glimpse.ts";
import { parseLines } from "../json-line.ts";
import type { StoreGlimpse } from "../one-store.ts";

// A log's lines are records of a tree, each with `sessionId`, `cwd` and `parentUuid`; messages have Gemini's parts.
// (qwen-code, packages/core/src/services/chatRecordingService.ts)

const text = v.fallback(v.optional(v.string()), undefined);

const record = v.object({
  type: text,
  subtype: text,
  sessionId: text,
  uuid: text,
  cwd: text,
  version: text,
  gitBranch: text,
  timestamp: text,
  message: v.fallback(
    v.optional(v.object({ parts: v.fallback(v.array(v.fallback(v.object({ text }), {})), []) })),
    undefined,
  ),
  systemPayload: v.fallback(v.optional(v.object({ customTitle: text })), undefined),
});

export interface Glimpse extends StoreGlimpse {
  readonly version: string | null;
  readonly branch: string | null;
  readonly updatedAt: Date | null;
}

/** What the two ends of a log tell; the windows may overlap. Null where no record of it names its session. */
export function glimpse(head: Uint8Array, tail: Uint8Array): Glimpse | null {
  const all = [...parseLines(head), ...parseLines(tail)].map((line) => v.parse(record, line));
  const own = all.find(({ sessionId, uuid, cwd }) => sessionId !== undefined && uuid !== undefined && cwd);
  if (!own?.sessionId) return null;
  const newest = [...all].reverse();
  const prompts = all.flatMap(({ type, subtype, message }) =>
    type === "user" && isPerson(subtype) ? (message?.parts ?? []).flatMap((part) => part.text ?? []) : [],
  );
  const given = newest.find(
    ({ subtype, systemPayload }) => subtype === "custom_title" && systemPayload?.customTitle,
  );
  const at = new Date(newest.find(({ timestamp }) => timestamp)?.timestamp ?? "");
  return {
    id: own.sessionId,
    helper: false,
    title: oneLine(given?.systemPayload?.customTitle ?? prompts.find(isSpoken) ?? ""),
    directories: [...new Set(newest.flatMap(({ cwd }) => cwd ?? []))],
    version: newest.find(({ version }) => version)?.version ?? null,
    branch: newest.find(({ gitBranch }) => gitBranch)?.gitBranch ?? null,
    updatedAt: Number.isNaN(at.getTime()) ? null : at,
  };
}

/** Whether a record in the person's name is the person's own: not a timer's, a goal's, or the news of a helper. */
export const isPerson = (subtype: string | undefined): boolean =>
  subtype === undefined || subtype === "mid_turn_user_message" || subtype === "realtime_message";

/** Whether a text in the person's name is the person's own, and not what the client tells the model. */
export const isSpoken = (said: string): boolean => /^\s*[^\s<]/.test(said);
