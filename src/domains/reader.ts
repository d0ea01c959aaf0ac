import { fromUtf8, toBase64url } from "../crypto/encoding.ts";
import { type Keyring, memberKey, openFrom } from "../crypto/keyring.ts";
import { knowsLine } from "../crypto/keyring-log.ts";
import { sessionDir } from "../crypto/names.ts";
import { sha256 } from "../crypto/primitives.ts";
import { lineHash, verifyLine } from "../crypto/signed-line.ts";
import { ConvosyncError, Exit, integrityError } from "../errors.ts";
import {
  type FileRecord,
  type Frozen,
  filePath,
  frozenBy,
  joinManifest,
  limits,
  type Manifest,
  type ManifestPage,
  manifestPagePath,
  type PageRef,
  parseManifest,
  parseManifestPage,
  type Segment,
  type StreamRecord,
  segmentPath,
  workPath,
} from "../packing/manifest.ts";
import { StreamHash } from "../packing/stream-hash.ts";
import { decode } from "../packing/vcdiff-decode.ts";
import type { ObjectDatabase, Oid } from "../refs/object-database.ts";
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
import type { Spool } from "./spool.ts";

/**
 * Reading what the remote and the other devices say, in the order of docs/format.md: each step is allowed to
 * trust only what the steps before it have proved. Whatever is wrong is exit 6, and nothing is written.
 */

/** Turns a payload into bytes and back; bound to this platform's (de)compressor by the caller. */
export interface Codec {
  /** `cuts`: offsets at which another kind of data begins. */
  pack(body: Uint8Array, cuts?: readonly number[]): Uint8Array;
  /** Exactly `length` bytes, or an integrity error. */
  unpack(payload: Uint8Array, length: number): Uint8Array;
  unpackWithin(payload: Uint8Array, limit: number): Uint8Array;
}

/** Pages that were opened before, by the hash of their sealed file: that hash vouches for what they hold. */
export interface PageCache {
  /** Those of one replica's version of a session, `dir` being its name in refs; none is as good as any. */
  load(dir: string, replica: string): Promise<ReadonlyMap<string, ManifestPage>>;
  keep(dir: string, replica: string, pages: ReadonlyMap<string, ManifestPage>): void;
}

/** A vault in one repository, opened. */
export interface Vault {
  readonly keyring: Keyring;
  /** Id of the repository (16 bytes, base64url). */
  readonly repo: string;
  readonly db: ObjectDatabase;
  readonly codec: Codec;
  /** Room for a stream while it is being read. */
  newSpool(): Spool;
  /** Without it every page is opened each time. */
  readonly pages?: PageCache;
}

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

/** Sealed files are a little larger than what they hold: header, nonces, padding. */
const sealedLimit = (bytes: number): number => bytes + (bytes >> 3) + (64 << 10);

export async function hashOf(bytes: Uint8Array): Promise<string> {
  return toBase64url(await sha256(bytes));
}

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
      "somebody may have reset or restored it, or it is another one than before; compare with: git convosync verify",
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

/** A replica's version of a session with the objects of its tree. */
export interface StoredSession {
  readonly replica: string;
  /** The commit that holds it; null when only its folder was fetched out of an archive. */
  readonly commit: Oid | null;
  /** Whole: with the records of its pages. */
  readonly manifest: Manifest;
  /** What of it stands in pages. */
  readonly frozen: Frozen;
  readonly files: ReadonlyMap<string, Oid>;
}

/** Opens the manifest an index entry is bound to. Exit 6; `manifest-mismatch` when another one is found there. */
export async function readSession(
  vault: Vault,
  replica: string,
  entry: Entry,
  { commit, files }: Pick<StoredSession, "commit" | "files">,
): Promise<StoredSession> {
  const sealed = await readFile(vault, files, "manifest.age", sealedLimit(limits.manifestBytes));
  if ((await hashOf(sealed)) !== entry.m) {
    throw integrityError("manifest-mismatch", `session ${entry.s} is not the one its index names`);
  }
  const body = vault.codec.unpackWithin(await openSealed(vault, sealed), limits.manifestBytes);
  const open = parseManifest(fromUtf8(body));
  if (
    open.vault !== vault.keyring.vault ||
    open.repo !== vault.repo ||
    open.replica !== replica ||
    `${open.agent}:${open.session}` !== entry.s
  ) {
    throw integrityError("wrong-manifest", `session ${entry.s} carries the manifest of another`);
  }
  const pages = await readManifestPages(vault, files, open.pages, { dir: entry.d, replica });
  return { replica, commit, manifest: joinManifest(open, pages), frozen: frozenBy(open, pages), files };
}

