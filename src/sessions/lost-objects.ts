import { rmSync } from "node:fs";
import { join } from "node:path";
import { lostObjects } from "../refs/lost-objects.ts";
import { incomingRef, parseRef } from "../refs/names.ts";
import type { Oid, RefUpdate } from "../refs/object-database.ts";
import { fetch, remoteRefs } from "../refs/transport.ts";
import { type ChosenRemote, unreachable } from "./chosen-remote.ts";
import { isOf, remoteQueue } from "./queue.ts";
import { dropIncoming, dropping } from "./remote.ts";
import type { Context } from "./repository.ts";

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
  const refs = await context.db.refs(prefix);
  const astray = await lostRefs(context, remote, refs);
  let lost: ReadonlySet<Oid> = await lostObjects(context.git, refs.values());
  if (lost.size === 0 && astray.size === 0) return { back: 0, letGo: [] };
  // Before anything is moved out of the way.
  const answer = await remoteRefs(context.git, { remote: remote.name, prefix, timeoutMs, prompt: true });
  if (answer.status === "unreachable") throw unreachable(remote, answer.text);
  for (const [ref, oid] of astray) if (answer.refs.get(ref) === oid) refs.set(ref, oid);
  lost = await lostObjects(context.git, refs.values());
  await putBack(context, refs);
  const lostAtFirst = lost;
  for (let before = Number.POSITIVE_INFINITY; lost.size > 0; ) {
    await refetch(context, remote, refs, lost);
    const left = await lostObjects(context.git, refs.values());
    const known = [...left].filter((oid) => lost.has(oid)).length;
    lost = left;
    // Below what has come back others may be missing; nothing has come back twice in a row: that is all there is.
    if (known === before) break;
    before = known;
  }
  if (lost.size > 0) lost = await refetchWhole(context, remote, refs, answer.refs);
  const back = [...lostAtFirst].filter((oid) => !lost.has(oid)).length;
  return { back, letGo: lost.size > 0 ? await letGo(context, refs) : [] };
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

async function refetch(
  context: Context,
  remote: ChosenRemote,
  refs: ReadonlyMap<string, Oid>,
  lost: ReadonlySet<Oid>,
): Promise<void> {
  // What is left of an object git would take for it.
  const objects = join(context.repo.commonDir, "objects");
  for (const oid of lost) rmSync(join(objects, oid.slice(0, 2), oid.slice(2)), { force: true });
  // git fetches nothing while a ref names what is not there.
  const broken = new Map([...refs].filter(([, oid]) => lost.has(oid)));
  await remove(context, broken);
  const names = [...lost];
  for (let from = 0; from < names.length; from += atOnce) {
    const some = names.slice(from, from + atOnce);
    const together = await fetchNamed(context, remote, some);
    // One that the remote does not have has none of them come.
    if (!together) for (const oid of some) await fetchNamed(context, remote, [oid]);
  }
  await putBack(context, broken);
}

/** Takes those of the refs away that are there. */
async function remove(
  context: Context,
  refs: { has(ref: string): boolean; keys(): Iterable<string> },
): Promise<void> {
  const present = await context.db.refs(...refs.keys());
  // All refs, where none was named.
  await context.db.update(dropping(new Map([...present].filter(([ref]) => refs.has(ref)))));
}

/** Puts refs back whose commits are here again. */
async function putBack(context: Context, refs: ReadonlyMap<string, Oid>): Promise<void> {
  const lost = await lostObjects(context.git, refs.values());
  const present = await context.db.refs(...refs.keys());
  const whole = [...refs].filter(([ref, oid]) => !lost.has(oid) && !present.has(ref));
  await context.db.update(whole.map(([ref, to]): RefUpdate => ({ ref, from: null, to })));
}

/**
 * What does not come by its name, as some servers give nothing away that no ref of theirs points to, comes with the whole of
 * the ref that it belongs to, if the remote has it at all. Returns what is lost still. Exit 8 when the remote does not answer:
 * then nothing is let go of.
 */
async function refetchWhole(
  context: Context,
  remote: ChosenRemote,
  refs: ReadonlyMap<string, Oid>,
  served: ReadonlyMap<string, Oid>,
): Promise<ReadonlySet<Oid>> {
  const wanted = [...(await incomplete(context, refs))].filter((ref) => served.has(ref));
  // With them git would think that it has all of what the remote has there.
  await remove(context, new Set(wanted));
  const refspecs = wanted.map((ref) => `+${ref}:${incomingRef(ref)}`);
  if (refspecs.length > 0) {
    const how = { timeoutMs, prompt: true, sealed: true, whole: true };
    const result = await fetch(context.git, { remote: remote.name, refspecs, ...how });
    context.db.forgetRefs("incoming");
    await putBack(context, refs);
    for (const ref of wanted) await dropIncoming(context, incomingRef(ref));
    if (result.status === "unreachable") throw unreachable(remote, result.text);
  }
  return lostObjects(context.git, refs.values());
}

/** The refs that reach anything which is lost. */
async function incomplete(context: Context, refs: ReadonlyMap<string, Oid>): Promise<Set<string>> {
  const found = new Set<string>();
  for (const [ref, oid] of refs) if ((await lostObjects(context.git, [oid])).size > 0) found.add(ref);
  return found;
}

async function fetchNamed(context: Context, remote: ChosenRemote, names: readonly Oid[]): Promise<boolean> {
  const how = { timeoutMs, prompt: true, sealed: true, whole: true };
  const request = { remote: remote.name, refspecs: names, ...how };
  return fetch(context.git, request).then(
    ({ status }) => status === "ok",
    () => false,
  );
}

/** Takes away the sessions' refs that reach what is lost for good; all that do. */
async function letGo(context: Context, refs: ReadonlyMap<string, Oid>): Promise<string[]> {
  const broken = [...(await incomplete(context, refs))];
  await remove(context, new Set(broken.filter(isSession)));
  return broken;
}

const isSession = (ref: string): boolean => parseRef(ref)?.kind === "session";
