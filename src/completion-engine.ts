import type { Argument, Command, Option } from "commander";

/** What may stand at a place of the command line. */
export type Wanted =
  | { readonly kind: "words"; readonly words: readonly Candidate[] }
  | { readonly kind: "files" }
  /** Looked up in the repository: `sessions`, `branches`, … */
  | { readonly kind: Source };

export interface Candidate {
  readonly value: string;
  readonly description: string;
}

export type Source =
  | "sessions"
  | "branches"
  | "devices"
  | "agents"
  | "remotes"
  | "settings"
  | "templates"
  | "operations";

export interface Place {
  /** What has been typed of the word. */
  readonly typed: string;
  /** Stands before every candidate: `--branch=`. */
  readonly before: string;
  readonly wanted: readonly Wanted[];
}

/**
 * What the last of `words` may become; the others stand before it. Pure: walks the tree of commands as commander
 * would, and names the sources of what it does not know itself.
 */
export function placeOf(program: Command, words: readonly string[]): Place {
  const before = words.slice(0, -1);
  const typed = words.at(-1) ?? "";
  let command = program;
  let filled = 0;
  let ended = false;
  const given: Option[] = [];
  for (let at = 0; at < before.length; at++) {
    const word = before[at]!;
    if (word === "--" && !ended) {
      ended = true;
    } else if (!ended && word.startsWith("-") && word !== "-") {
      const option = optionNamed(command, word.replace(/=.*$/s, ""));
      if (option) given.push(option);
      if (option?.required && !word.includes("=")) {
        if (at === before.length - 1) return { typed, before: "", wanted: valuesOf(option) };
        at++;
      }
    } else if (word === "help" && command === program) {
      // Takes the name of a command, as the program itself does.
    } else {
      const next = filled === 0 ? commandNamed(command, word) : undefined;
      if (next) command = next;
      else filled++;
    }
  }
  const inline = ended ? null : /^(--[a-z][a-z-]*)=(.*)$/s.exec(typed);
  if (inline) {
    const option = optionNamed(command, inline[1]!);
    return {
      typed: inline[2]!,
      before: `${inline[1]}=`,
      wanted: option && takesValue(option) ? valuesOf(option) : [],
    };
  }
  if (typed.startsWith("-") && !ended) return { typed, before: "", wanted: [options(command, given)] };
  if (filled === 0 && command.commands.length > 0)
    return { typed, before: "", wanted: [subcommands(command)] };
  const args = command.registeredArguments;
  const argument = args[filled] ?? (args.at(-1)?.variadic ? args.at(-1) : undefined);
  return { typed, before: "", wanted: argument ? valuesOf(argument) : [] };
}

function optionNamed(command: Command, name: string): Option | undefined {
  return command.options.find((one) => one.long === name || one.short === name);
}

function commandNamed(command: Command, name: string): Command | undefined {
  return command.commands.find((one) => one.name() === name || one.aliases().includes(name));
}

const takesValue = (option: Option): boolean => option.required || option.optional;

/** Commander keeps this to itself; in the table of verbs it is `hidden`. */
const isHidden = (command: Command): boolean => (command as unknown as { _hidden: boolean })._hidden;

function subcommands(command: Command): Wanted {
  const words = command.commands
    .filter((one) => !isHidden(one))
    .map((one) => ({ value: one.name(), description: one.description() }));
  const help = command.parent === null ? [{ value: "help", description: "show help for a command" }] : [];
  return { kind: "words", words: [...words, ...help] };
}

function options(command: Command, given: readonly Option[]): Wanted {
  const names = new Set(given.filter((one) => !one.variadic).map((one) => one.attributeName()));
  const words = command.options
    .filter((one) => !one.hidden && one.long && !names.has(one.attributeName()))
    .map((one) => ({ value: one.long!, description: one.description }));
  return { kind: "words", words: [...words, { value: "--help", description: "show help" }] };
}

const sourceOf: Readonly<Record<string, Source | "files">> = {
  session: "sessions",
  a: "sessions",
  b: "sessions",
  from: "sessions",
  branch: "branches",
  device: "devices",
  agent: "agents",
  remote: "remotes",
  setting: "settings",
  template: "templates",
  operation: "operations",
  path: "files",
  file: "files",
  folder: "files",
};

/** By its choices, else by its name: `--session <id>` and `<session>` take sessions, `--recovery-file <path>` a file. */
function valuesOf(one: Option | Argument): Wanted[] {
  if (one.argChoices)
    return [{ kind: "words", words: one.argChoices.map((value) => ({ value, description: "" })) }];
  const placeholder = "flags" in one ? /[<[]([a-z-]+)/.exec(one.flags)?.[1] : undefined;
  for (const name of [one.name(), placeholder ?? ""]) {
    const source = sourceOf[name] ?? sourceOf[name.replace(/^.*-/, "")];
    if (source) return [{ kind: source }];
  }
  return [];
}