/** The pages that are named, each after those that it names itself. */
async function readManifestPages(
  vault: Vault,
  files: ReadonlyMap<string, Oid>,
  named: readonly PageRef[],
  { dir, replica }: { dir: string; replica: string },
): Promise<ManifestPage[]> {
  if (named.length === 0) return [];
  const known = (await vault.pages?.load(dir, replica)) ?? new Map<string, ManifestPage>();
  const all = new Map<string, ManifestPage>();
  const pages: ManifestPage[] = [];
  // The newest first, as long as pages name others: numbers that fall bound that, whatever a page says.
  for (let refs = named; refs.length > 0; ) {
    const opened = await Promise.all(
      refs.map(async (ref) => {
        const page = files.has(manifestPagePath(ref.n)) ? known.get(ref.m) : undefined;
        return page ?? readManifestPage(vault, files, ref);
      }),
    );
    for (const [i, { n, m }] of refs.entries()) {
      if (opened[i]!.n !== n) throw wrongOrder();
      all.set(m, opened[i]!);
    }
    pages.unshift(...opened);
    refs = opened[0]!.pages ?? [];
    const rising = [...refs, ...pages].every(({ n }, i, list) => i === 0 || n > list[i - 1]!.n);
    const inside = opened.slice(1).some((page) => page.pages !== undefined);
    if (!rising || inside || refs.length + pages.length > limits.pages) throw wrongOrder();
  }
  if ([...all.keys()].some((m) => !known.has(m))) vault.pages?.keep(dir, replica, all);
  return pages;
}

const wrongOrder = () => integrityError("damaged-manifest", "the pages of a manifest are not in order");

async function readManifestPage(
  vault: Vault,
  files: ReadonlyMap<string, Oid>,
  ref: PageRef,
): Promise<ManifestPage> {
  const sealed = await readSealedPage(vault, files, ref);
  const body = vault.codec.unpackWithin(await openSealed(vault, sealed, ref.epoch), limits.manifestBytes);
  return parseManifestPage(fromUtf8(body), ref.n);
}

async function readSealedPage(
  vault: Vault,
  files: ReadonlyMap<string, Oid>,
  { n, m }: PageRef,
): Promise<Uint8Array> {
  const sealed = await readFile(vault, files, manifestPagePath(n), sealedLimit(limits.manifestBytes));
  if ((await hashOf(sealed)) !== m)
    throw integrityError("wrong-page", "a page of a manifest is not the one it names");
  return sealed;
}

/** What the gzip member of a segment holds: its bytes, or a delta. Exit 6. */
async function readBody(vault: Vault, session: StoredSession, part: Segment): Promise<Uint8Array> {
  const sealed = await readSegment(vault, session, part);
  return vault.codec.unpack(await openSealed(vault, sealed, part.epoch), part.enc);
}

/** Begins to read a segment, for whoever may want it. */
function readAhead(
  vault: Vault,
  session: StoredSession,
  part: Segment | undefined,
): Promise<Uint8Array> | null {
  const reading = part ? readBody(vault, session, part) : null;
  reading?.catch(() => undefined);
  return reading;
}

async function readSegment(vault: Vault, { files }: StoredSession, part: Segment): Promise<Uint8Array> {
  const sealed = await readFile(vault, files, segmentPath(part.i), sealedLimit(part.enc));
  if ((await hashOf(sealed)) !== part.ct)
    throw integrityError("wrong-segment", "a segment is not the one its manifest names");
  return sealed;
}

const wrongSegment = (): Error =>
  integrityError("wrong-segment", "a segment does not hold what its manifest says");

/**
 * Proves that all of a session is there and is what its manifest names, without opening it; what is in `proved`
 * has been through this before. Without it a remote could get a damaged copy kept. Exit 6.
 */
export async function proveSession(
  vault: Vault,
  session: StoredSession,
  proved: ReadonlySet<Oid>,
): Promise<void> {
  const isNew = (path: string): boolean => !proved.has(session.files.get(path) ?? "");
  // What was known of them before says nothing about what has been served now.
  for (const page of session.frozen.all)
    if (isNew(manifestPagePath(page.n))) await readSealedPage(vault, session.files, page);
  for (const part of session.manifest.streams.flatMap((stream) => stream.segments)) {
    if (isNew(segmentPath(part.i))) await readSegment(vault, session, part);
  }
  for (const record of session.manifest.files) {
    if (isNew(filePath(record.ct))) await readSealedFile(vault, session, record);
  }
  const { env, snapshots } = session.manifest;
  const wip = snapshots.at(-1)?.wip;
  const others = [
    ...(wip ? [{ path: workPath, ct: wip }] : []),
    ...(env ? [{ path: filePath(env.ct), ct: env.ct }] : []),
  ];
  for (const { path, ct } of others) {
    if (!isNew(path)) continue;
    const sealed = await readFile(vault, session.files, path, sealedLimit(limits.workBytes));
    if ((await hashOf(sealed)) !== ct)
      throw integrityError("wrong-file", "an object is not the one its manifest names");
  }
}

/** The uncommitted work that the last snapshot carries, a git bundle of at most `limit` bytes; null without. Exit 6. */
export async function readWork(
  vault: Vault,
  session: StoredSession,
  limit: number,
): Promise<Uint8Array | null> {
  const ct = session.manifest.snapshots.at(-1)?.wip ?? null;
  return ct === null ? null : readSealed(vault, session, { path: workPath, ct }, limit);
}

