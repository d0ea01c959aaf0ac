import type { Workplace } from "../agents/agent.ts";
import { toPortable } from "../agents/portable-paths.ts";
import type { AgentName } from "../agents/registry.ts";
import { fromUtf8, utf8 } from "../crypto/encoding.ts";
import { sealFor } from "../crypto/keyring.ts";
import { sessionDir } from "../crypto/names.ts";
import { buried, type Entry, type Tombstone } from "../domains/head.ts";
import { hashOf } from "../domains/reader.ts";
import { type HeadChange, sealManifest } from "../domains/writer.ts";
import { ConvosyncError, Exit } from "../errors.ts";
import {
  filePath,
  type Manifest,
  mainStream,
  type Snapshot,
  type StreamRecord,
  workPath,
} from "../packing/manifest.ts";
import { formatRef, vaultPrefix } from "../refs/names.ts";
import type { NewCommit, NewFile, Oid } from "../refs/object-database.ts";
import { type CodeState, inspectCode } from "../worktree/code-state.ts";
import {
  type CommitPlan,
  commitAll,
  defaultMaxUntrackedBytes,
  isEmptyPlan,
  planCommit,
  untrackedSizes,
} from "../worktree/commit.ts";
import { defaultExcludes } from "../worktree/exclude.ts";
import { checkSave } from "../worktree/safety.ts";
import { type CapturePlan, type CaptureResult, captureTree, planCapture } from "./capture.ts";
import { catalog, type Heads, tombstonesOf } from "./catalog.ts";
import { type ChosenRemote, findRemote } from "./chosen-remote.ts";
import { type Cursor, writeCursor } from "./cursor.ts";
import type { SealedVariables } from "./environment.ts";
import { loadHeads } from "./heads.ts";
import { writeIndex } from "./index-writer.ts";
import { describeCommit, extendLinks, type LinkedCommit, type Rewrites, type TimedLink } from "./links.ts";
import { note } from "./operations.ts";
import { type PublishResult, publish } from "./publish.ts";
import { settleReplica } from "./replica.ts";
import { type Context, withCloneLock } from "./repository.ts";
import { type OpenVault, openVault, ownReplica } from "./vault.ts";
import { chooseLocalSessions, openWorkplace } from "./workplace.ts";

export interface SaveOptions {
  readonly message?: string;
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
  readonly dryRun?: boolean;
  readonly force?: boolean;
  readonly rawPaths?: boolean;
}

/** What a save tells while it works. */
export type SaveEvent =
  | { readonly step: "changes"; readonly modified: number; readonly created: number }
  | { readonly step: "excluded"; readonly paths: readonly string[] }
  | { readonly step: "branch"; readonly branch: string; readonly created: boolean }
  | { readonly step: "large-files"; readonly files: string }
  | { readonly step: "carried"; readonly bytes: number }
  | { readonly step: "environment"; readonly names: readonly string[] }
  | { readonly step: "nothing-to-carry" }
  | { readonly step: "committed"; readonly commit: Oid; readonly message: string }
  | {
      readonly step: "captured";
      readonly session: string;
      readonly messages: number;
      readonly fresh: number;
      readonly sealedBytes: number;
    }
  | { readonly step: "generation"; readonly session: string }
  | { readonly step: "pushing"; readonly remote: string };

export interface SavedSession {
  readonly session: string;
  readonly agent: string;
  readonly title: string;
  readonly snapshot: number;
  readonly messages: number;
  readonly newMessages: number;
  readonly sealedBytes: number;
  /** False when nothing had changed since the last snapshot. */
  readonly changed: boolean;
}

export interface SaveResult {
  readonly sessions: readonly SavedSession[];
  readonly commit: Oid | null;
  readonly committed: boolean;
  readonly branch: string | null;
  readonly remote: ChosenRemote | null;
  readonly publish: PublishResult | { readonly status: "not-pushed" } | { readonly status: "dry-run" };
  readonly devices: number;
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
  const inspecting = inspectCode(context.git, context.repo, { untracked: options.noCode !== true });
  inspecting.catch(() => undefined);
  const vault = await openVault(context);
  let before = await inspecting;
  if (!options.noCode) {
    const stop = checkSave(before);
    if (stop && !(options.force && stop.code !== "merge-conflicts")) throw stop;
  }
  if (options.branch !== undefined && options.branch !== before.branch && !options.dryRun)
    before = await changeBranch(context, before, options.branch, tell);
  const remote = await findRemote(context, before.branch);
  const chosen = await chooseLocalSessions(place, {
    ...(options.session !== undefined && { session: options.session }),
    ...(options.agent !== undefined && { agent: options.agent }),
    ...(options.allSessions && { all: true }),
  });
  const heads = await loadHeads(context, vault);
  refuseBuried(
    heads,
    chosen.map(({ agent, found }) => ({ key: `${agent.name}:${found.id}`, found })),
    options,
  );

