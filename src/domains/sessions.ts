import {
  currentStreams,
  type Joined,
  type Manifest,
  manifestSchema,
  type StreamRecord,
} from "../packing/manifest.ts";
import { defineDomain, flip, type Policy, type Relation } from "./domain.ts";

/**
 * One replica's version of a session. `prefixes` holds what is known about the content beyond the manifest:
 * for a stream, the hash of its first N bytes, by N. It is needed only where two replicas cut the same
 * bytes into different segments (after compaction).
 */
export interface Version {
  readonly replica: string;
  readonly manifest: Manifest;
  readonly prefixes?: ReadonlyMap<string, ReadonlyMap<number, string>>;
}

const appendLog: Policy<Version> = { name: "append-log", relate: relateVersions };

/** The first domain: conversations, append-only logs that several devices continue in turn. */
export const sessions = defineDomain({
  name: "sessions",
  shape: manifestSchema,
  policy: appendLog,
  scope: "repository",
});

/** How the conversation of `a` relates to that of `b`. Files follow the streams and never make a conflict. */
export function relateVersions(a: Version, b: Version): Relation {
  const names = new Set([...a.manifest.streams, ...b.manifest.streams].map((one) => one.name));
  return combine([...names].flatMap((name) => relateByName(name, a, b)));
}

/** Ahead in one thing and behind in another is apart. */
function combine(relations: readonly Relation[]): Relation {
  if (relations.includes("diverged")) return "diverged";
  const ahead = relations.includes("ahead");
  const behind = relations.includes("behind");
  if (ahead && behind) return "diverged";
  return ahead ? "ahead" : behind ? "behind" : "equal";
}

/**
 * Relations of the generations of one stream. Those from before the agent rewrote its file count as well: they hold
 * lines that may be nowhere else. Where one side lacks such a generation, either it says that retention dropped this
 * very version of it, or it has gone on to a newer one than the other side. A version that was joined into a side
 * counts as if it stood beside that side's own.
 */
function relateByName(name: string, a: Version, b: Version): Relation[] {
  const left = generations(name, a);
  const right = generations(name, b);
  const [newestLeft, newestRight] = [newest(name, a), newest(name, b)];
  return [...new Set([...left.keys(), ...right.keys()])].map((gen): Relation => {
    const current = gen === newestLeft && gen === newestRight;
    const one = { logs: left.get(gen) ?? [], prefixes: current ? a.prefixes?.get(name) : undefined };
    const other = { logs: right.get(gen) ?? [], prefixes: current ? b.prefixes?.get(name) : undefined };
    const inRight = lacks(
      b,
      name,
      gen,
      other.logs.length === 0 && gen < newestRight && newestRight > newestLeft,
    );
    const inLeft = lacks(a, name, gen, one.logs.length === 0 && gen < newestLeft && newestLeft > newestRight);
    return relateGenerations(one, other, inLeft, inRight);
  });
}

/** Whether a version may lack a log of this generation: retention dropped it, or it has gone on to a newer one. */
function lacks({ manifest }: Version, name: string, gen: number, newer: boolean): (log: Log) => boolean {
  const known = manifest.dropped?.find((one) => one.name === name && one.gen === gen)?.known;
  return (log) => {
    if (log.bytes === 0) return true;
    return known ? known.some(([bytes, sha]) => bytes === log.bytes && sha === log.sha) : newer;
  };
}

/** What of a log is compared: whole hash, and the hashes of what it was cut into. */
export type Log = Pick<StreamRecord, "bytes" | "sha"> & {
  readonly segments: readonly { readonly raw: number; readonly sha: string }[];
};

export const joinedLog = ({ bytes, sha, cuts }: Joined): Log => ({
  bytes,
  sha,
  segments: cuts.map(([raw, hash]) => ({ raw, sha: hash })),
});

function newest(name: string, { manifest }: Version): number {
  return Math.max(-1, ...manifest.streams.filter((one) => one.name === name).map((one) => one.gen));
}

