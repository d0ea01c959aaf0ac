import * as v from "valibot";
import type { PlanItem } from "./conversation.ts";

// What readers of agents' records have in common.

const object = v.record(v.string(), v.unknown());

/** The input of a tool; empty where it is no object. */
export function asObject(value: unknown): Record<string, unknown> {
  const parsed = v.safeParse(object, value);
  return parsed.success ? parsed.output : {};
}

/** A plan in one line. */
export function planSubject(items: readonly PlanItem[]): string {
  const active = items.find((one) => one.state === "active");
  const done = items.filter((one) => one.state === "done").length;
  return `${done} of ${items.length} done${active ? `: ${active.text}` : ""}`;
}

/** How both Claude Code and Codex call the states of a plan's items. */
export const planState = (status: unknown): PlanItem["state"] =>
  status === "completed" ? "done" : status === "in_progress" ? "active" : "pending";

/** A record's time in ISO 8601, UTC; null where it has none. */
export function timeOf(timestamp: string | undefined): string | null {
  const time = new Date(timestamp ?? "");
  return Number.isNaN(time.getTime()) ? null : time.toISOString();
}
