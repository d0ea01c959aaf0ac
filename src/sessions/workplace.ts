import { join } from "node:path";
import type { Agent, FoundSession, Workplace } from "../agents/agent.ts";
import { listed } from "../agents/folders.ts";
import { loadAgents } from "../agents/registry.ts";
import { ConvosyncError, Exit } from "../errors.ts";
import { homeOf } from "../user-directories.ts";
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
  const all = [root, ...(await workTrees(context))];
  const real = all.map(realOr);
  const { cwd, env } = context.world;
  return { root: real[0]!, worktrees: [...new Set(real)], cwd, home: homeOf(env), env };
}

/** All work trees of the repository; where none is linked git need not be asked. */
async function workTrees({ git, repo }: Context): Promise<string[]> {
  if (listed(join(repo.commonDir, "worktrees")).length === 0) return [];
  const listing = await git.lines0(["worktree", "list", "--porcelain", "-z"]);
  return listing.filter((line) => line.startsWith("worktree ")).map((line) => line.slice("worktree ".length));
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
  const agents = (await loadAgents()).filter((one) => !options.agent || one.name === options.agent);
  if (agents.length === 0) {
    throw new ConvosyncError("unknown-agent", Exit.usage, `no agent is called '${options.agent}'`, [
      `known agents: ${(await loadAgents()).map((one) => one.name).join(", ")}`,
    ]);
  }
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
  const current = await currentSession(place, agents);
  if (!current) throw await noConversation(place, agents, undefined);
  return [current];
}

/** The session with this id, in whatever work tree; where the agent has it in several, in this one, else the newest. */
export async function findSession(agent: Agent, place: Workplace, id: string): Promise<FoundSession | null> {
  const [first, ...more] = (await agent.find(place, id)).filter((one) => one.id === id);
  return first ? more.reduce((known, one) => nearer(place, known, one), first) : null;
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
  found.sort(
    (a, b) => rank(a.how) - rank(b.how) || b.found.updatedAt.getTime() - a.found.updatedAt.getTime(),
  );
  return found[0] ?? null;
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
  if (place.worktrees.length === 1) return [];
  const found = (await Promise.all(agents.map((agent) => agent.find(place)))).flat();
  const [newest] = found.sort((a, b) => b.updatedAt.getTime() - a.updatedAt.getTime());
  return newest
    ? [`the newest of the other work trees is in ${newest.workTree}: cd '${newest.workTree}'`]
    : [];
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
