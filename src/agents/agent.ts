import type { ConversationReader, ReadingPlace } from "./conversation.ts";
import type { JoinedLogs } from "./line-logs.ts";
import type { PathForm, Places } from "./portable-paths.ts";

/** Where the user works. All paths are absolute; `root`, `worktrees` and `cwd` are real (no symlinks). */
export interface Workplace {
  /** Root of the work tree that holds `cwd`. */
  readonly root: string;
  /** Roots of all work trees of the repository, `root` included. */
  readonly worktrees: readonly string[];
  /**
   * Roots of work trees that are gone, as the project was moved or they were removed. Not for agents: they look where the work
   * trees are.
   */
  readonly formerRoots?: (which?: FormerRoots) => Promise<readonly string[]>;
  readonly cwd: string;
  readonly home: string;
  readonly env: NodeJS.ProcessEnv;
}

export interface FormerRoots {
  /** The session whose root is asked for, if it is known. */
  readonly key?: string;
  /** Only those that a conversation was told from. */
  readonly told?: true;
}

/** One conversation in the agent's own store. All text in it comes from the conversation: hostile. */
export interface FoundSession {
  readonly id: string;
  /** The directory the agent last worked in, of those that lie in the repository. */
  readonly cwd: string;
  /** The work tree that holds `cwd`. */
  readonly workTree: string;
  /** The one it was begun in, where an agent can take a conversation from one to another: its paths are told from there. */
  readonly begunIn?: string;
  /** Another name that one is recorded by. */
  readonly alias?: string | undefined;
  readonly updatedAt: Date;
  readonly title: string;
  /** The main file. */
  readonly path: string;
}

/** Where a session is; with its main file, where the agent has it already. */
export type Placed = Pick<FoundSession, "cwd" | "workTree" | "begunIn" | "alias"> &
  Partial<Pick<FoundSession, "path">>;

/** An append-only log of LF-terminated lines, in form `jsonl`. */
export interface StreamSource {
  /** `main`, `subagents/agent-x.jsonl`: the same on every machine. */
  readonly name: string;
  readonly path: string;
}

/** Where a logical name lives on this machine. */
export interface Target {
  readonly path: string;
  /** How paths stand in it; `raw` bytes are never converted. */
  readonly form: PathForm | "raw";
  /** The agent's copy of a file of the user's: it keeps that one's permissions, and gives them back with what is in it. */
  readonly copied?: true;
}

/** A sidecar, kept whole. */
export interface FileSource extends Target {
  readonly name: string;
  /** Bytes. */
  readonly size: number;
}

export interface Inventory {
  readonly streams: readonly StreamSource[];
  readonly files: readonly FileSource[];
  /** What belongs to them but cannot be read; nothing when absent. */
  readonly unreadable?: readonly Pick<FileSource, "name" | "path">[];
}

/** A process that has the session open. */
export interface LiveSession {
  readonly pid: number;
  readonly cwd: string;
  readonly since: Date | null;
}

export interface Description {
  readonly title: string;
  readonly toolVersion: string | null;
  readonly cwd: string | null;
  readonly branch: string | null;
  readonly updatedAt: Date | null;
}

export type HowFound = "environment" | "live" | "newest";

/** A coding agent that keeps its conversations on this machine. Knows nothing of git, encryption or refs. */
export interface Agent {
  /** The word in session ids and on the command line. */
  readonly name: "claude" | "codex" | "gemini" | "copilot" | "qwen" | "opencode" | "cursor";
  /** The program, as manifests name it. */
  readonly tool:
    | "claude-code"
    | "codex"
    | "gemini-cli"
    | "copilot-cli"
    | "qwen-code"
    | "opencode"
    | "cursor-cli";
  readonly title: string;

