import { lineHash } from "../crypto/signed-line.ts";
import { type Head, headPath, pagePath } from "../domains/head.ts";
import type { ReplicaHead } from "../domains/replica-heads.ts";
import { type HeadChange, nextHead, type SealedHead, sealHead } from "../domains/writer.ts";
import { formatRef } from "../refs/names.ts";
import type { NewCommit, NewFile, Oid, RefUpdate } from "../refs/object-database.ts";
import type { Heads } from "./catalog.ts";
import { readHeadOnce } from "./heads.ts";
import type { Context } from "./repository.ts";
import { unsentOfOthers } from "./unsent.ts";
import type { OpenVault } from "./vault.ts";

/** Name of the domain a file of a head's tree belongs to, null when it is the sessions'. */
const domainOf = (path: string): string | null => /^domain\/([^/]+)\//.exec(path)?.[1] ?? null;

export interface IndexChange {
  readonly heads: Heads;
  readonly replica: string;
  readonly when: Date;
  /** Asked for once all `commits` have been written. */
  readonly change: () => HeadChange;
  /** Commits that the new index names, with the refs to move to them. */
  readonly commits?: readonly NewCommit[];
  readonly refs?: readonly { readonly ref: string; readonly from: Oid | null }[];
  /** Forget the index's history, so that what was deleted from it is gone. */
  readonly cut?: boolean;
  /** Files below `domain/` that change or are new: all of a domain whose hash changes. */
  readonly domainFiles?: readonly NewFile[];
  /** Other refs to move in the same step. */
  readonly updates?: readonly RefUpdate[];
}

/**
 * Writes the next head of this replica together with what it names: one process writes all objects, one
 * transaction moves all refs. Returns the new head.
 *
 * Only the newest head matters: its commit does not follow the one before, or a new device would fetch that too. Its parent
 * has what stays as it is from head to head, the other files, which git would else send with every head anew.
 */
export async function writeIndex(context: Context, vault: OpenVault, index: IndexChange): Promise<Head> {
  const { heads, replica, when, commits = [], refs = [], updates = [] } = index;
  const ref = formatRef({ kind: "head", vault: vault.ref, replica });
  const previous = heads.own?.replica === replica ? heads.own : null;
  const unsent = await unsentOfOthers(context, vault, heads);
  const shown = heads.others.filter((one) => !unsent.has(one.replica));
  let written: { head: Head; line: string } | undefined;
  const all = async function* (): AsyncGenerator<NewCommit> {
    yield* commits;
    const next = nextHead(
      vault,
      { replica, device: vault.device.id, previous, others: heads.others, shown, now: when },
      index.change(),
    );
    const sealed = await sealHead(vault, vault.signer, next);
    written = sealed;
    const others = await filesBeside(context, previous, sealed, index.domainFiles ?? []);
    const basis = await basisFor(context, previous, others, index);
    if (typeof basis === "object" && basis !== null) yield basis;
    const head = { path: headPath, content: sealed.files.get(headPath)! };
    yield { parents: basis === null ? [] : [basis], files: [head, ...others], when };
  };
  const oids = await context.db.commits(all());
  await context.db.update([
    ...refs.map(({ ref: session, from }, at): RefUpdate => ({ ref: session, from, to: oids[at]! })),
    { ref, from: previous?.commit ?? null, to: oids.at(-1)! },
    ...updates,
  ]);
  const { head, line } = written!;
  // The next command opens it first of all.
  context.chores.later(() => readHeadOnce(context, vault, replica, oids.at(-1)!));
  const mark = { seq: head.seq, hash: await lineHash(line), device: vault.device.id };
  await context.keys.rememberHeads(vault.repo, vault.keyring.vault, { [replica]: mark });
  return head;
}

/** The files of a head's tree but the head itself: pages and domains, new ones and those it goes on with. */
async function filesBeside(
  context: Context,
  previous: ReplicaHead | null,
  sealed: SealedHead,
  domainFiles: readonly NewFile[],
): Promise<NewFile[]> {
  const kept = previous ? await context.db.files(previous.commit) : new Map<string, Oid>();
  const rewritten = new Set(domainFiles.map(({ path }) => domainOf(path)));
  const files: NewFile[] = [...sealed.files].map(([path, content]) => ({ path, content }));
  for (const { n } of sealed.head.pages) {
    const path = pagePath(n);
    const content = kept.get(path);
    if (content && !sealed.files.has(path)) files.push({ path, content });
  }
  for (const [path, content] of kept) {
    const domain = domainOf(path);
    if (domain && !rewritten.has(domain) && sealed.head.domains[domain]) files.push({ path, content });
  }
  return [...files.filter(({ path }) => path !== headPath), ...domainFiles];
}

/** The parent of a head with these other files: that of the head before if they are all the same, else a new commit. */
async function basisFor(
  context: Context,
  previous: ReplicaHead | null,
  files: readonly NewFile[],
  { when, cut = false }: IndexChange,
): Promise<Oid | NewCommit | null> {
  if (files.length === 0) return null;
  const parent = previous && !cut ? (await context.db.parents(previous.commit))[0] : undefined;
  const before = parent === undefined ? new Map<string, Oid>() : await context.db.files(parent);
  if (parent !== undefined && before.size === files.length) {
    if (files.every(({ path, content }) => before.get(path) === content)) return parent;
  }
  // Earlier versions of this program had the head before for a parent.
  const follows = parent !== undefined && !before.has(headPath);
  return { parents: follows ? [parent] : [], files, when };
}
