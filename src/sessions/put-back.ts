import { formatRef, vaultPrefix } from "../refs/names.ts";
import type { Oid } from "../refs/object-database.ts";
import { push, pushInOrder, remoteRefs } from "../refs/transport.ts";
import type { Heads } from "./catalog.ts";
import { type ChosenRemote, unreachable } from "./chosen-remote.ts";
import { isHere, partsOf } from "./holdings.ts";
import { isOf, updateQueue } from "./queue.ts";
import type { Fetched } from "./remote.ts";
import type { Context } from "./repository.ts";
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
 * device has comes back with that one's `sync --retry`, and what another clone has with that one's, also where the index is
 * there again already. Returns the replicas of which something is.
 */
export async function putBack(
  context: Context,
  vault: OpenVault,
  heads: Heads,
  remote: ChosenRemote,
  { lost, there }: { lost: Fetched["lost"]; there: Refs },
): Promise<readonly string[]> {
  const local = await context.db.refs(vaultPrefix(vault.ref));
  const wanted = new Map<string, Oid>();
  const restored: string[] = [];
  for (const one of heads.others) {
    const { replica, commit } = one;
    const head = formatRef({ kind: "head", vault: vault.ref, replica });
    const shown = lost.has(replica) ? lost.get(replica) : commit;
    // Its device is at work there just now.
    if (there.get(head) !== shown) continue;
    const before = wanted.size;
    for (const part of partsOf(vault, one)) {
      const oid = local.get(part.ref);
      if (oid === undefined || oid === there.get(part.ref)) continue;
      if (await isHere(vault, one, part, local)) wanted.set(part.ref, oid);
    }
    // After its sessions, for where they go one after the other: a head never names what is not there.
    if (shown !== commit) wanted.set(head, commit);
    if (wanted.size > before) restored.push(replica);
  }
  if (wanted.size === 0) return [];
  const updates = [...wanted].map(([ref, oid]) => ({ ref, oid, lease: there.get(ref) ?? null }));
  const request = { remote: remote.name, updates, verifyHooks: false, prompt: true, timeoutMs };
  const whole = await push(context.git, request);
  const { refs: result } =
    whole.status === "not-atomic-capable" ? await pushInOrder(context.git, request) : { refs: whole };
  return result?.status === "pushed" ? restored : [];
}
