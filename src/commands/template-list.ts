import { Exit } from "../errors.ts";
import { withRepository } from "../sessions/repository.ts";
import { listTemplates } from "../sessions/templates.ts";
import { safeText } from "../ui/safe-text.ts";
import type { Invocation } from "../world.ts";

export default async function templateListCommand({ world, terminal }: Invocation): Promise<number> {
  const all = await withRepository(world, listTemplates);
  for (const { name, template, scope } of all) {
    const whose = scope === "user" ? terminal.style("dim", "  (all repositories)") : "";
    terminal.print(`${terminal.style("yellow", safeText(name))}${whose}`);
    terminal.print(terminal.style("dim", `  ${safeText(template.prompts[0] ?? "", 100)}`));
  }
  if (all.length === 0)
    terminal.note("No templates. Save one with: git convosync template save <name> <text>");
  terminal.document({
    templates: all.map(({ name, template, scope, updatedAt }) => ({
      name,
      scope,
      agent: template.agent,
      prompts: template.prompts,
      updatedAt,
    })),
  });
  return Exit.done;
}
