import { existsSync } from "node:fs";
import { isAbsolute, join, relative } from "node:path";
import * as v from "valibot";
import type { Agent, FormerRoots, FoundSession, Workplace } from "../agents/agent.ts";
import { listed } from "../agents/folders.ts";
import { workTreeOf } from "../agents/glimpse.ts";
import { checkAgent, loadAgents } from "../agents/registry.ts";
import { isInside } from "../agents/spellings.ts";
import { ConvosyncError, Exit } from "../errors.ts";
import { homeOf } from "../user-directories.ts";
import { readCursor, recentCursors } from "./cursor.ts";
import { readCache, writeCache } from "./files.ts";
import { realOr } from "./real-paths.ts";
import type { Context } from "./repository.ts";

/** Where agents look for the sessions of this repository: its work tree and all linked ones. */
export async function openWorkplace(context: Context): Promise<Workplace> {
  const { root } = context.repo;
  if (!root) {
    throw new ConvosyncError("bare-repository", Exit.stopped, "this repository has no work tree", [
      "run this inside a work tree of it: git worktree list",
    ]);
  }
  const linked = await workTrees(context);
  const { cwd, env } = context.world;
  const worktrees = [...new Set([root, ...linked.there].map(realOr))];
  await rememberRoots(context, [...worktrees, ...linked.gone]);
  const known = new Map<string, Promise<readonly string[]>>();
  const formerRoots = (which: FormerRoots = {}): Promise<readonly string[]> => {
    const name = JSON.stringify(which);
    const roots = known.get(name) ?? rootsGone(context, worktrees, which);
    known.set(name, roots);
    return roots;
  };
  return { root: worktrees[0]!, worktrees, formerRoots, cwd: realOr(cwd), home: homeOf(env), env };
}

/**
 * Whether a root is that of no work tree any more: the project was moved, or the work tree was removed. It comes from a file
 * in the clone: what is no absolute path would hold everything.
 */
export const isGone = (root: string, { worktrees }: Pick<Workplace, "worktrees">): boolean =>
  isAbsolute(root) && !worktrees.includes(root) && !existsSync(root);

const rootsSeen = v.object({ v: v.literal(1), roots: v.array(v.string()) });
const rootsPath = (context: Context): string => join(context.cloneDir, "work-trees.json");

/** More than so many that are gone are not remembered. */
const mostRoots = 64;

/**
 * Notes where the work trees are: git forgets those that are removed, and where it was itself, and a conversation that ran there
 * may never have been saved.
 */
async function rememberRoots(context: Context, worktrees: readonly string[]): Promise<void> {
  if (!existsSync(context.cloneDir)) return;
  const path = rootsPath(context);
  const known = (await readCache(path, rootsSeen))?.roots ?? [];
  if (worktrees.every((root) => known.includes(root))) return;
  const roots = [...new Set([...worktrees, ...known])].slice(0, Math.max(mostRoots, worktrees.length));
  await writeCache(path, JSON.stringify({ v: 1, roots }));
}

/** Of work trees that are gone those that conversations were told from, or that were seen. */
async function rootsGone(
  context: Context,
  worktrees: readonly string[],
  { key, told }: FormerRoots,
): Promise<string[]> {
  const device = await context.keys.device().catch(() => null);
  if (!device) return [];
  const known = key === undefined ? recentCursors(context, device.id) : [readCursor(context, device.id, key)];
  const roots = (await Promise.all(known)).flatMap(({ root }) => root ?? []);
  const isKnown = told === true || (key !== undefined && roots.length > 0);
  const seen = isKnown ? null : await readCache(rootsPath(context), rootsSeen);
  return [...new Set([...roots, ...(seen?.roots ?? [])])].filter((root) => isGone(root, { worktrees }));
}

/**
 * Sessions of work trees that are gone, as those of this one, newest first: what an agent has of a project stays where that
 * was when it is moved, and the agent itself no longer finds it.
 */
