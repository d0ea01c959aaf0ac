import * as v from "valibot";
import { utf8 } from "../crypto/encoding.ts";
import { sealFor } from "../crypto/keyring.ts";
import { fields, parseRecord } from "../packing/manifest.ts";
import type { NewFile, Oid } from "../refs/object-database.ts";
import type { Domain, Policy, Relation } from "./domain.ts";
import type { ReplicaHead } from "./replica-heads.ts";
import { hashOf, readBound, type Vault } from "./sealed-objects.ts";

/**
 * Domains of small records: prompts, templates, memory. A replica keeps its records beside its head, in one sealed
 * index and pages that do not change any more, each bound by its hash from the signed head (docs/format.md). All
 * replicas' records together are the domain; of several versions of a record the policy chooses.
 */

/** Orders the versions of a record: a counter that is higher than all its writer had seen, then the writer. */
export type Rev = readonly [lamport: number, replica: string];

export interface SmallRecord<Body> {
  readonly id: string;
  readonly rev: Rev;
  readonly at: string;
  /** Absent in a record that says it was deleted. */
  readonly body?: Body | undefined;
  readonly deleted?: true | undefined;
}

export type RecordDomain<Body> = Domain<v.GenericSchema<unknown, Body>, SmallRecord<Body>>;

/** The later version counts; of two with one `rev`, which no honest replica writes, the one whose text is greater. */
export const lastWriterWins: Policy<SmallRecord<unknown>> = {
  name: "last-writer-wins",
  relate(a, b): Relation {
    const order = a.rev[0] - b.rev[0] || compare(a.rev[1], b.rev[1]) || compare(textOf(a), textOf(b));
    return order === 0 ? "equal" : order < 0 ? "behind" : "ahead";
  },
};

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
const textOf = ({ at, body, deleted }: SmallRecord<unknown>): string => JSON.stringify([at, body, deleted]);

/** The records of all replicas as one: of each the version that counts, deleted ones too. Pure, in any order. */
export function mergeRecords<Body>(
  domain: RecordDomain<Body>,
  sets: Iterable<readonly SmallRecord<Body>[]>,
): Map<string, SmallRecord<Body>> {
  const merged = new Map<string, SmallRecord<Body>>();
  for (const one of [...sets].flat()) {
    const known = merged.get(one.id);
    if (!known || domain.policy.relate(known, one) === "behind") merged.set(one.id, one);
  }
  return merged;
}

/** The `rev` of a version that is written now. */
export function nextRev(known: ReadonlyMap<string, SmallRecord<unknown>>, replica: string): Rev {
  return [Math.max(0, ...[...known.values()].map((one) => one.rev[0])) + 1, replica];
}

/** Records that stand in the index itself, and in a page. */
const pageRecords = 64;

const rev = v.pipe(v.tuple([fields.count, v.pipe(v.string(), v.regex(/^[a-z2-7]{13}$/))]), v.readonly());

function recordOf<Body>(domain: RecordDomain<Body>) {
  return v.looseObject({
    id: v.pipe(v.string(), v.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/)),
    rev,
    at: fields.time,
    body: v.optional(domain.shape),
    deleted: v.optional(v.literal(true)),
  });
}

const pageRef = v.looseObject({
  n: fields.count,
  m: fields.hash,
  count: v.pipe(fields.count, v.maxValue(pageRecords)),
  epoch: v.pipe(fields.count, v.minValue(1)),
});

function indexOf<Body>(domain: RecordDomain<Body>) {
  return v.looseObject({
    v: v.literal(1),
    type: v.literal("domain"),
    name: v.literal(domain.name),
    records: v.pipe(v.array(recordOf(domain)), v.maxLength(pageRecords)),
    pages: v.pipe(v.array(pageRef), v.maxLength(1_000)),
  });
}

function pageOf<Body>(domain: RecordDomain<Body>) {
  return v.looseObject({
    v: v.literal(1),
    type: v.literal("domain-page"),
    name: v.literal(domain.name),
    records: v.pipe(v.array(recordOf(domain)), v.maxLength(pageRecords)),
  });
}

