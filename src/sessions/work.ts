import { join } from "node:path";
import * as v from "valibot";
import { namesIn } from "../agents/folders.ts";
import { readWork, type StoredSession } from "../domains/reader.ts";
import { limits } from "../packing/manifest.ts";
import { applyWork, unbundleWork } from "../worktree/wip.ts";
import { readState, writeAtomic } from "./files.ts";
import type { Context } from "./repository.ts";
import type { OpenVault } from "./vault.ts";

/** Work in progress that this clone has: what it saved itself, and what it was given. */
const known = v.object({ v: v.literal(1), hashes: v.pipe(v.array(v.string()), v.maxLength(1000)) });
const keptHashes = 100;

const pathIn = (gitDir: string): string => join(gitDir, "convosync-work.json");

async function knownWork(gitDir: string): Promise<readonly string[]> {
  return (await readState(pathIn(gitDir), known))?.hashes ?? [];
}

/** What any work tree of the clone has. */
async function knownInClone({ repo }: Context): Promise<readonly string[]> {
  const linked = join(repo.commonDir, "worktrees");
  const gitDirs = [repo.commonDir, ...namesIn(linked).map((name) => join(linked, name))];
  return (await Promise.all(gitDirs.map(knownWork))).flat();
}

/** Notes that this work tree has some work, so that it is never applied to itself. */
export async function rememberWork({ repo: { gitDir } }: Context, hash: string): Promise<void> {
  const hashes = [...(await knownWork(gitDir)).filter((one) => one !== hash), hash].slice(-keptHashes);
  await writeAtomic(pathIn(gitDir), JSON.stringify({ v: 1, hashes }));
}

/**
 * What became of uncommitted work that a session carries: it is in the work tree, or in the stash as it does not fit there, or
 * the commit that it stands on is not here, without which it cannot be read.
 */
export type BroughtWork = "applied" | "stashed" | "baseless";

/** A version of a session that carries uncommitted work, and the snapshot it was saved with. */
export interface CarriedWork {
  readonly stored: StoredSession;
  readonly wip: string;
  /** What it stands on. */
  readonly base: string;
  /** The id of the device whose work it is. */
  readonly device: string;
  /** The version is the one that is gone on with. */
  readonly ofChosen: boolean;
}

/**
 * The uncommitted work of a session: that of the version `chosen`, and what other versions carry that nobody has had yet who
 * went on from there. The conversation may have gone on here, and been captured, before anybody resumed what was saved
 * elsewhere. `own` names this clone's replica and device: what they made without it says nothing, as the clone knows
 * itself what it was given.
 */
export function carriedWork(
  chosen: StoredSession,
  versions: readonly StoredSession[],
  own: { readonly replica: string | null; readonly device: string },
): CarriedWork[] {
  const { snapshots } = chosen.manifest;
  const found = new Map<string, CarriedWork>();
  for (const stored of [chosen, ...versions]) {
    const last = stored.manifest.snapshots.at(-1);
    if (!last?.wip || last.commit === null || found.has(last.wip)) continue;
    const { wip, commit, device } = last;
    const saved = snapshots.findIndex((one) => one.wip === wip);
    const onlyHere =
      chosen.replica === own.replica && snapshots.slice(saved + 1).every((one) => one.device === own.device);
    if (stored !== chosen && saved >= 0 && !onlyHere) continue;
    // A version that was made of several has the work of one of them.
    const from = snapshots[saved]?.device ?? device;
    found.set(wip, { stored, wip, base: commit, device: from, ofChosen: stored === chosen });
  }
  return [...found.values()];
}

/** Notes the work of versions that were parted with as decided on, so that it is not brought later. */
export async function passOver(
  context: Context,
  chosen: StoredSession,
  versions: readonly StoredSession[],
): Promise<void> {
  const wipOf = ({ manifest }: StoredSession): string | null => manifest.snapshots.at(-1)?.wip ?? null;
  for (const wip of new Set(versions.map(wipOf)))
    if (wip !== null && wip !== wipOf(chosen)) await rememberWork(context, wip);
}

/**
 * Brings uncommitted work that a session carries. Null when this work tree has it, or the code does; or any work tree of the
 * clone, where the conversation has gone on since.
 */
export async function bringWork(
  context: Context,
  vault: OpenVault,
  { stored, wip, base, ofChosen }: CarriedWork,
  device: string,
): Promise<BroughtWork | null> {
  const had = await (ofChosen ? knownWork(context.repo.gitDir) : knownInClone(context));
  if (had.includes(wip)) return null;
  if ((await context.git.code(["cat-file", "-e", `${base}^{commit}`])) !== 0) return "baseless";
  const bundle = await readWork(vault, stored, limits.workBytes);
  const work = await unbundleWork(context.git, bundle!, base);
  const how = await applyWork(context.git, work, `convosync: work in progress from ${device}`);
  await rememberWork(context, wip);
  return how === "committed" ? null : how;
}
