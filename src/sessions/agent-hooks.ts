import { createHash } from "node:crypto";
import { chmod, realpath, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import * as v from "valibot";
import type { AgentName } from "../agents/registry.ts";
import { ConvosyncError, Exit } from "../errors.ts";
import { makeFolder } from "../make-folder.ts";
import { expandHome, homeOf, xdgDirectory } from "../user-directories.ts";
import { readIfPresent, readState, writeAtomic } from "./files.ts";
import { shellScript, startingScript } from "./installation.ts";
import { type Insertion, insert, insertInto, removeItems, takeBack } from "./json-edit.ts";

/**
 * Hooks of coding agents, in the files where each agent looks for them. They run one small script, which notes the
 * conversation that moved on; where convosync is not set up they do nothing. What is put into a person's file is
 * remembered, so that it comes out again byte for byte.
 */
export interface AgentHooks {
  readonly name: string;
  readonly title: string;
  /** The file, as a person would look for it. */
  readonly path: string;
  /** The agent's own folder exists. */
  readonly present: boolean;
  readonly installed: boolean;
}

interface Kind {
  readonly title: string;
  /** The agent's own folder, and the file in it. */
  folder(place: Place): string;
  readonly file: string;
  readonly edit: (text: string | null) => Edit;
}

/** What is to be put into a file, or the whole of a file that is ours alone. */
type Edit = { readonly insertions: readonly Insertion[]; readonly text: string };

interface Place {
  readonly env: NodeJS.ProcessEnv;
  readonly home: string;
}

// The files are read as latin1, so that bytes that are no UTF-8 come out as they went in; ours are ASCII.

/** By this our own entries are known. */
const mark = "convosync/agent.sh";

/**
 * The command of a hook. It finds the script where it runs, and is content without it: settings travel between machines
 * with people's dotfiles. It ends well whatever happens, and within milliseconds.
 */
const shellCommand = (agent: string, event: string, rest = ""): string =>
  `h="\${XDG_STATE_HOME:-$HOME/.local/state}/${mark}"; [ ! -r "$h" ] || sh "$h" ${agent} ${event}${rest}`;

const claudeShaped =
  (agent: string, events: Readonly<Record<string, string>>, extra: Readonly<Record<string, unknown>> = {}) =>
  (text: string | null): Edit =>
    intoLists(
      text,
      Object.entries(events).map(([event, word]) => ({
        path: ["hooks", event],
        value: { hooks: [{ type: "command", ...extra, command: shellCommand(agent, word) }] },
      })),
    );

const kinds: Readonly<Record<AgentName, Kind>> = {
  claude: {
    title: "Claude Code",
    folder: ({ env, home }) => env["CLAUDE_CONFIG_DIR"] || join(home, ".claude"),
    file: "settings.json",
    edit: claudeShaped("claude", {
      SessionStart: "session-start",
      UserPromptSubmit: "prompt",
      Stop: "stop",
      PreCompact: "pre-compact",
      SessionEnd: "session-end",
    }),
  },
  codex: {
    title: "Codex",
    folder: ({ env, home }) => env["CODEX_HOME"] || join(home, ".codex"),
    file: "config.toml",
    edit: codexNotify,
  },
  gemini: {
    title: "Gemini CLI",
    folder: ({ env, home }) => join(env["GEMINI_CLI_HOME"] || home, ".gemini"),
    file: "settings.json",
    edit: claudeShaped(
      "gemini",
      {
        SessionStart: "session-start",
        AfterAgent: "stop",
        PreCompress: "pre-compact",
        SessionEnd: "session-end",
      },
      { name: "convosync", timeout: 10_000 },
    ),
  },
  qwen: {
    title: "Qwen Code",
    folder: ({ env, home }) => expandHome(env["QWEN_HOME"] || "~/.qwen", home),
    file: "settings.json",
    edit: claudeShaped("qwen", {
      SessionStart: "session-start",
      UserPromptSubmit: "prompt",
      Stop: "stop",
      SessionEnd: "session-end",
    }),
  },
  copilot: {
    title: "GitHub Copilot CLI",
    folder: ({ env, home }) => env["COPILOT_HOME"] || join(home, ".copilot"),
    file: "hooks/convosync.json",
    edit: wholeFile(() => {
      const events = { sessionStart: "session-start", agentStop: "stop", sessionEnd: "session-end" };
      const hooks = Object.entries(events).map(([event, word]) => {
        return [event, [{ type: "command", bash: shellCommand("copilot", word) }]];
      });
      return `${JSON.stringify({ version: 1, hooks: Object.fromEntries(hooks) }, null, 2)}\n`;
    }),
  },
  opencode: {
    title: "opencode",
    folder: ({ env }) => join(xdgDirectory(env, "XDG_CONFIG_HOME", ".config"), "opencode"),
    file: "plugins/convosync.js",
    edit: wholeFile(() => shellScript("opencode.js")),
  },
  cursor: {
    title: "Cursor",
    folder: ({ home }) => join(home, ".cursor"),
    file: "hooks.json",
    edit: (text) =>
      intoLists(
        text ?? '{\n  "version": 1\n}\n',
        ["sessionStart", "stop", "sessionEnd"].map((event) => ({
          path: ["hooks", event],
          value: { command: shellCommand("cursor", event.replace("session", "session-").toLowerCase()) },
        })),
      ),
  },
};

/** Agents whose hooks can be installed, as the command line names them. */
export const hookedAgents = Object.keys(kinds);

const insertionSchema = v.object({ at: v.number(), text: v.string() });
const recordSchema = v.object({
  v: v.literal(1),
  files: v.record(
    v.string(),
    v.object({ sha256: v.string(), created: v.boolean(), insertions: v.array(insertionSchema) }),
  ),
});

/** The machine as far as agents' hooks are concerned. */
export interface AgentHookPlace {
  readonly env: NodeJS.ProcessEnv;
  /** The user's state directory of ours. */
  readonly stateDir: string;
}

const recordPath = (at: AgentHookPlace): string => join(at.stateDir, "agent-hooks.json");
const scriptPath = (at: AgentHookPlace): string => join(at.stateDir, "agent.sh");

function kindOf(name: string): Kind {
  const kind = Object.hasOwn(kinds, name) ? kinds[name as AgentName] : undefined;
  if (kind) return kind;
  throw new ConvosyncError("unknown-agent", Exit.usage, `convosync knows no hooks of an agent '${name}'`, [
    `those it knows: ${hookedAgents.join(", ")}`,
  ]);
}

function fileOf(name: string, at: AgentHookPlace): string {
  const kind = kindOf(name);
  return join(kind.folder({ env: at.env, home: homeOf(at.env) }), kind.file);
}

export async function agentHooks(name: string, at: AgentHookPlace): Promise<AgentHooks> {
  const kind = kindOf(name);
  const path = fileOf(name, at);
  const folder = kind.folder({ env: at.env, home: homeOf(at.env) });
  const text = (await readIfPresent(path))?.toString("latin1");
  const present = await stat(folder).then(
    (info) => info.isDirectory(),
    () => false,
  );
  const installed = text?.includes(mark) === true;
  return { name, title: kind.title, path, present, installed };
}

/** Puts our hooks into the agent's file. Does nothing when they are there. */
export async function installAgentHooks(name: string, at: AgentHookPlace): Promise<AgentHooks> {
  await writeAtomic(scriptPath(at), startingScript("agent.sh"));
  const path = fileOf(name, at);
  const info = await stat(path).catch(() => null);
  const before = (await readIfPresent(path))?.toString("latin1") ?? null;
  if (before?.includes(mark)) return agentHooks(name, at);
  const edit = editFor(name, before, path);
  await remember(at, path, {
    sha256: sha256(edit.text),
    created: before === null,
    insertions: [...edit.insertions],
  });
  await replace(path, edit.text, info?.mode);
  return agentHooks(name, at);
}

/** Takes them out again. Returns false when there was nothing to take out. */
export async function uninstallAgentHooks(name: string, at: AgentHookPlace): Promise<boolean> {
  const path = fileOf(name, at);
  const info = await stat(path).catch(() => null);
  const text = (await readIfPresent(path))?.toString("latin1");
  if (!info || !text?.includes(mark)) return false;
  const known = (await records(at)).files[path];
  const untouched = known !== undefined && known.sha256 === sha256(text);
  const back = untouched ? undone(text, known.insertions) : null;
  if (untouched && known.created) await rm(path, { force: true });
  else if (back !== null) await replace(path, back, info.mode);
  else await replace(path, withoutOurs(name, text, known?.insertions ?? [], path), info.mode);
  await remember(at, path, null);
  return true;
}

function editFor(name: string, text: string | null, path: string): Edit {
  try {
    return kindOf(name).edit(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new ConvosyncError("unreadable-settings", Exit.failed, `${path}: ${error.message}`, [
      "nothing was changed; mend the file, then try again",
    ]);
  }
}

/** What is left of a file that has been changed since: our texts where they still stand, else our entries one by one. */
function withoutOurs(name: string, text: string, insertions: readonly Insertion[], path: string): string {
  let left = text;
  for (const { text: added } of [...insertions].reverse()) {
    const at = left.indexOf(added);
    if (at >= 0 && left.indexOf(added, at + 1) < 0) left = left.slice(0, at) + left.slice(at + added.length);
  }
  if (!left.includes(mark)) return left;
  try {
    if (name !== "codex") left = removeItems(left, ["hooks"], mark);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  if (!left.includes(mark)) return left;
  throw new ConvosyncError(
    "unreadable-settings",
    Exit.failed,
    `convosync's entries in ${path} were changed by hand`,
    [`take out what names ${mark}, by hand`],
  );
}

function undone(text: string, insertions: readonly Insertion[]): string | null {
  return [...insertions]
    .reverse()
    .reduce<string | null>((left, one) => (left === null ? null : takeBack(left, one)), text);
}

function intoLists(
  text: string | null,
  entries: readonly { path: readonly string[]; value: unknown }[],
): Edit {
  let now = text === null || text.trim() === "" ? "{}\n" : text;
  // An empty file is given its brackets first.
  const insertions: Insertion[] = text === null || now === text ? [] : [{ at: 0, text: now }];
  if (insertions.length > 0) now += text;
  for (const { path, value } of entries) {
    const one = insertInto(now, path, value);
    if (!one) throw new SyntaxError(`'${path.join(".")}' is something else than expected`);
    insertions.push(one);
    now = insert(now, one);
  }
  return { insertions, text: now };
}

function wholeFile(content: () => string): Kind["edit"] {
  return (text) => {
    if (text !== null) throw new SyntaxError("a file of this name is there already");
    return { insertions: [], text: content() };
  };
}

/**
 * Codex runs one program after each turn, with what happened as the last argument. Ours tells the script, then runs
 * the one that was there, with that argument too.
 */
function codexNotify(text: string | null): Edit {
  const command = `for l; do :; done; ${shellCommand("codex", "stop", ' "$l"')}; [ $# -lt 2 ] || exec "$@"`;
  const ours = ["sh", "-c", command, "convosync"].map((word) => JSON.stringify(word)).join(", ");
  const before = text ?? "";
  if (/"""|'''/.test(before.slice(0, before.search(/^[ \t]*\[/m) + 1 || undefined)))
    throw new SyntaxError("texts of several lines before the first table are more than is understood here");
  const table = /^[ \t]*\[/m;
  const setting = /^[ \t]*notify[ \t]*=[ \t]*/m.exec(before);
  const head = setting ? before.slice(0, setting.index) : "";
  if (setting && !table.test(head)) {
    const at = setting.index + setting[0].length;
    if (before[at] !== "[") throw new SyntaxError("'notify' is something else than a list");
    const empty = /^\[\s*\]/.test(before.slice(at));
    const one = { at: at + 1, text: empty ? ours : `${ours}, ` };
    return { insertions: [one], text: insert(before, one) };
  }
  // Top-level settings stand before the first table.
  const one = { at: 0, text: `notify = [${ours}]\n` };
  return { insertions: [one], text: insert(before, one) };
}

async function records(at: AgentHookPlace): Promise<v.InferOutput<typeof recordSchema>> {
  return (await readState(recordPath(at), recordSchema)) ?? { v: 1, files: {} };
}

async function remember(
  at: AgentHookPlace,
  path: string,
  record: v.InferOutput<typeof recordSchema>["files"][string] | null,
): Promise<void> {
  const all = await records(at);
  if (record) all.files[path] = record;
  else delete all.files[path];
  await writeAtomic(recordPath(at), JSON.stringify(all));
}

/** A settings file may be a link into a folder of dotfiles: what it leads to is replaced, not the link. */
async function replace(path: string, text: string, mode: number | undefined): Promise<void> {
  const target = await realpath(path).catch(() => path);
  makeFolder(dirname(target));
  await writeAtomic(target, Buffer.from(text, "latin1"), mode === undefined ? 0o600 : mode & 0o777);
  if (mode !== undefined) await chmod(target, mode & 0o777);
}

const sha256 = (text: string): string => createHash("sha256").update(text, "latin1").digest("base64url");
