import * as v from "valibot";
import type { Action, Edit, PlanItem } from "./conversation.ts";

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

/** The change a patch in the form of `apply_patch` makes, where it is to one file. */
export function actionOfPatch(text: string): Action | null {
  const files = [...text.matchAll(/^\*\*\* (Add|Update|Delete) File: (.+)$/gm)];
  const [file] = files;
  if (!file || files.length > 1 || file[1] === "Delete") return null;
  const path = file[2]!.trim();
  const lines = text.slice(file.index + file[0].length + 1).split("\n");
  const end = lines.findIndex((line) => line.startsWith("*** End Patch"));
  const body = end < 0 ? lines : lines.slice(0, end);
  if (file[1] === "Add")
    return {
      kind: "write",
      path,
      content: body.flatMap((line) => (line.startsWith("+") ? [`${line.slice(1)}\n`] : [])).join(""),
    };
  return { kind: "edit", path, edits: editsIn(body) };
}

/** Hunks begin with `@@`; their lines with a space, `-` or `+`. */
function editsIn(lines: readonly string[]): Edit[] {
  const edits: { before: string[]; after: string[] }[] = [];
  for (const line of lines) {
    if (line.startsWith("@@") || edits.length === 0) edits.push({ before: [], after: [] });
    const edit = edits.at(-1)!;
    const content = line.slice(1);
    if (line.startsWith(" ") || line.startsWith("-")) edit.before.push(content);
    if (line.startsWith(" ") || line.startsWith("+")) edit.after.push(content);
  }
  return edits.map(({ before, after }) => ({ before: before.join("\n"), after: after.join("\n") }));
}
