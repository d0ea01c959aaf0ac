import { lineHash } from "../crypto/signed-line.ts";
import { type Head, pagePath } from "../domains/head.ts";
import { type HeadChange, nextHead, sealHead } from "../domains/writer.ts";
import { formatRef } from "../refs/names.ts";
import type { NewCommit, NewFile, Oid, RefUpdate } from "../refs/object-database.ts";
import type { Heads } from "./catalog.ts";
import type { Context } from "./repository.ts";
import type { OpenVault } from "./vault.ts";

/** Name of the domain a file of a head's tree belongs to, null when it is the sessions'. */
const domainOf = (path: string): string | null => /^domain\/([^/]+)\//.exec(path)?.[1] ?? null;

/**
 * After this many versions of the index its history is cut: only the newest matters, and a new device fetches the others with
 * it, 4 KB each. Who has one that was cut off fetches no more than before, as its server still has it for weeks.
 */
const headVersions = 8;

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
 */
export async function writeIndex(context: Context, vault: OpenVault, index: IndexChange): Promise<Head> {
  const { heads, replica, when, commits = [], refs = [], updates = [], cut = false } = index;
  const domainFiles = index.domainFiles ?? [];
  const rewritten = new Set(domainFiles.map(({ path }) => domainOf(path)));
  const ref = formatRef({ kind: "head", vault: vault.ref, replica });
  const previous = heads.own?.replica === replica ? heads.own : null;
  let written: { head: Head; line: string } | undefined;
  const kept = previous ? await context.db.files(previous.commit) : new Map<string, Oid>();
  const files = async function* (): AsyncGenerator<NewFile> {
    const next = nextHead(
      vault,
      { replica, device: vault.device.id, previous, others: heads.others, now: when },
      index.change(),
    );
    const sealed = await sealHead(vault, vault.signer, next);
    written = sealed;
    for (const [path, content] of sealed.files) yield { path, content };
    for (const { n } of sealed.head.pages) {
      const oid = kept.get(pagePath(n));
      if (oid && !sealed.files.has(pagePath(n))) yield { path: pagePath(n), content: oid };
    }
    yield* domainFiles;
    for (const [path, content] of kept) {
      const domain = domainOf(path);
      if (domain && !rewritten.has(domain) && sealed.head.domains[domain]) yield { path, content };
    }
  };
  const old = previous !== null && previous.head.seq % headVersions === 0;
  const parents = previous && !old && !cut ? [previous.commit] : [];
  const oids = await context.db.commits([...commits, { parents, files: files(), when }]);
  await context.db.update([
    ...refs.map(({ ref: session, from }, at): RefUpdate => ({ ref: session, from, to: oids[at]! })),
    { ref, from: previous?.commit ?? null, to: oids.at(-1)! },
    ...updates,
  ]);
  const { head, line } = written!;
  const mark = { seq: head.seq, hash: await lineHash(line), device: vault.device.id };
  await context.keys.rememberHeads(vault.repo, vault.keyring.vault, { [replica]: mark });
  return head;
}
