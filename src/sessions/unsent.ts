import type { ReplicaHead } from "../domains/replica-heads.ts";
import { formatRef } from "../refs/names.ts";
import type { Heads } from "./catalog.ts";
import { allQueues } from "./queue.ts";
import type { Context } from "./repository.ts";

/**
 * Heads of other replicas that are newer here than any remote has shown them: somebody else works in this very clone, with
 * another HOME, as in a container, and has not sent them yet; or this directory is a copy of another clone of this device,
 * with that one's queue, and that one has still to send them.
 */
export async function unsentOfOthers(
  context: Context,
  vault: { readonly repo: string; readonly ref: string },
  { others, replica: mine }: Pick<Heads, "others" | "replica">,
): Promise<Map<string, ReplicaHead>> {
  if (others.length === 0) return new Map();
  const { heads: marks = {}, clones = [] } = (await context.keys.state()).repos[vault.repo] ?? {};
  const siblings = new Set(clones.map(({ replica }) => replica).filter((replica) => replica !== mine));
  const queues = others.some(({ replica }) => siblings.has(replica)) ? await allQueues(context) : [];
  const isUnsent = ({ replica, head, commit }: ReplicaHead): boolean => {
    if (head.seq > (marks[replica]?.seq ?? 0)) return true;
    if (!siblings.has(replica)) return false;
    const ref = formatRef({ kind: "head", vault: vault.ref, replica });
    const own = queues.filter(({ confirmed, sent }) => (confirmed[ref] ?? sent?.[ref]) !== undefined);
    return own.length > 0 && own.every(({ confirmed }) => confirmed[ref] !== commit);
  };
  return new Map(others.filter(isUnsent).map((one) => [one.replica, one]));
}
