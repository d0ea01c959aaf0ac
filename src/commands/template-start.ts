import { spawn } from "node:child_process";
import { once } from "node:events";
import { ConvosyncError, Exit } from "../errors.ts";
import { withRepository } from "../sessions/repository.ts";
import { findTemplate, startCommandOf } from "../sessions/templates.ts";
import { quoted } from "../ui/command-line.ts";
import { safeBlock } from "../ui/safe-text.ts";
import type { Invocation } from "../world.ts";

export default async function templateStartCommand(
  { world, terminal }: Invocation,
  args: readonly string[],
  options: { launch?: boolean },
): Promise<number> {
  const found = await withRepository(world, (context) => findTemplate(context, args[0]!));
  // What another device wrote must not steer the terminal the agent shows it on, either.
  const prompts = found.template.prompts.map((prompt) => safeBlock(prompt));
  const command = await startCommandOf({ ...found, template: { ...found.template, prompts } });
  if (options.launch && (terminal.json || terminal.streams.stdin.isTTY !== true)) {
    throw new ConvosyncError("answer-needed", Exit.stopped, "there is no terminal to start the agent on", [
      "print its command instead: leave out --launch",
    ]);
  }
  if (prompts.length > 1) {
    terminal.note("Say first what the command says, then:");
    for (const prompt of prompts.slice(1)) terminal.note(`\n${prompt}`);
    terminal.note("");
  }
  terminal.document({ name: found.name, scope: found.scope, command, prompts });
  if (!options.launch) {
    terminal.print(command.map(quoted).join(" "));
    return Exit.done;
  }
  const [program = "", ...rest] = command;
  const child = spawn(program, rest, { cwd: world.cwd, env: world.env, stdio: "inherit" });
  const [code] = (await once(child, "close").catch((cause: unknown) => {
    throw new ConvosyncError(
      "agent-missing",
      Exit.failed,
      `'${program}' cannot be started`,
      ["is it installed, and on your PATH?"],
      cause,
    );
  })) as [number | null];
  return code === 0 ? Exit.done : Exit.failed;
}
