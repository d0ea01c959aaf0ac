import { join } from "node:path";
import type { Agent, Workplace } from "../agents/agent.ts";
import { localChanged } from "../agents/local-files.ts";
import { merge } from "../domains/domain.ts";
import type { StoredSession } from "../domains/reader.ts";
import { sessions as sessionsDomain } from "../domains/sessions.ts";
import { ConvosyncError, Exit } from "../errors.ts";
import { mainStream, type Snapshot } from "../packing/manifest.ts";
import type { CatalogEntry, Heads } from "./catalog.ts";
import { agentOf, type OfflineEvent, refuseLive, withChosenSession } from "./choose-session.ts";
import { findCodeRemote } from "./chosen-remote.ts";
import { bringCode, type CodeEvent } from "./code-move.ts";
import { type CodeAfter, type CodeOptions, codeAfter, placeAfter, planCode } from "./code-plan.ts";
import { checkSameRepository, fetchBranch, surveyCode } from "./code-survey.ts";
import { readCursor, writeCursor } from "./cursor.ts";
import { cancelled, undecided } from "./decide.ts";
import type { DivergenceEvent } from "./divergence.ts";
import type { FreshHeads } from "./fresh-heads.ts";
import { deviceName } from "./heads.ts";
import { type Lease, liveElsewhere, openElsewhere } from "./leases.ts";
import { localDirectory, settleIn } from "./local-directory.ts";
import { note, whereabouts } from "./operations.ts";
import type { Context } from "./repository.ts";
import { Restore } from "./restore.ts";
import { fetchSession, lostCopies } from "./session-fetch.ts";
import { type Stretch, stretchesOf } from "./stretches.ts";
import type { OpenVault } from "./vault.ts";
import { comparable } from "./versions.ts";
import { noteWaiting } from "./waiting.ts";
import type { BroughtWork } from "./work.ts";
import { openWorkplace } from "./workplace.ts";

export interface ResumeOptions extends CodeOptions {
  readonly session?: string;
  readonly dryRun?: boolean;
}

export type ResumeEvent =
  | OfflineEvent
  | { readonly step: "found"; readonly device: string; readonly at: Date; readonly title: string }
  | CodeEvent
  | DivergenceEvent
  | { readonly step: "restored"; readonly messages: number; readonly fresh: number; readonly files: number }
  | { readonly step: "work"; readonly device: string; readonly how: BroughtWork; readonly base: string }
  /** What a device has saved of it is not there: the remote was reset. */
  | { readonly step: "incomplete"; readonly device: string; readonly at: Date }
  | { readonly step: "environment"; readonly names: readonly string[]; readonly path: string }
  | { readonly step: "kept-backup"; readonly path: string }
  /** The conversation runs in a folder that the code here lacks. */
  | { readonly step: "made-folder"; readonly path: string }
  | { readonly step: "bypass"; readonly device: string };

export interface ResumeResult {
  readonly session: string;
  readonly agent: Agent;
  readonly title: string;
  readonly snapshot: Snapshot | null;
  readonly messages: number;
  readonly commit: string | null;
  readonly branch: string | null;
  /** Files written, absolute. */
  readonly restored: readonly string[];
  readonly resumeCommand: readonly string[];
  readonly workingDirectory: string;
  /** The local conversation has lines that nobody has saved yet. */
  readonly localAhead: boolean;
  /** Environment variables that the session carries. */
  readonly variables: Readonly<Record<string, string>>;
  /** What became of uncommitted work that the session carries. */
  readonly work: BroughtWork | null;
  readonly timeline: readonly Stretch[];
  /** How the code stands to what the conversation was last saved with. */
  readonly code: CodeAfter;
  /** Where the code is, or would be; null where it stays. */
  readonly at: ReturnType<typeof placeAfter>;
  readonly dryRun: boolean;
}

/**
 * Brings a session back: its code first checked, its conversation fetched, proved and written beside its place;
 * only when all of that has gone well is the code moved, and then the conversation put in place.
 */
export async function resume(
  context: Context,
  options: ResumeOptions,
  tell: (event: ResumeEvent) => void,
): Promise<ResumeResult> {
  const place = await openWorkplace(context);
  return withChosenSession(context, options, tell, (fresh, session) =>
    resumeLocked(context, fresh, session, place, options, tell),
  );
}

