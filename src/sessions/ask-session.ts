import type { CatalogEntry } from "./catalog.ts";
import type { Candidate, Decide } from "./decide.ts";
import { deviceName } from "./heads.ts";
import type { OpenVault } from "./vault.ts";

/** Has a person choose among sessions, the most recently active first. Gives the chosen one's id. */
export function askSession(
  vault: OpenVault,
  sessions: readonly CatalogEntry[],
  decide: Decide,
): Promise<string> {
  const about = { kind: "session", sessions: sessions.map((one) => candidate(vault, one)) } as const;
  return decide({ about, choices: sessions.map((one) => one.id), otherwise: sessions[0]!.id });
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
