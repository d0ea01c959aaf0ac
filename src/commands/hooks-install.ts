import { Exit } from "../errors.ts";
import { type AgentHooks, installAgentHooks } from "../sessions/agent-hooks.ts";
import { installHooks } from "../sessions/hooks.ts";
import { withRepository } from "../sessions/repository.ts";
import type { Terminal } from "../ui/terminal.ts";
import { userStateDir } from "../user-directories.ts";
import type { Invocation } from "../world.ts";
import { hooksDocument, tellInstalled } from "./hooks-status.ts";

export default async function hooksInstallCommand(
  { world, terminal }: Invocation,
  _args: readonly string[],
  options: { agent?: readonly string[] },
): Promise<number> {
  if (options.agent) {
    const agents: AgentHooks[] = [];
    for (const name of options.agent) {
      const one = await installAgentHooks(name, { env: world.env, stateDir: userStateDir(world.env) });
      tellAgent(terminal, one);
      agents.push(one);
    }
    terminal.document({ agents });
    return Exit.done;
  }
  const status = await withRepository(world, (context) => installHooks(context));
  tellInstalled(terminal, status);
  terminal.document(hooksDocument(status));
  return status.hooks.some((one) => one.ours === "by-hand") ? Exit.stopped : Exit.done;
}

export function tellAgent(terminal: Terminal, one: AgentHooks): void {
  terminal.step(`${one.title} tells convosync when a conversation goes on (${one.path})`);
}
