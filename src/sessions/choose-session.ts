import type { Agent, Workplace } from "../agents/agent.ts";
import { isAgentName, loadAgent } from "../agents/registry.ts";
import { ConvosyncError, Exit, integrityError } from "../errors.ts";
import { type CatalogEntry, catalog, findSession, findSnapshotName } from "./catalog.ts";
import { currentBranch, findRemote } from "./chosen-remote.ts";
import type { Decide } from "./decide.ts";
import { type FreshHeads, freshHeads, onNewestHeads } from "./fresh-heads.ts";
import { loadHeads } from "./heads.ts";
import { type Context, withCloneLock } from "./repository.ts";
import { openVault } from "./vault.ts";

/** The remote could not be asked: others may have saved what is not known here. */
export interface OfflineEvent {
  readonly step: "offline";
  readonly remote: string;
  readonly text: string;
}

export interface Choice {
  /** Its id, or the beginning of it. */
  readonly session?: string;
  /** A person can be asked. */
  readonly asks?: boolean;
  readonly decide: Decide;
}

/**
 * Runs `work`, with the clone locked, on the session that is named, else on the most recently active one, unless a
 * person may choose among several. They may think about it for an hour: meanwhile the clone is everybody's.
 */
export async function withChosenSession<Result>(
  context: Context,
  { session: wanted, asks, decide }: Choice,
  tell: (event: OfflineEvent) => void,
  work: (fresh: FreshHeads, session: CatalogEntry) => Promise<Result>,
): Promise<Result> {
  const remote = await findRemote(context, await currentBranch(context));
  const onChosen = (known: FreshHeads, id: string | undefined): Promise<Result> =>
    onNewestHeads(context, known, (now) => work(now, theSession(catalog(now.heads, now.vault), id)));
  const first = await withCloneLock(context, async () => {
    const fresh = await freshHeads(context, remote);
    if (remote && fresh.offline !== null)
      tell({ step: "offline", remote: remote.title, text: fresh.offline });
    const sessions = catalog(fresh.heads, fresh.vault);
    if (asks && wanted === undefined && sessions.length > 1) return { fresh, sessions };
    return { result: await onChosen(fresh, wanted) };
  });
  if ("result" in first) return first.result;
  const { fresh, sessions } = first;
  const { askSession } = await import("./ask-session.ts");
  const id = await askSession(fresh.vault, sessions, decide);
  return withCloneLock(context, async () => {
    const vault = await openVault(context);
    const heads = await loadHeads(context, vault);
    return onChosen({ ...fresh, vault, heads }, id);
  });
}

function theSession(sessions: readonly CatalogEntry[], wanted: string | undefined): CatalogEntry {
  if (wanted !== undefined) {
    const { session, at } = findSnapshotName(sessions, wanted);
    // Its end has a name, too.
    return at === String(session.newest.entry.k) ? session : findSession(sessions, wanted);
  }
  const [newest] = sessions;
  if (newest) return newest;
  throw new ConvosyncError("nothing-saved", Exit.failed, "no session has been saved in this repository yet", [
    "save one where the conversation is: git convosync save",
  ]);
}

export async function agentOf(session: CatalogEntry): Promise<Agent> {
  if (!isAgentName(session.agent)) {
    throw new ConvosyncError(
      "unsupported-agent",
      Exit.failed,
      `this version does not know the agent '${session.agent}'`,
      ["update convosync on this device", "see the other sessions: git convosync list"],
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