  const { state, committed } =
    options.noCode || options.stash
      ? { state: before, committed: false }
      : await commitCode(context, before, options, tell);
  const wip = options.stash ? await sealWork(context, vault, before, options, tell) : null;
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
    return { sessions, ...remembered, committed, remote, publish: { status: "dry-run" }, devices: 0 };
  }
  const now = { state, options, remote, wip, environment };
  const sessions = await store(context, vault, heads, replica, plans, now, tell);
  if (wip) await (await import("./work.ts")).rememberWork(context, wip.hash);
  const branch =
    !options.noCode && state.branch && state.head ? { name: state.branch, commit: state.head } : null;
  const devices = [...vault.keyring.members.values()].filter(
    (one) => !one.removedAt && one.type !== "recovery",
  ).length;
  const result = { sessions, ...remembered, committed, remote, devices: devices - 1 };
  if (options.noPush || !remote) return { ...result, publish: { status: "not-pushed" } };
  tell({ step: "pushing", remote: remote.name });
  let outcome = await publish(context, vault, replica, remote, branch);
  if (
    outcome.status === "queued" &&
    (outcome.reason === "replica-taken" || outcome.reason === "keyring-moved")
  ) {
    const settled = await settleReplica(context, vault, replica, remote);
    refuseBuried(settled.heads, plans, options);
    outcome = await publish(context, settled.vault, settled.replica, remote, branch);
  }
  return { ...result, publish: outcome };
}

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
  const [agent, session] = [key.slice(0, colon), key.slice(colon + 1)];
  const { loadAgent } = await import("../agents/registry.ts");
  const found = (await (await loadAgent(agent as AgentName)).find(place, session)).find(
    (one) => one.id === session,
  );
  if (!found) return;
  const state = await inspectCode(context.git, context.repo);
  const remote = await findRemote(context, state.branch);
  const replica = await ownReplica(context, vault);
  const plan = await planCapture(context, vault, await loadAgent(agent as AgentName), found, place, {
    session: catalog(heads, vault).find((one) => one.key === key) ?? null,
    replica,
    rawPaths: context.settings.get("rawPaths") === "true",
  });
  if (!plan.news) return;
  const now = { state, options: {}, remote, wip: null, environment: null };
  await store(context, vault, heads, replica, [plan], now, () => undefined);
}

/** The sessions that were deleted on purpose. What retention dropped is saved again, when work on it has gone on. */
export function buriedAmong<Chosen extends Pick<CapturePlan, "key" | "found">>(
  heads: Heads,
  chosen: readonly Chosen[],
): Chosen[] {
  const tombstones = tombstonesOf(heads.all);
  const own = new Map(heads.own?.entries.map((one) => [one.s, one]));
  return chosen.filter(({ key, found }) => {
    const tombstone = tombstones.get(key);
    const entry = own.get(key);
    if (!tombstone || (entry && !buried(entry, tombstone))) return false;
    return tombstone.upto === undefined || found.updatedAt.toISOString() <= tombstone.upto;
  });
}

function refuseBuried(
  heads: Heads,
  chosen: readonly Pick<CapturePlan, "key" | "found">[],
  options: SaveOptions,
): void {
  const dead = buriedAmong(heads, chosen)[0]?.found.id;
  if (!dead || options.force) return;
  throw new ConvosyncError("session-deleted", Exit.stopped, `session ${dead} was deleted on purpose`, [
    "save it all the same: git convosync save --force",
  ]);
}

/** What of the code is to be saved; what is left out is said. */
async function planCode(
  context: Context,
  before: CodeState,
  options: SaveOptions,
  tell: (event: SaveEvent) => void,
): Promise<CommitPlan> {
  const excludes = [...defaultExcludes, ...context.settings.all("exclude")];
  const sizes = await untrackedSizes(context.repo.root!, before);
  const plan = planCommit(before, {
    exclude: excludes,
    maxUntrackedBytes: defaultMaxUntrackedBytes,
    sizes,
    force: options.force === true,
  });
  if (plan.excluded.length > 0) tell({ step: "excluded", paths: plan.excluded });
  if (plan.tooLarge.length > 0) {
    throw new ConvosyncError(
      "large-files",
      Exit.stopped,
      `${plan.tooLarge.length} untracked ${plan.tooLarge.length === 1 ? "file is" : "files are"} larger than 10 MB: ${named(plan.tooLarge, sizes)}`,
      ["leave them out: add them to .gitignore", "or commit them all the same: git convosync save --force"],
    );
  }
  const large = plan.add.filter((path) => (sizes.get(path) ?? 0) > defaultMaxUntrackedBytes);
  if (large.length > 0) tell({ step: "large-files", files: named(large, sizes) });
  return plan;
}

