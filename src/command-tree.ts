import { Command, Option } from "commander";
import { sections, verbs } from "./verbs/all.ts";
import type { CommandLine, Verb } from "./verbs/verb.ts";

/** Where help goes and how it looks. */
export interface Look {
  readonly write: (text: string) => void;
  readonly width: number;
  readonly version: string;
}

/** Runs a verb whose arguments have been parsed. */
type Act = (verb: Verb, command: Command) => Promise<void>;

/**
 * The command line as commander knows it. Options are defined only for the verb that `argv` names, or for all of
 * them where it is null: a start pays for one verb, not for forty.
 */
export function commandTree(
  argv: readonly string[] | null,
  { write, width, version }: Look,
  act: Act = async () => undefined,
): Command {
  const program = new Command("git convosync");
  program
    .description("Save a coding agent's conversation with the code; resume both on another machine.")
    .version(`git-convosync version ${version}`)
    .helpOption("-h, --help", "show help")
    .helpCommand("help [command]", "show help for a command")
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({
      writeOut: write,
      writeErr: () => undefined,
      getOutHelpWidth: () => width,
    })
    .addHelpText("after", `\n${exitStatuses}`);
  const ordered = sections.flatMap((section) => verbs.filter((verb) => verb.section === section));
  const named = new Set(argv);
  for (const verb of [...ordered, ...verbs.filter((one) => one.section === undefined)]) {
    const wanted =
      argv === null || named.has(verb.name) || (verb.alias !== undefined && named.has(verb.alias));
    addVerb(program, verb, wanted, act);
  }
  return program;
}

function addVerb(parent: Command, verb: Verb, wanted: boolean, act: Act): void {
  const command = parent.command(verb.name, { hidden: verb.hidden === true }).description(verb.summary);
  if (verb.section) command.helpGroup(`${verb.section}:`);
  if (verb.alias) command.alias(verb.alias);
  if (!wanted) return;
  verb.define?.(command);
  for (const below of verb.verbs ?? []) addVerb(command, below, true, act);
  command.addHelpText("after", () => epilogue(verb));
  if (!verb.load) return;
  command
    .optionsGroup("Common options:")
    .option("--json", "print one JSON document on stdout")
    .option("-q, --quiet", "say only what went wrong")
    .option("--no-input", "never ask; a question is an error that names its flag")
    .addOption(new Option("--color <when>", "colours").choices(["always", "auto", "never"]))
    .addOption(new Option("--debug", "show git commands and stack traces").hideHelp())
    .action((...params: unknown[]) => act(verb, params.at(-1) as Command));
}

/** What follows the options in a verb's help. */
function epilogue(verb: Verb): string {
  const examples = (verb.examples ?? []).map(([command, what]) => `  ${command}\n      ${what}\n`);
  const exits = Object.entries(verb.exits ?? {}).map(([status, what]) => `  ${status}  ${what}\n`);
  return [
    ...(examples.length > 0 ? ["\nExamples:\n", ...examples] : []),
    ...(exits.length > 0 ? ["\nExit status here:\n", ...exits] : []),
    ...(verb.load ? [`\n${exitStatuses}\n`] : []),
  ].join("");
}

export const exitStatuses = `Exit status: 0 done · 1 failed · 2 usage · 3 saved here, not pushed · 4 stopped by a check
             5 diverged · 6 forged or damaged · 7 no key · 8 remote unreachable · 130 cancelled`;

/** For what describes the command line and does not run it. */
export const commandLine: CommandLine = {
  verbs,
  sections,
  tree: (words) => commandTree(words, { write: () => undefined, width: 80, version: "" }),
};