async function resumeLocked(
  context: Context,
  fresh: FreshHeads,
  entry: CatalogEntry,
  place: Workplace,
  options: ResumeOptions,
  tell: (event: ResumeEvent) => void,
): Promise<ResumeResult> {
  const { vault, remote, offline } = fresh;
  let { heads } = fresh;
  let session = entry;
  const online = offline === null ? remote : null;
  if (!options.force) await checkSameRepository(context, vault.record, remote);
  const agent = await agentOf(session);
  const branchName = session.newest.entry.br;
  const codeRemote = remote && branchName ? await findCodeRemote(context, branchName, remote) : remote;
  // Both at once, as each is mostly waiting; but not in a shallow clone, where git lets only one in.
  const early = online && !options.stayOnBranch && !context.repo.shallow ? branchName : null;
  const [conversation, code] = await Promise.allSettled([
    fetchSession(context, vault, heads, session, online),
    codeRemote && early ? fetchBranch(context, codeRemote, early) : null,
  ]);
  if (conversation.status === "rejected") throw conversation.reason;
  if (code.status === "rejected") throw code.reason;
  await refuseLive(agent, session.id, place);
  let copies = conversation.value;
  let { chosen, tips } = await mergeCopies(vault, copies);
  tell({
    step: "found",
    device: deviceName(vault, chosen.manifest.snapshots.at(-1)?.device ?? session.newest.device),
    at: new Date(session.newest.entry.u),
    title: session.newest.entry.t,
  });
  if (online) {
    const left = session.copies.filter(({ replica }) => !copies.some((one) => one.replica === replica));
    const isLost = left.length > 0 ? await lostCopies(context, vault, heads) : () => false;
    for (const { device, entry } of left.filter(isLost))
      tell({ step: "incomplete", device: deviceName(vault, device), at: new Date(entry.u) });
  }
  const known = { online: online !== null, fetched: early };
  const lease = options.force ? null : liveElsewhere(heads, session.key, context.world.now());
  if (
    lease &&
    (await decideOpen(session, agent, deviceName(vault, lease.device), lease, options)) === "fork"
  ) {
    const found = { vault, session, chosen, agent, place, codeRemote };
    return (await import("./resume-copy.ts")).resumeCopy(context, found, known, options, tell);
  }
  const prepare = async (): Promise<Restore> => {
    const cursor = await readCursor(context, vault.device.id, session.key);
    const prepared = new Restore(vault, chosen, agent, place, cursor);
    await prepared.prepare().catch(async (error) => {
      await prepared.abort();
      throw error;
    });
    return prepared;
  };
  // git looks at the code while the conversation is unpacked: with all of that in memory, each start of it takes longer.
  const survey = surveyCode(context, chosen.manifest, codeRemote, known, options);
  survey.catch(() => undefined);
  let restore = tips > 1 ? null : await prepare();
  let settled = false;
  let captured = false;
  try {
    const former = restore?.formerRoot ?? null;
    const there = former === null ? place : { ...place, formerRoots: async () => [former] };
    if (restore?.branching && former !== null && !options.dryRun) {
      // Told from where the project was, the conversation here differs from its first line on: what is stored of it is not.
      await restore.abort();
      restore = null;
      const { withCaptured } = await import("./capture-local.ts");
      ({ heads, session, copies } = await withCaptured(context, vault, heads, there, session.key));
      ({ chosen, tips } = await mergeCopies(vault, copies));
      captured = true;
      if (tips === 1) restore = await prepare();
    }
    if (!restore || restore.branching) {
      const local = restore?.branching ?? null;
      await restore?.abort();
      restore = null;
      const { settleDivergence } = await import("./divergence.ts");
      const cwd = localDirectory(agent, place, chosen.manifest.meta.cwd);
      const dryRun = options.dryRun === true;
      const situation = { vault, heads, session, stored: copies, agent, place: there, cwd, local, dryRun };
      // A dry run settles nothing, so it says what would have to be settled.
      const decide = options.dryRun ? undecided : options.decide;
      chosen = await settleDivergence(context, situation, decide, tell);
      settled = true;
      if (!dryRun && copies.some(({ manifest }) => manifest.snapshots.at(-1)?.wip))
        await (await import("./work.ts")).passOver(context, chosen, copies);
      restore = await prepare();
      if (restore.branching && !dryRun) throw localChanged(restore.branching.path);
    }
    const snapshot = chosen.manifest.snapshots.at(-1) ?? null;
    const now =
      settled || captured ? surveyCode(context, chosen.manifest, codeRemote, known, options) : survey;
    const plan = await planCode(context, chosen.manifest, codeRemote, known, options, await now).catch(
      (error) => {
        const left = settled && error instanceof ConvosyncError && error.exit === Exit.cancelled;
        throw left
          ? cancelled("the versions are joined in the session; code and transcript here are as they were")
          : error;
      },
    );
    const result = {
      session: session.id,
      agent,
      title: session.newest.entry.t,
      snapshot,
      messages: mainStream(chosen.manifest)?.lines ?? 0,
      commit: snapshot?.commit ?? null,
      branch: snapshot?.branch ?? null,
      resumeCommand: agent.resumeCommand(session.id),
      localAhead: restore.localAhead,
      timeline: stretchesOf(chosen.manifest),
      code: codeAfter(plan),
      at: placeAfter(plan, snapshot?.branch ?? null),
    };
    const { cwd } = restore;
    if (options.dryRun) {
      return {
        ...result,
        restored: restore.paths,
        workingDirectory: cwd,
        work: null,
        variables: {},
        dryRun: true,
      };
    }
    const moves = plan.kind === "exact" || plan.kind === "branch";
    const before = moves ? await whereabouts(context) : nowhere;
    const branch = plan.kind === "branch" ? await branchBefore(context, plan.branch) : null;
    await bringCode(context, plan, options, tell);
    const files = await restore.commit(join(context.stateDir, "backup", session.id));
    for (const { backup } of files) if (backup) tell({ step: "kept-backup", path: backup });
    // In its turn: that of what was captured here, if it was, is still to be written.
    const { cursor } = restore;
    context.chores.later(() => writeCursor(context, vault.device.id, session.key, cursor));
    const after = moves ? await whereabouts(context) : nowhere;
    if (files.length > 0 || after.commit !== before.commit || after.branch !== before.branch)
      await note(context, { kind: "resume", session: session.key, before, after, branch, files });
    context.chores.later(() => noteWaiting(context, vault, heads, (device) => deviceName(vault, device)));
    // The conversation may have gone on here before anybody resumed what was saved elsewhere.
    const versions = settled ? [chosen] : [chosen, ...copies.sort(newestFirst)];
    const carries = plan.kind !== "stay" && versions.some(({ manifest }) => manifest.snapshots.at(-1)?.wip);
    const work = carries ? await bringCarried(context, vault, heads, versions, tell) : null;
    const variables = await bringVariables(context, vault, versions, tell);
    tell({ step: "restored", messages: result.messages, fresh: restore.fresh, files: restore.paths.length });
    if (restore.bypass && snapshot && snapshot.device !== vault.device.id) {
      tell({ step: "bypass", device: deviceName(vault, snapshot.device) });
    }
    const { workingDirectory, made } = settleIn(cwd, place);
    if (made) tell({ step: "made-folder", path: cwd });
    if (agent.deliver) await (await import("./deliver.ts")).deliver(agent, { id: session.id, cwd }, place);
    return { ...result, restored: restore.paths, workingDirectory, work, variables, dryRun: false };
  } finally {
    await restore?.abort();
  }
}

