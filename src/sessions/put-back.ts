import { buried, type Entry } from "../domains/head.ts";
import type { ReplicaHead } from "../domains/replica-heads.ts";
import { formatRef, vaultPrefix } from "../refs/names.ts";
import type { Oid } from "../refs/object-database.ts";
import { push, pushInOrder, remoteRefs } from "../refs/transport.ts";
import { type Heads, refOf, tombstonesOf } from "./catalog.ts";
import { type ChosenRemote, unreachable } from "./chosen-remote.ts";
import { repoState } from "./key-store.ts";
import { heldBack, type PublishResult } from "./publish.ts";
import { isOf, updateQueue } from "./queue.ts";
import type { Fetched } from "./remote.ts";
import { standsFor } from "./replica.ts";
import type { Context } from "./repository.ts";
import { localCopy } from "./session-fetch.ts";
import type { OpenVault } from "./vault.ts";

const timeoutMs = 30 * 60_000;

type Refs = ReadonlyMap<string, Oid>;

/** The refs of this vault that the remote has. Exit 8. */
export async function remoteRefsOf(context: Context, vault: OpenVault, remote: ChosenRemote): Promise<Refs> {
  const prefix = vaultPrefix(vault.ref);
  const there = await remoteRefs(context.git, { remote: remote.name, prefix, prompt: true });
  if (there.status !== "ok") throw unreachable(remote, there.text);
  return there.refs;
}

/**
 * Where the user says that the remote was reset: of this replica's own refs that it does not show as it confirmed them, the
 * confirmation counts no more, and they are sent again.
 */
export async function recheckOwn(
  context: Context,
  replica: string | null,
  remote: ChosenRemote,
  there: Refs,
): Promise<void> {
  await updateQueue(context, remote.key, ({ confirmed }) => {
    for (const [ref, oid] of Object.entries(confirmed))
      if (replica !== null && isOf(ref, replica) && there.get(ref) !== oid) delete confirmed[ref];
  });
}

export interface PutBack {
  /** Replicas of which something is there again. */
  readonly restored: readonly string[];
  /** Replicas of whose index not all is there, or here → its `seq`. */
  readonly incomplete: Readonly<Record<string, number>>;
  /** Why the remote takes nothing of it. */
  readonly refused: PublishResult | null;
}

/**
 * Sends what this clone has of other replicas to a remote that was reset, or restored from a backup, and shows less of them:
 * their devices may be no more, and until somebody does, every other device takes it for a rollback. They have signed all of
 * it, so that it makes no difference who sends it. A session goes as their index names it, or not at all: what only its own
 * device has comes back with that one's next push, and what another clone has with that one's `sync --retry`, also where the
 * index is there again already.
 */
export async function putBack(
  context: Context,
  vault: OpenVault,
  heads: Heads,
  remote: ChosenRemote,
  { lost, there }: { lost: Fetched["lost"]; there: Refs },
): Promise<PutBack> {
  const local = await context.db.refs(vaultPrefix(vault.ref));
  const wanted = new Map<string, Oid>();
  const restored: string[] = [];
  const incomplete: Record<string, number> = {};
  const tombstones = tombstonesOf(heads.all);
  for (const one of heads.others) {
    const { replica, commit } = one;
    const head = formatRef({ kind: "head", vault: vault.ref, replica });
    const isLost = lost.has(replica);
    const shown = isLost ? lost.get(replica) : commit;
    // Somebody else is at work there just now.
    if (there.get(head) !== shown) continue;
    const before = wanted.size;
    const original = await standsFor(context, commit);
    let isWhole = isLost || original === null;
    for (const part of partsOf(vault, one)) {
      const oid = local.get(part.ref);
      const served = there.get(part.ref);
      if (part.entries.every((entry) => buried(entry, tombstones.get(entry.s)))) continue;
      // With its index there, what is there is as this names it, unless it shows that it is not.
      if (!isLost && served !== undefined && (oid === undefined || oid === served)) continue;
      const isNamed = oid !== undefined && (await isHere(vault, one, part, local));
      const found = isNamed ? oid : await continued(context, vault, one, part, local);
      // A deletion takes what outlives it, too, and nobody waits for that (session-fetch.ts).
      const isTaken = served === undefined && part.entries.every(({ s }) => tombstones.has(s));
      if (found === null) isWhole &&= isTaken;
      else if (found !== served) wanted.set(part.ref, found);
    }
    // After its sessions, for where they go one after the other: a head never names what is not there.
    const standIn = async () => (original === null ? await inPlaceOf(context, commit) : commit);
    if (shown !== commit) wanted.set(head, isWhole ? (original ?? commit) : await standIn());
    if (wanted.size > before) restored.push(replica);
    if (!isWhole) incomplete[replica] = one.head.seq;
  }
  if (wanted.size === 0) return { restored, incomplete, refused: null };
  const updates = [...wanted].map(([ref, oid]) => ({ ref, oid, lease: there.get(ref) ?? null }));
  const request = { remote: remote.name, updates, verifyHooks: false, prompt: true, timeoutMs };
  const whole = await push(context.git, request);
  const { refs: result } =
    whole.status === "not-atomic-capable" ? await pushInOrder(context.git, request) : { refs: whole };
  if (!result || result.status === "pushed") return { restored, incomplete, refused: null };
  return { restored: [], incomplete: {}, refused: await heldBack(context, remote, result) };
}

