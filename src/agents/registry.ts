import { ConvosyncError, Exit } from "../errors.ts";
import type { Agent } from "./agent.ts";

export type AgentName = Agent["name"];

/** Loaded when they are needed: a command pays only for the agents it looks at. */
const loaders: Record<AgentName, () => Promise<Agent>> = {
  claude: async () => (await import("./claude-code/agent.ts")).claudeCode,
  codex: async () => (await import("./codex/agent.ts")).codex,
  gemini: async () => (await import("./gemini/agent.ts")).gemini,
  copilot: async () => (await import("./copilot/agent.ts")).copilot,
  qwen: async () => (await import("./qwen/agent.ts")).qwen,
  opencode: async () => (await import("./opencode/agent.ts")).opencode,
  cursor: async () => (await import("./cursor/agent.ts")).cursor,
};

export const agentNames = Object.keys(loaders) as readonly AgentName[];

export const isAgentName = (name: string): name is AgentName => Object.hasOwn(loaders, name);

export const loadAgent = (name: AgentName): Promise<Agent> => loaders[name]();

export const loadAgents = (): Promise<Agent[]> => Promise.all(agentNames.map(loadAgent));

/** Exit 2 for a name that no agent has, nor any of these sessions, which newer versions may have saved. */
export function checkAgent(
  name: string | undefined,
  sessions: readonly { readonly agent: string }[] = [],
): void {
  if (name === undefined || isAgentName(name) || sessions.some(({ agent }) => agent === name)) return;
  throw new ConvosyncError("unknown-agent", Exit.usage, `no agent is called '${name}'`, [
    `known agents: ${agentNames.join(", ")}`,
  ]);
}