/** What to do about a conversation that goes on elsewhere. */
function decideOpen(
  { id }: CatalogEntry,
  agent: Agent,
  device: string,
  lease: Lease,
  { decide }: ResumeOptions,
): Promise<"fork" | "go-on"> {
  return decide({
    about: { kind: "open", device, since: lease.since },
    choices: agent.copies === false ? ["go-on"] : ["fork", "go-on"],
    otherwise: openElsewhere(id, agent, device, lease),
  });
}

/** Brings the uncommitted work of a session's versions, the first of which is gone on with. Tells what is left to do. */
async function bringCarried(
  context: Context,
  vault: OpenVault,
  { replica }: Heads,
  versions: readonly StoredSession[],
  tell: (event: ResumeEvent) => void,
): Promise<BroughtWork | null> {
  const { bringWork, carriedWork } = await import("./work.ts");
  let told: BroughtWork | null = null;
  for (const one of carriedWork(versions[0]!, versions, { replica, device: vault.device.id })) {
    const device = deviceName(vault, one.device);
    const how = await bringWork(context, vault, one, device);
    if (how) tell({ step: "work", device, how, base: one.base });
    if (told === null || told === "applied") told = how ?? told;
  }
  return told;
}

async function bringVariables(
  context: Context,
  vault: OpenVault,
  versions: readonly StoredSession[],
  tell: (event: ResumeEvent) => void,
): Promise<Readonly<Record<string, string>>> {
  const carrying = versions.find(({ manifest }) => manifest.env);
  if (!carrying) return {};
  const { readVariables, writeVariables } = await import("./environment.ts");
  const variables = (await readVariables(vault, carrying)) ?? {};
  const path = await writeVariables(context, carrying.manifest.session, variables);
  tell({ step: "environment", names: Object.keys(variables), path });
  return variables;
}

/** Stands for where the code is when it is not moved. */
const nowhere = { branch: null, commit: null };

async function branchBefore(context: Context, name: string): Promise<{ name: string; from: string | null }> {
  const ref = `refs/heads/${name}`;
  return { name, from: (await context.db.refs(ref)).get(ref) ?? null };
}

/** The version that holds all others, or the newest of several `tips` when devices went on separately. */
async function mergeCopies(
  vault: OpenVault,
  stored: readonly StoredSession[],
): Promise<{ chosen: StoredSession; tips: number }> {
  const versions = await comparable(vault, stored);
  const { tips } = merge(sessionsDomain.policy, versions, (one) => one.replica);
  const among = tips.map((one) => one.replica);
  const [tip] = tips;
  const same = versions
    .filter((one) => sessionsDomain.policy.relate(one, tip!) === "equal")
    .map((one) => one.replica);
  // Of equal conversations the one whose last snapshot is newest tells commit and branch.
  const candidates = stored.filter((one) => among.includes(one.replica) || same.includes(one.replica));
  const [chosen] = candidates.sort(newestFirst);
  return { chosen: chosen!, tips: tips.length };
}

const lastTime = (one: StoredSession): string => one.manifest.snapshots.at(-1)?.ts ?? "";

const newestFirst = (a: StoredSession, b: StoredSession): number => (lastTime(a) < lastTime(b) ? 1 : -1);
