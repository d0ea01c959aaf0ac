import { catalog, deviceName, loadHeads } from "./heads.ts";
import { currentBranch, fetchHeads, findRemote } from "./remote.ts";
import type { Context } from "./repository.ts";
import { openVault } from "./vault.ts";

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
}

/** All sessions of all devices, the most recently active first. */
export async function listSessions(
  context: Context,
  options: ListOptions,
): Promise<{ sessions: ListedSession[]; offline: string | null }> {
  let vault = await openVault(context);
  let offline: string | null = null;
  let heads: Awaited<ReturnType<typeof loadHeads>>;
  const remote = options.fetch ? await findRemote(context, await currentBranch(context)) : null;
  if (remote) {
    const fetched = await fetchHeads(context, vault, remote);
    ({ vault, heads } = fetched);
    if (fetched.status !== "ok") offline = fetched.text;
  } else heads = await loadHeads(context, vault);
  const sessions = catalog(heads, vault).map(
    ({ id, agent, newest: { entry, device } }): ListedSession => ({
      id,
      agent,
      title: entry.t,
      message: entry.msg,
      device: deviceName(vault, device),
      deviceType: vault.keyring.members.get(device)?.type ?? "desktop",
      branch: entry.br,
      commit: entry.c,
      messages: entry.n,
      updatedAt: entry.u,
      pinned: entry.pin,
      snapshots: entry.k,
    }),
  );
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
