import { type FSWatcher, watch as watchFolder } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Agent, WatchedFolder, Workplace } from "../agents/agent.ts";
import { loadAgents } from "../agents/registry.ts";
import { ConvosyncError, Exit } from "../errors.ts";
import { vaultPrefix } from "../refs/names.ts";
import { type FetchRequest, probe } from "../refs/transport.ts";
import { currentBranch, findRemote } from "./chosen-remote.ts";
import { noteEvent } from "./events.ts";
import { withLock } from "./files.ts";
import { notifyHere } from "./notify.ts";
import { openOverview } from "./overview.ts";
import { isRetryDue } from "./queue.ts";
import { type Context, openRepository, type World } from "./repository.ts";
import { startWorker } from "./start-worker.ts";
import { openWorkplace } from "./workplace.ts";

/**
 * Watches what agents write and what other devices save. It only looks: whatever is to be done is noted as a hook would
 * note it and done by the worker, which lives while there is work. So a day of waiting costs next to nothing, and
 * nothing is lost when the watching stops.
 */
export type WatchEvent =
  | { readonly what: "watching"; readonly root: string }
  | { readonly what: "went-on"; readonly root: string; readonly session: string }
  | { readonly what: "news"; readonly root: string; readonly text: string }
  | { readonly what: "offline"; readonly root: string; readonly text: string }
  | { readonly what: "polling"; readonly root: string }
  | { readonly what: "gone"; readonly root: string };

/** A file that was written to is left alone for this long: agents write a message in pieces. */
const settleMs = 300;
/** But a message is not kept waiting longer than this. */
const longestSettleMs = 1_000;
/** How often files are looked at where the system does not tell of changes, and otherwise to be sure. */
const pollMs = 1_500;
const surePollMs = 30_000;
/** Changes wake us; this is for what nobody tells: a folder that has gone, a retry that is due. */
const tickMs = 5_000;
const firstFetchMs = 30_000;
const longestFetchMs = 5 * 60_000;
const probeTimeoutMs = 60_000;

/** Watches one repository until `signal` aborts. Exit 1 when it is being watched already. */
export async function watchRepository(
  world: World,
  signal: AbortSignal,
  tell: (event: WatchEvent) => void,
): Promise<void> {
  const background: World = { ...world, env: { ...world.env, CONVOSYNC_BACKGROUND: "1" } };
  const seen = await lookAround(background);
  const lock = watchLock(seen.cloneDir);
  try {
    await withLock(lock, 0, () => new Watch(background, seen, signal, tell).run());
  } catch (error) {
    if (!(error instanceof ConvosyncError && error.code === "locked")) throw error;
    throw new ConvosyncError("watched-already", Exit.failed, `${seen.place.root} is being watched already`, [
      "see by what: git convosync watch --status",
    ]);
  }
}

export const watchLock = (cloneDir: string): string => join(cloneDir, "watch.lock");

interface Surroundings {
  readonly place: Workplace;
  readonly commonDir: string;
  readonly cloneDir: string;
}

async function within<T>(world: World, work: (context: Context) => Promise<T>): Promise<T> {
  const context = await openRepository(world);
  try {
    return await work(context);
  } finally {
    await context.close();
  }
}

const lookAround = (world: World): Promise<Surroundings> =>
  within(world, async (context) => ({
    place: await openWorkplace(context),
    commonDir: context.repo.commonDir,
    cloneDir: context.cloneDir,
  }));

interface Asked {
  /** Time of the clone's settings. */
  readonly settings: string;
  readonly context: Context;
  /** Null without a remote. */
  readonly request: FetchRequest | null;
}

class Watch {
  readonly #world: World;
  readonly #signal: AbortSignal;
  readonly #tell: (event: WatchEvent) => void;
  #seen: Surroundings;
  #agents: readonly Agent[] = [];
  readonly #watchers = new Map<string, { watcher: FSWatcher | null; folder: WatchedFolder }>();
  /** Size and time of the files as last looked at, and the states of sessions of which a file holds several. */
  readonly #files = new Map<string, string>();
  /** Files that changed: since when, and when last. */
  readonly #changed = new Map<string, { folder: WatchedFolder; first: number; last: number }>();
  #refresh = false;
  #polls = false;
  /** Time of the list of linked work trees. */
  #workTrees = "";
  /** What is asked of the remote, and by what git, as long as the clone's settings stay as they are. */
  #asked: Asked | null = null;
  #wake: () => void = () => undefined;