/** By generation: the stream itself, then what was joined. */
function generations(name: string, { manifest }: Version): Map<number, Log[]> {
  const found = new Map<number, Log[]>();
  const add = (gen: number, log: Log): unknown => found.set(gen, [...(found.get(gen) ?? []), log]);
  for (const one of manifest.streams) if (one.name === name) add(one.gen, one);
  for (const one of manifest.joined ?? []) if (one.name === name) add(one.gen, joinedLog(one));
  return found;
}

/** The logs of one generation of one side, and the hashes of its stream's prefixes. */
interface Generation {
  readonly logs: readonly Log[];
  readonly prefixes: ReadonlyMap<number, string> | undefined;
}

function relateGenerations(
  left: Generation,
  right: Generation,
  leftMayLack: (log: Log) => boolean,
  rightMayLack: (log: Log) => boolean,
): Relation {
  const relations = left.logs.map((one) =>
    right.logs.map((other) => relateStreams(one, other, left.prefixes, right.prefixes)),
  );
  const inRight = left.logs.every(
    (log, at) => rightMayLack(log) || relations[at]!.some((one) => one === "equal" || one === "behind"),
  );
  const inLeft = right.logs.every(
    (log, at) => leftMayLack(log) || relations.some((row) => row[at] === "equal" || row[at] === "ahead"),
  );
  return inRight ? (inLeft ? "equal" : "behind") : inLeft ? "ahead" : "diverged";
}

/** Compares two logs by length, hash and segments; never by trust in a length alone. */
export function relateStreams(
  a: Log,
  b: Log,
  prefixesOfA?: ReadonlyMap<number, string>,
  prefixesOfB?: ReadonlyMap<number, string>,
): Relation {
  if (a.bytes === b.bytes) return a.sha === b.sha ? "equal" : "diverged";
  if (a.bytes > b.bytes) return flip(relateStreams(b, a, prefixesOfB, prefixesOfA));
  if (a.bytes === 0 || commonBytes(a, b) === a.bytes) return "behind";
  return prefixesOfB?.get(a.bytes) === a.sha ? "behind" : "diverged";
}

/**
 * The one of several versions that goes on from what stands now in each other one, in every stream that both have: what
 * these hold beside it is what was joined into them. Null where there is none, or where it is not plain by the segments.
 */
export function furthestOf<V extends Pick<Version, "manifest">>(versions: readonly V[]): V | null {
  return versions.find((one) => versions.every((other) => goesOnFrom(other.manifest, one.manifest))) ?? null;
}

/** What was joined is of a newer generation than the same in the version it came from. */
function goesOnFrom(before: Manifest, after: Manifest): boolean {
  const later = new Map(currentStreams(after).map((one) => [one.name, one]));
  return currentStreams(before).every((one) => {
    const other = later.get(one.name);
    return other ? ["equal", "ahead"].includes(relateStreams(other, one)) : one.name !== "main";
  });
}

/** Length in bytes of the prefix that both logs provably share, judged by their segments. */
export function commonBytes(a: Log, b: Log): number {
  let common = 0;
  for (const [index, part] of a.segments.entries()) {
    const other = b.segments[index];
    if (!other || other.raw !== part.raw || other.sha !== part.sha) break;
    common += part.raw;
  }
  return common;
}

/**
 * The streams of `b` whose content must be hashed up to a length before `a` and `b` can be compared:
 * same generation, different lengths, and segments cut differently.
 */
export function undetermined(a: Version, b: Version): { name: string; of: Version; upTo: number }[] {
  const right = new Map(currentStreams(b.manifest).map((one) => [one.name, one]));
  return currentStreams(a.manifest).flatMap((one) => {
    const other = right.get(one.name);
    if (!other || other.gen !== one.gen || other.bytes === one.bytes) return [];
    const [short, long, of] = one.bytes < other.bytes ? [one, other, b] : [other, one, a];
    if (commonBytes(short, long) === short.bytes || of.prefixes?.get(one.name)?.has(short.bytes)) return [];
    return [{ name: one.name, of, upTo: short.bytes }];
  });
}