/** From now on this device reads conversations without what was found neither here nor on the remote; see `lostCopies`. */
export async function goOnWithout(
  context: Context,
  vault: OpenVault,
  { incomplete }: Pick<PutBack, "incomplete">,
): Promise<void> {
  if (Object.keys(incomplete).length === 0) return;
  await context.keys.update((state) => {
    const repo = repoState(state, vault.repo, vault.keyring.vault);
    repo.incomplete = { ...repo.incomplete, ...incomplete };
  });
}

/**
 * A commit that stands for a head whose sessions are not all there. The replica that wrote it takes its own commit for the
 * sign that the remote has all it was sent, and sends all of it again where another one is found.
 */
async function inPlaceOf(context: Context, commit: Oid): Promise<Oid> {
  const files = [...(await context.db.files(commit))].map(([path, content]) => ({ path, content }));
  const [standIn] = await context.db.commits([{ parents: [commit], files, when: context.world.now() }]);
  return standIn!;
}

/** A ref of a replica, a session's own or an archive's, and the entries of its index that are in it. */
interface Part {
  readonly ref: string;
  readonly entries: readonly Entry[];
}

/** All that an index names, by the refs that hold it. */
function partsOf(vault: OpenVault, { replica, entries }: ReplicaHead): Part[] {
  const parts = new Map<string, Entry[]>();
  for (const entry of entries) {
    const ref = refOf(vault.ref, replica, entry);
    parts.set(ref, [...(parts.get(ref) ?? []), entry]);
  }
  return [...parts].map(([ref, within]) => ({ ref, entries: within }));
}

/** Whether this clone's ref has all that the index names in it, as it names it. */
async function isHere(
  vault: OpenVault,
  { replica, head }: ReplicaHead,
  { ref, entries }: Part,
  refs: ReadonlyMap<string, Oid>,
): Promise<boolean> {
  const oid = refs.get(ref);
  if (oid === undefined) return false;
  const files = await vault.db.files(oid);
  for (const entry of entries) {
    const stored = await localCopy(vault, { replica, device: head.device, entry, ref }, refs);
    if (!stored) return false;
    // A folder of an archive may be here without the archive.
    if (entry.a && files.get(`${entry.d}/manifest.age`) !== stored.files.get("manifest.age")) return false;
  }
  return true;
}

/** Versions of a session at most that are looked through for one. */
const longestSearch = 10_000;

/**
 * The commit of a session as the index names it, where no ref has it here but a version of another replica has gone on from
 * it, and so has it in its history. Null when none has.
 */
async function continued(
  context: Context,
  vault: OpenVault,
  { replica, head }: ReplicaHead,
  { ref, entries: [entry] }: Part,
  refs: ReadonlyMap<string, Oid>,
): Promise<Oid | null> {
  if (!entry || entry.a) return null;
  const folder = ref.slice(0, ref.lastIndexOf("/") + 1);
  const versions = [...refs].filter(([other]) => other.startsWith(folder)).map(([, commit]) => commit);
  if (versions.length === 0) return null;
  const listed = await context.git.text(["rev-list", `--max-count=${longestSearch}`, ...versions], {
    okCodes: [0, 128],
  });
  for (const commit of listed.split("\n").filter(Boolean)) {
    const copy = { replica, device: head.device, entry, ref };
    if (await localCopy(vault, copy, new Map([[ref, commit]]))) return commit;
  }
  return null;
}