  constructor(world: World, seen: Surroundings, signal: AbortSignal, tell: (event: WatchEvent) => void) {
    this.#world = world;
    this.#seen = seen;
    this.#signal = signal;
    this.#tell = tell;
  }

  get #root(): string {
    return this.#seen.place.root;
  }

  async run(): Promise<void> {
    this.#agents = await loadAgents();
    this.#tell({ what: "watching", root: this.#root });
    await this.#listen();
    await this.#scan({ quietly: true });
    // What was written before we came is as new as what will be.
    await this.#noteCurrent();
    this.#listenForNews();
    let [sure, fetchAt, fetchEvery] = [Date.now(), Date.now(), firstFetchMs];
    let moved = false;
    let waiting = await this.#waiting();
    let before = Date.now();
    while (!this.#signal.aborted) {
      await this.#pause();
      if (this.#signal.aborted) break;
      const now = Date.now();
      // After a sleep everything may be different.
      const slept = now - before > 6 * tickMs;
      before = now;
      if (!(await isThere(this.#seen.commonDir))) {
        this.#tell({ what: "gone", root: this.#root });
        return;
      }
      if (slept || now - sure >= (this.#polls ? pollMs : surePollMs)) {
        sure = now;
        if (slept || (await this.#workTreesMoved())) await this.#lookAgain();
        await this.#listen();
        await this.#scan();
        if (await isRetryDue(this.#seen.cloneDir, this.#world.now())) await this.#work();
      } else if (this.#refresh) await this.#listen();
      const active = await this.#captureSettled(now);
      if (active) fetchEvery = firstFetchMs;
      if (slept || now >= fetchAt) {
        const outcome = await this.#fetch();
        // What moved last time and moved again without being taken in is not waited for in haste.
        const fresh = outcome === "moved" && !moved;
        moved = outcome === "moved";
        fetchEvery = fresh ? firstFetchMs : Math.min(fetchEvery * 1.5, longestFetchMs);
        fetchAt = Date.now() + fetchEvery;
      }
      const news = await this.#waiting();
      for (const line of news) if (!waiting.has(line)) await this.#announce(line);
      waiting = news;
    }
    await this.#forgetRemote();
  }

  /** Ends early when something changes, or when it is time to go. */
  #pause(): Promise<void> {
    const idle = this.#polls ? pollMs : tickMs;
    return new Promise((done) => {
      const timer = setTimeout(end, this.#changed.size > 0 ? settleMs / 2 : idle);
      const signal = this.#signal;
      function end(): void {
        clearTimeout(timer);
        signal.removeEventListener("abort", end);
        done();
      }
      this.#wake = end;
      signal.addEventListener("abort", end, { once: true });
      if (signal.aborted) end();
    });
  }

  /** The worker writes down what waits when it has fetched something. */
  #listenForNews(): void {
    try {
      const watcher = watchFolder(this.#seen.cloneDir, { persistent: false }, (_, name) => {
        if (name === "waiting") this.#wake();
      });
      watcher.on("error", () => watcher.close());
      this.#signal.addEventListener("abort", () => watcher.close(), { once: true });
    } catch {
      // Then it is looked at with every tick.
    }
  }

  /** Listens to the folders that matter now. */
  async #listen(): Promise<void> {
    this.#refresh = false;
    const wanted = new Map<string, WatchedFolder>();
    for (const agent of this.#agents) {
      for (const folder of (await agent.watched?.(this.#seen.place)) ?? []) wanted.set(folder.path, folder);
    }
    for (const [path, { watcher }] of this.#watchers) {
      if (wanted.has(path)) continue;
      watcher?.close();
      this.#watchers.delete(path);
    }
    const polled = this.#polls;
    this.#polls = false;
    for (const [path, folder] of wanted) {
      const known = this.#watchers.get(path);
      if (known?.watcher) continue;
      const watcher = this.#listenTo(folder);
      this.#watchers.set(path, { watcher, folder });
      if (!watcher) this.#polls = true;
      if (!known && watcher) await this.#scanFolder(folder, false);
    }
    if (this.#polls && !polled) this.#tell({ what: "polling", root: this.#root });
  }

  async #workTreesMoved(): Promise<boolean> {
    const info = await stat(join(this.#seen.commonDir, "worktrees")).catch(() => null);
    const before = this.#workTrees;
    this.#workTrees = String(info?.mtimeMs);
    return before !== "" && before !== this.#workTrees;
  }

  async #lookAgain(): Promise<void> {
    try {
      this.#seen = await lookAround(this.#world);
      await this.#forgetRemote();
    } catch (error) {
      // The work tree may be in the middle of being moved; what we know stays good for the time being.
      if (!(error instanceof ConvosyncError)) throw error;
    }
  }

  #listenTo(folder: WatchedFolder): FSWatcher | null {
    try {
      const watcher = watchFolder(folder.path, { persistent: false }, (_, name) => {
        // Deleted or renamed: then the system tells it as a change of the folder itself.
        if (name === null || folder.workTree === null || name === basename(folder.path)) this.#refresh = true;
        if (name !== null && folder.sessionOf(name) !== null) this.#touch(folder, name);
      });
      watcher.on("error", () => {
        watcher.close();
        this.#watchers.delete(folder.path);
        this.#refresh = true;
      });
      this.#signal.addEventListener("abort", () => watcher.close(), { once: true });
      return watcher;
    } catch {
      // Not there yet, no more handles, or a file system that does not tell.
      return null;
    }
  }

  #touch(folder: WatchedFolder, name: string): void {
    const now = Date.now();
    const path = join(folder.path, name);
    const known = this.#changed.get(path);
    this.#changed.set(path, { folder, first: known?.first ?? now, last: now });
    // From here on the pauses are short.
    if (this.#changed.size === 1) this.#wake();
  }

  async #scan({ quietly = false } = {}): Promise<void> {
    for (const { folder } of this.#watchers.values()) await this.#scanFolder(folder, quietly);
    for (const agent of this.#agents) {
      if (agent.watched) continue;
      // It does not say where to look: then its current session is looked at, as a person would.
      const current = await agent.current(this.#seen.place).catch(() => null);
      if (!current) continue;
      const { path, id, updatedAt, workTree } = current.session;
      const state = String(updatedAt.getTime());
      if (this.#files.get(path) !== state && !quietly) await this.#note(`${agent.name}:${id}`, workTree);
      this.#files.set(path, state);
    }
  }

  async #scanFolder(folder: WatchedFolder, quietly: boolean): Promise<void> {
    for (const name of await readdir(folder.path).catch(() => [])) {
      if (folder.sessionOf(name) === null) continue;
      const path = join(folder.path, name);
      const info = await stat(path).catch(() => null);
      if (!info) continue;
      const state = `${info.size} ${info.mtimeMs}`;
      if (this.#files.get(path) !== state && !quietly) this.#touch(folder, name);
      else this.#files.set(path, state);
      if (quietly) this.#goneOn(folder, name);
    }
  }

  async #noteCurrent(): Promise<void> {
    for (const agent of this.#agents) {
      const current = await agent.current(this.#seen.place).catch(() => null);
      if (current) await this.#note(`${agent.name}:${current.session.id}`, current.session.workTree);
    }
  }

  /** Has those files captured that have been left alone long enough. */
  async #captureSettled(now: number): Promise<boolean> {
    let any = false;
    for (const [path, { folder, first, last }] of this.#changed) {
      if (now - last < settleMs && now - first < longestSettleMs) continue;
      this.#changed.delete(path);
      const info = await stat(path).catch(() => null);
      const state = info && `${info.size} ${info.mtimeMs}`;
      const id = folder.sessionOf(basename(path));
      if (!state || id === null || this.#files.get(path) === state) continue;
      this.#files.set(path, state);
      const agent = this.#agents.find(
        (one) => one.watched !== undefined && path.startsWith((one.home ?? one.store)(this.#seen.place)),
      );
      if (!agent) continue;
      const name = basename(path);
      const workTree = folder.workTreeOf?.(name) ?? folder.workTree ?? this.#root;
      for (const [one, where] of new Map([...this.#goneOn(folder, name), [id, workTree]]))
        await this.#note(`${agent.name}:${one}`, where);
      any = true;
    }
    return any;
  }

  /** The sessions in a file of several that are not as they were when it was last looked at, with their work trees. */
  #goneOn(folder: WatchedFolder, name: string): [id: string, workTree: string][] {
    return (folder.sessionsIn?.(name) ?? []).flatMap(({ id, workTree, state }): [string, string][] => {
      const key = `${folder.path} ${id}`;
      const same = this.#files.get(key) === state;
      this.#files.set(key, state);
      return same ? [] : [[id, workTree]];
    });
  }

  async #note(session: string, path: string): Promise<void> {
    await noteEvent(this.#seen.cloneDir, { kind: "agent", event: "watch", session, path });
    await this.#work();
    this.#tell({ what: "went-on", root: this.#root, session: session.slice(session.indexOf(":") + 1) });
  }

  #work(): Promise<void> {
    return startWorker(this.#seen.commonDir, this.#world.env);
  }

  /** Asks the remote whether there is anything new, and has it fetched if so. */
  async #fetch(): Promise<"moved" | "same" | "offline"> {
    const asked = await this.#remote();
    if (!asked?.request) return "same";
    const found = await probe(asked.context.git, asked.request);
    if (found.status === "unreachable") {
      if (!this.#signal.aborted) this.#tell({ what: "offline", root: this.#root, text: found.text });
      return "offline";
    }
    if (found.status === "same") return "same";
    await noteEvent(this.#seen.cloneDir, { kind: "fetch", path: this.#root });
    await this.#work();
    return "moved";
  }

  async #remote(): Promise<Asked | null> {
    const settings = await stat(join(this.#seen.commonDir, "config")).then(
      ({ mtimeMs }) => String(mtimeMs),
      () => "",
    );
    if (this.#asked?.settings === settings) return this.#asked;
    await this.#forgetRemote();
    try {
      const context = await openRepository({ ...this.#world, cwd: this.#root });
      this.#asked = { settings, context, request: await this.#request(context) };
    } catch (error) {
      // Not set up, or not to be opened now: it is tried again.
      if (!(error instanceof ConvosyncError)) throw error;
    }
    return this.#asked;
  }

  async #request(context: Context): Promise<FetchRequest | null> {
    const remote = await findRemote(context, await currentBranch(context));
    if (!remote) return null;
    const { ref, heads } = await openOverview(context);
    const prefix = vaultPrefix(ref);
    const own = heads.replica ? [`^${prefix}head/${heads.replica}`] : [];
    const refspecs = [`+${prefix}head/*:${prefix}head/*`, ...own];
    return { remote: remote.name, refspecs, timeoutMs: probeTimeoutMs, signal: this.#signal };
  }

  async #forgetRemote(): Promise<void> {
    await this.#asked?.context.close();
    this.#asked = null;
  }

  /** Null when the repository cannot be opened now: it will be tried again. */
  async #inside<T>(work: (context: Context) => Promise<T>): Promise<T | null> {
    try {
      return await within({ ...this.#world, cwd: this.#root }, work);
    } catch (error) {
      if (error instanceof ConvosyncError) return null;
      throw error;
    }
  }

  async #waiting(): Promise<Set<string>> {
    const text = await readFile(join(this.#seen.cloneDir, "waiting"), "utf8").catch(() => "");
    return new Set(text.split("\n").flatMap((line) => line.split("\t")[1] ?? []));
  }

  async #announce(line: string): Promise<void> {
    const text = line.replace(/^convosync: /, "");
    this.#tell({ what: "news", root: this.#root, text });
    await this.#inside(({ settings }) => notifyHere(settings, this.#world.env, { title: "ConvoSync", text }));
  }
}

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );
