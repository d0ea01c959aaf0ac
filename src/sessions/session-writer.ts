import { join, relative } from "node:path";
import { toPortable } from "../agents/portable-paths.ts";
import { isInside } from "../agents/spellings.ts";
import { fromUtf8, utf8 } from "../crypto/encoding.ts";
import { sessionDir } from "../crypto/names.ts";
import type { Entry, Tombstone } from "../domains/head.ts";
import { type HeadChange, sealManifest } from "../domains/writer.ts";
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
import type { HeadState } from "../worktree/code-state.ts";
import { type CaptureResult, captureTree, cursorOf } from "./capture.ts";
import type { CapturePlan, LeftOut } from "./capture-plan.ts";
import { type Heads, tombstonesOf } from "./catalog.ts";
import type { ChosenRemote } from "./chosen-remote.ts";
import { type Cursor, writeCursor } from "./cursor.ts";
import type { SealedVariables } from "./environment.ts";
import { writeIndex } from "./index-writer.ts";
import { describeCommit, extendLinks, type LinkedCommit, type Rewrites, type TimedLink } from "./links.ts";
import type { Context } from "./repository.ts";
import { cutText, portableTitle } from "./titles.ts";
import { overridden } from "./tombstones.ts";
import { unsentOfOthers } from "./unsent.ts";
import type { OpenVault } from "./vault.ts";

/** What is told while sessions are written. */
export type StoreEvent =
  | {
      readonly step: "captured";
      readonly session: string;
      readonly messages: number;
      readonly fresh: number;
      readonly sealedBytes: number;
    }
  | { readonly step: "generation"; readonly session: string };

export interface SavedSession {
  readonly session: string;
  readonly agent: string;
  readonly title: string;
  readonly snapshot: number;
  readonly messages: number;
  readonly newMessages: number;
  readonly sealedBytes: number;
  readonly leftOut: readonly LeftOut[];
  /** False when nothing had changed since the last snapshot. */
  readonly changed: boolean;
}

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
  tell: (event: StoreEvent) => void,
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
  const unsent = await unsentOfOthers(context, vault, heads);
  for (const plan of plans) {
    // Whoever took the last snapshot: what was just resumed from another device is saved already.
    const stored = plan.basis?.manifest;
    const last = stored?.snapshots.at(-1);
    const sameWork = !now.wip && !last?.wip && !now.environment;
    // What was captured by itself meanwhile does not have the words that the user gives it.
    const named = now.automatic !== undefined || ["", last?.message].includes(wordsOf(now.message));
    if (
      stored &&
      last &&
      !plan.news &&
      // Who wrote that may be no more, as where a device has lost its keys: then nobody else would ever get it.
      !unsent.has(stored.replica) &&
      sameWork &&
      named &&
      last.commit === now.state.head &&
      last.branch === now.state.branch
    ) {
      if (!plan.remembered)
        context.chores.later(() => writeCursor(context, vault.device.id, plan.key, cursorOf(plan)));
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
    const basis = plan.basis?.commit ?? null;
    const parents = [...new Set([tip, basis].filter((oid) => oid !== null))];
    const known = plan.basis && parents[0] === basis && { before: plan.basis.files };
    return { parents, files: writer.files(), when, ...known };
  });
  const change = (): HeadChange => ({
    put: writing.map(({ writer, plan, dir }) => entryOf(writer.done(), dir, plan, tombstones.get(plan.key))),
    overridden: overridden(
      heads,
      writing.map(({ plan }) => plan.key),
    ),
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
    context.chores.later(() => writeCursor(context, vault.device.id, plan.key, cursor));
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

/** What a snapshot says besides the conversation. */
export interface Moment {
  readonly state: HeadState;
  /** The user's own words. */
  readonly message: string;
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

/** A message as snapshots keep it. */
const wordsOf = (message: string): string => message.slice(0, 4096);

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
  const { state, message, remote, link, when, automatic } = moment;
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
    message: wordsOf(message),
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
      cwd: portable(directoryOf(plan)),
      tool: plan.agent.tool,
      toolVersion: null,
      origin: remote?.origin ?? null,
      roots: before?.meta.roots ?? [],
    },
    ...(before?.dropped && { dropped: before.dropped }),
  };
}

/** Where a conversation runs, as if that were in the work tree it is told from: other machines need not have another. */
function directoryOf({ found: { cwd, workTree }, places }: CapturePlan): string {
  const root = places?.root[0];
  if (root === undefined) return cwd;
  const around = [root, workTree].filter((one) => isInside(cwd, one));
  const [innermost] = around.sort((a, b) => b.length - a.length);
  return innermost === undefined ? cwd : join(root, relative(innermost, cwd));
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
  const { automatic, message, state, when } = moment;
  if (!last || !automatic || message) return snapshots;
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
    t: portableTitle(plan.found.title, plan.places),
    br: last.branch,
    c: last.commit,
    pin: false,
    k: last.n,
    msg: cutText(manifest.snapshots.findLast((one) => one.message !== "")?.message ?? ""),
    at: last.ts,
    ...(tombstone !== undefined && { back: tombstone.at }),
  };
}

export function summarise(plan: CapturePlan, manifest: Manifest | null, sealedBytes: number): SavedSession {
  const main = manifest ? mainStream(manifest) : undefined;
  const before = plan.basis ? (mainStream(plan.basis.manifest)?.lines ?? 0) : 0;
  const messages = main?.lines ?? before;
  return {
    session: plan.found.id,
    agent: plan.agent.name,
    title: portableTitle(plan.found.title, plan.places),
    snapshot: manifest?.snapshots.at(-1)?.n ?? 0,
    messages,
    newMessages: Math.max(0, messages - before),
    sealedBytes,
    leftOut: plan.leftOut,
    changed: sealedBytes > 0,
  };
}
