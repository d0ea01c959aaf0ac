import { checkAgent } from "../agents/registry.ts";
import { catalog } from "./catalog.ts";
import { currentBranch, findRemote } from "./chosen-remote.ts";
import { liveElsewhere } from "./leases.ts";
import { type Overview, openOverview, overviewOf } from "./overview.ts";
import { type Context, withCloneLock } from "./repository.ts";

export interface ListOptions {
  readonly fetch?: boolean;
  readonly branch?: string;
  readonly device?: string;
  readonly agent?: string;
  readonly search?: string;
}

export interface ListedSession {
  readonly id: string;
  readonly agent: string;
  readonly title: string;
  readonly message: string;
  readonly device: string;
  readonly deviceType: string;
  readonly branch: string | null;
  readonly commit: string | null;
  readonly messages: number;
  readonly updatedAt: string;
  readonly pinned: boolean;
  readonly snapshots: number;
  /** The device where an agent has it open now. */
  readonly openOn: string | null;
}

/** All sessions of all devices, the most recently active first. */
export async function listSessions(
  context: Context,
  options: ListOptions,
): Promise<{ sessions: ListedSession[]; offline: string | null }> {
  const { overview, offline } = await look(context, options.fetch === true);
  const now = context.world.now();
  const nameOf = (device: string): string => overview.members.get(device)?.name ?? device.slice(0, 8);
  const openOn = (key: string): string | null => {
    const lease = liveElsewhere(overview.heads, key, now);
    return lease && nameOf(lease.device);
  };
  const sessions = catalog(overview.heads, overview).map(
    ({ key, id, agent, pinned, newest: { entry, device } }): ListedSession => ({
      id,
      agent,
      title: entry.t,
      message: entry.msg,
      device: nameOf(device),
      deviceType: overview.members.get(device)?.type ?? "desktop",
      branch: entry.br,
      commit: entry.c,
      messages: entry.n,
      updatedAt: entry.u,
      pinned,
      snapshots: entry.k,
      openOn: openOn(key),
    }),
  );
  checkAgent(options.agent, sessions);
  const needle = options.search?.toLowerCase();
  return {
    offline,
    sessions: sessions.filter(
      (one) =>
        (options.branch === undefined || one.branch === options.branch) &&
        (options.device === undefined || one.device.toLowerCase() === options.device.toLowerCase()) &&
        (options.agent === undefined || one.agent === options.agent) &&
        (needle === undefined ||
          `${one.title}\n${one.message}\n${one.branch ?? ""}\n${one.id}`.toLowerCase().includes(needle)),
    ),
  };
}

async function look(
  context: Context,
  fresh: boolean,
): Promise<{ overview: Overview; offline: string | null }> {
  const remote = fresh ? await findRemote(context, await currentBranch(context)) : null;
  if (!remote) return { overview: await openOverview(context), offline: null };
  const { openSettled } = await import("./fresh-heads.ts");
  const fetched = await withCloneLock(context, () => openSettled(context, remote));
  const overview = await overviewOf(context, fetched.vault, fetched.heads);
  return { overview, offline: fetched.status === "ok" ? null : fetched.text };
}
