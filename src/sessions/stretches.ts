import { type Manifest, mainStream } from "../packing/manifest.ts";

/** A stretch of a conversation, and the code it led to. */
export interface Stretch {
  /** First and last message, from 1. */
  readonly from: number;
  readonly to: number;
  readonly branch: string | null;
  readonly commit: string | null;
}

/** How conversation and code went along with each other, by the snapshots of the transcript as it stands. Pure. */
export function stretchesOf(manifest: Pick<Manifest, "streams" | "snapshots">): Stretch[] {
  const gen = mainStream(manifest as Manifest)?.gen ?? 0;
  const stretches: Stretch[] = [];
  for (const { upto, commit, branch, gen: taken = 0 } of manifest.snapshots) {
    const to = upto["main"]?.[0] ?? 0;
    const last = stretches.at(-1);
    if (taken !== gen || to === 0 || (last && to < last.to)) continue;
    const same = last && last.commit === commit && last.branch === branch;
    // With nothing said in between, only the last of several states of the code counts.
    if (last && (same || to === last.to))
      stretches[stretches.length - 1] = { from: last.from, to, branch, commit };
    else stretches.push({ from: (last?.to ?? 0) + 1, to, branch, commit });
  }
  return stretches;
}
