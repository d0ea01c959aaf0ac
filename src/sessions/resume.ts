import { mkdir, open, readdir, rm, stat } from "node:fs/promises";
import { join, relative, resolve, sep } from "node:path";
import type { Agent, Target, Workplace } from "../agents/agent.ts";
import { type FileIdentity, identify, RestoreFile } from "../agents/local-files.ts";
import { type Places, toLocal } from "../agents/portable-paths.ts";
import { isAgentName, loadAgent } from "../agents/registry.ts";
import { fromUtf8, utf8 } from "../crypto/encoding.ts";
import { warmUp } from "../crypto/seal.ts";
import { merge } from "../domains/domain.ts";
import { readSidecar, readStream, type StoredSession } from "../domains/reader.ts";
import { sessions as sessionsDomain, type Version } from "../domains/sessions.ts";
import { ConvosyncError, Exit, integrityError } from "../errors.ts";
import { currentStreams, mainStream, type Snapshot } from "../packing/manifest.ts";
import { StreamHash } from "../packing/stream-hash.ts";
import { type CatalogEntry, catalog, findSession } from "./catalog.ts";
import { type ChosenRemote, currentBranch, findRemote } from "./chosen-remote.ts";
import {
  bringCode,
  type CodeEvent,
  type CodeOptions,
  checkSameRepository,
  fetchBranch,
  planCode,
} from "./code.ts";
import { type Cursor, examineTail, writeCursor } from "./cursor.ts";
import { deviceName, loadHeads } from "./heads.ts";
import { note, type ResumeOperation, whereabouts } from "./operations.ts";
import { type Fetched, fetchHeads } from "./remote.ts";
import { type Context, withCloneLock } from "./repository.ts";
import { fetchSession } from "./session-fetch.ts";
import { type OpenVault, openVault } from "./vault.ts";
import { comparable } from "./versions.ts";
import { openWorkplace } from "./workplace.ts";

export interface ResumeOptions extends CodeOptions {
  readonly session?: string;
  readonly dryRun?: boolean;
}

export type ResumeEvent =
  | { readonly step: "offline"; readonly remote: string; readonly text: string }
  | { readonly step: "found"; readonly device: string; readonly at: Date; readonly title: string }
  | CodeEvent
  | { readonly step: "restored"; readonly messages: number; readonly fresh: number; readonly files: number }
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
  warmUp();
  const place = await openWorkplace(context);
  return withCloneLock(context, async () =>
    resumeLocked(context, await openVault(context), place, options, tell),
  );
}

