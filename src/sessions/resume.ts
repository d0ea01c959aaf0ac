import { mkdir, open, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Agent, Target, Workplace } from "../agents/agent.ts";
import { type FileIdentity, identify, RestoreFile, readWholeLines } from "../agents/local-files.ts";
import { type Places, toLocal } from "../agents/portable-paths.ts";
import { isAgentName, loadAgent } from "../agents/registry.ts";
import { merge } from "../domains/domain.ts";
import { readSidecar, readStream, type StoredSession } from "../domains/reader.ts";
import { sessions as sessionsDomain } from "../domains/sessions.ts";
import { ConvosyncError, Exit, integrityError } from "../errors.ts";
import { currentStreams, mainStream, type Snapshot, type StreamRecord } from "../packing/manifest.ts";
import { StreamHash } from "../packing/stream-hash.ts";
import { type CatalogEntry, catalog, findSession } from "./catalog.ts";
import { type ChosenRemote, currentBranch, findRemote } from "./chosen-remote.ts";
import {
  bringCode,
  type CodeEvent,
  type CodeOptions,
  type CodePlan,
  checkSameRepository,
  fetchBranch,
  planCode,
} from "./code.ts";
import type { Copied } from "./copy.ts";
import { type Cursor, examineTail, writeCursor } from "./cursor.ts";
import { type Candidate, cancelled, undecided } from "./decide.ts";
import type { DivergenceEvent, LocalBranch } from "./divergence.ts";
import { deviceName, loadHeads } from "./heads.ts";
import { type Lease, liveElsewhere, openElsewhere } from "./leases.ts";
import { localDirectory } from "./local-directory.ts";
import { note, type ResumeOperation, whereabouts } from "./operations.ts";
import { type Fetched, fetchHeads } from "./remote.ts";
import { type Context, withCloneLock } from "./repository.ts";
import { fetchSession } from "./session-fetch.ts";
import { type Stretch, stretchesOf } from "./stretches.ts";
import { type OpenVault, openVault } from "./vault.ts";
import { comparable } from "./versions.ts";
import { noteWaiting } from "./waiting.ts";
import { openWorkplace } from "./workplace.ts";

export interface ResumeOptions extends CodeOptions {
  readonly session?: string;
  readonly dryRun?: boolean;
}

export type ResumeEvent =
  | { readonly step: "offline"; readonly remote: string; readonly text: string }
  | { readonly step: "found"; readonly device: string; readonly at: Date; readonly title: string }
  | CodeEvent
  | DivergenceEvent
  | { readonly step: "restored"; readonly messages: number; readonly fresh: number; readonly files: number }
  | { readonly step: "work"; readonly device: string; readonly how: "applied" | "stashed" }
  | { readonly step: "environment"; readonly names: readonly string[]; readonly path: string }
  | { readonly step: "kept-backup"; readonly path: string }
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
  readonly work: "applied" | "stashed" | null;
  readonly timeline: readonly Stretch[];
  /** How the code stands to what the conversation was last saved with. */
  readonly code: "same" | "newer" | "other";
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
  return withCloneLock(context, async () => {
    const [opened, remote] = await Promise.all([
      openVault(context),
      currentBranch(context).then((branch) => findRemote(context, branch)),
    ]);
    return resumeLocked(context, opened, remote, place, options, tell);
  });
}

