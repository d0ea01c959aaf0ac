import { utf8 } from "../crypto/encoding.ts";
import { sealFor } from "../crypto/keyring.ts";
import { type Signer, signLine } from "../crypto/signed-line.ts";
import { ConvosyncError, Exit } from "../errors.ts";
import {
  limits,
  type Manifest,
  type ManifestPage,
  manifestPagePath,
  nothingFrozen,
  splitManifest,
  stillFrozen,
} from "../packing/manifest.ts";
import type { NewFile } from "../refs/object-database.ts";
import {
  type Entry,
  type Head,
  headPath,
  hotSessions,
  indexVersion,
  liveSessions,
  type Mark,
  type Page,
  type Pin,
  pagePath,
  pageSize,
  type SealedPage,
  type Tombstone,
  tombstoneDays,
  tombstonesIn,
  toSealedEntries,
} from "./head.ts";
import type { StoredSession } from "./reader.ts";
import { markOf, type ReplicaHead } from "./replica-heads.ts";
import { hashOf, type Vault } from "./sealed-objects.ts";

/** What changes in the index of this replica. */
export interface HeadChange {
  /** New or changed entries. */
  readonly put?: readonly Entry[];
  /** Sessions to bury, as `<agent>:<id>`; a tombstone that is repeated keeps its time. */
  readonly bury?: ReadonlyMap<string, Tombstone>;
  /** Tombstones that are stated anew and bury nothing here: `put` brings their sessions back. */
  readonly overridden?: ReadonlyMap<string, Tombstone>;
  /** What the user pins or unpins now. */
  readonly pins?: Readonly<Record<string, Pin>>;
  /** Sessions an agent has open now, and since when; null for one that is closed, or handed over by a save. */
  readonly live?: ReadonlyMap<string, string | null>;
  /** Hashes of other domains' indexes that change. */
  readonly domains?: Readonly<Record<string, string>>;
  /** Write all pages anew, without what newer entries have replaced. */
  readonly rebuild?: boolean;
}

export interface HeadContext {
  readonly replica: string;
  readonly device: string;
  /** The head this one follows; null for the first. */
  readonly previous: ReplicaHead | null;
  /** Heads of the other replicas as accepted now. */
  readonly others: readonly ReplicaHead[];
  /** Those of them that a remote has shown, so that every device can see them there; without it all. */
  readonly shown?: readonly ReplicaHead[];
  readonly now: Date;
}

/** The next head of a replica: its JSON value and the pages that have to be written anew. Pure. */
export function nextHead(
  vault: Vault,
  context: HeadContext,
  change: HeadChange,
): { head: Head; pages: Page[] } {
  const { previous, now } = context;
  const ts = now.toISOString();
  const buried = change.bury ?? new Map<string, Tombstone>();
  const put = new Map((change.put ?? []).map((entry) => [entry.s, entry]));
  const before = change.rebuild ? (previous?.entries ?? []) : (previous?.head.sessions ?? []);
  const kept = before.filter((entry) => !put.has(entry.s));
  const hot = [...put.values(), ...kept].filter((entry) => !buried.has(entry.s)).sort(byActivity);
  const oldest = new Date(now.getTime() - tombstoneDays * 86_400_000).toISOString();
  const overridden = change.overridden ?? new Map<string, Tombstone>();
  /** A device that was away for long lists what was deleted meanwhile until it is back. */
  const isListed = (s: string): boolean =>
    context.others.some(({ entries }) => entries.some((entry) => entry.s === s));
  const gone = (previous?.head.gone ?? []).filter(
    ([s, at]) => !buried.has(s) && !overridden.has(s) && (at >= oldest || isListed(s)),
  );
  const { sessions, pages, index } = spill(hot, change.rebuild ? null : previous);
  const graves = [...buried, ...overridden].map(([s, { at, upto }]): Head["gone"][number] =>
    upto === undefined ? [s, at] : [s, at, upto],
  );
  const allGone = [...gone, ...graves];
  const head: Head = {
    v: indexVersion,
    type: "head",
    vault: vault.keyring.vault,
    repo: vault.repo,
    replica: context.replica,
    device: context.device,
    seq: (previous?.head.seq ?? 0) + 1,
    prev: previous?.hash ?? null,
    ts,
    epoch: vault.keyring.epoch,
    kr: [vault.keyring.seq, vault.keyring.hash],
    seen: Object.fromEntries(
      [...(context.shown ?? context.others)]
        .sort((a, b) => (a.replica < b.replica ? -1 : 1))
        .map((one): [string, Mark] => [one.replica, markOf(one)]),
    ),
    sessions,
    gone: allGone,
    pages: index,
    domains: { ...previous?.head.domains, ...change.domains },
  };
  const listed = [...put.keys(), ...[previous, ...context.others].flatMap((one) => keysOf(one))];
  const pins = pinsToKeep(
    { ...previous?.head.pins, ...change.pins },
    new Set(listed),
    tombstonesIn([head, ...context.others.map((one) => one.head)]),
  );
  const live = nextLive(previous?.head.live ?? [], change.live ?? new Map(), now);
  const more = { ...(Object.keys(pins).length > 0 && { pins }), ...(live.length > 0 && { live }) };
  return { head: { ...head, ...more }, pages };
}

const keysOf = (one: ReplicaHead | null): string[] => one?.entries.map((entry) => entry.s) ?? [];

