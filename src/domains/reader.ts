import { fromUtf8, toBase64url } from "../crypto/encoding.ts";
import { integrityError } from "../errors.ts";
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
import type { Oid } from "../refs/object-database.ts";
import type { Entry } from "./head.ts";
import { hashOf, openSealed, readFile, sealedLimit, type Vault } from "./sealed-objects.ts";

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
    throw integrityError("manifest-mismatch", `session ${entry.s} is not the one its index names`, [
      "the device that saved it may still have to send it; there: git convosync sync --retry",
      "if the remote was reset and it is no more, read the conversation without that; here: git convosync sync --retry",
    ]);
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