async function resumeLocked(
  context: Context,
  opened: OpenVault,
  remote: ChosenRemote | null,
  place: Workplace,
  options: ResumeOptions,
  tell: (event: ResumeEvent) => void,
): Promise<ResumeResult> {
  const fetched = await fetchOrStay(context, opened, remote, tell);
  const { vault, heads } = fetched;
  const session = await pick(vault, catalog(heads, vault), options);
  const online = fetched.status === "ok" ? remote : null;
  if (!options.force) await checkSameRepository(context, vault.record, remote);
  // Both at once, as each is mostly waiting; but not in a shallow clone, where git lets only one in.
  const early = online && !options.stayOnBranch && !context.repo.shallow ? session.newest.entry.br : null;
  const [conversation, code] = await Promise.allSettled([
    fetchSession(context, vault, heads, session, online),
    online && early ? fetchBranch(context, online, early) : null,
  ]);
  if (conversation.status === "rejected") throw conversation.reason;
  if (code.status === "rejected") throw code.reason;
  const agent = await agentOf(session);
  await refuseLive(agent, session.id, place);
  const copies = conversation.value;
  let { chosen, tips } = await mergeCopies(vault, copies);
  tell({
    step: "found",
    device: deviceName(vault, chosen.manifest.snapshots.at(-1)?.device ?? session.newest.device),
    at: new Date(session.newest.entry.u),
    title: session.newest.entry.t,
  });
  const known = { online: online !== null, fetched: early };
  const lease = options.force ? null : liveElsewhere(heads, session.key, context.world.now());
  if (lease && (await decideOpen(session, deviceName(vault, lease.device), lease, options)) === "fork") {
    const found = { vault, session, chosen, agent, place, remote };
    return resumeCopy(context, found, known, options, tell);
  }
  const prepare = async (): Promise<Restore> => {
    const cwd = localDirectory(agent, place, chosen.manifest.meta.cwd);
    const places = agent.places({ cwd, workTree: place.root }, place);
    const prepared = new Restore(vault, chosen, agent, place, places, cwd);
    await prepared.prepare().catch(async (error) => {
      await prepared.abort();
      throw error;
    });
    return prepared;
  };
  let restore = tips > 1 ? null : await prepare();
  let settled = false;
  try {
    if (!restore || restore.branching) {
      const local = restore?.branching ?? null;
      await restore?.abort();
      restore = null;
      const { settleDivergence } = await import("./divergence.ts");
      const cwd = localDirectory(agent, place, chosen.manifest.meta.cwd);
      const situation = { vault, heads, session, stored: copies, agent, place, cwd, local };
      // A dry run settles nothing, so it says what would have to be settled.
      const decide = options.dryRun ? undecided : options.decide;
      chosen = await settleDivergence(context, situation, decide, tell);
      settled = true;
      restore = await prepare();
    }
    const snapshot = chosen.manifest.snapshots.at(-1) ?? null;
    const plan = await planCode(context, chosen.manifest, remote, known, options).catch((error) => {
      const left = settled && error instanceof ConvosyncError && error.exit === Exit.cancelled;
      throw left
        ? cancelled("the versions are joined in the session; code and transcript here are as they were")
        : error;
    });
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
      code: standing(plan),
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
    await writeCursor(context, session.key, restore.cursor);
    const after = moves ? await whereabouts(context) : nowhere;
    if (files.length > 0 || after.commit !== before.commit || after.branch !== before.branch)
      await note(context, { kind: "resume", session: session.key, before, after, branch, files });
    await noteWaiting(context, vault, heads, (device) => deviceName(vault, device));
    const device = deviceName(vault, snapshot?.device ?? "");
    const carried = plan.kind !== "stay" && snapshot?.wip;
    const work = carried ? await (await import("./work.ts")).bringWork(context, vault, chosen, device) : null;
    if (work) tell({ step: "work", device, how: work });
    const variables = await bringVariables(context, vault, chosen, tell);
    tell({ step: "restored", messages: result.messages, fresh: restore.fresh, files: restore.paths.length });
    if (restore.bypass && snapshot && snapshot.device !== vault.device.id) {
      tell({ step: "bypass", device: deviceName(vault, snapshot.device) });
    }
    const there = await stat(cwd).then(
      (info) => info.isDirectory(),
      () => false,
    );
    const workingDirectory = there ? cwd : place.root;
    return { ...result, restored: restore.paths, workingDirectory, work, variables, dryRun: false };
  } finally {
    await restore?.abort();
  }
}

/** What to do about a conversation that goes on elsewhere. */
function decideOpen(
  { id }: CatalogEntry,
  device: string,
  lease: Lease,
  { decide }: ResumeOptions,
): Promise<"fork" | "go-on"> {
  return decide({
    about: { kind: "open", device, since: lease.since },
    choices: ["fork", "go-on"],
    otherwise: openElsewhere(id, device, lease),
  });
}

