import { currentStreams, type Manifest, manifestSchema, type StreamRecord } from "../packing/manifest.ts";
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
  const left = new Map(currentStreams(a.manifest).map((one) => [one.name, one]));
  const right = new Map(currentStreams(b.manifest).map((one) => [one.name, one]));
  let ahead = false;
  let behind = false;
  for (const name of new Set([...left.keys(), ...right.keys()])) {
    const relation = relateByName(name, left.get(name), right.get(name), a, b);
    if (relation === "diverged") return "diverged";
    ahead ||= relation === "ahead";
    behind ||= relation === "behind";
  }
  if (ahead && behind) return "diverged";
  return ahead ? "ahead" : behind ? "behind" : "equal";
}

function relateByName(
  name: string,
  one: StreamRecord | undefined,
  other: StreamRecord | undefined,
  a: Version,
  b: Version,
): Relation {
  if (!one || !other)
    return one ? (one.bytes === 0 ? "equal" : "ahead") : other?.bytes === 0 ? "equal" : "behind";
  if (one.gen > other.gen) return flip(relateByName(name, other, one, b, a));
  if (one.gen < other.gen) {
    // The agent rewrote its file: the newer generation holds all of the older one that it kept beside itself.
    const kept = b.manifest.streams.find((old) => old.name === name && old.gen === one.gen);
    if (!kept) return "behind";
    const relation = relateStreams(one, kept);
    return relation === "equal" || relation === "behind" ? "behind" : "diverged";
  }
  return relateStreams(one, other, a.prefixes?.get(name), b.prefixes?.get(name));
}

/** Compares two logs by length, hash and segments; never by trust in a length alone. */
export function relateStreams(
  a: StreamRecord,
  b: StreamRecord,
  prefixesOfA?: ReadonlyMap<number, string>,
  prefixesOfB?: ReadonlyMap<number, string>,
): Relation {
  if (a.bytes === b.bytes) return a.sha === b.sha ? "equal" : "diverged";
  if (a.bytes > b.bytes) return flip(relateStreams(b, a, prefixesOfB, prefixesOfA));
  if (a.bytes === 0 || commonBytes(a, b) === a.bytes) return "behind";
  return prefixesOfB?.get(a.bytes) === a.sha ? "behind" : "diverged";
}

/** Length in bytes of the prefix that both logs provably share, judged by their segments. */
export function commonBytes(a: StreamRecord, b: StreamRecord): number {
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