async function findFormer(
  agent: Agent,
  place: Workplace,
  { prefix, ...which }: FormerRoots & { readonly prefix?: string | undefined } = {},
): Promise<FoundSession[]> {
  const gone = (await place.formerRoots?.(which)) ?? [];
  // What ran within a work tree that is there is found as that one's.
  const worktrees = gone.filter((root) => !place.worktrees.some((one) => isInside(root, one)));
  const [root] = worktrees;
  if (root === undefined) return [];
  const found = await agent.find({ ...place, root, worktrees, cwd: root }, prefix);
  // What was another repository's within that one is so here.
  const isOurs = ({ workTree, cwd }: FoundSession): boolean =>
    workTreeOf(join(place.root, relative(workTree, cwd)), place) !== null;
  return found
    .filter(isOurs)
    .map((one) => ({ ...one, workTree: place.root, begunIn: one.workTree }))
    .sort(byTime);
}

const byTime = (a: FoundSession, b: FoundSession): number => b.updatedAt.getTime() - a.updatedAt.getTime();

/**
 * All work trees of the repository, and those whose directory was removed without git's knowing; where none is linked git need
 * not be asked.
 */
async function workTrees({ git, repo }: Context): Promise<{ there: string[]; gone: string[] }> {
  const there: string[] = [];
  const gone: string[] = [];
  if (listed(join(repo.commonDir, "worktrees")).length === 0) return { there, gone };
  for (const line of await git.lines0(["worktree", "list", "--porcelain", "-z"])) {
    if (line.startsWith("worktree ")) there.push(line.slice("worktree ".length));
    else if (line.startsWith("prunable")) gone.push(there.pop()!);
  }
  return { there, gone };
}

export interface ChosenSession {
  readonly agent: Agent;
  readonly found: FoundSession;
}

/**
 * The conversation `save` means: the one named, all of this work tree, or the one most recently active in it
 * (a running agent's environment or live registry names it exactly). Exit 1 when there is none.
 */
export async function chooseLocalSessions(
  place: Workplace,
  options: { session?: string; agent?: string; all?: boolean },
): Promise<ChosenSession[]> {
  checkAgent(options.agent);
  const agents = (await loadAgents()).filter(
    (one) => options.agent === undefined || one.name === options.agent,
  );
  if (options.session || options.all) {
    const wanted = options.session?.replace(/^[a-z-]+:/, "");
    const hits: ChosenSession[] = [];
    for (const agent of agents) {
      const found = new Map<string, FoundSession>();
      for (const one of await agent.find(place, wanted)) {
        const known = found.get(one.id);
        found.set(one.id, known ? nearer(place, known, one) : one);
      }
      hits.push(...[...found.values()].map((one) => ({ agent, found: one })));
    }
    if (options.all || hits.length === 0) {
      const known = new Set(hits.map(({ agent, found }) => `${agent.name}:${found.id}`));
      for (const one of await formerSessions(agents, place, { prefix: wanted })) {
        const key = `${one.agent.name}:${one.found.id}`;
        if (!known.has(key)) hits.push(one);
        known.add(key);
      }
    }
    if (options.all) {
      // Those of other work trees belong to the commit and branch there.
      const here = hits.filter(({ found }) => found.workTree === place.root);
      if (here.length > 0) return here;
      throw await noConversation(place, agents, undefined);
    }
    const exact = hits.filter(({ found }) => found.id === wanted);
    if (exact.length === 1) return exact;
    if (hits.length === 1) return hits;
    if (hits.length > 1) {
      throw new ConvosyncError(
        "ambiguous-session",
        Exit.usage,
        `'${options.session}' could be ${hits.length} sessions`,
        hits.slice(0, 5).map(({ found }) => `${found.id}  ${found.title}`),
      );
    }
    throw await noConversation(place, agents, options.session);
  }
  const last = await lastSession(place, agents);
  if (!last) throw await noConversation(place, agents, undefined);
  return [last];
}

/**
 * The session with this id, in whatever work tree; where the agent has it in several, in this one, else the newest. Where it
 * is in none, the one of a work tree that is gone.
 */
