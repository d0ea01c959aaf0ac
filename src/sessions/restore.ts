import { existsSync } from "node:fs";
import { type FileHandle, open, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Agent, FoundSession, Target, Workplace } from "../agents/agent.ts";
import {
  type FileIdentity,
  identify,
  localChanged,
  longestLine,
  modeOf,
  RestoreFile,
  readWholeLines,
} from "../agents/local-files.ts";
import { asBuffer, type Places, toLocal } from "../agents/portable-paths.ts";
import { storeAround } from "../agents/spellings.ts";
import { readSidecar, readStream, type StoredSession } from "../domains/reader.ts";
import { ConvosyncError, Exit } from "../errors.ts";
import { makeFolder } from "../make-folder.ts";
import { commonLines, countLines } from "../packing/lines.ts";
import { currentStreams, type StreamRecord } from "../packing/manifest.ts";
import { StreamHash } from "../packing/stream-hash.ts";
import { type Cursor, examineTail, isAbout, readCursor, writeCursor } from "./cursor.ts";
import type { LocalBranch } from "./divergence.ts";
import { localDirectory, settleIn } from "./local-directory.ts";
import type { ResumeOperation } from "./operations.ts";
import type { Context } from "./repository.ts";
import { placesIn, rootOf } from "./told-root.ts";
import type { OpenVault } from "./vault.ts";
import { findSession, isGone } from "./workplace.ts";

/** Puts a version into the agent's store, where the local file has nothing that it lacks. Returns the files written. */
export async function restoreSession(
  context: Context,
  vault: OpenVault,
  stored: StoredSession,
  agent: Agent,
  place: Workplace,
): Promise<{ restored: readonly string[]; workingDirectory: string }> {
  const { session } = stored.manifest;
  const known = await readCursor(context, vault.device.id, `${agent.name}:${session}`);
  const restore = new Restore(vault, stored, agent, place, known);
  try {
    await restore.prepare();
    await restore.commit(join(context.stateDir, "backup", session));
    context.chores.later(() =>
      writeCursor(context, vault.device.id, `${agent.name}:${session}`, restore.cursor),
    );
    const { cwd } = restore;
    const { workingDirectory } = settleIn(cwd, place);
    if (agent.deliver) await (await import("./deliver.ts")).deliver(agent, { id: session, cwd }, place);
    return { restored: restore.paths, workingDirectory };
  } finally {
    await restore.abort();
  }
}

function inAnotherDirectory(agent: Agent, session: string, directory: string): ConvosyncError {
  return new ConvosyncError(
    "in-another-directory",
    Exit.stopped,
    `${agent.title} has this conversation in another directory of this machine: ${directory}`,
    [`go on there: cd '${directory}'`, `or make it a session of its own here: git convosync fork ${session}`],
  );
}

interface Prepared {
  readonly name: string;
  readonly target: Target;
  readonly file: RestoreFile;
  readonly expect: FileIdentity | null;
}

/** The files of a session on their way into the agent's store. */
export class Restore {
  readonly cursor: Cursor = { v: 1, streams: {}, files: {} };
  localAhead = false;
  /** Lines the local transcript did not have. */
  fresh = 0;
  /** The conversation last ran with permission questions switched off. */
  bypass = false;
  readonly #known: Cursor;
  readonly #vault: OpenVault;
  readonly #session: StoredSession;
  readonly #agent: Agent;
  readonly #place: Workplace;
  /** Where the conversation runs here. */
  cwd: string;
  #places: Places;
  /** Those of the directory, gone since, that the session was in here before. */
  #former: Places | null = null;
  /** Set when the local transcript went on apart from all that is saved: then nothing is put in its place. */
  branching: LocalBranch | null = null;
  #prepared: Prepared[] = [];
  #paths: readonly string[] = [];
  readonly #streamPaths = new Map<string, string>();
  /** Lines the local transcript shares with the saved one, where they part. */
  #common = 0;

