import { existsSync } from "node:fs";
import type { Workplace } from "../agents/agent.ts";
import { lineTime } from "../agents/line-time.ts";
import { readWholeLines } from "../agents/local-files.ts";
import { isAgentName, loadAgent, loadAgents } from "../agents/registry.ts";
import type { Entry } from "../domains/head.ts";
import { sealManifest } from "../domains/writer.ts";
import { formatRef, vaultPrefix } from "../refs/names.ts";
import type { NewCommit, Oid } from "../refs/object-database.ts";
import type { CodeState } from "../worktree/code-state.ts";
import { type CapturePlan, planCapture } from "./capture-plan.ts";
import { buriedAmong, catalog, type Heads } from "./catalog.ts";
import { currentBranch, findRemote } from "./chosen-remote.ts";
import { type HookEvent, noteEvent } from "./events.ts";
import { fetchContinued } from "./first-save.ts";
import { loadHeads } from "./heads.ts";
import { writeIndex } from "./index-writer.ts";
import { describeCommit, type Rewrites, rewriteLinks, type TimedLink } from "./links.ts";
import type { Context } from "./repository.ts";
import { localCopy } from "./session-fetch.ts";
import { type Automatic, type SavedSession, store } from "./session-writer.ts";
import { type OpenVault, openVault, ownReplica } from "./vault.ts";
import { type ChosenSession, findSession, lastSession, openWorkplace } from "./workplace.ts";

/**
 * Captures what hooks and `watch` have noted of one work tree, without anybody having asked: the conversation that is
 * going on there, the commits it led to, the names that rewrites gave to earlier ones. Touches nothing of the
 * user's. To be run under the clone's lock.
 */
export async function snapshot(context: Context, events: readonly HookEvent[]): Promise<SavedSession[]> {
  const place = await openWorkplace(context);
  let vault = await openVault(context);
  let heads = await loadHeads(context, vault);
  const state = await codeAt(context);
  const remote = await findRemote(context, state.branch);
  const rewrites = rewritesOf(events);
  const commits = await commitsOf(context, events);
  const chosen = await hereOf(context, place, events, await chooseSessions(place, events));
  const named = chosen.map(({ agent, found }) => ({ key: `${agent.name}:${found.id}`, found }));
  const keys = named.map(({ key }) => key);
  ({ vault, heads } = await fetchContinued(context, { vault, heads, remote, offline: null }, keys));
  const alive = new Set(keys);
  for (const { key } of buriedAmong(heads, named)) alive.delete(key);
  const replica = await ownReplica(context, vault);
  const known = catalog(heads, vault);
  const plans: CapturePlan[] = [];
  const timeline = new Map<string, TimedLink[]>();
  const live = new Map<string, string | null>();
  for (const { agent, found } of chosen) {
    const key = `${agent.name}:${found.id}`;
    if (!alive.has(key)) continue;
    const plan = await planCapture(context, vault, agent, found, place, {
      session: known.find((one) => one.key === key) ?? null,
      replica,
      rawPaths: context.settings.flag("rawPaths"),
    });
    const open = hasEnded(events, key) ? null : await agent.live(found.id, place);
    live.set(key, open ? (open.since ?? context.world.now()).toISOString() : null);
    if (!plan.news && !isRecent(found.updatedAt, context.world.now())) continue;
    plans.push(plan);
    timeline.set(key, await timeLinks(plan, commits));
  }
  const automatic: Automatic = { via: viaOf(events), timeline, rewrites, live };
  const message = commits.findLast(({ link }) => link.commit === state.head)?.subject.trim() ?? "";
  const saved = await store(
    context,
    vault,
    heads,
    replica,
    plans,
    { state, message, remote, wip: null, environment: null, automatic },
    () => {},
  );
  const written = new Set(saved.filter((one) => one.changed).map((one) => `${one.agent}:${one.session}`));
  await renameCommits(context, vault, replica, rewrites, written);
  await releaseLeases(context, vault, live, written);
  return saved;
}

/** A conversation that nobody has touched for so long has nothing to do with the commit that is made now. */
const recentMs = 12 * 3_600_000;

const isRecent = (at: Date, now: Date): boolean => now.getTime() - at.getTime() < recentMs;