/** The first few of some files, with their sizes. */
function named(paths: readonly string[], sizes: ReadonlyMap<string, number>): string {
  const shown = paths.slice(0, 3).map((path) => `${path} (${((sizes.get(path) ?? 0) / 1e6).toFixed(1)} MB)`);
  return [...shown, ...(paths.length > 3 ? [`and ${paths.length - 3} more`] : [])].join(", ");
}

/** Switches to the branch to save onto. Local changes are carried along, or git refuses and nothing has happened. */
async function changeBranch(
  context: Context,
  { head }: CodeState,
  branch: string,
  tell: (event: SaveEvent) => void,
): Promise<CodeState> {
  const { branchExists, startUnborn, switchTo } = await import("../worktree/branches.ts");
  const created = !(await branchExists(context.git, branch));
  if (head === null) await startUnborn(context.git, branch);
  else await switchTo(context.git, branch, created ? { createFrom: head } : {});
  tell({ step: "branch", branch, created });
  return inspectCode(context.git, context.repo);
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

async function commitCode(
  context: Context,
  before: CodeState,
  options: SaveOptions,
  tell: (event: SaveEvent) => void,
): Promise<{ state: CodeState; committed: boolean }> {
  const plan = await planCode(context, before, options, tell);
  if (isEmptyPlan(plan)) return { state: before, committed: false };
  const modified = before.changes.filter((one) => one.tracked).length;
  tell({ step: "changes", modified, created: plan.add.length });
  if (options.dryRun) return { state: before, committed: false };
  const message = `${options.message?.trim() || defaultMessage(context)} [ConvoSync]`;
  const made = await commitAll(context.git, context.repo, plan, message);
  if (!made) return { state: before, committed: false };
  const { commit } = made;
  await note(context, { kind: "save", branch: before.branch, commit, parent: before.head });
  tell({ step: "committed", commit, message });
  return { state: { ...before, head: commit, unborn: false, changes: [] }, committed: true };
}

const defaultMessage = (context: Context): string =>
  `Save of ${context.world.now().toISOString().slice(0, 16).replace("T", " ")}`;

/** What a capture that nobody asked for knows beyond the state of the code. */
export interface Automatic {
  readonly via: "hook" | "watch";
  /** Commits since the last capture, in order, for each session. */
  readonly timeline: ReadonlyMap<string, readonly TimedLink[]>;
  readonly rewrites: Rewrites;
  /** Sessions an agent has open now, and since when; null for those it has just closed. */
  readonly live: ReadonlyMap<string, string | null>;
}

/** Writes sessions and index in one step: either all refs move or none does. */
export async function store(
  context: Context,
  vault: OpenVault,
  heads: Heads,
  replica: string,
  plans: readonly CapturePlan[],
  now: Omit<Moment, "link" | "when">,
  tell: (event: SaveEvent) => void,
): Promise<SavedSession[]> {
  const when = context.world.now();
  const local = await context.db.refs(vaultPrefix(vault.ref));
  const { head, branch } = now.state;
  const isLinked = ({ basis }: CapturePlan): boolean => {
    const last = basis?.manifest.links.at(-1);
    return last !== undefined && last.commit === head && last.branch === branch;
  };
  // Several processes of git, at work while the conversation is packed.
  const described = head && !plans.every(isLinked) ? describeCommit(context.git, head, branch) : null;
  const link = Promise.resolve(described);
  link.catch(() => undefined);
  const tombstones = tombstonesOf(heads.all);
  const writing: { plan: CapturePlan; dir: string; ref: string; tip: Oid | null; writer: SessionWriter }[] =
    [];
  const saved: SavedSession[] = [];
  for (const plan of plans) {
    // Whoever took the last snapshot: what was just resumed from another device is saved already.
    const stored = plan.basis?.manifest;
    const last = stored?.snapshots.at(-1);
    const sameWork = !now.wip && !last?.wip && !now.environment;
    if (
      stored &&
      last &&
      !plan.news &&
      sameWork &&
      last.commit === now.state.head &&
      last.branch === now.state.branch
    ) {
      saved.push(summarise(plan, stored, 0));
      continue;
    }
    const dir = await sessionDir(vault.keyring.nameKey, vault.repo, plan.agent.name, plan.found.id);
    const ref = formatRef({ kind: "session", vault: vault.ref, dir, replica });
    const writer = new SessionWriter(context, vault, replica, plan, { ...now, link, when });
    writing.push({ plan, dir, ref, tip: local.get(ref) ?? null, writer });
  }
  if (writing.length === 0) return saved;
  const commits = writing.map(({ plan, tip, writer }): NewCommit => {
    const parents = [tip, plan.basis?.commit ?? null].filter((oid) => oid !== null);
    return { parents: [...new Set(parents)], files: writer.files(), when };
  });
  const change = (): HeadChange => ({
    put: writing.map(({ writer, plan, dir }) => entryOf(writer.done(), dir, plan, tombstones.get(plan.key))),
    unbury: writing.map(({ plan }) => plan.key),
    // Who saves by hand may be about to go on elsewhere.
    live: now.automatic?.live ?? new Map(writing.map(({ plan }) => [plan.key, null])),
  });
  await writeIndex(context, vault, {
    heads,
    replica,
    when,
    change,
    commits,
    refs: writing.map(({ ref, tip }) => ({ ref, from: tip })),
  });
  for (const { plan, writer } of writing) {
    const { manifest, cursor, sealedBytes } = writer.done();
    await writeCursor(context, plan.key, cursor);
    const summary = summarise(plan, manifest, sealedBytes);
    saved.push(summary);
    if (plan.streams.some((one) => one.gen > 0 && !one.stored))
      tell({ step: "generation", session: plan.found.id });
    tell({
      step: "captured",
      session: summary.session,
      messages: summary.messages,
      fresh: summary.newMessages,
      sealedBytes,
    });
  }
  return saved;
}

interface Moment {
  readonly state: CodeState;
  readonly options: SaveOptions;
  readonly remote: ChosenRemote | null;
  /** Uncommitted work, sealed. */
  readonly wip: { readonly file: Uint8Array; readonly hash: string } | null;
  readonly environment: SealedVariables | null;
  readonly link: Promise<LinkedCommit | null>;
  readonly when: Date;
  readonly automatic?: Automatic;
}

/** Streams one session into a commit and knows, once that is done, what it has written. */
class SessionWriter {
  readonly #context: Context;
  readonly #vault: OpenVault;
  readonly #replica: string;
  readonly #plan: CapturePlan;
  readonly #moment: Moment;
  #done: { manifest: Manifest; m: string; cursor: Cursor; sealedBytes: number } | null = null;

  constructor(context: Context, vault: OpenVault, replica: string, plan: CapturePlan, moment: Moment) {
    this.#context = context;
    this.#vault = vault;
    this.#replica = replica;
    this.#plan = plan;
    this.#moment = moment;
  }

  async *files(): AsyncGenerator<NewFile> {
    const result: CaptureResult = { streams: [], files: [], cursor: { v: 1, streams: {}, files: {} } };
    let sealedBytes = 0;
    for await (const one of captureTree(this.#context, this.#vault, this.#plan, result)) {
      if (typeof one.content !== "string") sealedBytes += one.content.length;
      yield one;
    }
    const { wip } = this.#moment;
    if (wip) yield { path: workPath, content: wip.file };
    sealedBytes += wip?.file.length ?? 0;
    yield* this.#environment();
    const moment = { ...this.#moment, link: await this.#moment.link };
    const manifest = buildManifest(this.#vault, this.#replica, this.#plan, result, moment);
    const sealed = await sealManifest(this.#vault, manifest, this.#plan.basis);
    this.#done = {
      manifest,
      m: sealed.m,
      cursor: result.cursor,
      sealedBytes: sealedBytes + sealed.sealedBytes,
    };
    yield* sealed.files;
  }

  /** The variables given now, else those of the version before. */
  *#environment(): Generator<NewFile> {
    const { environment } = this.#moment;
    const { basis } = this.#plan;
    const path = filePath(environment?.record.ct ?? basis?.manifest.env?.ct ?? "");
    const kept = basis?.files.get(path);
    if (environment) yield { path, content: environment.file };
    else if (basis?.manifest.env && kept) yield { path, content: kept };
  }

  done(): { manifest: Manifest; m: string; cursor: Cursor; sealedBytes: number } {
    if (!this.#done) throw new Error("the session has not been written yet");
    return this.#done;
  }
}

/** Whether a stream is another than in the manifest before. */
function grew(stream: StreamRecord, before: Manifest | undefined): boolean {
  return !before?.streams.some(
    (old) => old.name === stream.name && old.gen === stream.gen && old.sha === stream.sha,
  );
}

function buildManifest(
  vault: OpenVault,
  replica: string,
  plan: CapturePlan,
  result: CaptureResult,
  moment: Omit<Moment, "link"> & { readonly link: LinkedCommit | null },
): Manifest {
  const { state, options, remote, link, when, automatic } = moment;
  const before = plan.basis?.manifest;
  const env = moment.environment?.record ?? before?.env;
  const main = result.streams.filter((one) => one.name === "main").sort((a, b) => b.gen - a.gen)[0]!;
  const snapshots = kept(before?.snapshots ?? [], vault, moment);
  const snapshot: Snapshot = {
    n: (snapshots.at(-1)?.n ?? 0) + 1,
    ts: when.toISOString(),
    device: vault.device.id,
    via: automatic?.via ?? "save",
    upto: Object.fromEntries(
      result.streams
        .filter((one) => one.name === "main" || grew(one, before))
        .map((one) => [one.name, [one.lines, one.bytes]]),
    ),
    ...(main.gen > 0 && { gen: main.gen }),
    commit: state.head,
    branch: state.branch,
    message: (options.message?.trim() ?? "").slice(0, 4096),
    wip: moment.wip?.hash ?? null,
  };
  const timed = automatic?.timeline.get(plan.key) ?? [];
  const found =
    link && timed.at(-1)?.link.commit !== link.commit ? [...timed, { upto: main.lines, link }] : timed;
  const portable = (path: string): string =>
    plan.places ? fromUtf8(toPortable(utf8(path), plan.places, "text")) : path;
  return {
    v: 1,
    type: "manifest",
    vault: vault.keyring.vault,
    repo: vault.repo,
    replica,
    agent: plan.agent.name,
    session: plan.found.id,
    seq: (before?.seq ?? 0) + 1,
    ...(before?.joined && { joined: before.joined }),
    ...(env && { env }),
    streams: result.streams,
    files: result.files,
    snapshots: [...snapshots, snapshot],
    pages: [],
    links: extendLinks(
      before?.links ?? [],
      found.map((one) => ({ ...one, gen: main.gen })),
      automatic?.rewrites,
    ),
    meta: {
      cwd: portable(plan.found.cwd),
      tool: plan.agent.tool,
      toolVersion: null,
      origin: remote?.origin ?? null,
      roots: before?.meta.roots ?? [],
    },
    ...(before?.dropped && { dropped: before.dropped }),
  };
}

/**
 * The snapshots the new one follows. One that nobody asked for takes the place of the one before it when that was
 * made by itself too, within the same hour, of the same code: a watched conversation is saved every few seconds, and
 * nobody looks for one of them.
 */
function kept(
  snapshots: readonly Snapshot[],
  vault: OpenVault,
  moment: Omit<Moment, "link">,
): readonly Snapshot[] {
  const last = snapshots.at(-1);
  const { automatic, options, state, when } = moment;
  if (!last || !automatic || options.message) return snapshots;
  const alike =
    last.via !== "save" &&
    last.message === "" &&
    last.wip === null &&
    last.device === vault.device.id &&
    last.commit === state.head &&
    last.branch === state.branch &&
    last.ts.slice(0, 13) === when.toISOString().slice(0, 13);
  return alike ? snapshots.slice(0, -1) : snapshots;
}

function entryOf(
  written: { manifest: Manifest; m: string },
  dir: string,
  plan: CapturePlan,
  tombstone: Tombstone | undefined,
): Entry {
  const { manifest, m } = written;
  const main = mainStream(manifest);
  const last = manifest.snapshots.at(-1)!;
  return {
    s: plan.key,
    d: dir,
    q: manifest.seq,
    m,
    n: main?.lines ?? 0,
    b: main?.bytes ?? 0,
    u: plan.found.updatedAt.toISOString(),
    t: plan.found.title.slice(0, 80),
    br: last.branch,
    c: last.commit,
    pin: false,
    k: last.n,
    msg: (manifest.snapshots.findLast((one) => one.message !== "")?.message ?? "").slice(0, 80),
    at: last.ts,
    ...(tombstone !== undefined && { back: tombstone.at }),
  };
}

function summarise(plan: CapturePlan, manifest: Manifest | null, sealedBytes: number): SavedSession {
  const main = manifest ? mainStream(manifest) : undefined;
  const before = plan.basis ? (mainStream(plan.basis.manifest)?.lines ?? 0) : 0;
  const messages = main?.lines ?? before;
  return {
    session: plan.found.id,
    agent: plan.agent.name,
    title: plan.found.title,
    snapshot: manifest?.snapshots.at(-1)?.n ?? 0,
    messages,
    newMessages: Math.max(0, messages - before),
    sealedBytes,
    changed: sealedBytes > 0,
  };
}