async function resumeLocked(
  context: Context,
  opened: OpenVault,
  place: Workplace,
  options: ResumeOptions,
  tell: (event: ResumeEvent) => void,
): Promise<ResumeResult> {
  const remote = await findRemote(context, await currentBranch(context));
  const fetched = await fetchOrStay(context, opened, remote, tell);
  const { vault, heads } = fetched;
  const session = pick(catalog(heads, vault), options.session);
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
  const chosen = await mergeCopies(vault, conversation.value, session);
  const agent = await agentOf(session);
  const live = await agent.live(session.id, place);
  if (live) throw stillRunning(agent, live.pid, live.cwd);

  const snapshot = chosen.manifest.snapshots.at(-1) ?? null;
  tell({
    step: "found",
    device: deviceName(vault, snapshot?.device ?? session.newest.device),
    at: new Date(session.newest.entry.u),
    title: session.newest.entry.t,
  });
  const plan = await planCode(
    context,
    snapshot,
    remote,
    { online: online !== null, fetched: early },
    options,
  );
  const cwd = localDirectory(agent, place, chosen);
  const places = agent.places({ cwd, workTree: place.root }, place);
  const restore = new Restore(vault, chosen, agent, place, places, cwd);
  try {
    await restore.prepare();
    const main = mainStream(chosen.manifest);
    const result = {
      session: session.id,
      agent,
      title: session.newest.entry.t,
      snapshot,
      messages: main?.lines ?? 0,
      commit: snapshot?.commit ?? null,
      branch: snapshot?.branch ?? null,
      resumeCommand: agent.resumeCommand(session.id),
      localAhead: restore.localAhead,
    };
    if (options.dryRun) {
      return { ...result, restored: restore.paths, workingDirectory: cwd, dryRun: true };
    }
    const moves = plan.kind === "exact" || plan.kind === "branch";
    const before = moves ? await whereabouts(context) : nowhere;
    const branch = plan.kind === "branch" ? await branchBefore(context, plan.branch) : null;
    await bringCode(context, plan, tell);
    const files = await restore.commit(join(context.stateDir, "backup", session.id));
    for (const { backup } of files) if (backup) tell({ step: "kept-backup", path: backup });
    await writeCursor(context, session.key, restore.cursor);
    const after = moves ? await whereabouts(context) : nowhere;
    if (files.length > 0 || after.commit !== before.commit || after.branch !== before.branch)
      await note(context, { kind: "resume", session: session.key, before, after, branch, files });
    tell({ step: "restored", messages: result.messages, fresh: restore.fresh, files: restore.paths.length });
    if (restore.bypass && snapshot && snapshot.device !== vault.device.id) {
      tell({ step: "bypass", device: deviceName(vault, snapshot.device) });
    }
    const there = await stat(cwd).then(
      (info) => info.isDirectory(),
      () => false,
    );
    return { ...result, restored: restore.paths, workingDirectory: there ? cwd : place.root, dryRun: false };
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

async function fetchOrStay(
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

function pick(sessions: readonly CatalogEntry[], wanted: string | undefined): CatalogEntry {
  if (wanted !== undefined) return findSession(sessions, wanted).session;
  const newest = sessions[0];
  if (newest) return newest;
  throw new ConvosyncError("nothing-saved", Exit.failed, "no session has been saved in this repository yet", [
    "save one where the conversation is: git convosync save",
  ]);
}

async function agentOf(session: CatalogEntry): Promise<Agent> {
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

function stillRunning(agent: Agent, pid: number, cwd: string): ConvosyncError {
  return new ConvosyncError(
    "session-live",
    Exit.stopped,
    `${agent.title} has this conversation open (process ${pid}, in ${cwd})`,
    ["leave it there first, then resume"],
  );
}

/** The version that holds all others, or exit 5 when two devices went on separately. */
async function mergeCopies(
  vault: OpenVault,
  stored: readonly StoredSession[],
  session: CatalogEntry,
): Promise<StoredSession> {
  const versions = await comparable(vault, stored);
  const { tips } = merge(sessionsDomain.policy, versions, (one) => one.replica);
  if (tips.length > 1) throw divergedError(vault, tips, session);
  const tip = tips[0]!.replica;
  const same = versions
    .filter((one) => sessionsDomain.policy.relate(one, tips[0]!) === "equal")
    .map((one) => one.replica);
  // Of equal conversations the one whose last snapshot is newest tells commit and branch.
  const candidates = stored.filter((one) => one.replica === tip || same.includes(one.replica));
  return candidates.sort((a, b) => (lastTime(a) < lastTime(b) ? 1 : -1))[0]!;
}

const lastTime = (one: StoredSession): string => one.manifest.snapshots.at(-1)?.ts ?? "";

function divergedError(vault: OpenVault, tips: readonly Version[], session: CatalogEntry): ConvosyncError {
  const who = tips.map((tip) => {
    const last = tip.manifest.snapshots.at(-1);
    return `${last ? deviceName(vault, last.device) : "?"} (${mainStream(tip.manifest)?.lines ?? 0} messages)`;
  });
  return new ConvosyncError(
    "conversation-diverged",
    Exit.conflict,
    `the conversation ${session.id.slice(0, 8)} went on separately on ${who.join(" and ")}`,
    ["nothing is lost: both are kept", `read them: git convosync show ${session.id.slice(0, 8)}`],
  );
}

/** The directory the conversation runs in here: the same place in this work tree, or its root. */
function localDirectory(agent: Agent, place: Workplace, stored: StoredSession): string {
  const rooted = agent.places({ cwd: place.root, workTree: place.root }, place);
  const cwd = resolve(fromUtf8(toLocal(utf8(stored.manifest.meta.cwd), rooted, "text")));
  const below = relative(place.root, cwd);
  return below === "" ||
    (!below.startsWith("..") && !below.startsWith(sep) && resolve(place.root, below) === cwd)
    ? cwd
    : place.root;
}

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
  readonly #cwd: string;
  #prepared: Prepared[] = [];
  #paths: readonly string[] = [];

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
    this.#cwd = cwd;
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
    const destination = { id: manifest.session, cwd: this.#cwd, ...(here && { path: here.path }) };
    for (const record of currentStreams(manifest)) {
      const target = this.#agent.target(record.name, "stream", destination, this.#place);
      const expect = await identify(target.path);
      const file = await RestoreFile.create(target.path, this.#agent.store(this.#place));
      const one = { name: record.name, target, file, expect };
      this.#prepared.push(one);
      const relation = await this.#restoreStream(record, one);
      if (relation === "diverged") throw localDiverged(this.#session, target.path);
      if (relation !== "behind") {
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

  /** Whether the local file is behind (or missing), equal, ahead of, or apart from what is stored. */
  async #restoreStream(
    record: ReturnType<typeof currentStreams>[number],
    { target, file, expect }: Prepared,
  ): Promise<"behind" | "equal" | "ahead" | "diverged"> {
    const local = expect ? await open(target.path, "r") : null;
    try {
      const hash = StreamHash.start();
      const starts: number[] = [];
      let offset = 0;
      let localLines = 0;
      let tail = Buffer.alloc(0);
      const size = expect?.size ?? 0;
      for await (const part of readStream(this.#vault, this.#session, record)) {
        const bytes = Buffer.from(toLocal(part, this.#places, "jsonl"));
        if (local && offset < size) {
          const length = Math.min(bytes.length, size - offset);
          const { buffer, bytesRead } = await local.read(Buffer.alloc(length), 0, length, offset);
          const theirs = buffer.subarray(0, bytesRead);
          // A torn last line is no line yet: only whole lines can make a divergence.
          const whole = offset + bytesRead < size ? theirs : theirs.subarray(0, theirs.lastIndexOf(0x0a) + 1);
          if (!bytes.subarray(0, whole.length).equals(whole)) return "diverged";
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
      return size === offset && expect ? "equal" : "behind";
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
        { id: this.#session.manifest.session, cwd: this.#cwd },
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

function localDiverged(session: StoredSession, path: string): ConvosyncError {
  return new ConvosyncError(
    "conversation-diverged",
    Exit.conflict,
    "the conversation here and the saved one went on separately; the one here was left as it is",
    [
      "keep the one here too: git convosync save",
      `it is in ${path}`,
      `read the saved one: git convosync show ${session.manifest.session.slice(0, 8)}`,
    ],
  );
}