/** Records from elsewhere than a head, such as a file beside the keys. */
export function parseRecords<Body>(domain: RecordDomain<Body>, value: unknown): SmallRecord<Body>[] {
  const parsed = v.safeParse(v.array(recordOf(domain)), value);
  return parsed.success ? (parsed.output as SmallRecord<Body>[]) : [];
}

const indexPath = (name: string): string => `domain/${name}/index.age`;
const pagePath = (name: string, n: number): string => `domain/${name}/${n}.age`;

type PageRef = v.InferOutput<typeof pageRef>;

/** What one replica has of a domain. */
export interface StoredRecords<Body> {
  readonly records: readonly SmallRecord<Body>[];
  readonly pages: readonly {
    readonly ref: PageRef;
    readonly blob: Oid;
    readonly records: readonly SmallRecord<Body>[];
  }[];
}

const none: StoredRecords<never> = { records: [], pages: [] };

/** Opens what a replica has of a domain. Exit 6. */
export async function readRecords<Body>(
  vault: Vault,
  head: ReplicaHead,
  domain: RecordDomain<Body>,
): Promise<StoredRecords<Body>> {
  const m = head.head.domains[domain.name];
  if (m === undefined) return none;
  const files = await vault.db.files(head.commit);
  const index = parseRecord(
    indexOf(domain),
    "domain",
    await readBound(vault, files, indexPath(domain.name), m),
  );
  const pages = await Promise.all(
    index.pages.map(async (ref) => {
      const path = pagePath(domain.name, ref.n);
      const page = parseRecord(
        pageOf(domain),
        "domain",
        await readBound(vault, files, path, ref.m, ref.epoch),
      );
      return { ref, blob: files.get(path)!, records: page.records as SmallRecord<Body>[] };
    }),
  );
  return { records: index.records as SmallRecord<Body>[], pages };
}

export const allRecords = <Body>({ records, pages }: StoredRecords<Body>): SmallRecord<Body>[] => [
  ...pages.flatMap((page) => page.records),
  ...records,
];

/**
 * Seals a replica's records with `put` among them: all files of the domain, and the hash the head binds. What stands in
 * pages stays there until most of it has been replaced; then all is written anew.
 */
export async function sealRecords<Body>(
  vault: Vault,
  domain: RecordDomain<Body>,
  stored: StoredRecords<Body>,
  put: readonly SmallRecord<Body>[],
): Promise<{ files: NewFile[]; hash: string }> {
  const all = [...allRecords(stored), ...put];
  const live = mergeRecords(domain, [all]);
  const rebuild = all.length > 2 * live.size + pageRecords;
  const kept = rebuild ? [] : stored.pages;
  const inPages = new Set(kept.flatMap((page) => page.records));
  const open = [...live.values()]
    .filter((one) => !inPages.has(one))
    .sort((a, b) => a.rev[0] - b.rev[0] || compare(a.id, b.id));
  const files: NewFile[] = kept.map(({ ref, blob }) => ({
    path: pagePath(domain.name, ref.n),
    content: blob,
  }));
  const pages: PageRef[] = kept.map(({ ref }) => ref);
  const seal = async (value: unknown) => {
    const { file, epoch } = await sealFor(vault.keyring, vault.codec.pack(utf8(JSON.stringify(value))));
    return { file, epoch, m: await hashOf(file) };
  };
  while (open.length > pageRecords) {
    const records = open.splice(0, pageRecords);
    const n = Math.max(-1, ...pages.map((page) => page.n)) + 1;
    const { file, epoch, m } = await seal({ v: 1, type: "domain-page", name: domain.name, records });
    files.push({ path: pagePath(domain.name, n), content: file });
    pages.push({ n, m, count: records.length, epoch });
  }
  const index = await seal({ v: 1, type: "domain", name: domain.name, records: open, pages });
  files.push({ path: indexPath(domain.name), content: index.file });
  return { files, hash: index.m };
}
