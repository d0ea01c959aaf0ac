import {
  currentStreams,
  type DroppedStream,
  type FileRecord,
  type Joined,
  limits,
  type Manifest,
  type Segment,
  type Snapshot,
  type StreamRecord,
} from "../packing/manifest.ts";
import { joinedLog, type Log, relateStreams } from "./sessions.ts";

/**
 * Bringing together versions of a session that went on separately. The result holds every line of each of them: the
 * stream that goes on is the newest generation, and what it does not contain stays beside it as an older one. What
 * was brought together is recorded (`joined`), so that every device sees that the result is ahead of all of them,
 * and that a version which goes on all the same is not.
 */
export interface JoinedVersions {
  /** With segments numbered anew; `from` tells for each where its sealed bytes are. */
  readonly streams: readonly { readonly record: StreamRecord; readonly from: readonly Source[] }[];
  readonly files: readonly { readonly record: FileRecord; readonly version: number }[];
  readonly snapshots: readonly Snapshot[];
  readonly joined: readonly Joined[];
  /** What retention dropped of any of them: a device that still has it is ahead of none. */
  readonly dropped: readonly DroppedStream[];
}

export interface Source {
  readonly version: number;
  readonly i: number;
}

interface Placed {
  readonly version: number;
  readonly record: StreamRecord;
}

/** With more segments than this, a joined version is known by its whole hash alone. */
const mostCuts = 512;

/** Pure. The first version is the one that goes on. */
export function joinVersions(versions: readonly Manifest[]): JoinedVersions {
  const names = [...new Set(versions.flatMap(({ streams }) => streams.map((one) => one.name)))];
  const found = names.map((name) => ({ name, ...placeStreams(name, versions) }));
  const placed = found.flatMap((one) => one.placed);
  const homes = found.find(({ name }) => name === "main")?.homes ?? new Map<string, number>();
  let next = 0;
  const streams = placed.map(({ version, record }) => {
    const segments = record.segments.map((part): Segment => ({ ...part, i: next++ }));
    return { record: { ...record, segments }, from: record.segments.map(({ i }) => ({ version, i })) };
  });
  const records = streams.map(({ record }) => record);
  return {
    streams,
    files: joinFiles(versions),
    snapshots: joinSnapshots(versions, homes),
    joined: joinRecords(versions, records),
    dropped: joinDropped(versions),
  };
}

const holds = (log: Log, other: Log): boolean => ["equal", "ahead"].includes(relateStreams(log, other));

/** A stream of a version. */
const nameOf = (version: number, gen: number): string => `${version} ${gen}`;

/**
 * The streams of one name: those no other contains, the one that goes on with the highest generation. `homes` tells for
 * each stream of a version ({@link nameOf}) the generation that holds it now.
 */
function placeStreams(
  name: string,
  versions: readonly Manifest[],
): { placed: Placed[]; homes: ReadonlyMap<string, number> } {
  const all = versions.flatMap(({ streams }, version) =>
    streams.filter((one) => one.name === name).map((record): Placed => ({ version, record })),
  );
  const current = versions
    .flatMap((manifest, version) =>
      currentStreams(manifest)
        .filter((one) => one.name === name)
        .map((record): Placed => ({ version, record })),
    )
    .reduce((best, one) => (relateStreams(one.record, best.record) === "ahead" ? one : best));
  const kept: Placed[] = [];
  // What one holds that a third holds cannot always be seen from these two alone, where both are cut in other places.
  const holders = new Map<Placed, Placed>();
  for (const one of all) {
    const holder = [current, ...kept].find(({ record }) => holds(record, one.record));
    if (holder) {
      holders.set(one, holder);
      continue;
    }
    const shorter = kept.findIndex(({ record }) => holds(one.record, record));
    if (shorter >= 0) {
      holders.set(kept[shorter]!, one);
      kept[shorter] = one;
    } else kept.push(one);
  }
  const used = new Set<number>();
  const older = kept.map(({ version, record }): Placed => {
    let gen = record.gen;
    while (used.has(gen)) gen++;
    used.add(gen);
    return { version, record: { ...record, gen } };
  });
  const gen = Math.max(...all.map(({ record }) => record.gen), ...[...used].map((one) => one + 1));
  const homes = new Map<string, number>();
  for (const one of all) {
    let holder = one;
    for (let next = holders.get(holder); next; next = holders.get(holder)) holder = next;
    const at = kept.indexOf(holder);
    homes.set(nameOf(one.version, one.record.gen), at < 0 ? gen : older[at]!.record.gen);
  }
  const newest = { version: current.version, record: { ...current.record, gen } };
  return { placed: [...older, newest], homes };
}

