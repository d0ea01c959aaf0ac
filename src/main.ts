import { tmpdir } from "node:os";
import { dirname } from "node:path";
import type { Writable } from "node:stream";
import { ConvosyncError, Exit, systemHints } from "./errors.ts";
import { Terminal } from "./ui/terminal.ts";
import type { CommandWorld } from "./world.ts";

/** Runs the program: arguments in, exit status out. Never throws, never ends the process. */
export async function main(argv: readonly string[], world: CommandWorld): Promise<number> {
  const { stdout, stderr } = world.streams;
  // That nobody listens, as where a terminal was closed, is no reason to stop in the middle of a save.
  let first: Error | null = null;
  stdout.on("error", (error) => {
    first ??= error;
  });
  stderr.on("error", () => undefined);
  const { run } = await import("./program.ts");
  const status = await run(argv, world).catch((error: unknown) => report(error, argv, world));
  // What went wrong with the last write is told to listeners only after us.
  const lost: NodeJS.ErrnoException | null = first ?? (stdout as Partial<Writable>).errored ?? null;
  // Whoever closes our output has seen enough; that is no failure.
  if (lost === null || lost.code === "EPIPE") return status;
  const words = argv.filter((word) => word !== "--json");
  return Math.max(status, report(lost, words, world));
}

/** `--color` as it stands on the command line, which may be the very thing that could not be read. */
function colorGiven(argv: readonly string[]): "always" | "auto" | "never" {
  const at = argv.findLastIndex((word) => /^--color(=|$)/.test(word));
  const value = at < 0 ? "auto" : (argv[at]!.split("=")[1] ?? argv[at + 1]);
  return value === "always" || value === "never" ? value : "auto";
}

function report(error: unknown, argv: readonly string[], world: CommandWorld): number {
  const terminal = new Terminal(world.streams, world.env, {
    json: argv.includes("--json"),
    debug: argv.includes("--debug"),
    color: colorGiven(argv),
  });
  if (error instanceof ConvosyncError) {
    terminal.fail(error);
    return error.exit;
  }
  const system = systemFailure(error);
  if (system) {
    terminal.fail(system);
    return system.exit;
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

/** A full disk, a folder that may not be written to: nobody's bug, and the system's own words say what it is. */
function systemFailure(error: unknown): ConvosyncError | null {
  const { code, syscall, path, message } = (error ?? {}) as NodeJS.ErrnoException;
  if (typeof code !== "string" || typeof syscall !== "string") return null;
  if (syscall === "uv_cwd") {
    return new ConvosyncError("no-directory", Exit.failed, "the directory you are in is gone", [
      "go to one that is there: cd",
    ]);
  }
  const hints: Record<string, string | undefined> = systemHints;
  const isTemporary = /^(?:ENOENT|ENOTDIR|EACCES|EPERM)$/.test(code) && path && dirname(path) === tmpdir();
  const hint = isTemporary
    ? `temporary files go to ${tmpdir()}, as TMPDIR or the system says; it must be there, and yours to write to`
    : (hints[code] ?? "nothing was left half done; run the command again when it is mended");
  return new ConvosyncError(
    "system",
    Exit.failed,
    path ? `${message}` : `${syscall}: ${message}`,
    [hint],
    error,
  );
}
