import type { Manifest, Snapshot } from "../packing/manifest.ts";

/** Something that happened between two messages of a conversation: the code or the device it went on with. */
export interface Mark {
  /** Behind this line of the main stream. */
  readonly after: number;
  readonly commit: string | null;
  readonly branch: string | null;
  /** The device that wrote what follows; null when it is the one that wrote what precedes. */
  readonly device: string | null;
}

/**
 * The marks of one generation of the main stream, in order. A snapshot tells who wrote what came since the one
 * before; devices are told only where there are several.
 */
export function timelineOf(manifest: Manifest, gen: number): Mark[] {
  const snapshots = manifest.snapshots.filter((one) => (one.gen ?? 0) === gen);
  const several = new Set(snapshots.map((one) => one.device)).size > 1;
  const marks = new Map<number, Mark>();
  const at = (after: number): Mark => marks.get(after) ?? { after, commit: null, branch: null, device: null };
  for (const link of manifest.links) {
    if ((link.gen ?? 0) !== gen) continue;
    marks.set(link.upto, { ...at(link.upto), commit: link.commit, branch: link.branch });
  }
  let after = 0;
  let writer: string | null = null;
  for (const one of several ? snapshots : []) {
    const [lines = 0] = one.upto["main"] ?? [];
    if (lines > after && one.device !== writer) {
      marks.set(after, { ...at(after), device: one.device });
      writer = one.device;
    }
    after = Math.max(after, lines);
  }
  return [...marks.values()].sort((a, b) => a.after - b.after);
}

/** Lines of the main stream that a snapshot has gained over the one before it. */
export function gainedBy(snapshot: Snapshot, before: Snapshot | undefined): number {
  const [lines = 0] = snapshot.upto["main"] ?? [];
  const [earlier = 0] =
    before && (before.gen ?? 0) === (snapshot.gen ?? 0) ? (before.upto["main"] ?? []) : [];
  return Math.max(0, lines - earlier);
}