  /** The folder the agent's files lie in. Nothing is written outside it, or through a symlink further below it. */
  store(place: Workplace): string;
  /** Another such folder, that of its settings, where the user has the conversations' own files elsewhere. */
  settings?(place: Workplace): string;
  /** Where the agent itself keeps its conversations, when that is not the store. */
  home?(place: Workplace): string;
  /** Why what it keeps cannot be read, so that none of its sessions are found; null when it can. */
  unreadable?(place: Workplace): string | null;
  /**
   * Sessions whose recorded directory lies in one of the repository's work trees, newest first. Looks only at those
   * whose id begins with `prefix`: looking at all takes a second when there are a thousand.
   */
  find(place: Workplace, prefix?: string): Promise<FoundSession[]>;
  /**
   * The session, where its recorded directory lies in none of the repository's work trees. Of agents that know a session by
   * its id alone, so that the machine can have it only once.
   */
  elsewhere?(id: string, place: Workplace): Pick<FoundSession, "cwd" | "path"> | null;
  /** The conversation that is going on in this work tree, or was last. */
  current(place: Workplace): Promise<{ session: FoundSession; how: HowFound } | null>;
  /** The conversations in this work tree that were written to since then, newest first, but for those with these ids. */
  lately(place: Workplace, since: Date, but: ReadonlySet<string>): Promise<FoundSession[]>;
  /** All that belongs to a session. Capture files before streams: the main stream names them. */
  inventory(session: FoundSession, place: Workplace): Promise<Inventory>;
  /** The paths that are made portable in a session that runs in `cwd` of `workTree`. */
  places(session: Placed, place: Workplace): Places;
  /**
   * Where a logical name from another device lives here: beside the session's main file when it is known here,
   * else in the folder for `cwd`. Unknown and unsafe names are an integrity error (`unsafe-name`).
   */
  target(name: string, kind: "stream" | "file", session: Destination, place: Workplace): Target;
  /**
   * Tells the agent which of its folders is that of `cwd`, where this does not follow from the path and it has none yet.
   * Comes before the first file is put there; adds files and changes none.
   */
  settle?(cwd: string, place: Workplace): Promise<void>;
  /**
   * The commands of the agent's own that make it know a session whose files were put in its store, where it does not look
   * at them itself; to be run in the session's directory. Each has been run, and went well, when the next is asked for.
   */
  deliver?(session: Destination, place: Workplace): AsyncIterable<readonly string[]>;
  /** The process that has the session open now. */
  live(sessionId: string, place: Workplace): Promise<LiveSession | null>;
  /** What a picker shows, from the first and the last 64 KiB of the main stream. Never throws. */
  describe(head: Uint8Array, tail: Uint8Array): Description;
  /** The session that a main file from elsewhere holds, from its beginning; null when it is none of this agent's. */
  recognise?(head: Uint8Array): { readonly id: string } | null;
  /** Reads the main stream as a conversation, from its first line or from where another reader came to. */
  reader?(from?: ReadingPlace): ConversationReader;
  /**
   * Folders whose files change when a conversation of one of the work trees goes on, with the work tree where that is
   * clear from the folder; the first one, without a work tree, is where new such folders appear. Agents that cannot
   * say are asked for their current session now and then.
   */
  watched?(place: Workplace): Promise<readonly WatchedFolder[]>;
  /** The agent's own command, to be run in the session's directory. */
  resumeCommand(sessionId: string): readonly string[];
  /** The agent's own command that begins a new conversation with a prompt; absent when it has none. */
  startCommand?(prompt: string): readonly string[];
  validId(id: string): boolean;
  /**
   * Continuations of one conversation, as stored, joined into one log that the agent reads. Absent where its files can
   * hold only one.
   */
  readonly joinLogs?: (logs: readonly Uint8Array[]) => JoinedLogs;
  /** False where a session cannot be given another id, nor be cut at an earlier snapshot. */
  readonly copies?: false;
  /** True where the messages of a copy get ids of their own, so that it cannot be merged into what it was copied from. */
  readonly copiesApart?: true;
  /** An id for a copy of a conversation. */
  newId(): string;
  /** Lines of a session as those of a copy of it, where the agent looks for ids inside the files too. */
  withId?(lines: Uint8Array, from: string, to: string): Uint8Array;
}

/** A folder with one file per session, named by the session's id. */
export interface WatchedFolder {
  readonly path: string;
  readonly workTree: string | null;
  /** The session whose main file has this name; null for other files. */
  sessionOf(name: string): string | null;
  /** The work tree of that session, where one folder has sessions of several. */
  workTreeOf?(name: string): string | null;
  /** All sessions in the file, where it holds more than the one; `state` is another when a session has gone on. */
  sessionsIn?(
    name: string,
  ): readonly { readonly id: string; readonly workTree: string; readonly state: string }[];
}

/** A session that is to be written; a FoundSession is one. */
export interface Destination {
  readonly id: string;
  readonly cwd: string;
  /** The main file, when this machine has the session already. */
  readonly path?: string;
}
