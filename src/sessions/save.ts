import type { Workplace } from "../agents/agent.ts";
import { loadAgents } from "../agents/registry.ts";
import { sealFor } from "../crypto/keyring.ts";
import { hashOf } from "../domains/sealed-objects.ts";
import { ConvosyncError, Exit } from "../errors.ts";
import type { Oid } from "../refs/object-database.ts";
import { type CodeState, inspectHead } from "../worktree/code-state.ts";
import { otherUpstream } from "../worktree/remotes.ts";
import { checkSave } from "../worktree/safety.ts";
import { type CapturePlan, planCapture } from "./capture-plan.ts";
import { buriedAmong, catalog, type Heads } from "./catalog.ts";
import { type ChosenRemote, findCodeRemote, findRemote } from "./chosen-remote.ts";
import { lookAtCode } from "./code-here.ts";
import type { SealedVariables } from "./environment.ts";
import { fetchContinued } from "./first-save.ts";
import { loadHeads } from "./heads.ts";
import { holdBack, type PublishResult, publish, publishApart } from "./publish.ts";
import { publishSettled } from "./replica.ts";
import { type Context, withCloneLock } from "./repository.ts";
import { changeBranch, commitCode, planCode, type SaveCodeEvent, type SaveCodeOptions } from "./save-code.ts";
import { type Moment, type SavedSession, type StoreEvent, store, summarise } from "./session-writer.ts";
import { unsavedSessions } from "./unsaved.ts";
import { type OpenVault, openVault, ownReplica } from "./vault.ts";
import { type ChosenSession, chooseLocalSessions, lastSession, openWorkplace } from "./workplace.ts";

export interface SaveOptions extends SaveCodeOptions {
  readonly noCode?: boolean;
  /** Leave the branch alone; carry uncommitted work inside the session. */
  readonly stash?: boolean;
  /** Save onto this branch, making it when there is none. */
  readonly branch?: string;
  /** Environment variables to carry, by name. */
  readonly includeEnv?: readonly string[];
  readonly noPush?: boolean;
  readonly session?: string;
  readonly agent?: string;
  readonly allSessions?: boolean;
  readonly rawPaths?: boolean;
}

/** What a save tells while it works. */
export type SaveEvent =
  | SaveCodeEvent
  | { readonly step: "carried"; readonly bytes: number }
  | { readonly step: "environment"; readonly names: readonly string[] }
  | { readonly step: "nothing-to-carry" }
  /** Ids of sessions that were deleted, of which the agent still has a file. */
  | { readonly step: "stay-deleted"; readonly sessions: readonly string[] }
  | StoreEvent
  | { readonly step: "pushing"; readonly remote: string };

export interface SaveResult {
  readonly sessions: readonly SavedSession[];
  readonly commit: Oid | null;
  readonly committed: boolean;
  readonly branch: string | null;
  readonly remote: ChosenRemote | null;
  /** Where the code goes, if that is another one. */
  readonly codeRemote: ChosenRemote | null;
  /** The branch of another name that the code's follows there: git would not push it by itself, and it was not. */
  readonly upstream: string | null;
  readonly publish: PublishResult | { readonly status: "not-pushed" } | { readonly status: "dry-run" };
  readonly devices: number;
  /** Other conversations of this work tree that went on lately and are not saved; none where a certain one was meant. */
  readonly unsaved: readonly ChosenSession[];
}

/**
 * Saves the conversation with the code: checks, commit, capture, seal, local refs, one atomic push. After the
 * local refs are written nothing can be lost; what could not be pushed waits in the queue.
 */
export async function save(
  context: Context,
  options: SaveOptions,
  tell: (event: SaveEvent) => void,
): Promise<SaveResult> {
  const place = await openWorkplace(context);
  return withCloneLock(context, () => saveLocked(context, place, options, tell));
}

