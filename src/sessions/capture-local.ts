import type { Workplace } from "../agents/agent.ts";
import { type AgentName, loadAgent } from "../agents/registry.ts";
import type { StoredSession } from "../domains/reader.ts";
import { inspectHead } from "../worktree/code-state.ts";
import { planCapture } from "./capture-plan.ts";
import { type CatalogEntry, catalog, type Heads } from "./catalog.ts";
import { findRemote } from "./chosen-remote.ts";
import { loadHeads } from "./heads.ts";
import type { Context } from "./repository.ts";
import { fetchSession } from "./session-fetch.ts";
import { store } from "./session-writer.ts";
import { type OpenVault, ownReplica } from "./vault.ts";
import { findSession } from "./workplace.ts";

/**
 * Captures a conversation as it stands in the agent's file into this replica's own version, where that has anything
 * new; pushes nothing and leaves the code alone.
 */
export async function captureLocal(
  context: Context,
  vault: OpenVault,
  heads: Heads,
  place: Workplace,
  key: string,
): Promise<void> {
  const colon = key.indexOf(":");
  const session = key.slice(colon + 1);
  const agent = await loadAgent(key.slice(0, colon) as AgentName);
  const found = await findSession(agent, place, session);
  if (!found) return;
  const state = await inspectHead(context.git, context.repo);
  const remote = await findRemote(context, state.branch);
  const replica = await ownReplica(context, vault);
  const plan = await planCapture(context, vault, agent, found, place, {
    session: catalog(heads, vault).find((one) => one.key === key) ?? null,
    replica,
    rawPaths: context.settings.flag("rawPaths"),
  });
  if (!plan.news) return;
  const now = { state, message: "", remote, wip: null, environment: null };
  await store(context, vault, heads, replica, [plan], now, () => undefined);
}

/** The same, and what is stored of the session then. */
export async function withCaptured(
  context: Context,
  vault: OpenVault,
  before: Heads,
  place: Workplace,
  key: string,
): Promise<{ heads: Heads; session: CatalogEntry; copies: StoredSession[] }> {
  await captureLocal(context, vault, before, place, key);
  // Whoever restores next looks at what is remembered of it.
  await context.chores.do();
  const heads = await loadHeads(context, vault);
  const session = catalog(heads, vault).find((one) => one.key === key)!;
  return { heads, session, copies: await fetchSession(context, vault, heads, session, null) };
}