/** Brings back the code, and of the conversation a copy under an id of its own, which nobody else goes on with. */
async function resumeCopy(
  context: Context,
  found: {
    readonly vault: OpenVault;
    readonly session: CatalogEntry;
    readonly chosen: StoredSession;
    readonly agent: Agent;
    readonly place: Workplace;
    readonly remote: ChosenRemote | null;
  },
  known: { readonly online: boolean; readonly fetched: string | null },
  options: ResumeOptions,
  tell: (event: ResumeEvent) => void,
): Promise<ResumeResult> {
  const { vault, session, chosen, agent, place, remote } = found;
  const { manifest } = chosen;
  const snapshot = manifest.snapshots.at(-1) ?? null;
  const cwd = localDirectory(agent, place, manifest.meta.cwd);
  const plan = await planCode(context, manifest, remote, known, options);
  const messages = mainStream(manifest)?.lines ?? 0;
  let copy: Copied = { id: session.id, restored: [] };
  if (!options.dryRun) {
    await bringCode(context, plan, options, tell);
    const { writeCopy } = await import("./copy.ts");
    copy = await writeCopy(vault, chosen, agent, place, cwd, null);
    tell({ step: "restored", messages, fresh: messages, files: copy.restored.length });
  }
  return {
    session: copy.id,
    agent,
    title: session.newest.entry.t,
    snapshot,
    messages,
    commit: snapshot?.commit ?? null,
    branch: snapshot?.branch ?? null,
    restored: copy.restored,
    resumeCommand: agent.resumeCommand(copy.id),
    workingDirectory: cwd,
    localAhead: false,
    variables: {},
    work: null,
    timeline: stretchesOf(manifest),
    code: standing(plan),
    dryRun: options.dryRun === true,
  };
}

async function bringVariables(
  context: Context,
  vault: OpenVault,
  chosen: StoredSession,
  tell: (event: ResumeEvent) => void,
): Promise<Readonly<Record<string, string>>> {
  if (!chosen.manifest.env) return {};
  const { readVariables, writeVariables } = await import("./environment.ts");
  const variables = (await readVariables(vault, chosen)) ?? {};
  const path = await writeVariables(context, chosen.manifest.session, variables);
  tell({ step: "environment", names: Object.keys(variables), path });
  return variables;
}

/** How the code stands to the conversation once a plan is carried out. */
function standing(plan: CodePlan): ResumeResult["code"] {
  if (plan.kind === "stay") return "other";
  if (plan.kind === "exact") return "same";
  if (plan.kind === "nothing") return plan.commit === null ? "other" : plan.ahead ? "newer" : "same";
  return plan.ahead || plan.apart === "merge" || plan.changes === "commit" ? "newer" : "same";
}

/** Puts a version into the agent's store, where the local file has nothing that it lacks. Returns the files written. */
export async function restoreSession(
  context: Context,
  vault: OpenVault,
  stored: StoredSession,
  agent: Agent,
  place: Workplace,
): Promise<{ restored: readonly string[]; workingDirectory: string }> {
  const { session, meta } = stored.manifest;
  const cwd = localDirectory(agent, place, meta.cwd);
  const places = agent.places({ cwd, workTree: place.root }, place);
  const restore = new Restore(vault, stored, agent, place, places, cwd);
  try {
    await restore.prepare();
    if (restore.branching) throw new Error("the conversation here is not part of the version to be restored");
    await restore.commit(join(context.stateDir, "backup", session));
    await writeCursor(context, `${agent.name}:${session}`, restore.cursor);
    return { restored: restore.paths, workingDirectory: cwd };
  } finally {
    await restore.abort();
  }
}

/** Stands for where the code is when it is not moved. */
const nowhere = { branch: null, commit: null };

async function branchBefore(context: Context, name: string): Promise<{ name: string; from: string | null }> {
  const ref = `refs/heads/${name}`;
  return { name, from: (await context.db.refs(ref)).get(ref) ?? null };
}

