import { join } from "node:path";
import * as v from "valibot";
import { readWork, type StoredSession } from "../domains/reader.ts";
import { limits } from "../packing/manifest.ts";
import { applyWork, unbundleWork } from "../worktree/wip.ts";
import { readState, writeAtomic } from "./files.ts";
import type { Context } from "./repository.ts";
import type { OpenVault } from "./vault.ts";

/** Work in progress that this clone has: what it saved itself, and what it was given. */
const known = v.object({ v: v.literal(1), hashes: v.pipe(v.array(v.string()), v.maxLength(1000)) });
const keptHashes = 100;

const pathOf = (context: Context): string => join(context.repo.gitDir, "convosync-work.json");

async function knownWork(context: Context): Promise<readonly string[]> {
  return (await readState(pathOf(context), known))?.hashes ?? [];
}

/** Notes that this work tree has some work, so that it is never applied to itself. */
export async function rememberWork(context: Context, hash: string): Promise<void> {
  const hashes = [...(await knownWork(context)).filter((one) => one !== hash), hash].slice(-keptHashes);
  await writeAtomic(pathOf(context), JSON.stringify({ v: 1, hashes }));
}

/**
 * What became of uncommitted work that a session carries: it is in the work tree, or in the stash as it does not fit there, or
 * the commit that it stands on is not here, without which it cannot be read.
 */
export type BroughtWork = "applied" | "stashed" | "baseless";

/** Brings the uncommitted work that a session carries. Null when there is none, or this work tree has it. */
export async function bringWork(
  context: Context,
  vault: OpenVault,
  stored: StoredSession,
  device: string,
): Promise<BroughtWork | null> {
  const { wip, commit } = stored.manifest.snapshots.at(-1)!;
  if (wip === null || commit === null || (await knownWork(context)).includes(wip)) return null;
  if ((await context.git.code(["cat-file", "-e", `${commit}^{commit}`])) !== 0) return "baseless";
  const bundle = await readWork(vault, stored, limits.workBytes);
  const work = await unbundleWork(context.git, bundle!, commit);
  const applied = await applyWork(context.git, work, `convosync: work in progress from ${device}`);
  await rememberWork(context, wip);
  return applied ? "applied" : "stashed";
}