/** Files follow the streams: of each name the first version's. */
function joinFiles(versions: readonly Manifest[]): { record: FileRecord; version: number }[] {
  const found = new Map<string, { record: FileRecord; version: number }>();
  for (const [version, { files }] of versions.entries()) {
    for (const record of files) if (!found.has(record.name)) found.set(record.name, { record, version });
  }
  return [...found.values()].slice(0, limits.files);
}

/** All snapshots: those of the first version under their numbers, then what only the others have. */
function joinSnapshots(versions: readonly Manifest[], homes: ReadonlyMap<string, number>): Snapshot[] {
  const known = new Set<string>();
  const snapshots: Snapshot[] = [];
  for (const [version, { snapshots: own }] of versions.entries()) {
    for (const { gen: before = 0, ...one } of own) {
      const key = `${one.ts} ${one.device} ${one.commit}`;
      if (known.has(key)) continue;
      known.add(key);
      // Where retention has dropped the generation, it stays the one it was.
      const gen = homes.get(nameOf(version, before)) ?? before;
      const n = Math.max(one.n, (snapshots.at(-1)?.n ?? 0) + 1);
      snapshots.push({ ...one, n, ...(gen > 0 && { gen }) });
    }
  }
  return snapshots;
}

function joinRecords(versions: readonly Manifest[], records: readonly StreamRecord[]): Joined[] {
  const all = versions.flatMap(({ streams, joined = [] }): Joined[] => [...streams.map(recordOf), ...joined]);
  const apart = all.filter(
    (one) =>
      !records.some(
        ({ name, gen, ...log }) => one.name === name && one.gen === gen && holds(log, joinedLog(one)),
      ),
  );
  const kept: Joined[] = [];
  for (const one of apart.sort(byLength)) {
    const same = (other: Joined): boolean => other.name === one.name && other.gen === one.gen;
    if (!kept.some((other) => same(other) && holds(joinedLog(other), joinedLog(one)))) kept.push(one);
  }
  return kept.slice(0, limits.joined);
}

function joinDropped(versions: readonly Manifest[]): DroppedStream[] {
  const found = new Map<string, DroppedStream>();
  for (const one of versions.flatMap(({ dropped = [] }) => dropped)) {
    const key = `${one.gen} ${one.name}`;
    const before = found.get(key)?.known ?? [];
    const news = one.known.filter(([bytes, sha]) => !before.some(([b, s]) => b === bytes && s === sha));
    found.set(key, { ...one, known: [...before, ...news] });
  }
  return [...found.values()].slice(0, limits.dropped);
}

function recordOf({ name, gen, bytes, sha, segments }: StreamRecord): Joined {
  const cuts =
    segments.length > mostCuts ? [] : segments.map((part): [number, string] => [part.raw, part.sha]);
  return { name, gen, bytes, sha, cuts };
}

/** The longest first; then by what they are, so that every device comes to the same list. */
const byLength = (a: Joined, b: Joined): number =>
  b.bytes - a.bytes || (a.sha < b.sha ? -1 : a.sha > b.sha ? 1 : a.gen - b.gen);
