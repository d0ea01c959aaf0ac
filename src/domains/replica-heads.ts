import { fromUtf8 } from "../crypto/encoding.ts";
import { type Keyring, memberKey } from "../crypto/keyring.ts";
import { knowsLine } from "../crypto/keyring-log.ts";
import { sessionDir } from "../crypto/names.ts";
import { lineHash, verifyLine } from "../crypto/signed-line.ts";
import { integrityError } from "../errors.ts";
import { limits } from "../packing/manifest.ts";
import type { Oid } from "../refs/object-database.ts";
import {
  allEntries,
  type Entry,
  type Head,
  headPath,
  type Mark,
  type Page,
  pagePath,
  parseHead,
  parsePage,
  type SealedEntry,
  tombstoneDays,
} from "./head.ts";
import { hashOf, openSealed, readFile, sealedLimit, type Vault } from "./sealed-objects.ts";

/** A head that has been opened and whose signature holds; not yet compared with what is remembered. */
export interface ReplicaHead {
  readonly replica: string;
  readonly commit: Oid;
  readonly head: Head;
  /** Hash of the signed line. */
  readonly hash: string;
  readonly pages: readonly Page[];
  readonly entries: readonly Entry[];
}

/** How far each replica had come when this device last accepted its head, and which device writes it. */
export type Marks = Readonly<
  Record<string, { readonly seq: number; readonly hash: string; readonly device: string }>
>;

/** Opens and authenticates the head that `replica`'s ref points to. Exit 6. */
export async function readHead(vault: Vault, replica: string, commit: Oid): Promise<ReplicaHead> {
  const files = await vault.db.files(commit);
  const sealed = await readFile(vault, files, headPath, sealedLimit(limits.headBytes));
  const line = fromUtf8(vault.codec.unpackWithin(await openSealed(vault, sealed), limits.headBytes)).replace(
    /\n$/,
    "",
  );
  const { json, device } = await verifyLine("head", line, (id) => memberKey(vault.keyring, id));
  const parsed = parseHead(json);
  if (parsed.device !== device)
    throw integrityError("wrong-signer", "a head is signed by another device than it names");
  if (parsed.replica !== replica)
    throw integrityError("wrong-replica", "a head stands under another replica's name");
  if (parsed.vault !== vault.keyring.vault)
    throw integrityError("wrong-vault", "a head belongs to another vault");
  if (parsed.repo !== vault.repo)
    throw integrityError("wrong-repository", "a head belongs to another repository");
  const head: Head = { ...parsed, sessions: await withDirectories(vault, parsed.sessions) };
  const pages: Page[] = [];
  for (const { n, m, count, epoch } of head.pages) {
    const page = await readFile(vault, files, pagePath(n), sealedLimit(limits.headBytes));
    if ((await hashOf(page)) !== m)
      throw integrityError("wrong-page", "a page of the index is not the one its head names");
    const body = vault.codec.unpackWithin(await openSealed(vault, page, epoch), limits.headBytes);
    const parsedPage = parsePage(fromUtf8(body), { n, count });
    pages.push({ ...parsedPage, sessions: await withDirectories(vault, parsedPage.sessions) });
  }
  const entries = allEntries(head, pages);
  return { replica, commit, head, hash: await lineHash(line), pages, entries };
}

/** A session's directory follows from its id; another one would let a device have others' sessions deleted. */
function withDirectories(vault: Vault, entries: readonly SealedEntry[]): Promise<Entry[]> {
  const { nameKey } = vault.keyring;
  return Promise.all(
    entries.map(async (entry) => {
      const colon = entry.s.indexOf(":");
      const dir = await sessionDir(nameKey, vault.repo, entry.s.slice(0, colon), entry.s.slice(colon + 1));
      if (entry.d !== undefined && entry.d !== dir)
        throw integrityError("wrong-directory", `session ${entry.s} stands under another one's directory`);
      return { ...entry, d: dir };
    }),
  );
}

/**
 * Decides whether a set of heads, one per replica, may be believed, given what this device remembers and the
 * heads it accepted before. Returns the marks to remember. Exit 6: rollback, equivocation, a session dropped
 * without a tombstone, a stale view, a keyring older than the head, a signer that was revoked.
 *
 * `partial` is for heads that did not just come from the remote: then a replica may be missing.
 */