export async function findSession(agent: Agent, place: Workplace, id: string): Promise<FoundSession | null> {
  const [first, ...more] = (await agent.find(place, id)).filter((one) => one.id === id);
  if (first) return more.reduce((known, one) => nearer(place, known, one), first);
  const former = await findFormer(agent, place, { prefix: id, key: `${agent.name}:${id}` });
  return former.find((one) => one.id === id) ?? null;
}

/** Of two, the one in this work tree, else the first. */
const nearer = ({ root }: Workplace, one: FoundSession, other: FoundSession): FoundSession =>
  one.workTree !== root && other.workTree === root ? other : one;

/** The session a running agent names, else the newest of all agents; null when no agent has any here. */
export async function currentSession(
  place: Workplace,
  agents: readonly Agent[],
): Promise<ChosenSession | null> {
  const found: (ChosenSession & { how: string })[] = [];
  for (const agent of agents) {
    const current = await agent.current(place);
    if (current) found.push({ agent, found: current.session, how: current.how });
  }
  const rank = (how: string): number => ["environment", "live", "newest"].indexOf(how);
  found.sort((a, b) => rank(a.how) - rank(b.how) || byTime(a.found, b.found));
  return found[0] ?? null;
}

/**
 * The current one; where there is none, the newest of where the project was. What nobody ever saved of a work tree that was
 * removed is not meant without being named.
 */
export async function lastSession(place: Workplace, agents: readonly Agent[]): Promise<ChosenSession | null> {
  const current = await currentSession(place, agents);
  if (current) return current;
  return (await formerSessions(agents, place, { told: true }))[0] ?? null;
}

/** All that are there of work trees that are gone, newest first. */
export async function formerSessions(
  agents: readonly Agent[],
  place: Workplace,
  which: Parameters<typeof findFormer>[2] = {},
): Promise<ChosenSession[]> {
  const all: ChosenSession[] = [];
  for (const agent of agents)
    all.push(...(await findFormer(agent, place, which)).map((found) => ({ agent, found })));
  return all.sort((a, b) => byTime(a.found, b.found));
}

const anyOf = (names: readonly string[]): string =>
  names.length > 1 ? `${names.slice(0, -1).join(", ")} or ${names.at(-1)}` : names.join("");

async function noConversation(
  place: Workplace,
  agents: readonly Agent[],
  wanted: string | undefined,
): Promise<ConvosyncError> {
  const what = wanted ? `no conversation '${wanted}'` : "no conversation";
  return new ConvosyncError(
    "no-conversation",
    Exit.failed,
    `${what} of ${anyOf(agents.map((one) => one.title))} belongs to this work tree`,
    [
      ...(await unreadable(place, agents)),
      ...(await beside(place, agents)),
      "start one here first, or run this where the agent was started",
      "nothing was committed; for the code alone use git itself",
    ],
  );
}

/** Where the newest conversation of the repository's other work trees is: an agent can have taken it there. */
async function beside(place: Workplace, agents: readonly Agent[]): Promise<string[]> {
  const hints: string[] = [];
  if (place.worktrees.length > 1) {
    const found = (await Promise.all(agents.map((agent) => agent.find(place)))).flat();
    const [newest] = found.sort(byTime);
    if (newest)
      hints.push(`the newest of the other work trees is in ${newest.workTree}: cd '${newest.workTree}'`);
  }
  const [former] = await formerSessions(agents, place);
  if (former)
    hints.push(`what is left of ${former.found.begunIn}, which is gone: git convosync save --all-sessions`);
  return hints;
}

/** Where this work tree's conversations are kept, what may not be read: an agent that ran with `sudo` left it so. */
async function unreadable(place: Workplace, agents: readonly Agent[]): Promise<string[]> {
  const { findUnusable } = await import("./permissions.ts");
  const folders = (await Promise.all(agents.map((agent) => agent.watched?.(place) ?? []))).flat();
  const own = folders.filter(({ workTree }) => workTree === place.root);
  const found = await findUnusable(own.map(({ path }) => ({ folder: path, depth: 1 })));
  return found.map(
    ({ folder, paths }) => `no permission to use ${paths[0]}; mend it: sudo chown -R "$(id -un)" '${folder}'`,
  );
}
