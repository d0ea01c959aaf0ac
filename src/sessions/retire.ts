import type { Agent, FoundSession, Workplace } from "../agents/agent.ts";
import { isAgentName, loadAgent } from "../agents/registry.ts";
import type { Tombstone } from "../domains/head.ts";
import { ConvosyncError } from "../errors.ts";
import { planCapture } from "./capture-plan.ts";
import type { CatalogEntry, Heads } from "./catalog.ts";
import type { ChosenRemote } from "./chosen-remote.ts";
import { forgetCursor } from "./cursor.ts";
import type { Context } from "./repository.ts";
import { type DueSession, dayMs, type RetentionRule } from "./retention.ts";
import { fetchSession } from "./session-fetch.ts";
import { bury } from "./tombstones.ts";
import type { OpenVault } from "./vault.ts";
import { openWorkplace } from "./workplace.ts";

export interface KeptSession {
  readonly session: CatalogEntry;
  /** This machine's agent has lines that are not saved, or used it after everybody else. */
  readonly why: "unsaved" | "in-use";
}

/** Takes out of what is due the sessions that this machine's agent has more of than is saved, or used since. */
export async function sparedHere(
  context: Context,
  vault: OpenVault,
  heads: Heads,
  due: readonly DueSession[],
  rule: RetentionRule,
  remote: ChosenRemote | null,
): Promise<{ due: DueSession[]; kept: KeptSession[] }> {
  const place = context.repo.root && due.length > 0 ? await openWorkplace(context) : null;
  if (!place) return { due: [...due], kept: [] };
  const now = context.world.now().getTime();
  const going: DueSession[] = [];
  const kept: KeptSession[] = [];
  for (const one of due) {
    const { session } = one;
    const agent = isAgentName(session.agent) ? await loadAgent(session.agent) : null;
    // In several work trees, it may be.
    const all = agent ? (await agent.find(place, session.id)).filter(({ id }) => id === session.id) : [];
    const inUse = (here: FoundSession): boolean =>
      one.why === "age" &&
      here.updatedAt.toISOString() > one.lastUse &&
      now - here.updatedAt.getTime() < (rule.days ?? 0) * dayMs;
    let why: KeptSession["why"] | null = all.some(inUse) ? "in-use" : null;
    for (const here of why === null ? all : [])
      if (await hasUnsaved(context, vault, heads, session, { agent: agent!, here, place }, remote))
        why = "unsaved";
    if (why === null) going.push(one);
    else kept.push({ session, why });
  }
  return { due: going, kept };
}

async function hasUnsaved(
  context: Context,
  vault: OpenVault,
  heads: Heads,
  session: CatalogEntry,
  { agent, here, place }: { agent: Agent; here: FoundSession; place: Workplace },
  remote: ChosenRemote | null,
): Promise<boolean> {
  try {
    await fetchSession(context, vault, heads, session, remote);
    const known = { session, replica: heads.replica, rawPaths: context.settings.flag("rawPaths") };
    return (await planCapture(context, vault, agent, here, place, known)).news;
  } catch (error) {
    // What cannot be compared is not known to be saved.
    if (error instanceof ConvosyncError) return true;
    throw error;
  }
}

/** Buries what is due, each with how far it had come. */
export async function retire(
  context: Context,
  vault: OpenVault,
  heads: Heads,
  replica: string,
  due: readonly DueSession[],
  remote: ChosenRemote | null,
): Promise<void> {
  const at = context.world.now().toISOString();
  for (const { session } of due) forgetCursor(context, session.key);
  const tombstones = new Map(
    due.map((one): [string, Tombstone] => [one.session.key, { at, upto: one.lastUse }]),
  );
  const sessions = due.map((one) => one.session);
  await bury(context, vault, heads, replica, sessions, remote?.key ?? null, tombstones);
}