/** Opens an object of a session that its manifest names by the hash of its ciphertext. Exit 6. */
export async function readSealed(
  vault: Vault,
  { files }: StoredSession,
  { path, ct, epoch }: { readonly path: string; readonly ct: string; readonly epoch?: number },
  limit: number,
): Promise<Uint8Array> {
  const sealed = await readFile(vault, files, path, sealedLimit(limit));
  if ((await hashOf(sealed)) !== ct)
    throw integrityError("wrong-file", "an object is not the one its manifest names");
  return vault.codec.unpackWithin(await openSealed(vault, sealed, epoch), limit);
}

/**
 * Streams a log from its first byte, segment by segment; the whole is proved when the last one has come. `whole` is
 * the hash of what has been yielded. Exit 6.
 */
export async function* readStream(
  vault: Vault,
  session: StoredSession,
  stream: StreamRecord,
  whole = StreamHash.start(),
): AsyncGenerator<Uint8Array> {
  const lastDelta = stream.segments.findLastIndex((part) => part.codec === "vcd");
  const spool = vault.newSpool();
  try {
    let next = readAhead(vault, session, stream.segments[0]);
    for (const [index, part] of stream.segments.entries()) {
      const body = (await next)!;
      next = readAhead(vault, session, stream.segments[index + 1]);
      const bytes = part.codec === "vcd" ? decode(body, spool.source, part.raw) : body;
      if ((await hashOf(bytes)) !== part.sha) throw wrongSegment();
      whole.update(bytes);
      if (index < lastDelta) spool.append(bytes);
      yield bytes;
    }
  } finally {
    spool.close();
  }
  if (toBase64url(whole.digest()) !== stream.sha) {
    throw integrityError("wrong-stream", `stream '${stream.name}' does not hold what its manifest says`);
  }
}

/**
 * The segments of a log from one on, of which none may be a delta. Each is proved by its own hash; that they make up
 * the log is for who has read what precedes them. Exit 6.
 */
export async function* readStreamFrom(
  vault: Vault,
  session: StoredSession,
  stream: StreamRecord,
  from: number,
): AsyncGenerator<Uint8Array> {
  for (const part of stream.segments.slice(from)) {
    if (part.codec !== "gz") throw new Error("a delta cannot be read without what precedes it");
    const bytes = await readBody(vault, session, part);
    if ((await hashOf(bytes)) !== part.sha) throw wrongSegment();
    yield bytes;
  }
}

/** A sidecar file, whole. Exit 6. */
export async function readSidecar(
  vault: Vault,
  session: StoredSession,
  record: FileRecord,
): Promise<Uint8Array> {
  const sealed = await readSealedFile(vault, session, record);
  const bytes = vault.codec.unpack(await openSealed(vault, sealed, record.epoch), record.bytes);
  if ((await hashOf(bytes)) !== record.sha)
    throw integrityError("wrong-file", "a file does not hold what its manifest says");
  return bytes;
}

async function readSealedFile(
  vault: Vault,
  { files }: StoredSession,
  record: FileRecord,
): Promise<Uint8Array> {
  const sealed = await readFile(vault, files, filePath(record.ct), sealedLimit(record.bytes));
  if ((await hashOf(sealed)) !== record.ct)
    throw integrityError("wrong-file", "a file is not the one its manifest names");
  return sealed;
}

/** Opens an object of the vault. One that none of the vault's keys open was put there by a stranger: exit 6. */
async function openSealed(vault: Vault, sealed: Uint8Array, epoch?: number): Promise<Uint8Array> {
  try {
    return await openFrom(vault.keyring, sealed, epoch);
  } catch (error) {
    if (!(error instanceof ConvosyncError) || error.exit !== Exit.noKey) throw error;
    throw integrityError("foreign-object", "an object is not sealed to this vault", [], error);
  }
}

/** The body of a sealed object that is bound by the hash `m` of its ciphertext. Exit 6. */
export async function readBound(
  vault: Vault,
  files: ReadonlyMap<string, Oid>,
  path: string,
  m: string,
  epoch?: number,
): Promise<string> {
  const sealed = await readFile(vault, files, path, sealedLimit(limits.manifestBytes));
  if ((await hashOf(sealed)) !== m)
    throw integrityError("wrong-page", `'${path}' is not the one its index names`);
  return fromUtf8(vault.codec.unpackWithin(await openSealed(vault, sealed, epoch), limits.manifestBytes));
}

async function readFile(
  vault: Vault,
  files: ReadonlyMap<string, Oid>,
  path: string,
  limit: number,
): Promise<Uint8Array> {
  const oid = files.get(path);
  if (!oid) throw integrityError("object-missing", `'${path}' is missing from what the remote shows`);
  return vault.db.read(oid, limit);
}

/** The mark of a head, as others record it in `seen`. */
export function markOf(one: ReplicaHead): Mark {
  return [one.head.seq, one.hash];
}
