import type { Command } from "commander";
import type { Invocation } from "../world.ts";

/** What a verb's module exports as its default: runs it and returns the exit status. */
export type Handler<Options> = (
  invocation: Invocation,
  args: readonly string[],
  options: Options,
) => Promise<number>;

/** Where a verb stands in the overview. */
export type Section = "Every day" | "Read" | "Arrange" | "Automatic" | "Set up and keep";

/** A command as the person types it, and what it does. */
export type Example = readonly [command: string, what: string];

/**
 * A verb of the command line as data: help, completions, the manual page and the reference are made from it, and
 * its module is loaded only when it runs.
 */
export interface Verb {
  readonly name: string;
  readonly alias?: string;
  /** One line, imperative, no full stop. */
  readonly summary: string;
  /** Of a verb itself, not of the verbs below one. */
  readonly section?: Section;
  /** Left out of the overview: for programs, not for people. */
  readonly hidden?: boolean;
  /** Adds arguments and options. */
  readonly define?: (command: Command) => void;
  readonly examples?: readonly Example[];
  /** What an exit status means here, where that is more than the general list says. */
  readonly exits?: Readonly<Record<number, string>>;
  /** `hooks install`, `template save`: verbs below this one, which then does not run itself. */
  readonly verbs?: readonly Verb[];
  // biome-ignore lint/suspicious/noExplicitAny: each module knows its own options; commander hands them over untyped.
  readonly load?: () => Promise<{ readonly default: Handler<any> }>;
}

/** All verbs, and the tree of commands that commander makes of them. */
export interface CommandLine {
  readonly verbs: readonly Verb[];
  /** In the order of the overview. */
  readonly sections: readonly Section[];
  /** With the options of the verbs that `words` name, or of all where it is null. */
  tree(words: readonly string[] | null): Command;
}
