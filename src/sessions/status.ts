import { existsSync } from "node:fs";
import { join } from "node:path";
import { loadAgents } from "../agents/registry.ts";
import type { CodeState } from "../worktree/code-state.ts";
import { catalog } from "./catalog.ts";
import { type ChosenRemote, findRemote } from "./chosen-remote.ts";
import { lookAtCode } from "./code-here.ts";
import { pendingEvents } from "./events.ts";
import { liveElsewhere } from "./leases.ts";
import { openOverview } from "./overview.ts";
import { describePending, remoteQueue } from "./queue.ts";
import type { Context } from "./repository.ts";
import { isWorking } from "./start-worker.ts";
import { hasGoneOn, unsavedSessions } from "./unsaved.ts";
import { waitingSessions } from "./waiting.ts";
import { workerReport } from "./worker-report.ts";
import { lastSession, openWorkplace } from "./workplace.ts";

export interface StatusResult {
  readonly repository: string;
  readonly code: CodeState;
  readonly remote: { readonly chosen: ChosenRemote; readonly contact: string | null } | null;
  readonly current: {
    readonly session: string;
    readonly agent: string;
    readonly title: string;
    readonly saved: boolean;
    readonly savedMessages: number | null;
    readonly savedAt: string | null;
    /** Whether it has gone on since. */
    readonly unsaved: boolean;
  } | null;
  /** Other conversations of this work tree that went on lately and are not saved. */
  readonly unsaved: readonly { readonly session: string; readonly agent: string; readonly title: string }[];
  readonly queue: {
    readonly waiting: readonly string[];
    readonly since: string | null;
    readonly reason: string | null;
    /** When it is tried again by itself; null when that is with the next commit, save or sync. */
    readonly next: string | null;
    /** A process in the background has it, and sends it within half a minute unless the remote is away. */
    readonly sending: boolean;
  };
  /** Whether hooks capture by themselves here. */
  readonly hooks: boolean;
  /** What hooks have noted and the worker has not captured yet. */
  readonly noted: number;
  /** Why the last capture by itself failed. */
  readonly failure: string | null;
  /** Sessions that another device has taken further, or this one in another clone. */
  readonly waiting: readonly {
    readonly session: string;
    readonly title: string;
    readonly device: string;
    readonly thisDevice: boolean;
  }[];
  /** Sessions an agent has open on another device. */
  readonly open: readonly { readonly session: string; readonly device: string; readonly since: string }[];
  readonly devices: readonly {
    readonly name: string;
    readonly type: string;
    readonly thisDevice: boolean;
    readonly revoked: boolean;
    readonly lastSave: string | null;
  }[];
  readonly sessions: number;
  readonly bytes: number;
}

/** Where this clone stands, from what is known here: asks no network. */
export async function status(context: Context): Promise<StatusResult> {
  const [overview, place, code] = await Promise.all([
    openOverview(context),
    openWorkplace(context),
    lookAtCode(context),
  ]);
  const { heads } = overview;
  const remote = await findRemote(context, code.branch);
  const queue = remote ? await remoteQueue(context, remote.key) : null;
  const waiting = remote ? await describePending(context, overview, heads, remote) : [];
  const known = catalog(heads, overview);
  const agents = await loadAgents();
  const found = await lastSession(place, agents);
  const unsaved = await unsavedSessions(context, place, agents, heads, overview, found ? [found] : []);
  const saved = found && known.find((one) => one.key === `${found.agent.name}:${found.found.id}`);
  const nameOf = (device: string): string => overview.members.get(device)?.name ?? device.slice(0, 8);
  const lastSave = new Map<string, string>();
  for (const { head } of heads.all) {
    if ((lastSave.get(head.device) ?? "") < head.ts) lastSave.set(head.device, head.ts);
  }
  return {
    repository: place.root,
    code,
    remote: remote && { chosen: remote, contact: queue?.contact ?? null },
    current: found && {
      session: found.found.id,
      agent: found.agent.name,
      title: found.found.title,
      saved: saved !== null && saved !== undefined,
      savedMessages: saved?.newest.entry.n ?? null,
      savedAt: saved?.newest.entry.u ?? null,
      unsaved: !saved || (await hasGoneOn(context, overview.device, found)),
    },
    unsaved: unsaved.map(({ agent, found: { id, title } }) => ({ session: id, agent: agent.name, title })),
    queue: {
      waiting,
      since: waiting.length > 0 ? (queue?.since ?? null) : null,
      reason: waiting.length > 0 ? (queue?.reason ?? null) : null,
      next: waiting.length > 0 ? (queue?.background?.next ?? null) : null,
      sending:
        waiting.length > 0 &&
        // A branch waits for a push that somebody makes.
        !waiting.some((what) => what.startsWith("branch ")) &&
        context.settings.flag("autoPush", true) &&
        (await isWorking(context.repo.commonDir)),
    },
    hooks: existsSync(join(context.cloneDir, "hook.sh")),
    noted: (await pendingEvents(context.cloneDir)).length,
    failure: (await workerReport(context.cloneDir))?.error?.message ?? null,
    waiting: (await waitingSessions(context, overview, heads)).map(({ session, device }) => ({
      session: session.id,
      title: session.newest.entry.t,
      device: nameOf(device),
      thisDevice: device === overview.device,
    })),
    open: known.flatMap(({ key, id }) => {
      const lease = liveElsewhere(heads, key, context.world.now());
      return lease ? [{ session: id, device: nameOf(lease.device), since: lease.since.toISOString() }] : [];
    }),
    devices: [...overview.members]
      .filter(([, one]) => one.type !== "recovery")
      .map(([id, one]) => ({
        name: one.name,
        type: one.type,
        thisDevice: id === overview.device,
        revoked: one.revoked,
        lastSave: lastSave.get(id) ?? null,
      })),
    sessions: known.length,
    bytes: known.reduce((sum, one) => sum + one.newest.entry.b, 0),
  };
}
