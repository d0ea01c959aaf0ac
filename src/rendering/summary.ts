import type { Message, PlanItem, ToolCall } from "../agents/conversation.ts";
import { type Inline, type MarkdownBlock, parseMarkdown } from "./markdown.ts";
import { shortPath } from "./terminal.ts";

/** What a conversation was about, drawn from it without anybody's help. All text in it is hostile. */
export interface Summary {
  readonly goal: string;
  /** What was asked after that, one line each. */
  readonly asked: readonly string[];
  readonly done: readonly string[];
  readonly files: readonly TouchedFile[];
  readonly commands: readonly RunCommand[];
  readonly next: readonly string[];
  readonly began: string | null;
  readonly ended: string | null;
  readonly messages: number;
  readonly toolCalls: number;
}

export interface TouchedFile {
  readonly path: string;
  readonly changes: number;
  readonly added: number;
  readonly removed: number;
}

export interface RunCommand {
  readonly command: string;
  readonly runs: number;
  readonly failed: number;
  /** It checks the work: tests, types, lint, build. */
  readonly check: boolean;
}

const most = { asked: 12, done: 12, files: 30, commands: 15, next: 10 };
const checks =
  /\b(?:tests?|jest|vitest|pytest|tox|rspec|check|lint|eslint|biome|tsc|typecheck|clippy|vet|build|ci)\b/;
const looking =
  /^(?:ls|cat|cd|pwd|echo|head|tail|grep|rg|find|sed|awk|wc|which|sleep|tree|less|file|stat|git (?:status|diff|log|show|branch|rev-parse|ls-files|blame|remote))\b/;

/** Reads a conversation once, keeping little of it. */
export async function summarise(messages: AsyncIterable<Message>, root: string): Promise<Summary> {
  let goal = "";
  let compaction = "";
  const asked: string[] = [];
  const conclusions: string[] = [];
  /** The agent's words since the person last spoke. */
  let closing = "";
  let answered = true;
  const plan = new Map<string, PlanItem>();
  const files = new Map<string, { changes: number; added: number; removed: number }>();
  const commands = new Map<string, { runs: number; failed: number }>();
  let began: string | null = null;
  let ended: string | null = null;
  let count = 0;
  let toolCalls = 0;
  for await (const message of messages) {
    count++;
    began ??= message.at;
    ended = message.at ?? ended;
    if (message.aside) continue;
    const said = message.blocks.flatMap((block) => (block.kind === "text" ? [block.text] : [])).join("\n\n");
    if (message.role === "user" && said !== "") {
      if (closing !== "") conclusions.push(closing);
      closing = "";
      answered = true;
      if (goal === "") goal = shorten(said, 400);
      else asked.push(firstSentence(said));
    }
    if (message.role === "assistant" && said !== "") {
      closing = said;
      answered = false;
    }
    for (const block of message.blocks) {
      if (block.kind === "compaction") compaction = block.summary;
      if (block.kind !== "tool") continue;
      toolCalls++;
      noteTool(block, { plan, files, commands, root });
    }
  }
  if (closing !== "") conclusions.push(closing);
  const items = [...plan.values()];
  const steps = answered ? [] : nextSteps(closing);
  return {
    goal: goal === "" ? firstSentence(compaction) : goal,
    asked: newest(unique(asked.filter((one) => one.length > 3)), most.asked),
    done: newest(
      unique([
        ...items.filter((one) => one.state === "done").map((one) => shorten(one.text, 160)),
        ...conclusions.map(conclusionOf).filter((one) => one !== ""),
      ]),
      most.done,
    ),
    files: [...files]
      .map(([path, one]) => ({ path, ...one }))
      .sort((a, b) => b.changes - a.changes)
      .slice(0, most.files),
    commands: [...commands]
      .map(([command, one]) => ({ command, ...one, check: checks.test(command) }))
      .filter((one) => one.check || !looking.test(one.command))
      .sort((a, b) => Number(b.check) - Number(a.check) || b.runs - a.runs)
      .slice(0, most.commands),
    next: unique([
      ...items.filter((one) => one.state !== "done").map((one) => shorten(one.text, 160)),
      ...steps,
    ]).slice(0, most.next),
    began,
    ended,
    messages: count,
    toolCalls,
  };
}

interface Notes {
  readonly plan: Map<string, PlanItem>;
  readonly files: Map<string, { changes: number; added: number; removed: number }>;
  readonly commands: Map<string, { runs: number; failed: number }>;
  readonly root: string;
}

