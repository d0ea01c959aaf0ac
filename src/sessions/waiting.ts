import { join } from "node:path";
import { type CatalogEntry, catalog, type Heads } from "./catalog.ts";
import { readCursor } from "./cursor.ts";
import { readIfPresent, writeCache } from "./files.ts";
import type { Context } from "./repository.ts";
import type { OpenVault } from "./vault.ts";

/** A session that another device has taken further than this clone knows it. */
export interface Waiting {
  readonly session: CatalogEntry;
  /** The device's id. */
  readonly device: string;
}

/**
 * Sessions that are newer elsewhere than in this clone, the newest first, whether or not they are fetched yet.
 *
 * @param here the vault's `<vault>` of the ref names, and this device's id
 */
export async function waitingSessions(
  context: Context,
  here: { readonly ref: string; readonly device: string },
  heads: Heads,
): Promise<Waiting[]> {
  const waiting: Waiting[] = [];
  for (const session of catalog(heads, here)) {
    const own = session.copies.find((copy) => copy.replica === heads.replica);
    const most = Math.max(...session.copies.map((copy) => copy.entry.b));
    const ahead = session.copies.find((copy) => copy.replica !== heads.replica && copy.entry.b === most);
    if (!ahead || (own && own.entry.b >= most)) continue;
    // What was resumed and not gone on with is here, though no copy of ours says so.
    const { streams } = await readCursor(context, here.device, session.key);
    if ((streams["main"]?.bytes ?? 0) < most) waiting.push({ session, device: ahead.device });
  }
  return waiting;
}

/** Branches at most that hooks are told of. */
const mostBranches = 50;

/**
 * Writes down what waits for each branch, as the line a person reads after a checkout: `<branch> TAB <line>`. The hook
 * that prints it has only a shell, and asks nobody.
 */
export async function noteWaiting(
  context: Context,
  vault: OpenVault,
  heads: Heads,
  nameOf: (device: string) => string,
): Promise<void> {
  const here = { ref: vault.ref, device: vault.device.id };
  const lines = new Map<string, string>();
  for (const { session, device } of await waitingSessions(context, here, heads)) {
    const { br: branch, u } = session.newest.entry;
    if (branch === null || lines.has(branch) || lines.size === mostBranches) continue;
    const day = u.slice(0, 16).replace("T", " ");
    const where = device === here.device ? "in another clone here" : `on ${plain(nameOf(device))}`;
    const what = `a conversation on this branch went on ${where} (${day} UTC)`;
    lines.set(branch, `convosync: ${what}: git convosync resume ${session.id.slice(0, 8)}`);
  }
  const text = [...lines].map(([branch, line]) => `${branch}\t${line}\n`).join("");
  const path = join(context.cloneDir, "waiting");
  const before = (await readIfPresent(path).catch(() => null))?.toString("utf8") ?? "";
  if (text !== before) await writeCache(path, text);
}

/** A name from another device, fit for a terminal that only a shell writes to. */
const plain = (name: string): string =>
  [...name.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "")].slice(0, 40).join("").trim();
