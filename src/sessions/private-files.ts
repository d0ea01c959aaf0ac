import { join, relative, sep } from "node:path";
import { readEnds } from "../agents/glimpse.ts";
import { loadAgents } from "../agents/registry.ts";
import { parseRecoveryCode } from "../crypto/recovery-code.ts";
import { isWithin, realOr } from "./real-paths.ts";
import type { Context } from "./repository.ts";
import { openWorkplace } from "./workplace.ts";

/** More than a device file of many vaults has. */
const keyFileBytes = 16 << 10;
/** A recovery code with whatever an editor puts around it. */
const codeFileBytes = 64;

/**
 * Which of the untracked files would give away what this program protects, were they committed: conversations as the
 * agents keep them, where their folder lies in the work tree; this device's keys and what is kept beside them; git's own
 * files of a repository beside its work tree; and, wherever they lie, keys and recovery codes.
 *
 * @param sizes bytes of the untracked files
 */
export async function privateFiles(
  context: Context,
  sizes: ReadonlyMap<string, number>,
): Promise<ReadonlySet<string>> {
  const root = realOr(context.repo.root!);
  const place = await openWorkplace(context);
  const agents = (await loadAgents()).flatMap(({ home, store, settings }) =>
    [store, home, settings].flatMap((folder) => folder?.(place) ?? []),
  );
  const own = [context.keys.dir, context.stateDir, context.cacheDir];
  const folders = [...agents, ...own, context.repo.gitDir, context.repo.commonDir]
    .filter((folder) => isWithin(folder, root))
    .map((folder) => relative(root, realOr(folder)).split(sep).join("/"));
  const lies = (path: string): boolean =>
    folders.some((folder) => folder === "" || path === folder || path.startsWith(`${folder}/`));
  const found = new Set<string>();
  for (const [path, size] of sizes) {
    if (lies(path) || holdsKey(join(root, path), size)) found.add(path);
  }
  return found;
}

/** Reads only what is as short as such a file, and follows no link: git takes along what it says, not where it leads. */
function holdsKey(path: string, size: number): boolean {
  if (size > keyFileBytes || size < 25) return false;
  const text = readEnds(path, keyFileBytes)?.head.toString("latin1") ?? "";
  return text.includes("AGE-SECRET-KEY-1") || (size <= codeFileBytes && isRecoveryCode(text));
}

function isRecoveryCode(text: string): boolean {
  try {
    return parseRecoveryCode(text) !== "";
  } catch {
    return false;
  }
}