function noteTool({ action, result }: ToolCall, { plan, files, commands, root }: Notes): void {
  const failed = result?.failed === true;
  switch (action?.kind) {
    case "edit":
    case "write": {
      if (failed) return;
      const path = shortPath(action.path, root);
      const file = files.get(path) ?? { changes: 0, added: 0, removed: 0 };
      const lines = result?.hunks.flatMap((one) => one.lines) ?? [];
      file.changes++;
      file.added += lines.filter((line) => line.startsWith("+")).length;
      file.removed += lines.filter((line) => line.startsWith("-")).length;
      files.set(path, file);
      return;
    }
    case "run": {
      const command = bare(action.command);
      const known = commands.get(command) ?? { runs: 0, failed: 0 };
      commands.set(command, { runs: known.runs + 1, failed: known.failed + (failed ? 1 : 0) });
      return;
    }
    case "plan":
      plan.clear();
      for (const [at, item] of action.items.entries()) plan.set(`${at}`, item);
      return;
    case "task": {
      const id = action.id ?? /#(\w{1,40})/.exec(result?.text.slice(0, 200) ?? "")?.[1] ?? `new ${plan.size}`;
      const known = plan.get(id);
      const text = action.text ?? known?.text;
      if (action.state === "dropped") plan.delete(id);
      else if (text !== undefined) plan.set(id, { text, state: action.state ?? known?.state ?? "pending" });
      return;
    }
  }
}

/** A command without what says where it runs and how much of its output is wanted. */
function bare(command: string): string {
  const line = shorten(command.trim().split("\n", 1)[0]!, 400);
  const at = line.replace(/^cd \S+ && /, "").replace(/ (?:2>&1 ?)?\| ?(?:head|tail)(?: -\S+)*(?: \d+)?$/, "");
  return shorten(at.replace(/ ?2>&1$/, ""), 120);
}

const newest = <T>(list: readonly T[], count: number): T[] => list.slice(Math.max(0, list.length - count));
const unique = (list: readonly string[]): string[] => [...new Set(list)];

export function plainText(text: readonly Inline[]): string {
  return text.map((one) => ("children" in one ? plainText(one.children) : one.text)).join("");
}

const shorten = (text: string, length: number): string => {
  const line = text
    .slice(0, length * 4)
    .replace(/\s+/g, " ")
    .trim();
  return line.length > length ? `${line.slice(0, length - 1)}…` : line;
};

function firstSentence(text: string): string {
  const block = parseMarkdown(text.slice(0, 4000)).find((one) => "text" in one);
  const plain = shorten(block && "text" in block ? plainText(block.text) : text, 400);
  const end = plain.search(/[.!?](?:\s|$)/);
  return shorten(end > 20 ? plain.slice(0, end + 1) : plain, 160);
}

/** What an answer says was done: the first sentence that is no announcement of what is to come. */
function conclusionOf(text: string): string {
  for (const block of parseMarkdown(text.slice(0, 20_000))) {
    if (block.kind !== "paragraph") continue;
    const plain = shorten(plainText(block.text), 400);
    if (/^(?:let me|i'll|i will|now|next|first|ok|okay|sure|good|great|perfect)\b/i.test(plain)) continue;
    if (/[?:]$/.test(plain)) continue;
    return firstSentence(plain);
  }
  return "";
}

const ahead =
  /\b(?:next|to-?dos?|remain(?:s|ing)?|follow-?ups?|open|still|later|outstanding|not yet|recommend\w*|suggest\w*|could|should|options?)\b/i;

/** Lists under a heading or a line that looks ahead, and the questions that nobody answered. */
function nextSteps(text: string): string[] {
  const blocks = parseMarkdown(text.slice(0, 40_000));
  const steps: string[] = [];
  let looksAhead = false;
  for (const block of blocks) {
    if (block.kind === "heading" || block.kind === "paragraph") {
      const plain = shorten(plainText(block.text), 600);
      looksAhead = ahead.test(plain);
      steps.push(...questionsIn(plain));
    } else if (block.kind === "list" && looksAhead) {
      steps.push(...block.items.flatMap((item) => item.children.slice(0, 1).flatMap(lineOf)));
    }
  }
  return steps;
}

const lineOf = (block: MarkdownBlock): string[] =>
  block.kind === "paragraph" || block.kind === "heading" ? [shorten(plainText(block.text), 160)] : [];

function questionsIn(text: string): string[] {
  return (text.match(/[^.!?]{8,300}\?(?=\s|$)/g) ?? []).map((one) => shorten(one, 160));
}
