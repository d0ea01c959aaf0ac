import { type Command, CommanderError } from "commander";
import { commandLine, commandTree } from "./command-tree.ts";
import { ConvosyncError, Exit } from "./errors.ts";
import { Terminal } from "./ui/terminal.ts";
import { version } from "./version.ts";
import type { CommandWorld } from "./world.ts";

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
  const { stdout } = world.streams;
  const look = { write: (text: string) => void stdout.write(text), width: stdout.columns ?? 80, version };
  const program = commandTree(argv, look, async (verb, command) => {
    const options = command.opts<Common>();
    const terminal = new Terminal(world.streams, world.env, {
      json: options.json === true,
      quiet: options.quiet === true,
      noInput: options.input === false,
      debug: options.debug === true,
      ...(options.color !== undefined && { color: options.color }),
    });
    const invoked = options.debug ? { ...world, env: { ...world.env, CONVOSYNC_DEBUG: "1" } } : world;
    status = await (await verb.load!()).default(
      { world: invoked, terminal, commandLine },
      command.args,
      options,
    );
  });
  try {
    await program.parseAsync(argv.length === 0 ? ["--help"] : [...argv], { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return Exit.done;
    throw usage(error, named(program, argv), argv);
  }
  return status;
}

/** The command that the first words name, as far as they name one. */
function named(program: Command, argv: readonly string[]): Command {
  let at = program;
  for (const word of argv) {
    const below = at.commands.find((one) => one.name() === word || one.alias() === word);
    if (!below) break;
    at = below;
  }
  return at;
}

const fullName = (command: Command): string =>
  command.parent ? `${fullName(command.parent)} ${command.name()}` : command.name();

/** Commander's own words, and where to read more. */
function usage(error: CommanderError, command: Command, argv: readonly string[]): ConvosyncError {
  const below = command.commands.map((one) => one.name()).join(", ");
  // That is what commander says where it would show help.
  const asked = command.parent
    ? `'${command.name()}' goes on with one of: ${below}`
    : `unknown command '${argv.at(-1)}'`;
  const said = error.code === "commander.help" ? asked : error.message;
  const [message = "", suggestion] = said.replace(/^error: /, "").split("\n");
  const hints = [
    ...(suggestion ? [suggestion.replace(/^\((.*)\)$/, "$1")] : []),
    `see: ${fullName(command)} -h`,
  ];
  return new ConvosyncError("usage", Exit.usage, message, hints);
}