export async function fetchOrStay(
  context: Context,
  opened: OpenVault,
  remote: ChosenRemote | null,
  tell: (event: ResumeEvent) => void,
): Promise<Fetched> {
  if (!remote) {
    return {
      status: "unreachable",
      text: "no remote",
      vault: opened,
      heads: await loadHeads(context, opened),
      changed: [],
    };
  }
  const fetched = await fetchHeads(context, opened, remote);
  if (fetched.status !== "ok") tell({ step: "offline", remote: remote.name, text: fetched.text });
  return fetched;
}

/** The session that is named, else the most recently active one, unless a person may choose among several. */
export async function pick(
  vault: OpenVault,
  sessions: readonly CatalogEntry[],
  { session: wanted, decide }: Pick<ResumeOptions, "session" | "decide">,
): Promise<CatalogEntry> {
  if (wanted !== undefined) return findSession(sessions, wanted).session;
  const newest = sessions[0];
  if (newest && sessions.length === 1) return newest;
  if (newest) {
    const about = { kind: "session", sessions: sessions.map((one) => candidate(vault, one)) } as const;
    const id = await decide({ about, choices: sessions.map((one) => one.id), otherwise: newest.id });
    return sessions.find((one) => one.id === id)!;
  }
  throw new ConvosyncError("nothing-saved", Exit.failed, "no session has been saved in this repository yet", [
    "save one where the conversation is: git convosync save",
  ]);
}

function candidate(vault: OpenVault, { id, agent, newest }: CatalogEntry): Candidate {
  const { entry, device } = newest;
  return {
    id,
    agent,
    device: deviceName(vault, device),
    deviceType: vault.keyring.members.get(device)?.type ?? "",
    at: new Date(entry.u),
    title: entry.t,
    message: entry.msg,
    branch: entry.br,
    commit: entry.c,
    messages: entry.n,
  };
}

