import * as v from "valibot";
import type { Description } from "../agent.ts";
import { oneLine } from "../glimpse.ts";
import { parseLines } from "../json-line.ts";

// A log's lines are messages, `{"info","parts","timestamp"}`; what is malformed in one is left out.

const text = v.fallback(v.optional(v.string()), undefined);
const flag = v.fallback(v.optional(v.boolean()), undefined);

const state = v.object({
  status: text,
  input: v.optional(v.unknown()),
  output: text,
  error: text,
  metadata: v.fallback(
    v.optional(
      v.object({ diff: text, filediff: v.fallback(v.optional(v.object({ patch: text })), undefined) }),
    ),
    undefined,
  ),
});

const part = v.object({
  type: text,
  text,
  synthetic: flag,
  ignored: flag,
  url: text,
  callID: text,
  tool: text,
  state: v.fallback(v.optional(state), undefined),
});
export type Part = v.InferOutput<typeof part>;

const info = v.object({
  sessionID: v.string(),
  role: text,
  modelID: text,
  summary: flag,
  path: v.fallback(v.optional(v.object({ cwd: text })), undefined),
  error: v.fallback(
    v.optional(
      v.object({ name: text, data: v.fallback(v.optional(v.object({ message: text })), undefined) }),
    ),
    undefined,
  ),
});

export const message = v.object({
  info,
  parts: v.fallback(v.array(v.fallback(part, {})), []),
  timestamp: text,
});

/** What the two ends of a log tell, and whose it is; the windows may overlap. */
export function glimpse(head: Uint8Array, tail: Uint8Array): Description & { readonly id: string | null } {
  const all = [...parseLines(head), ...parseLines(tail)].flatMap((line) => {
    const parsed = v.safeParse(message, line);
    return parsed.success ? [parsed.output] : [];
  });
  const newest = [...all].reverse();
  const asked = all.flatMap(({ info: { role }, parts }) => (role === "user" ? parts : []));
  const at = new Date(newest[0]?.timestamp ?? "");
  return {
    id: all[0]?.info.sessionID ?? null,
    title: oneLine(asked.find((one) => one.type === "text" && !one.synthetic)?.text ?? ""),
    toolVersion: null,
    cwd: newest.find((one) => one.info.path?.cwd)?.info.path?.cwd ?? null,
    branch: null,
    updatedAt: Number.isNaN(at.getTime()) ? null : at,
  };
}