export function acceptHeads(
  keyring: Keyring,
  heads: readonly ReplicaHead[],
  marks: Marks,
  accepted: ReadonlyMap<string, ReplicaHead>,
  options: { partial?: boolean } = {},
): Marks {
  const byReplica = new Map(heads.map((one) => [one.replica, one]));
  const next: Record<string, { seq: number; hash: string; device: string }> = { ...marks };
  const tombstones = new Set(heads.flatMap((one) => one.head.gone.map(([session]) => session)));
  for (const one of heads) {
    const { head, replica, hash } = one;
    checkSigner(keyring, one);
    const mark = marks[replica];
    if (mark && mark.device !== head.device) {
      throw integrityError("wrong-replica", "another device writes under the name of a known replica");
    }
    if (mark && head.seq < mark.seq) throw rollback(keyring, head);
    if (mark && head.seq === mark.seq && hash !== mark.hash) {
      throw integrityError(
        "equivocation",
        `${nameOf(keyring, head.device)} signed two different states with one number`,
        ["a device whose keys were restored from a backup does this; make it join anew"],
      );
    }
    const before = accepted.get(replica);
    const listed = new Set(one.entries.map((entry) => entry.s));
    const dropped = (before && remembers(before.head, head) ? before.entries : []).find(
      (entry) => !listed.has(entry.s) && !tombstones.has(entry.s),
    );
    if (dropped)
      throw integrityError("session-dropped", `session ${dropped.s} vanished without having been deleted`);
    next[replica] = { seq: head.seq, hash, device: head.device };
  }
  if (options.partial) return next;
  for (const [replica, mark] of Object.entries(marks)) {
    if (!byReplica.has(replica)) throw missingReplica(keyring, mark.device);
  }
  for (const { head } of heads) {
    for (const [replica, [seq, hash]] of Object.entries(head.seen))
      checkSeen(keyring, byReplica.get(replica), head, seq, hash);
  }
  return next;
}

/** Whether a session that `before` lists and `now` does not must have a tombstone: they are not repeated for ever. */
function remembers(before: Head, now: Head): boolean {
  return Date.parse(now.ts) - Date.parse(before.ts) < tombstoneDays * 86_400_000;
}

function checkSigner(keyring: Keyring, { head, hash: own }: ReplicaHead): void {
  const [seq, hash] = head.kr;
  if (seq > keyring.seq) {
    throw integrityError("stale-keyring", "a head was written under a newer keyring than the remote shows", [
      "try again in a moment: git convosync sync",
    ]);
  }
  if (!knowsLine(keyring, seq, hash))
    throw integrityError("keyring-fork", "a head was written under another keyring");
  const member = keyring.members.get(head.device);
  if (!member?.removedAt) return;
  const cut = member.cut?.[head.repo]?.[head.replica];
  if (!cut || head.seq > cut[0] || (head.seq === cut[0] && own !== cut[1])) {
    throw integrityError(
      "revoked-signer",
      `a head was signed by ${nameOf(keyring, head.device)} after it was revoked`,
    );
  }
}

function checkSeen(
  keyring: Keyring,
  served: ReplicaHead | undefined,
  by: Head,
  seq: number,
  hash: string,
): void {
  if (!served) throw missingReplica(keyring, undefined);
  if (served.head.seq < seq) throw rollback(keyring, served.head);
  if (served.head.seq === seq && served.hash !== hash) {
    throw integrityError(
      "equivocation",
      `${nameOf(keyring, by.device)} has seen another state than the remote shows here`,
    );
  }
}

function rollback(keyring: Keyring, head: Head): Error {
  return integrityError(
    "rollback",
    `the remote shows an older state of ${nameOf(keyring, head.device)} than is known`,
    [
      "if it was reset, restored from a backup, or is another one than before, put there what it lacks: git convosync sync --retry",
      "if it was not, somebody is serving you old data: do not trust it",
    ],
  );
}

function missingReplica(keyring: Keyring, device: string | undefined): Error {
  const whose = device ? `what ${nameOf(keyring, device)} saved` : "a replica that another device has seen";
  return integrityError("replica-missing", `the remote no longer shows ${whose}`, [
    "if the remote was reset, put it back from a clone that has it: git convosync sync --retry",
  ]);
}

export function nameOf(keyring: Keyring, device: string): string {
  return keyring.members.get(device)?.name ?? `device ${device.slice(0, 8)}`;
}

/** The mark of a head, as others record it in `seen`. */
export function markOf(one: ReplicaHead): Mark {
  return [one.head.seq, one.hash];
}