async function saveLocked(
  context: Context,
  place: Workplace,
  options: SaveOptions,
  tell: (event: SaveEvent) => void,
): Promise<SaveResult> {
  if (options.includeEnv?.length) {
    // A name that is never taken must stop the save before it has committed anything.
    const { chosenVariables } = await import("./environment.ts");
    chosenVariables(options.includeEnv, context.world.env);
  }
  // The work tree of a large repository takes a while: the vault is opened meanwhile.
  const head = options.noCode ? inspectHead(context.git, context.repo) : null;
  const inspecting = head ? null : lookAtCode(context);
  for (const looking of [head, inspecting]) looking?.catch(() => undefined);
  let vault = await openVault(context);
  let code = await inspecting;
  if (code) {
    const stop = checkSave(code);
    if (stop && !(options.force && stop.code !== "merge-conflicts")) throw stop;
    if (options.branch !== undefined && options.branch !== code.branch && !options.dryRun)
      code = await changeBranch(context, code, options.branch, tell);
  }
  const before = code ?? (await head)!;
  const remote = await findRemote(context, before.branch);
  const found = await chooseLocalSessions(place, {
    ...(options.session !== undefined && { session: options.session }),
    ...(options.agent !== undefined && { agent: options.agent }),
    ...(options.allSessions && { all: true }),
  });
  let heads = await loadHeads(context, vault);
  const named = found.map((one) => ({ key: `${one.agent.name}:${one.found.id}`, found: one.found }));
  const keys = named.map((one) => one.key);
  if (!options.dryRun) {
    ({ vault, heads } = await fetchContinued(context, { vault, heads, remote, offline: null }, keys));
  }
  const dead = deletedAmong(heads, named, options);
  if (dead.size > 0) tell({ step: "stay-deleted", sessions: [...dead] });
  const chosen = found.filter((one) => !dead.has(one.found.id));

  if (!options.dryRun) context.keys.requireWritable();
  const { state, committed } =
    code === null || options.stash
      ? { state: before, committed: false }
      : await commitCode(context, code, options, tell);
  const wip = code && options.stash ? await sealWork(context, vault, code, options, tell) : null;
  const environment = options.includeEnv?.length
    ? await sealEnvironment(context, vault, options.includeEnv, tell)
    : null;
  const replica = options.dryRun ? (heads.replica ?? "aaaaaaaaaaaaa") : await ownReplica(context, vault);
  const known = catalog(heads, vault);
  const plans: CapturePlan[] = [];
  for (const { agent, found } of chosen) {
    const key = `${agent.name}:${found.id}`;
    plans.push(
      await planCapture(context, vault, agent, found, place, {
        session: known.find((one) => one.key === key) ?? null,
        replica,
        rawPaths: options.rawPaths === true || context.settings.flag("rawPaths"),
      }),
    );
  }
  const remembered = { branch: state.branch, commit: state.head };
  if (options.dryRun) {
    const sessions = plans.map((plan) => summarise(plan, null, 0));
    const publish = { status: "dry-run" } as const;
    const nowhere = { codeRemote: null, upstream: null };
    return { sessions, ...remembered, committed, remote, ...nowhere, publish, devices: 0, unsaved: [] };
  }
  const now = { state, message: options.message?.trim() ?? "", remote, wip, environment };
  const current = options.allSessions ? await lastSession(place, await loadAgents()) : null;
  // Of all of them only the one that is going on has to do with the commit as it is now, and what else has gone on.
  const rests = (plan: CapturePlan): boolean =>
    options.allSessions === true && plan.found.id !== current?.found.id && plan.basis !== null && !plan.news;
  const stored = await store(
    context,
    vault,
    heads,
    replica,
    plans.filter((one) => !rests(one)),
    now,
    tell,
  );
  const resting = plans.filter(rests).map((one) => summarise(one, one.basis!.manifest, 0));
  const sessions = [...stored, ...resting];
  if (wip) await (await import("./work.ts")).rememberWork(context, wip.hash);
  const own =
    !options.noCode && state.branch && state.head
      ? { name: state.branch, commit: state.head, isNew: committed }
      : null;
  const forCode = own && remote && (await findCodeRemote(context, own.name, remote));
  const codeRemote = forCode && forCode.key !== remote?.key ? forCode : null;
  const upstream = own && codeRemote ? otherUpstream(context.config, own.name) : null;
  const branch = upstream === null ? own : null;
  const devices = [...vault.keyring.members.values()].filter(
    (one) => !one.removedAt && one.type !== "recovery",
  ).length;
  const places = { remote, codeRemote, upstream };
  const result = { sessions, ...remembered, committed, ...places, devices: devices - 1 };
  let unsaved: ChosenSession[] = [];
  if (options.session === undefined && !options.allSessions)
    context.chores.later(async () => {
      const here = { ref: vault.ref, device: vault.device.id };
      unsaved = await unsavedSessions(context, place, await loadAgents(), heads, here, found);
    });
  if (options.noPush || !remote) {
    if (branch) await holdBack(context, forCode, branch);
    await context.chores.do();
    return { ...result, publish: { status: "not-pushed" }, unsaved };
  }
  tell({ step: "pushing", remote: remote.title });
  const send = (now: OpenVault, as: string | null) =>
    codeRemote && branch
      ? publishApart(context, now, as, remote, { remote: codeRemote, branch })
      : publish(context, now, as, remote, branch);
  const settled = (known: Heads) => void deletedAmong(known, plans, options);
  const outcome = await publishSettled(context, vault, replica, remote, send, { settled });
  await context.chores.do();
  return { ...result, publish: outcome, unsaved };
}

/**
 * Ids of those that were deleted and are not to be saved: with `--all-sessions`, as the agents' files are there for long
 * after retention has deleted what they were saved as. A session that was meant, or all of them, is refused.
 */
function deletedAmong(
  heads: Heads,
  chosen: readonly Pick<CapturePlan, "key" | "found">[],
  options: SaveOptions,
): ReadonlySet<string> {
  const dead = options.force ? [] : buriedAmong(heads, chosen);
  const [first] = dead;
  if (first && (!options.allSessions || dead.length === chosen.length)) {
    throw new ConvosyncError(
      "session-deleted",
      Exit.stopped,
      `session ${first.found.id} was deleted on purpose`,
      ["save it all the same: git convosync save --force"],
    );
  }
  return new Set(dead.map((one) => one.found.id));
}

/** Uncommitted work as a sealed object; null when there is none. */
async function sealWork(
  context: Context,
  vault: OpenVault,
  state: CodeState,
  options: SaveOptions,
  tell: (event: SaveEvent) => void,
): Promise<Moment["wip"]> {
  const { bundleWork, unbornWork } = await import("../worktree/wip.ts");
  if (state.head === null) throw unbornWork();
  const plan = await planCode(context, state, options, tell);
  if (options.dryRun) return null;
  const bundle = await bundleWork(context.git, context.repo, plan, state.head);
  if (!bundle) {
    tell({ step: "nothing-to-carry" });
    return null;
  }
  const { file } = await sealFor(vault.keyring, vault.codec.pack(bundle));
  tell({ step: "carried", bytes: file.length });
  return { file, hash: await hashOf(file) };
}

async function sealEnvironment(
  context: Context,
  vault: OpenVault,
  names: readonly string[],
  tell: (event: SaveEvent) => void,
): Promise<SealedVariables> {
  const { chosenVariables, sealVariables } = await import("./environment.ts");
  const sealed = await sealVariables(vault, chosenVariables(names, context.world.env));
  tell({ step: "environment", names });
  return sealed;
}
