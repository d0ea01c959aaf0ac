import { Exit } from "../errors.ts";
import { withRepository } from "../sessions/repository.ts";
import { findTemplate } from "../sessions/templates.ts";
import { safeBlock } from "../ui/safe-text.ts";
import type { Invocation } from "../world.ts";

export default async function templateShowCommand(
  { world, terminal }: Invocation,
  args: readonly string[],
): Promise<number> {
  const { name, template, scope, updatedAt } = await withRepository(world, (context) =>
    findTemplate(context, args[0]!),
  );
  for (const [at, prompt] of template.prompts.entries()) {
    if (at > 0) terminal.print(terminal.style("dim", "\n── then ──\n"));
    terminal.print(safeBlock(prompt));
  }
  terminal.document({ name, scope, agent: template.agent, prompts: template.prompts, updatedAt });
  return Exit.done;
}
