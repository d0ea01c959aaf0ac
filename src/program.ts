import { Command, CommanderError, Option } from "commander";
import { ConvosyncError, Exit } from "./errors.ts";
import { Terminal } from "./ui/terminal.ts";
import { sections, verbs } from "./verbs/all.ts";
import type { Verb } from "./verbs/verb.ts";
import { type CommandWorld, version } from "./world.ts";

/** Options of every verb. */
interface Common {
  json?: boolean;
  quiet?: boolean;
  debug?: boolean;
  input?: boolean;
  color?: "always" | "auto" | "never";
}

/** Parses the arguments and runs one verb, whose module is loaded only now. Returns its exit status. */
export async function run(argv: readonly string[], world: CommandWorld): Promise<number> {
  let status: number = Exit.done;
  const program = describe(world, argv, async (verb, command) => {
    const options = command.opts<Common>();
    const terminal = new Terminal(world.streams, world.env, {
      json: options.json === true,
      quiet: options.quiet === true,
      noInput: options.input === false,
      debug: options.debug === true,
      ...(options.color !== undefined && { color: options.color }),
    });
    const invoked = options.debug ? { ...world, env: { ...world.env, CONVOSYNC_DEBUG: "1" } } : world;
    status = await (await verb.load!()).default({ world: invoked, terminal }, command.args, options);
  });
  try {
    await program.parseAsync(argv.length === 0 ? ["--help"] : [...argv], { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return Exit.done;
    throw usage(error);
  }
  return status;
}

/** Commander's own words, and where to read more. */
function usage(error: CommanderError): ConvosyncError {
  const [message = "", suggestion] = error.message.replace(/^error: /, "").split("\n");
  const hints = [...(suggestion ? [suggestion.replace(/^\((.*)\)$/, "$1")] : []), "see: git convosync -h"];
  return new ConvosyncError("usage", Exit.usage, message, hints);
}

/**
 * The command line as commander knows it. Options are defined only for the verb that `argv` names, or for all of
 * them where it is null: a start pays for one verb, not for forty.
 */
function describe(
  world: CommandWorld,
  argv: readonly string[] | null,
  act: (verb: Verb, command: Command) => Promise<void>,
): Command {
  const program = new Command("git convosync");
  const write = (text: string): void => void world.streams.stdout.write(text);
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
      getOutHelpWidth: () => world.streams.stdout.columns ?? 80,
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

function addVerb(
  parent: Command,
  verb: Verb,
  wanted: boolean,
  act: (verb: Verb, command: Command) => Promise<void>,
): void {
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

const exitStatuses = `Exit status: 0 done · 1 failed · 2 usage · 3 saved here, not pushed · 4 stopped by a check
             5 diverged · 6 forged or damaged · 7 no key · 8 remote unreachable · 130 cancelled`;
