import type { Agent } from "../agents/agent.ts";
import { readStream, type StoredSession } from "../domains/reader.ts";
import { ConvosyncError, Exit } from "../errors.ts";
import { mainStream } from "../packing/manifest.ts";
import { captureLocal } from "./capture-local.ts";
import { type CatalogEntry, catalog, findSession, type Heads } from "./catalog.ts";
import { agentOf, refuseLive } from "./choose-session.ts";
import { type ChosenRemote, currentBranch, findRemote } from "./chosen-remote.ts";
import { freshHeads } from "./fresh-heads.ts";
import { loadHeads } from "./heads.ts";
import { joins, writeJoined } from "./join.ts";
import type { PublishResult } from "./publish.ts";
import { publishSettled } from "./replica.ts";
import { type Context, withCloneLock } from "./repository.ts";
import { restoreSession } from "./restore.ts";
import { fetchSession } from "./session-fetch.ts";
import { type OpenVault, ownReplica } from "./vault.ts";
import { tipsOf } from "./versions.ts";
import { openWorkplace } from "./workplace.ts";

export interface MergedSessions {
  readonly session: string;
  readonly with: string;
  readonly agent: string;
  readonly snapshot: number;
  readonly messages: number;
  /** Lines the first one did not have. */
  readonly added: number;
  readonly restored: readonly string[];
  readonly resumeCommand: readonly string[];
  readonly workingDirectory: string;
  readonly publish: PublishResult | { readonly status: "not-pushed" };
  readonly remote: ChosenRemote | null;
}

/** Joins two branches of one conversation into the first; the second stays as it is. */
export async function mergeSessions(
  context: Context,
  names: readonly [string, string],
  options: { readonly noPush: boolean },
): Promise<MergedSessions> {
  const place = await openWorkplace(context);
  return withCloneLock(context, async () => {
    const remote = await findRemote(context, await currentBranch(context));
    const { vault, heads: fresh, offline } = await freshHeads(context, remote);
    const online = offline === null ? remote : null;
    const before = catalog(fresh, vault);
    const [into, other] = names.map((name) => findSession(before, name)) as [CatalogEntry, CatalogEntry];
    const agent = await agentOf(into);
    if (into.key === other.key || into.agent !== other.agent || !joins(agent)) throw notBranches(into, other);
    if (agent.copiesApart) throw apart(agent);
    await refuseLive(agent, into.id, place);
    for (const { key } of [into, other]) {
      await captureLocal(context, vault, await loadHeads(context, vault), place, key);
    }
    const heads = await loadHeads(context, vault);
    const now = catalog(heads, vault);
    const versions: StoredSession[] = [];
    for (const { key } of [into, other]) {
      versions.push(await onlyVersion(context, vault, heads, now.find((one) => one.key === key)!, online));
    }
    const [a, b] = versions as [StoredSession, StoredSession];
    const begun = await firstLine(vault, b);
    const order = Buffer.compare(
      await firstLine(vault, a),
      agent.withId?.(begun, other.id, into.id) ?? begun,
    );
    if (order !== 0) throw notBranches(into, other);
    const lines = mainStream(a.manifest)?.lines ?? 0;
    const session = now.find((one) => one.key === into.key)!;
    const written = await writeJoined(context, vault, heads, session, versions, agent, a);
    const messages = mainStream(written.manifest)?.lines ?? 0;
    const put = await restoreSession(context, vault, written, agent, place);
    const replica = await ownReplica(context, vault);
    return {
      session: into.id,
      with: other.id,
      agent: agent.name,
      snapshot: written.manifest.snapshots.at(-1)?.n ?? 0,
      messages,
      added: messages - lines,
      ...put,
      resumeCommand: agent.resumeCommand(into.id),
      publish:
        options.noPush || !remote
          ? { status: "not-pushed" }
          : await publishSettled(context, vault, replica, remote),
      remote,
    };
  });
}

async function onlyVersion(
  context: Context,
  vault: OpenVault,
  heads: Heads,
  session: CatalogEntry,
  remote: ChosenRemote | null,
): Promise<StoredSession> {
  const tips = await tipsOf(vault, await fetchSession(context, vault, heads, session, remote));
  if (tips.length === 1) return tips[0]!;
  throw new ConvosyncError(
    "conversation-diverged",
    Exit.conflict,
    `the conversation ${session.id.slice(0, 8)} itself went on separately on ${tips.length} devices`,
    [`bring it together first: git convosync resume ${session.id.slice(0, 8)} --merge`],
  );
}

async function firstLine(vault: OpenVault, stored: StoredSession): Promise<Uint8Array> {
  const record = mainStream(stored.manifest);
  for await (const part of record ? readStream(vault, stored, record) : []) {
    const bytes = Buffer.from(part);
    return bytes.subarray(0, bytes.indexOf(0x0a) + 1);
  }
  return new Uint8Array();
}

const apart = ({ title }: Agent): ConvosyncError =>
  new ConvosyncError(
    "not-branches",
    Exit.failed,
    `messages of a copy that ${title} goes on with are others than those of the conversation: it stays apart`,
    ["one that went on separately on two devices is joined by: git convosync resume --merge"],
  );

const notBranches = (a: CatalogEntry, b: CatalogEntry): ConvosyncError =>
  new ConvosyncError(
    "not-branches",
    Exit.failed,
    `${a.id.slice(0, 8)} and ${b.id.slice(0, 8)} are no branches of one conversation`,
    ["two sessions can be merged when one was forked from the other, or both from a third"],
  );
