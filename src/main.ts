import { ConvosyncError, Exit } from "./errors.ts";
import type { World } from "./sessions/repository.ts";
import { type Streams, Terminal } from "./ui/terminal.ts";

declare const __VERSION__: string | undefined;
export const version = typeof __VERSION__ === "string" ? __VERSION__ : "0.0.0-source";

/** The whole world a command sees. */
export interface CommandWorld extends World {
  readonly streams: Streams;
}

/** Runs the program: arguments in, exit status out. Never throws, never ends the process. */
export async function main(argv: readonly string[], world: CommandWorld): Promise<number> {
  if (argv.length === 1 && (argv[0] === "--version" || argv[0] === "-V")) {
    world.streams.stdout.write(`git-convosync version ${version}\n`);
    return Exit.done;
  }
  world.streams.stdout.on("error", (error: NodeJS.ErrnoException) => {
    // Whoever reads our output has seen enough; that is no failure.
    if (error.code === "EPIPE") process.exit(Exit.done);
    throw error;
  });
  const { run } = await import("./program.ts");
  try {
    return await run(argv, world);
  } catch (error) {
    return report(error, argv, world);
  }
}

function report(error: unknown, argv: readonly string[], world: CommandWorld): number {
  const terminal = new Terminal(world.streams, world.env, {
    json: argv.includes("--json"),
    debug: argv.includes("--debug"),
  });
  if (error instanceof ConvosyncError) {
    terminal.fail(error);
    return error.exit;
  }
  const text = error instanceof Error ? error.message : String(error);
  terminal.fail(
    new ConvosyncError(
      "internal",
      Exit.failed,
      `unexpected: ${text}`,
      ["this is a bug in convosync; run the command again with --debug and report what it prints"],
      error instanceof Error ? error.stack : undefined,
    ),
  );
  return Exit.failed;
}