function hasEnded(events: readonly HookEvent[], key: string): boolean {
  const last = events.findLast((one) => one.kind === "agent" && one.session === key);
  return last?.kind === "agent" && last.event === "session-end";
}

const viaOf = (events: readonly HookEvent[]): "hook" | "watch" =>
  events.every((one) => one.kind === "agent" && one.event === "watch") ? "watch" : "hook";

/** Where the code stands, without looking at the work tree: on a large one that would take seconds. */
async function codeAt(context: Context): Promise<CodeState> {
  const { stdout, code } = await context.git.run(["rev-parse", "--verify", "--quiet", "HEAD^{commit}"], {
    okCodes: [0, 1, 128],
  });
  const head = code === 0 ? stdout.toString().trim() : null;
  const branch = await currentBranch(context);
  return {
    branch,
    head,
    detached: branch === null,
    unborn: head === null,
    operation: null,
    changes: [],
    dirtySubmodules: [],
    shallow: context.repo.shallow,
  };
}

function rewritesOf(events: readonly HookEvent[]): Rewrites {
  const names = new Map<string, string[]>();
  for (const one of events) {
    if (one.kind !== "rewrite" || one.from === one.to) continue;
    const known = names.get(one.from) ?? [];
    if (!known.includes(one.to)) names.set(one.from, [...known, one.to]);
  }
  return names;
}

interface NotedCommit {
  readonly link: TimedLink["link"];
  readonly subject: string;
  /** The committer's clock, to the second. */
  readonly at: Date;
}

/** Most commits of one capture that get a link of their own; a script that makes thousands needs no more. */
const mostCommits = 100;

/** The commits that hooks have named and that are still there, in order. */
async function commitsOf(context: Context, events: readonly HookEvent[]): Promise<NotedCommit[]> {
  const branches = new Map<string, string | null>();
  for (const one of events) {
    if (one.kind === "commit" && one.commit !== null) branches.set(one.commit, one.branch);
  }
  const wanted = [...branches.keys()].slice(-mostCommits);
  if (wanted.length === 0) return [];
  const format = "--format=%H%x00%ct%x00%s";
  const records = await context.git.lines0([
    ...["log", "-z", "--no-walk=unsorted", "--ignore-missing", "--no-show-signature", format],
    ...wanted,
  ]);
  const noted: NotedCommit[] = [];
  for (let at = 0; at + 2 < records.length; at += 3) {
    const [commit = "", time = "", subject = ""] = records.slice(at, at + 3);
    const link = await describeCommit(context.git, commit, branches.get(commit) ?? null);
    noted.push({ link, subject, at: new Date(Number(time) * 1000) });
  }
  return noted;
}

/**
 * The conversations meant: those that an agent or the shell of a commit names, and for other commits the one that is
 * going on in this work tree.
 */
async function chooseSessions(place: Workplace, events: readonly HookEvent[]): Promise<ChosenSession[]> {
  const chosen = new Map<string, ChosenSession>();
  const named = new Set(events.flatMap((one) => ("session" in one && one.session ? [one.session] : [])));
  for (const key of named) {
    const [name = "", id = ""] = key.split(":", 2);
    // Other agents' conversations are not captured yet; their hooks may be installed all the same.
    if (!isAgentName(name)) continue;
    const agent = await loadAgent(name);
    const found = await findSession(agent, place, id);
    if (found) chosen.set(key, { agent, found });
  }
  const unnamed = events.some((one) => (one.kind === "commit" || one.kind === "rewrite") && !one.session);
  const current = unnamed ? await lastSession(place, await loadAgents()) : null;
  if (current) chosen.set(`${current.agent.name}:${current.found.id}`, current);
  return [...chosen.values()];
}

/**
 * Those that go on in this work tree, or led to a commit in it. An agent may have taken the others to another one meanwhile,
 * where the code is another: what was noted of them is noted there.
 */