  /** @param known what was last captured or restored here */
  constructor(vault: OpenVault, session: StoredSession, agent: Agent, place: Workplace, known: Cursor) {
    this.#known = known;
    this.#vault = vault;
    this.#session = session;
    this.#agent = agent;
    this.#place = place;
    this.cwd = localDirectory(agent, place, session.manifest.meta.cwd);
    this.#places = agent.places({ cwd: this.cwd, workTree: place.root }, place);
  }

  /** The work tree, gone since, that the session was in here before. */
  get formerRoot(): string | null {
    return this.#former?.root[0] ?? null;
  }

  /** Files that are, or were, to be written. */
  get paths(): readonly string[] {
    return this.#paths;
  }

  /** Decrypts and proves everything, writes it beside its place, and compares it with what is there. */
  async prepare(): Promise<void> {
    const { manifest } = this.#session;
    const here = await findSession(this.#agent, this.#place, manifest.session);
    if (here) this.#placeAs(here);
    const path = here ? await this.#pathOf(here) : await this.#formerPath();
    const destination = { id: manifest.session, cwd: this.cwd, ...(path !== null && { path }) };
    if (here && here.workTree === this.#place.root)
      this.#places =
        path === null
          ? this.#agent.places({ cwd: this.cwd, workTree: this.#place.root }, this.#place)
          : this.#placesAt(here, path);
    this.cursor.root = this.#places.root[0];
    for (const record of currentStreams(manifest)) {
      const target = this.#agent.target(record.name, "stream", destination, this.#place);
      this.#streamPaths.set(record.name, target.path);
      const expect = await identify(target.path);
      const file = await this.#create(target.path);
      const one = { name: record.name, target, file, expect };
      this.#prepared.push(one);
      const relation = await this.#restoreStream(record, one, true);
      // What a conversation has left that is no longer here belongs to nothing.
      const isLeft = here === null && path === null && record.name !== "main";
      if (relation === "diverged") {
        if (!isLeft && !(await this.#isHeld(record.name, target.path, record))) {
          this.branching ??= await this.#branch(record.name, target.path);
          this.#paths = this.#prepared.map((one) => one.target.path);
          return;
        }
        // All of it is stored, or kept as a backup, so the stream as it stands takes its place.
        await file.abort();
        this.#prepared.pop();
        const anew = { ...one, file: await this.#create(target.path) };
        this.#prepared.push(anew);
        await this.#restoreStream(record, anew, false);
        const { lines } = await this.#branch(record.name, target.path);
        if (record.name === "main") this.fresh = Math.max(0, record.lines - lines);
      } else if (relation !== "behind") {
        await file.abort();
        this.#prepared = this.#prepared.filter((other) => other !== one);
        if (relation === "ahead" && !isLeft) this.localAhead = true;
      }
    }
    for (const record of this.localAhead ? [] : manifest.files) {
      const target = this.#agent.target(record.name, "file", destination, this.#place);
      const bytes = await readSidecar(this.#vault, this.#session, record);
      const content = record.form ? toLocal(bytes, this.#places, record.form) : bytes;
      const expect = await identify(target.path);
      if (expect && (await sameContent(target.path, content))) continue;
      const file = await this.#create(target.path, modeOf(target, record.mode));
      this.#prepared.push({ name: record.name, target, file, expect });
      await file.write(content);
    }
    this.#paths = this.#prepared.map((one) => one.target.path);
  }

  /** In another work tree of the repository it stays where it is, with the paths that are that one's. */
  #placeAs(here: FoundSession): void {
    if (here.workTree !== this.#place.root) {
      this.cwd = here.cwd;
      this.#places = this.#agent.places(here, this.#place);
    } else this.#places = this.#placesAt(here);
  }

  /** The paths of a session of this work tree: those of the one it was begun in, where the agent has taken it here from there. */
  #placesAt({ begunIn, alias }: FoundSession, path?: string): Places {
    const { root, worktrees } = this.#place;
    const isThere = begunIn !== undefined && worktrees.includes(begunIn);
    const session = {
      cwd: this.cwd,
      workTree: root,
      begunIn: isThere ? begunIn : root,
      ...(alias && { alias }),
      ...(path && { path }),
    };
    return this.#agent.places(session, this.#place);
  }

  /**
   * The file of a session that is here; null where it was in a work tree that is gone, and all it has is stored: then it
   * goes on here, where the agent will look for it.
   */
  async #pathOf(here: FoundSession): Promise<string | null> {
    if (here.workTree !== this.#place.root) return here.path;
    const gone = await this.#rootOf(here);
    if (gone === null || gone === this.#places.root[0]) return here.path;
    this.#former = placesIn(this.#agent, here, gone, this.#place);
    const isById = this.#agent.elsewhere !== undefined;
    return isById || !(await this.#isHeld("main", here.path)) ? here.path : null;
  }

  /** The root that a session which is here was told from: what the cursor says, else what is stored and what is here tell. */
  async #rootOf({ path }: Pick<FoundSession, "path">): Promise<string | null> {
    const { root } = this.#known;
    const isKnown = root === this.#places.root[0] || (root !== undefined && isGone(root, this.#place));
    if (isKnown && isAbout(this.#known, path)) return root!;
    return rootOf(this.#vault, this.#session, path, this.#places);
  }

  /**
   * The file of a session that the agent can have only once, where it belongs to another directory: one that is gone, since
   * the project was moved. One that is there has the session, and keeps it.
   */
  async #formerPath(): Promise<string | null> {
    const { session } = this.#session.manifest;
    const former = this.#agent.elsewhere?.(session, this.#place);
    if (!former) return null;
    const told = (await this.#rootOf(former)) ?? former.cwd;
    // Where only a folder or a work tree within another clone is gone, it is that clone's.
    const elsewhere = told === this.#places.root[0] ? [former.cwd] : [former.cwd, told];
    const there = elsewhere.find((one) => existsSync(one));
    if (there !== undefined) throw inAnotherDirectory(this.#agent, session, there);
    this.#former = placesIn(this.#agent, { ...former, workTree: this.#place.root }, told, this.#place);
    return former.path;
  }

  #create(path: string, mode: number | null = null): Promise<RestoreFile> {
    return RestoreFile.create(path, storeAround(path, this.#agent, this.#place), mode);
  }

  /** Whether a generation of a stream, in other words than this one is restored with now, holds all the local file has. */
  async #isHeld(name: string, path: string, restored?: StreamRecord): Promise<boolean> {
    if (await this.#isKnownToBeHeld(name, path)) return true;
    if (this.#former && (await this.#isHeldBy(this.#former, name, path))) return true;
    return restored !== undefined && this.#isHeldBy(this.#places, name, path, restored);
  }

  /** The same, as a capture remembers that has told the file from wherever its lines were written. */
  async #isKnownToBeHeld(name: string, path: string): Promise<boolean> {
    const at = this.#known.streams[name];
    const now = at && examineTail(path, at.offset);
    if (!at || !now || now.ino !== at.ino || now.tail !== at.tail) return false;
    const { streams, joined = [] } = this.#session.manifest;
    const all = [...streams, ...joined];
    if (!all.some((one) => one.name === name && one.sha === at.sha && one.bytes === at.bytes)) return false;
    const local = await open(path, "r");
    try {
      return (await endOfLines(local, now.size)) <= at.offset;
    } finally {
      await local.close();
    }
  }

  /** Whether one of the generations of a stream, but for this one, holds it as these places tell it. */
  async #isHeldBy(places: Places, name: string, path: string, but?: StreamRecord): Promise<boolean> {
    for (const stream of this.#session.manifest.streams) {
      if (stream.name !== name || stream.gen === but?.gen) continue;
      const local = await open(path, "r");
      try {
        const end = await endOfLines(local, (await local.stat()).size);
        let offset = 0;
        let same = true;
        for await (const part of readStream(this.#vault, this.#session, stream)) {
          if (!same || offset >= end) break;
          const bytes = asBuffer(toLocal(part, places, "jsonl"));
          const length = Math.min(bytes.length, end - offset);
          const { buffer, bytesRead } = await local.read(Buffer.alloc(length), 0, length, offset);
          same = bytes.subarray(0, bytesRead).equals(buffer.subarray(0, bytesRead));
          offset += bytes.length;
        }
        if (same && offset >= end) return true;
      } finally {
        await local.close();
      }
    }
    return false;
  }

  async #branch(stream: string, path: string): Promise<LocalBranch> {
    let lines = 0;
    for await (const chunk of readWholeLines(path)) lines += countLines(chunk);
    return { stream, path, lines, common: this.#common, at: (await stat(path)).mtime };
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
      let tail: Buffer = Buffer.alloc(0);
      const size = local ? expect!.size : 0;
      // A torn last line is no line yet: only whole lines can make a divergence.
      const end = local ? await endOfLines(local, size) : 0;
      for await (const part of readStream(this.#vault, this.#session, record, hash)) {
        const bytes = asBuffer(toLocal(part, this.#places, "jsonl"));
        if (local && offset < end) {
          const length = Math.min(bytes.length, end - offset);
          const { buffer, bytesRead } = await local.read(Buffer.alloc(length), 0, length, offset);
          const theirs = buffer.subarray(0, bytesRead);
          if (!bytes.subarray(0, bytesRead).equals(theirs)) {
            this.#common = localLines + commonLines(bytes, theirs);
            return "diverged";
          }
          localLines += countLines(theirs);
        }
        await file.write(bytes);
        starts.push(offset);
        offset += bytes.length;
        tail = bytes.subarray(-(256 << 10));
      }
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
      if (end > offset) return "ahead";
      return local && end === offset && (await isWhole(local, end, size)) ? "equal" : "behind";
    } finally {
      await local?.close();
    }
  }

  /**
   * Puts everything in place, sidecars first, the main transcript last. Returns what it replaced, and by what. Where the
   * conversation here has lines that the version lacks, as the agent went on meanwhile, nothing is (`local-changed`).
   */
  async commit(backupDir: string): Promise<ResumeOperation["files"]> {
    if (this.branching) throw localChanged(this.branching.path);
    const written: ResumeOperation["files"] = [];
    const ordered = [...this.#prepared].sort((a, b) => Number(a.name === "main") - Number(b.name === "main"));
    if (ordered.length > 0) await this.#agent.settle?.(this.cwd, this.#place);
    for (const { file, expect } of ordered) {
      const backup = await file.commit({ backupDir, expect });
      const { size, mtimeMs } = await stat(file.path);
      written.push({ path: file.path, before: expect?.size ?? null, backup, size, mtimeMs });
    }
    for (const [name, at] of Object.entries(this.cursor.streams)) {
      const now = examineTail(this.#streamPaths.get(name)!, at.offset);
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

/** Offset behind the last line feed of a file that has `size` bytes, 0 where there is none. */
async function endOfLines(file: FileHandle, size: number): Promise<number> {
  const piece = Buffer.alloc(64 << 10);
  for (let to = size; to > 0; ) {
    const from = Math.max(0, to - piece.length);
    const { bytesRead } = await file.read(piece, 0, to - from, from);
    const at = piece.subarray(0, bytesRead).lastIndexOf(0x0a);
    if (at >= 0) return from + at + 1;
    to = from;
  }
  return 0;
}

/** Whether what follows the last line feed is nothing, or a line that lacks only that; else it is torn, and never comes whole. */
async function isWhole(file: FileHandle, from: number, to: number): Promise<boolean> {
  if (to - from > longestLine) return false;
  const { buffer, bytesRead } = await file.read(Buffer.alloc(to - from), 0, to - from, from);
  try {
    return bytesRead === 0 || typeof JSON.parse(buffer.toString("utf8", 0, bytesRead)) === "object";
  } catch {
    return false;
  }
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
  makeFolder(dir, 0o700);
  const names = await readdir(dir);
  const dated = await Promise.all(
    names.map(async (name) => ({ name, at: (await stat(join(dir, name))).ctimeMs })),
  );
  for (const { name } of dated.sort((a, b) => b.at - a.at).slice(keptBackups))
    await rm(join(dir, name), { force: true });
}
