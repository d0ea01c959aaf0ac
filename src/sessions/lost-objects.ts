import type { Git } from "../git/git.ts";
import { lostObjects } from "../refs/lost-objects.ts";
import { parseRef } from "../refs/names.ts";
import type { Oid, RefUpdate } from "../refs/object-database.ts";
import { fetch, remoteRefs } from "../refs/transport.ts";
import { type ChosenRemote, unreachable } from "./chosen-remote.ts";
import { isOf, remoteQueue } from "./queue.ts";
import { dropping } from "./remote.ts";
import type { Context } from "./repository.ts";
import { type SpareRepository, withSpareRepository } from "./spare-repository.ts";

export interface Mended {
  /** Objects that came back. */
  readonly back: number;
  /** Refs that reach what is lost for good. Those of sessions have been removed. */
  readonly letGo: readonly string[];
}

const prefix = "refs/convosync/";
const timeoutMs = 120_000;
/** Objects that are asked for at once: each is an argument. */
const atOnce = 100;

/**
 * Fetches, by their names, the objects of ours that this clone has lost: a disk's fault, a copy of a `.git` that was being
 * written, an eager clean-up. git itself would not ask for them, as it takes whatever its refs reach for there, and the
 * user's own `git gc` fails as long as they are. A session that cannot be made whole is let go of, so that the next save
 * reads it from the agent anew and other devices' are fetched when they are asked for. Exit 8 without the remote, with
 * nothing changed.
 */
export async function fetchLost(context: Context, remote: ChosenRemote): Promise<Mended> {
  const { git, db, repo, world, cloneDir } = context;
  const refs = await db.refs(prefix);
  const astray = await lostRefs(context, remote, refs);
  if (astray.size === 0 && (await lostObjects(git, refs.values())).size === 0) return { back: 0, letGo: [] };
  const answer = await remoteRefs(git, { remote: remote.name, prefix, timeoutMs, prompt: true });
  if (answer.status === "unreachable") throw unreachable(remote, answer.text);
  for (const [ref, oid] of astray) if (answer.refs.get(ref) === oid) refs.set(ref, oid);
  const lostAtFirst = await lostObjects(git, refs.values());
  const lost = await withSpareRepository(repo, world.env, cloneDir, (spare) =>
    bringBack(context, remote, refs, answer.refs, spare),
  );
  db.forgetRefs();
  await putBack(context, refs);
  const back = [...lostAtFirst].filter((oid) => !lost.has(oid)).length;
  return { back, letGo: lost.size > 0 ? await letGo(context, refs) : [] };
}

/** Returns what is lost still. */
async function bringBack(
  { git }: Context,
  remote: ChosenRemote,
  refs: ReadonlyMap<string, Oid>,
  served: ReadonlyMap<string, Oid>,
  spare: SpareRepository,
): Promise<ReadonlySet<Oid>> {
  const how = { remote: remote.name, timeoutMs, prompt: true, sealed: true, whole: true };
  const tried = new Set<Oid>();
  let lost = await lostObjects(git, refs.values());
  /** Whether anything of what is lost came; below it others may be missing, too. */
  const takeOver = async (): Promise<boolean> => {
    let any = false;
    for (const oid of lost) {
      if (tried.has(oid) || !spare.handOver(oid)) continue;
      tried.add(oid);
      any = true;
    }
    if (any) lost = await lostObjects(git, refs.values());
    return any;
  };
  const fetchNamed = (names: readonly Oid[]): Promise<boolean> =>
    fetch(spare.git, { ...how, refspecs: names }).then(
      ({ status }) => status === "ok",
      () => false,
    );
  do {
    const names = [...lost];
    for (let from = 0; from < names.length; from += atOnce) {
      const some = names.slice(from, from + atOnce);
      const together = await fetchNamed(some);
      // One that the remote does not have has none of them come.
      if (!together) for (const oid of some) await fetchNamed([oid]);
    }
  } while (await takeOver());
  if (lost.size === 0) return lost;
  // Some servers give nothing away that no ref of theirs points to: it comes with the whole of the ref that it belongs to.
  const wanted = [...(await incomplete(git, refs))].filter((ref) => served.has(ref));
  if (wanted.length > 0) {
    const result = await fetch(spare.git, { ...how, refspecs: wanted.map((ref) => `+${ref}:${ref}`) });
    if (result.status === "unreachable") throw unreachable(remote, result.text);
    while (await takeOver());
  }
  return lost;
}

/**
 * Refs of this clone's own sessions that the remote has confirmed and that are not here: a repair that was cut short, or had
 * no remote to ask, has taken them out of git's way. Those of another replica, also of one that it was until its keys were
 * lost, come and go: they are fetched when they are asked for.
 */
export async function lostRefs(
  context: Context,
  remote: ChosenRemote,
  refs: ReadonlyMap<string, Oid>,
): Promise<Map<string, Oid>> {
  const { confirmed, deletions } = await remoteQueue(context, remote.key);
  const replicas = await context.keys.replicas(context.repo.commonDir);
  const isOwn = (ref: string): boolean => isSession(ref) && replicas.some((replica) => isOf(ref, replica));
  const gone = Object.entries(confirmed).filter(
    ([ref]) => isOwn(ref) && !refs.has(ref) && deletions[ref] === undefined,
  );
  return new Map(gone);
}

/** Puts refs back whose commits are here again. */
async function putBack(context: Context, refs: ReadonlyMap<string, Oid>): Promise<void> {
  const lost = await lostObjects(context.git, refs.values());
  const present = await context.db.refs(...refs.keys());
  const whole = [...refs].filter(([ref, oid]) => !lost.has(oid) && !present.has(ref));
  await context.db.update(whole.map(([ref, to]): RefUpdate => ({ ref, from: null, to })));
}

/** The refs that reach anything which is lost. */
async function incomplete(git: Git, refs: ReadonlyMap<string, Oid>): Promise<Set<string>> {
  const found = new Set<string>();
  for (const [ref, oid] of refs) if ((await lostObjects(git, [oid])).size > 0) found.add(ref);
  return found;
}

/** Takes away the sessions' refs that reach what is lost for good; all that do. */
async function letGo(context: Context, refs: ReadonlyMap<string, Oid>): Promise<string[]> {
  const broken = [...(await incomplete(context.git, refs))];
  const sessions = broken.filter(isSession);
  // Of no names at all it would tell all refs.
  if (sessions.length > 0) await context.db.update(dropping(await context.db.refs(...sessions)));
  return broken;
}

const isSession = (ref: string): boolean => parseRef(ref)?.kind === "session";
