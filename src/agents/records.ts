import * as v from "valibot";
import type {
  Action,
  Block,
  ConversationReader,
  Edit,
  Hunk,
  Piece,
  PlanItem,
  ReadingPlace,
  Role,
} from "./conversation.ts";

// What the readers of agents' records have in common.

const object = v.record(v.string(), v.unknown());

/** What a record adds to the conversation. */
export interface Said {
  readonly role: Role;
  readonly blocks: Block[];
  readonly results: Piece["results"][number][];
}

/** Words and deeds of one side, without results. */
export const saying = (role: Role, blocks: Block[]): Said => ({ role, blocks, results: [] });

/** A record: what it says, when, and by which model. */
export interface SaidRecord {
  readonly said: Said | null;
  readonly timestamp: string | undefined;
  readonly model: string | null;
  /** Between an agent and the helper it has started with this call of a tool. */
  readonly helper?: string | undefined;
  /** What is to be known of this record when the next one is read, in one line; nothing when absent. */
  readonly memory?: string;
}

/**
 * Reads logs in which thoughts, calls and words follow one another as records of their own: between them nobody else
 * speaks, so they are one answer, and a tool's result belongs to it.
 */
export class RecordReader implements ConversationReader {
  place: ReadingPlace;
  readonly #read: (line: string, memory: string) => SaidRecord | null;

  /** `read` is also told what it wanted to know of the record before. */
  constructor(from: ReadingPlace, read: (line: string, memory: string) => SaidRecord | null) {
    this.place = from;
    this.#read = read;
  }

  read(line: string): Piece | null {
    const at = this.place.line + 1;
    const [speaker = "", before = ""] = (this.place.key ?? "").split("\n");
    const record = this.#read(line, before);
    const said = record?.said;
    const keep = (n: number, speaking: string, memory: string): void => {
      this.place = { line: at, n, key: memory ? `${speaking}\n${memory}` : speaking || null };
    };
    if (!said || (said.blocks.length === 0 && said.results.length === 0)) {
      keep(this.place.n, speaker, record?.memory ?? before);
      return null;
    }
    const { timestamp, model, helper, memory = "" } = record;
    const speaking = said.role === "assistant" ? `assistant ${helper ?? ""}` : "";
    const more = this.place.n > 0 && (said.blocks.length === 0 || (speaking !== "" && speaking === speaker));
    keep(more ? this.place.n : this.place.n + 1, more ? speaker : speaking, memory);
    return {
      ...said,
      n: this.place.n,
      line: at,
      opens: !more,
      at: timeOf(timestamp),
      model: said.role === "assistant" ? model : null,
      aside: helper !== undefined,
    };
  }
}

/** The argument of a tool that tells most: what it acts on, else what is called something telling, else any text. */
export function subjectOf(input: unknown, action: Action | null): string {
  if (action && "path" in action) return action.path;
  if (action?.kind === "run") return action.command;
  if (action?.kind === "plan") return planSubject(action.items);
  if (typeof input === "string") return input;
  const fields = asObject(input);
  const telling = ["pattern", "query", "url", "intent", "description", "prompt"].map((name) => fields[name]);
  const first = [...telling, ...Object.values(fields)].find((value) => typeof value === "string");
  return typeof first === "string" ? first : "";
}

/** The input of a tool; empty where it is no object. */
export function asObject(value: unknown): Record<string, unknown> {
  const parsed = v.safeParse(object, value);
  return parsed.success ? parsed.output : {};
}

/** The texts among the fields of a tool's input. */
export function textsIn(input: unknown): (field: string) => string | null {
  const fields = asObject(input);
  return (field) => {
    const value = fields[field];
    return typeof value === "string" ? value : null;
  };
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

/** The hunks of a unified diff of one file. */
export function hunksIn(diff: string): Hunk[] {
  const hunks: { oldStart: number; newStart: number; lines: string[] }[] = [];
  for (const line of diff.split("\n")) {
    const head = /^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@/.exec(line);
    if (head) hunks.push({ oldStart: Number(head[1]), newStart: Number(head[2]), lines: [] });
    else if (/^[ +-]/.test(line)) hunks.at(-1)?.lines.push(line);
  }
  return hunks;
}
