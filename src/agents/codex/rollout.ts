import * as v from "valibot";
import { oneLine } from "../glimpse.ts";
import { parseLine, parseLines } from "../json-line.ts";

// A rollout is one session: lines of `{timestamp, type, payload}`, the first of type `session_meta`.

const text = v.fallback(v.optional(v.string()), undefined);

const meta = v.object({
  type: v.literal("session_meta"),
  payload: v.object({
    id: v.string(),
    cwd: text,
    cli_version: text,
    source: v.optional(v.unknown()),
    parent_thread_id: text,
    git: v.fallback(v.nullish(v.object({ branch: text })), undefined),
  }),
});

/** What the first line of a rollout tells. */
export interface Meta {
  readonly id: string;
  readonly cwd: string | null;
  readonly version: string | null;
  readonly branch: string | null;
  /** A helper of another session, not one a person talks to. */
  readonly helper: boolean;
}

/** The first of the records that describe the session; a forked one has its ancestors' after its own. Null without. */
export function metaIn(head: Uint8Array): Meta | null {
  const end = head.indexOf(0x0a);
  const first = end < 0 ? head : head.subarray(0, end);
  const parsed = v.safeParse(meta, parseLine(new TextDecoder().decode(first).trimEnd()));
  if (!parsed.success) return null;
  const { id, cwd, cli_version, source, parent_thread_id, git } = parsed.output.payload;
  const helper =
    (parent_thread_id ?? "") !== "" ||
    (typeof source === "object" && source !== null && "subagent" in source) ||
    source === "subagent";
  return { id, cwd: cwd ?? null, version: cli_version ?? null, branch: git?.branch ?? null, helper };
}

const content = v.fallback(v.array(v.fallback(v.object({ type: text, text }), {})), []);
const record = v.object({
  type: text,
  timestamp: text,
  payload: v.fallback(
    v.optional(v.object({ type: text, role: text, cwd: text, message: text, thread_name: text, content })),
    undefined,
  ),
});

/** What the two ends of a rollout tell. */
export interface Glimpse {
  readonly title: string;
  /** Recorded directories, the newest first. */
  readonly directories: readonly string[];
  readonly updatedAt: Date | null;
}

/** The windows may overlap, or begin and end within lines. */
export function glimpse(head: Uint8Array, tail: Uint8Array): Glimpse {
  const records = [...parseLines(head), ...parseLines(tail)].map((line) => v.parse(record, line));
  const newest = [...records].reverse();
  const named = newest.find(({ payload }) => payload?.type === "thread_name_updated")?.payload?.thread_name;
  const said = records.map(promptOf).find((one) => one !== null);
  const cwds = newest.flatMap(({ type, payload }) =>
    (type === "turn_context" || type === "session_meta") && payload?.cwd ? [payload.cwd] : [],
  );
  const at = new Date(newest.find(({ timestamp }) => timestamp)?.timestamp ?? "");
  return {
    title: oneLine(named || said || ""),
    directories: [...new Set(cwds)],
    updatedAt: Number.isNaN(at.getTime()) ? null : at,
  };
}

function promptOf({ type, payload }: v.InferOutput<typeof record>): string | null {
  if (type === "event_msg" && payload?.type === "user_message") return payload.message?.trim() || null;
  if (type !== "response_item" || payload?.type !== "message" || payload.role !== "user") return null;
  return payload.content.map((one) => one.text ?? "").find(isSpoken) ?? null;
}

/** Whether a text in the person's name is the person's own, and not what the client tells the model. */
export function isSpoken(said: string): boolean {
  const start = said.trimStart();
  return start !== "" && !/^(?:<[a-z_]+>|<[a-z_]+ |# AGENTS\.md instructions)/.test(start);
}