async function hereOf(
  context: Context,
  place: Workplace,
  events: readonly HookEvent[],
  chosen: readonly ChosenSession[],
): Promise<ChosenSession[]> {
  const here: ChosenSession[] = [];
  for (const one of chosen) {
    const key = `${one.agent.name}:${one.found.id}`;
    const noted = events.filter((event) => "session" in event && event.session === key);
    const last = noted.at(-1);
    const path = one.found.workTree;
    const stays = path === place.root || !noted.every(({ kind }) => kind === "agent") || !existsSync(path);
    if (stays || last === undefined) here.push(one);
    else await noteEvent(context.cloneDir, { ...last, path });
  }
  return here;
}

/**
 * How far the conversation had come at each commit: up to the first line that is younger than it. Lines that are
 * stored already count as older; one that does not say when it was written goes with the line before it.
 */
async function timeLinks(plan: CapturePlan, commits: readonly NotedCommit[]): Promise<TimedLink[]> {
  if (commits.length === 0) return [];
  const main = plan.streams.find((one) => one.source.name === "main");
  const stored = main?.stored?.lines ?? 0;
  const upto = commits.map(() => stored);
  let lines = stored;
  if (main?.news) {
    for await (const chunk of readWholeLines(main.source.path, main.offset)) {
      for (const line of chunk.toString("utf8").split("\n").slice(0, -1)) {
        const written = lineTime(line)?.getTime() ?? Number.NEGATIVE_INFINITY;
        for (const [at, one] of commits.entries()) {
          // A commit's clock has no fractions: a line of the same second may be either, and counts as older.
          if (upto[at] === lines && written < one.at.getTime() + 1000) upto[at] = lines + 1;
        }
        lines++;
      }
    }
  }
  return commits.map(({ link }, at) => ({ upto: upto[at]!, link }));
}

/** Sessions of this replica that are looked through for the old names of rewritten commits: the ones last active. */
const mostRenamed = 32;

/** Notes the new names of rewritten commits in the sessions that were not written just now. */
async function renameCommits(
  context: Context,
  vault: OpenVault,
  replica: string,
  rewrites: Rewrites,
  written: ReadonlySet<string>,
): Promise<void> {
  const heads = rewrites.size > 0 ? await loadHeads(context, vault) : null;
  if (!heads?.own) return;
  const local = await context.db.refs(vaultPrefix(vault.ref));
  const when = context.world.now();
  const commits: NewCommit[] = [];
  const refs: { ref: string; from: Oid }[] = [];
  const put: Entry[] = [];
  for (const entry of heads.own.entries.slice(0, mostRenamed)) {
    if (entry.a || written.has(entry.s)) continue;
    const ref = formatRef({ kind: "session", vault: vault.ref, dir: entry.d, replica });
    const stored = await localCopy(vault, { replica, device: vault.device.id, entry, ref }, local);
    if (!stored?.commit) continue;
    const links = rewriteLinks(stored.manifest.links, rewrites);
    if (links.every((link, at) => link === stored.manifest.links[at])) continue;
    const manifest = { ...stored.manifest, links, seq: stored.manifest.seq + 1 };
    const sealed = await sealManifest(vault, manifest, stored);
    const anew = new Set(sealed.files.map(({ path }) => path));
    const same = [...stored.files].filter(([path]) => !anew.has(path) && !path.startsWith("page/"));
    const files = [...same.map(([path, content]) => ({ path, content })), ...sealed.files];
    commits.push({ parents: [stored.commit], files, when });
    refs.push({ ref, from: stored.commit });
    put.push({ ...entry, q: manifest.seq, m: sealed.m });
  }
  if (put.length === 0) return;
  await writeIndex(context, vault, { heads, replica, when, change: () => ({ put }), commits, refs });
}

/** Takes back that a session is open here when that is all that has changed. */
async function releaseLeases(
  context: Context,
  vault: OpenVault,
  live: ReadonlyMap<string, string | null>,
  written: ReadonlySet<string>,
): Promise<void> {
  const closed = [...live].filter(([key, since]) => since === null && !written.has(key)).map(([key]) => key);
  if (closed.length === 0) return;
  const heads: Heads = await loadHeads(context, vault);
  const { own, replica } = heads;
  if (!replica || !own?.head.live?.some(([key]) => closed.includes(key))) return;
  const change = () => ({ live: new Map(closed.map((key) => [key, null])) });
  await writeIndex(context, vault, { heads, replica, when: context.world.now(), change });
}