export async function agentOf(session: CatalogEntry): Promise<Agent> {
  if (!isAgentName(session.agent)) {
    throw new ConvosyncError(
      "unknown-agent",
      Exit.failed,
      `this version does not know the agent '${session.agent}'`,
      ["update convosync on this device"],
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
  const [chosen] = candidates.sort((a, b) => (lastTime(a) < lastTime(b) ? 1 : -1));
  return { chosen: chosen!, tips: tips.length };
}

const lastTime = (one: StoredSession): string => one.manifest.snapshots.at(-1)?.ts ?? "";

interface Prepared {
  readonly name: string;
  readonly target: Target;
  readonly file: RestoreFile;
  readonly expect: FileIdentity | null;
}

/** The files of a session on their way into the agent's store. */
class Restore {
  readonly cursor: Cursor = { v: 1, streams: {}, files: {} };
  localAhead = false;
  /** Lines the local transcript did not have. */
  fresh = 0;
  /** The conversation last ran with permission questions switched off. */
  bypass = false;
  readonly #vault: OpenVault;
  readonly #session: StoredSession;
  readonly #agent: Agent;
  readonly #place: Workplace;
  readonly #places: Places;
  readonly cwd: string;
  /** Set when the local transcript went on apart from all that is saved: then nothing may be put in its place. */
  branching: LocalBranch | null = null;
  #prepared: Prepared[] = [];
  #paths: readonly string[] = [];
  /** Lines the local transcript shares with the saved one, where they part. */
  #common = 0;

  constructor(
    vault: OpenVault,
    session: StoredSession,
    agent: Agent,
    place: Workplace,
    places: Places,
    cwd: string,
  ) {
    this.#vault = vault;
    this.#session = session;
    this.#agent = agent;
    this.#place = place;
    this.#places = places;
    this.cwd = cwd;
  }

  /** Files that are, or were, to be written. */
  get paths(): readonly string[] {
    return this.#paths;
  }

  /** Decrypts and proves everything, writes it beside its place, and compares it with what is there. */
  async prepare(): Promise<void> {
    const { manifest } = this.#session;
    const here = (await this.#agent.find(this.#place, manifest.session)).find(
      (one) => one.id === manifest.session,
    );
    const destination = { id: manifest.session, cwd: this.cwd, ...(here && { path: here.path }) };
    for (const record of currentStreams(manifest)) {
      const target = this.#agent.target(record.name, "stream", destination, this.#place);
      const expect = await identify(target.path);
      const file = await RestoreFile.create(target.path, this.#agent.store(this.#place));
      const one = { name: record.name, target, file, expect };
      this.#prepared.push(one);
      const relation = await this.#restoreStream(record, one, true);
      if (relation === "diverged") {
        if (!(await this.#isHeld(record, one))) {
          this.branching ??= await this.#branch(target.path);
          return;
        }
        // All of it is kept as an earlier generation, so the stream as it stands takes its place.
        await file.abort();
        this.#prepared.pop();
        const anew = { ...one, file: await RestoreFile.create(target.path, this.#agent.store(this.#place)) };
        this.#prepared.push(anew);
        await this.#restoreStream(record, anew, false);
        const { lines } = await this.#branch(target.path);
        if (record.name === "main") this.fresh = Math.max(0, record.lines - lines);
      } else if (relation !== "behind") {
        await file.abort();
        this.#prepared = this.#prepared.filter((other) => other !== one);
        if (relation === "ahead") this.localAhead = true;
      }
    }
    for (const record of this.localAhead ? [] : manifest.files) {
      const target = this.#agent.target(record.name, "file", destination, this.#place);
      const bytes = await readSidecar(this.#vault, this.#session, record);
      const content = record.form ? toLocal(bytes, this.#places, record.form) : bytes;
      const expect = await identify(target.path);
      if (expect && (await sameContent(target.path, content))) continue;
      const file = await RestoreFile.create(target.path, this.#agent.store(this.#place));
      this.#prepared.push({ name: record.name, target, file, expect });
      await file.write(content);
    }
    this.#paths = this.#prepared.map((one) => one.target.path);
  }

  /** Whether an earlier generation of a stream holds all that the local file has. */
  async #isHeld(record: StreamRecord, { target, expect }: Prepared): Promise<boolean> {
    const older = this.#session.manifest.streams.filter(
      (one) => one.name === record.name && one.gen !== record.gen,
    );
    for (const stream of older) {
      const local = await open(target.path, "r");
      try {
        let offset = 0;
        let same = true;
        for await (const part of readStream(this.#vault, this.#session, stream)) {
          if (!same || offset >= expect!.size) continue;
          const bytes = Buffer.from(toLocal(part, this.#places, "jsonl"));
          const length = Math.min(bytes.length, expect!.size - offset);
          const { buffer, bytesRead } = await local.read(Buffer.alloc(length), 0, length, offset);
          same = bytes.subarray(0, bytesRead).equals(buffer.subarray(0, bytesRead));
          offset += bytes.length;
        }
        if (same && (offset >= expect!.size || !(await hasLineFeed(local, offset, expect!.size))))
          return true;
      } finally {
        await local.close();
      }
    }
    return false;
  }

  async #branch(path: string): Promise<LocalBranch> {
    let lines = 0;
    for await (const chunk of readWholeLines(path)) lines += countLines(chunk);
    return { path, lines, common: this.#common, at: (await stat(path)).mtime };
  }

  /** Whether the local file is behind (or missing), equal, ahead of, or apart from what is stored. */
  async #restoreStream(
    record: StreamRecord,
    { target, file, expect }: Prepared,
    compare: boolean,
  ): Promise<"behind" | "equal" | "ahead" | "diverged"> {
    const local = expect && compare ? await open(target.path, "r") : null;
    try {
      const hash = StreamHash.start();
      const starts: number[] = [];
      let offset = 0;
      let localLines = 0;
      let tail = Buffer.alloc(0);
      const size = local ? expect!.size : 0;
      for await (const part of readStream(this.#vault, this.#session, record)) {
        const bytes = Buffer.from(toLocal(part, this.#places, "jsonl"));
        if (local && offset < size) {
          const length = Math.min(bytes.length, size - offset);
          const { buffer, bytesRead } = await local.read(Buffer.alloc(length), 0, length, offset);
          const theirs = buffer.subarray(0, bytesRead);
          // A torn last line is no line yet: only whole lines can make a divergence.
          const whole = offset + bytesRead < size ? theirs : theirs.subarray(0, theirs.lastIndexOf(0x0a) + 1);
          if (!bytes.subarray(0, whole.length).equals(whole)) {
            this.#common = localLines + commonLines(bytes, whole);
            return "diverged";
          }
          localLines += countLines(whole);
        }
        await file.write(bytes);
        await hash.update(part);
        starts.push(offset);
        offset += bytes.length;
        tail = bytes.subarray(-(256 << 10));
      }
      const ahead = size > offset && (await hasLineFeed(local!, offset, size));
      this.cursor.streams[record.name] = {
        ino: 0,
        offset,
        tail: "",
        gen: record.gen,
        bytes: record.bytes,
        lines: record.lines,
        sha: record.sha,
        state: hash.save(),
        starts,
      };
      if (record.name === "main") {
        this.fresh = Math.max(0, record.lines - localLines);
        const modes = [...tail.toString("latin1").matchAll(/"permissionMode":"([A-Za-z]+)"/g)];
        this.bypass = modes.at(-1)?.[1] === "bypassPermissions";
      }
      if (ahead) return "ahead";
      return size === offset && local ? "equal" : "behind";
    } finally {
      await local?.close();
    }
  }

  /** Puts everything in place, sidecars first, the main transcript last. Returns what it replaced, and by what. */
  async commit(backupDir: string): Promise<ResumeOperation["files"]> {
    const written: ResumeOperation["files"] = [];
    const ordered = [...this.#prepared].sort((a, b) => Number(a.name === "main") - Number(b.name === "main"));
    for (const { file, expect } of ordered) {
      const backup = await file.commit({ backupDir, expect });
      const { size, mtimeMs } = await stat(file.path);
      written.push({ path: file.path, before: expect?.size ?? null, backup, size, mtimeMs });
    }
    for (const [name, at] of Object.entries(this.cursor.streams)) {
      const target = this.#agent.target(
        name,
        "stream",
        { id: this.#session.manifest.session, cwd: this.cwd },
        this.#place,
      );
      const now = await examineTail(target.path, at.offset);
      if (now) Object.assign(at, { ino: now.ino, tail: now.tail });
      else delete this.cursor.streams[name];
    }
    this.#prepared = [];
    await thinBackups(backupDir);
    return written;
  }

  async abort(): Promise<void> {
    // The last one first: the folders that one file made are empty only when the later ones are gone.
    for (const { file } of [...this.#prepared].reverse()) await file.abort().catch(() => undefined);
  }
}

function commonLines(a: Buffer, b: Buffer): number {
  let at = 0;
  while (at < a.length && at < b.length && a[at] === b[at]) at++;
  return countLines(a.subarray(0, at));
}

function countLines(bytes: Buffer): number {
  let lines = 0;
  for (let at = bytes.indexOf(0x0a); at >= 0; at = bytes.indexOf(0x0a, at + 1)) lines++;
  return lines;
}

async function hasLineFeed(
  file: Awaited<ReturnType<typeof open>>,
  from: number,
  to: number,
): Promise<boolean> {
  for (let at = from; at < to; at += 1 << 20) {
    const length = Math.min(1 << 20, to - at);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, at);
    if (buffer.subarray(0, bytesRead).includes(0x0a)) return true;
    if (bytesRead === 0) return false;
  }
  return false;
}

async function sameContent(path: string, content: Uint8Array): Promise<boolean> {
  const handle = await open(path, "r");
  try {
    if ((await handle.stat()).size !== content.length) return false;
    return (await handle.readFile()).equals(content);
  } finally {
    await handle.close();
  }
}

const keptBackups = 20;

/** Backups of a session that were made longest ago give way to new ones. */
async function thinBackups(dir: string): Promise<void> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const names = await readdir(dir);
  const dated = await Promise.all(
    names.map(async (name) => ({ name, at: (await stat(join(dir, name))).ctimeMs })),
  );
  for (const { name } of dated.sort((a, b) => b.at - a.at).slice(keptBackups))
    await rm(join(dir, name), { force: true });
}
