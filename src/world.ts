import type { World } from "./sessions/repository.ts";
import type { Streams, Terminal } from "./ui/terminal.ts";
import type { CommandLine } from "./verbs/verb.ts";

/** The whole world a command sees. */
export interface CommandWorld extends World {
  readonly streams: Streams;
}

/** What every command is given. */
export interface Invocation {
  readonly world: CommandWorld;
  readonly terminal: Terminal;
  /** The command line itself, for what describes it: completions, the manual. */
  readonly commandLine: CommandLine;
}
