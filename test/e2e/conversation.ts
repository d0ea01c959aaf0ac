// Conversations as Claude Code writes them: a function of the machine they happen on, so that what a test expects
// on another machine is simply the same conversation told there.

import { createHash } from "node:crypto";

/** Where a conversation happens: what Claude Code writes into its records. */
export interface Scene {
  readonly home: string;
  /** The work tree, or a folder of it: the conversation's `cwd`. */
  readonly cwd: string;
}

/** Folder name of Claude Code's store for a working directory (agents.md 4.2), for paths up to 200 characters. */
export function storeKey(cwd: string): string {
  return cwd.normalize("NFC").replace(/[^a-zA-Z0-9]/g, "-");
}

export const linesPerTurn = 4;

const uuid = (seed: string): string => {
  const hex = createHash("sha256").update(seed).digest("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
};

/**
 * Turns `from` to `to` (exclusive) of session `id`, four records each: question, tool call, result, answer. `voice`
 * tells two continuations of one conversation apart.
 */
export function turns(scene: Scene, id: string, from: number, to: number, voice = ""): string {
  let text = "";
  for (let turn = from; turn < to; turn++) text += oneTurn(scene, id, turn, voice);
  return text;
}

function oneTurn({ home, cwd }: Scene, id: string, turn: number, voice: string): string {
  const name = (part: string, of = turn): string => uuid(`${id} ${of < turn ? "" : voice} ${of} ${part}`);
  const file = `${cwd}/src/part${turn}.ts`;
  const common = (second: number) => ({
    isSidechain: false,
    userType: "external",
    cwd,
    sessionId: id,
    version: "2.1.329",
    gitBranch: "main",
    timestamp: new Date(Date.UTC(2026, 10, 20, 9, turn, second)).toISOString(),
  });
  const records = [
    {
      parentUuid: turn === 0 ? null : name("answer", turn - 1),
      ...common(0),
      type: "user",
      message: {
        role: "user",
        content: `Step ${turn}${voice}: mend ${file}, as ~/notes says ("größer" \\ 日本)`,
      },
      uuid: name("question"),
    },
    {
      parentUuid: name("question"),
      ...common(10),
      type: "assistant",
      message: {
        id: `msg_${turn}`,
        type: "message",
        role: "assistant",
        model: "claude-opus-4",
        content: [{ type: "tool_use", id: `toolu_${turn}`, name: "Read", input: { file_path: file } }],
        stop_reason: "tool_use",
        usage: { input_tokens: 12 + turn, output_tokens: 34 },
      },
      uuid: name("call"),
    },
    {
      parentUuid: name("call"),
      ...common(20),
      type: "user",
      message: {
        role: "user",
        content: [
          {
            tool_use_id: `toolu_${turn}`,
            type: "tool_result",
            content: `${file}:1: see file://${cwd}/README.md and ${home}/.claude/projects/${storeKey(cwd)}/${id}.jsonl`,
          },
        ],
      },
      toolUseResult: { type: "text", file: { filePath: file, content: `export const part = ${turn};\n` } },
      uuid: name("result"),
    },
    {
      parentUuid: name("result"),
      ...common(30),
      type: "assistant",
      message: {
        id: `msg_${turn}_b`,
        type: "message",
        role: "assistant",
        model: "claude-opus-4",
        content: [{ type: "text", text: `Mended ${file}; ${home}/other is another folder.` }],
        stop_reason: "end_turn",
        usage: { input_tokens: 56, output_tokens: 78 + turn },
      },
      uuid: name("answer"),
    },
  ];
  return records.map((record) => `${JSON.stringify(record)}\n`).join("");
}