/** Pins go on from head to head for as long as somebody has the session and nobody has deleted it since. */
function pinsToKeep(
  pins: Readonly<Record<string, Pin>>,
  listed: ReadonlySet<string>,
  gone: ReadonlyMap<string, Tombstone>,
): Record<string, Pin> {
  return Object.fromEntries(
    Object.entries(pins).filter(([s, [at]]) => listed.has(s) && at > (gone.get(s)?.at ?? "")),
  );
}

/** After this long without a sign of life nobody needs to know that a session was open. */
const liveMs = 86_400_000;

function nextLive(
  before: NonNullable<Head["live"]>,
  change: NonNullable<HeadChange["live"]>,
  now: Date,
): NonNullable<Head["live"]> {
  const oldest = new Date(now.getTime() - liveMs).toISOString();
  const kept = before.filter(([s, , seen]) => !change.has(s) && seen >= oldest);
  const open = [...change].flatMap(
    ([s, since]): NonNullable<Head["live"]> => (since === null ? [] : [[s, since, now.toISOString()]]),
  );
  return [...open, ...kept].slice(0, liveSessions);
}

const byActivity = (a: Entry, b: Entry): number => (a.u < b.u ? 1 : a.u > b.u ? -1 : a.s < b.s ? -1 : 1);

/**
 * Keeps at most `hotSessions` entries in the head. Half of them move at a time into the newest page until it
 * is full, so that most saves write no page at all.
 */
function spill(
  hot: Entry[],
  previous: ReplicaHead | null,
): { sessions: Entry[]; pages: Page[]; index: Head["pages"] } {
  const index = [...(previous?.head.pages ?? [])];
  if (hot.length <= hotSessions) return { sessions: hot, pages: [], index };
  const sessions = hot.slice(0, hotSessions / 2);
  const moving = hot.slice(hotSessions / 2);
  const pages: Page[] = [];
  const last = index.at(-1);
  let open: Entry[] = [];
  let n = index.length === 0 ? 0 : Math.max(...index.map((page) => page.n)) + 1;
  if (last && last.count < pageSize) {
    index.pop();
    n = last.n;
    const moved = new Set(moving.map((entry) => entry.s));
    open = (previous?.pages.find((page) => page.n === last.n)?.sessions ?? []).filter(
      (entry) => !moved.has(entry.s),
    );
  }
  const all = [...open, ...moving];
  for (let at = 0; at < all.length; at += pageSize) {
    pages.push({ v: indexVersion, type: "page", n: n++, sessions: all.slice(at, at + pageSize) });
  }
  return { sessions, pages, index };
}

/** The files to put into a head's tree, the new pages with it, and the head's line as signed. */
export interface SealedHead {
  readonly head: Head;
  readonly line: string;
  readonly files: ReadonlyMap<string, Uint8Array>;
}

/** Seals a head and its new pages. */
export async function sealHead(
  vault: Vault,
  signer: Signer,
  { head, pages }: { head: Head; pages: readonly Page[] },
): Promise<SealedHead> {
  const files = new Map<string, Uint8Array>();
  const index = [...head.pages];
  for (const page of pages) {
    const sessions = toSealedEntries(page.sessions);
    const { file, epoch } = await sealRecord(vault, { ...page, sessions });
    files.set(pagePath(page.n), file);
    index.push({ n: page.n, m: await hashOf(file), count: page.sessions.length, epoch });
  }
  const signed: Head = { ...head, pages: index };
  const json = JSON.stringify({ ...signed, sessions: toSealedEntries(signed.sessions) });
  const line = await signLine("head", json, signer);
  const { file } = await sealFor(vault.keyring, vault.codec.pack(utf8(`${line}\n`)));
  files.set(headPath, file);
  return { head: signed, line, files };
}

/**
 * Seals a whole manifest that continues `basis`: the files to put into the session's tree besides its segments
 * (pages of the basis by their oid), and `m`, what the head's entry binds.
 */
export async function sealManifest(
  vault: Vault,
  manifest: Manifest,
  basis: StoredSession | null,
): Promise<{ files: NewFile[]; m: string; sealedBytes: number }> {
  const frozen = basis && stillFrozen(basis.frozen, basis.manifest, manifest) ? basis.frozen : nothingFrozen;
  const { open, pages } = splitManifest(manifest, frozen);
  const files = frozen.all.map(({ n }): NewFile => {
    const path = manifestPagePath(n);
    return { path, content: basis!.files.get(path)! };
  });
  let sealedBytes = 0;
  for (const page of pages) {
    const { file, epoch } = await sealRecord(vault, page);
    files.push({ path: manifestPagePath(page.n), content: file });
    open.pages.push({ n: page.n, m: await hashOf(file), epoch });
    sealedBytes += file.length;
  }
  const { file } = await sealRecord(vault, open);
  files.push({ path: "manifest.age", content: file });
  return { files, m: await hashOf(file), sealedBytes: sealedBytes + file.length };
}

async function sealRecord(
  vault: Vault,
  record: Manifest | ManifestPage | SealedPage,
): Promise<{ file: Uint8Array; epoch: number }> {
  const body = utf8(JSON.stringify(record));
  const limit = record.type === "page" ? limits.headBytes : limits.manifestBytes;
  if (body.length > limit) {
    // No reader would accept it; nothing has been written yet.
    throw new ConvosyncError(
      "index-too-large",
      Exit.failed,
      `a ${record.type} of ${body.length} bytes is too large`,
      ["the conversation has too many files or streams to be saved as one"],
    );
  }
  return sealFor(vault.keyring, vault.codec.pack(body));
}
