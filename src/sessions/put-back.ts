import { formatRef, vaultPrefix } from "../refs/names.ts";
import type { Oid } from "../refs/object-database.ts";
import { push, pushInOrder, remoteRefs } from "../refs/transport.ts";
import { type Heads, refOf } from "./catalog.ts";
import { type ChosenRemote, unreachable } from "./chosen-remote.ts";
import { isOf, updateQueue } from "./queue.ts";
import type { Context } from "./repository.ts";
import { localCopy } from "./session-fetch.ts";
import type { OpenVault } from "./vault.ts";

const timeoutMs = 30 * 60_000;

type Refs = ReadonlyMap<string, Oid>;

/**
 * The remote's refs of this vault, where the user says that it was reset: of this replica's own that it does not show as it
 * confirmed them, the confirmation counts no more, and they are sent again.
 */
export async function recheckOwn(
  context: Context,
  vault: OpenVault,
  replica: string | null,
  remote: ChosenRemote,
): Promise<Refs> {
  const prefix = vaultPrefix(vault.ref);
  const there = await remoteRefs(context.git, { remote: remote.name, prefix, prompt: true });
  if (there.status !== "ok") throw unreachable(remote, there.text);
  const { refs } = there;
  await updateQueue(context, remote.key, ({ confirmed }) => {
    for (const [ref, oid] of Object.entries(confirmed))
      if (replica !== null && isOf(ref, replica) && refs.get(ref) !== oid) delete confirmed[ref];
  });
  return refs;
}

/**
 * Sends what this clone has of other replicas to a remote that was reset, or restored from a backup, and shows less of them:
 * their devices may be no more, and until somebody does, every other device takes it for a rollback. They have signed all of
 * it, so that it makes no difference who sends it. A session goes as their index names it, or not at all: what only its own
 * device has comes back with that one's `sync --retry`. Returns the replicas whose index is there again.
 */
export async function putBack(
  context: Context,
  vault: OpenVault,
  heads: Heads,
  remote: ChosenRemote,
  { replicas, there }: { replicas: readonly string[]; there: Refs },
): Promise<readonly string[]> {
  const lost = heads.others.filter((one) => replicas.includes(one.replica));
  if (lost.length === 0) return [];
  const local = await context.db.refs(vaultPrefix(vault.ref));
  const wanted = new Map<string, Oid>();
  for (const { replica, commit, head, entries } of lost) {
    for (const entry of entries) {
      const ref = refOf(vault.ref, replica, entry);
      const oid = local.get(ref);
      const copy = { replica, device: head.device, entry, ref };
      if (oid && (await localCopy(vault, copy, local))) wanted.set(ref, oid);
    }
    // After its sessions, for where they go one after the other: a head never names what is not there.
    wanted.set(formatRef({ kind: "head", vault: vault.ref, replica }), commit);
  }
  const updates = [...wanted]
    .map(([ref, oid]) => ({ ref, oid, lease: there.get(ref) ?? null }))
    .filter(({ oid, lease }) => oid !== lease);
  const request = { remote: remote.name, updates, verifyHooks: false, prompt: true, timeoutMs };
  const whole = await push(context.git, request);
  const { refs: result } =
    whole.status === "not-atomic-capable" ? await pushInOrder(context.git, request) : { refs: whole };
  return result?.status === "pushed" ? replicas : [];
}
