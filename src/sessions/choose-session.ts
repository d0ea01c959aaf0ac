import type { Agent, Workplace } from "../agents/agent.ts";
import { isAgentName, loadAgent } from "../agents/registry.ts";
import { ConvosyncError, Exit, integrityError } from "../errors.ts";
import { type CatalogEntry, findSession } from "./catalog.ts";
import type { Candidate, Decide } from "./decide.ts";
import { deviceName } from "./heads.ts";
import type { OpenVault } from "./vault.ts";

/** The session that is named, else the most recently active one, unless a person may choose among several. */
export async function pick(
  vault: OpenVault,
  sessions: readonly CatalogEntry[],
  { session: wanted, decide }: { readonly session?: string; readonly decide: Decide },
): Promise<CatalogEntry> {
  if (wanted !== undefined) return findSession(sessions, wanted).session;
  const newest = sessions[0];
  if (newest && sessions.length === 1) return newest;
  if (newest) {
    const about = { kind: "session", sessions: sessions.map((one) => candidate(vault, one)) } as const;
    const id = await decide({ about, choices: sessions.map((one) => one.id), otherwise: newest.id });
    return sessions.find((one) => one.id === id)!;
  }
  throw new ConvosyncError("nothing-saved", Exit.failed, "no session has been saved in this repository yet", [
    "save one where the conversation is: git convosync save",
  ]);
}

function candidate(vault: OpenVault, { id, agent, newest }: CatalogEntry): Candidate {
  const { entry, device } = newest;
  return {
    id,
    agent,
    device: deviceName(vault, device),
    deviceType: vault.keyring.members.get(device)?.type ?? "",
    at: new Date(entry.u),
    title: entry.t,
    message: entry.msg,
    branch: entry.br,
    commit: entry.c,
    messages: entry.n,
  };
}

export async function agentOf(session: CatalogEntry): Promise<Agent> {
  if (!isAgentName(session.agent)) {
    throw new ConvosyncError(
      "unknown-agent",
      Exit.failed,
      `this version does not know the agent '${session.agent}'`,
      ["update convosync on this device"],
    );
  }
  const agent = await loadAgent(session.agent);
  if (!agent.validId(session.id))
    throw integrityError("unsafe-name", "the session's id is not one its agent would make");
  return agent;
}

/** Nothing is written under a running agent's hands. */
export async function refuseLive(agent: Agent, session: string, place: Workplace): Promise<void> {
  const live = await agent.live(session, place);
  if (live) throw stillRunning(agent, live.pid, live.cwd);
}

function stillRunning(agent: Agent, pid: number, cwd: string): ConvosyncError {
  return new ConvosyncError(
    "session-live",
    Exit.stopped,
    `${agent.title} has this conversation open (process ${pid}, in ${cwd})`,
    ["leave it there first, then resume"],
  );
}
