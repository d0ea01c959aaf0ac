import { Command, CommanderError, Option } from "commander";
import { ConvosyncError, Exit } from "./errors.ts";
import { Terminal } from "./ui/terminal.ts";
import { type CommandWorld, type Invocation, version } from "./world.ts";

type Handler<Options> = (
  invocation: Invocation,
  args: readonly string[],
  options: Options,
) => Promise<number>;

/** Options of every verb. */
interface Common {
  json?: boolean;
  quiet?: boolean;
  debug?: boolean;
  input?: boolean;
}

/** Parses the arguments and runs one verb, whose module is loaded only now. Returns its exit status. */
export async function run(argv: readonly string[], world: CommandWorld): Promise<number> {
  let status: number = Exit.done;
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
    .addHelpText("after", exitStatuses);

  const verb = <Options>(
    name: string,
    summary: string,
    load: () => Promise<{ default: Handler<Options> }>,
  ): Command =>
    program
      .command(name)
      .description(summary)
      .option("--json", "print one JSON document on stdout")
      .option("-q, --quiet", "say only what went wrong")
      .option("--no-input", "never ask; a question is an error that names its flag")
      .addOption(new Option("--debug", "show git commands and stack traces").hideHelp())
      .action(async (...params: unknown[]) => {
        const command = params.at(-1) as Command;
        const options = command.opts<Common & Options>();
        const terminal = new Terminal(world.streams, world.env, {
          json: options.json === true,
          quiet: options.quiet === true,
          noInput: options.input === false,
          debug: options.debug === true,
        });
        const invoked = options.debug ? { ...world, env: { ...world.env, CONVOSYNC_DEBUG: "1" } } : world;
        status = await (await load()).default({ world: invoked, terminal }, command.args, options);
      });

  verb(
    "init",
    "set up this repository: make a vault, or join the one it has",
    () => import("./commands/init.ts"),
  )
    .option("--join", "join the vault this repository has, with its recovery code")
    .option("--new-vault", "make a vault for this repository alone")
    .option(
      "--recovery-file <path>",
      "write the new recovery code to this file, or read the code to join from it",
    )
    .option("--device-name <name>", "what this machine is called")
    .addOption(
      new Option("--device-type <type>", "what it is").choices([
        "desktop",
        "laptop",
        "phone",
        "tablet",
        "server",
        "ci",
      ]),
    )
    .option("--public", "accept that anyone can read this repository's ciphertext")
    // Nothing is installed yet that they would keep away; scripts that say so now go on to mean it.
    .addOption(new Option("--no-hooks", "install no git hooks").hideHelp())
    .addOption(new Option("--no-agent-hooks", "install no agent hooks").hideHelp())
    .option("-y, --yes", "take the proposed answers");
  verb("save", "commit the code, capture the conversation, push both", () => import("./commands/save.ts"))
    .argument("[message]", "commit message, and name of the snapshot")
    .option("-m, --message <text>", "the same")
    .option("--session <id>", "save this conversation")
    .option("--agent <name>", "save the newest conversation of this agent")
    .option("--all-sessions", "save every conversation of this work tree")
    .option("--no-code", "save the conversation only")
    .option("--no-push", "keep it here until the next sync")
    .addOption(new Option("--no-notify", "tell other devices nothing").hideHelp())
    .option("--raw-paths", "store paths as they are")
    .option("-n, --dry-run", "show what would be done")
    .option("-f, --force", "go on where a safety check would stop");
  verb("resume", "bring back a session: code, conversation, context", () => import("./commands/resume.ts"))
    .argument("[session]", "id or unique prefix; the most recently active one when absent")
    .option("-l, --list", "list the sessions there are")
    .option("--pull", "bring in all new commits of the branch (default)")
    .option("--no-pull", "bring in commits only up to the session's own")
    .option("--switch-branch", "switch to the session's branch (default)")
    .option("--stay-on-branch", "leave the code as it is")
    .option("--exact", "check out the session's very commit, detached")
    .option("-n, --dry-run", "show what would be done")
    .option("-f, --force", "go on where a safety check would stop");
  verb("status", "show where this clone stands", () => import("./commands/status.ts"));
  verb("list", "list the sessions of all devices", () => import("./commands/list.ts"))
    .alias("ls")
    .option("-a, --all", "all of them, not only the 20 most recent")
    .option("--branch <name>", "those on this branch")
    .option("--device <name>", "those last saved on this device")
    .option("--agent <name>", "those of this agent")
    .option("--search <text>", "those with this text in title, message or branch")
    .option("--limit <n>", "at most this many")
    .option("--fetch", "ask the remote first");
  verb("show", "read a conversation", () => import("./commands/show.ts"))
    .argument("<session>", "id or unique prefix")
    .option("--raw", "the agent's own bytes");
  verb("delete", "delete a session, here and on the remote", () => import("./commands/delete.ts"))
    .argument("<session...>", "ids or unique prefixes")
    .option("-y, --yes", "do not ask");
  verb(
    "sync",
    "send what waits in the queue, fetch what other devices saved",
    () => import("./commands/sync.ts"),
  )
    .option("--no-code", "send conversations only, leave branches alone")
    .option("--retry", "also put back what the remote lost, if it was reset");
  verb(
    "verify",
    "check every object, signature and hash, here and on the remote",
    () => import("./commands/verify.ts"),
  ).option("--local", "only what is here");
  verb("gc", "fold old sessions into archives, repack long ones", () => import("./commands/gc.ts"));

  try {
    await program.parseAsync(argv.length === 0 ? ["--help"] : [...argv], { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return Exit.done;
    throw new ConvosyncError("usage", Exit.usage, error.message.replace(/^error: /, "").split("\n")[0]!, [
      "see: git convosync -h",
    ]);
  }
  return status;
}

const exitStatuses = `
Exit status: 0 done · 1 failed · 2 usage · 3 saved here, not pushed · 4 stopped by a check
             5 diverged · 6 forged or damaged · 7 no key · 8 remote unreachable · 130 cancelled`;
