import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { ConvosyncError, Exit } from "../errors.ts";
import { importSession } from "../sessions/import.ts";
import { withCloneLock, withRepository } from "../sessions/repository.ts";
import { commandIn } from "../ui/command-line.ts";
import { secret } from "../ui/prompts.ts";
import { safeText } from "../ui/safe-text.ts";
import { plural } from "../ui/time.ts";
import type { Invocation } from "../world.ts";

interface Options {
  agent?: string;
  passphraseFile?: string;
  dryRun?: boolean;
}

export default async function importCommand(
  { world, terminal }: Invocation,
  args: readonly string[],
  options: Options,
): Promise<number> {
  const passphrase = (): Promise<string> =>
    options.passphraseFile === undefined
      ? secret(terminal, { message: "Passphrase of the bundle", flag: "--passphrase-file <path>" })
      : readPassphrase(resolve(world.cwd, options.passphraseFile));
  const result = await withRepository(world, (context) =>
    withCloneLock(context, () =>
      importSession(context, {
        path: resolve(world.cwd, args[0]!),
        passphrase,
        dryRun: options.dryRun === true,
        ...(options.agent !== undefined && { agent: options.agent }),
      }),
    ),
  );
  const { session, agent, original, imported, messages, files, workingDirectory, resumeCommand } = result;
  terminal.document({
    session,
    agent: agent.name,
    title: result.title,
    original,
    imported,
    messages,
    files,
    workingDirectory,
    resumeCommand,
  });
  if (options.dryRun) {
    for (const file of files) terminal.print(`would write ${safeText(file, 400)}`);
    return Exit.done;
  }
  if (!imported) terminal.step("The conversation is here already");
  else
    terminal.step(`Imported ${plural(messages, "message")} of ${agent.title}: ${safeText(result.title, 60)}`);
  if (original)
    terminal.detail(`another conversation has the id ${original.slice(0, 8)} here; this one is ${session}`);
  terminal.note("\nContinue with:");
  terminal.print(commandIn(workingDirectory, world.cwd, resumeCommand));
  return Exit.done;
}

/** The first line of a file. */
export async function readPassphrase(path: string): Promise<string> {
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new ConvosyncError("unreadable-file", Exit.usage, `cannot read '${path}'`, [], cause);
  });
  const line = text.split(/\r?\n/, 1)[0] ?? "";
  if (line !== "") return line;
  throw new ConvosyncError("usage", Exit.usage, `'${path}' holds no passphrase`, [
    "write one into its first line",
  ]);
}
