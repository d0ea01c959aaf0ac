import { agentNames } from "../agents/registry.ts";
import { type CatalogEntry, catalog } from "./catalog.ts";
import { openOverview } from "./overview.ts";
import type { Context } from "./repository.ts";
import { settings } from "./settings.ts";

/** What a completion offers, and a word on it. Texts come from conversations and other devices: hostile. */
export interface Found {
  readonly value: string;
  readonly description: string;
}

const shortId = 8;

/** Sessions, most recently used first; with `@` in what was typed, the snapshots of the one before it. */
export async function sessionCandidates(context: Context, typed: string): Promise<Found[]> {
  const overview = await openOverview(context);
  const sessions = catalog(overview.heads, overview);
  const at = typed.indexOf("@");
  if (at >= 0) {
    const hits = sessions.filter((one) => one.id.startsWith(typed.slice(0, at)));
    return hits.length === 1 ? snapshots(hits[0]!, typed.slice(0, at)) : [];
  }
  const starts = new Map<string, number>();
  for (const { id } of sessions)
    starts.set(id.slice(0, shortId), (starts.get(id.slice(0, shortId)) ?? 0) + 1);
  return sessions.map(({ id, newest: { entry } }) => ({
    value: typed.length > shortId || starts.get(id.slice(0, shortId)) !== 1 ? id : id.slice(0, shortId),
    description: entry.t || entry.msg,
  }));
}

/** By number, the newest first; only of the last is more known without opening the conversation. */
function snapshots({ newest: { entry } }: CatalogEntry, name: string): Found[] {
  return Array.from({ length: entry.k }, (_, index) => ({
    value: `${name}@${entry.k - index}`,
    description: index === 0 ? entry.msg || "the last one" : "",
  }));
}

/** Branches of this clone, and those sessions were saved on. */
export async function branchCandidates(context: Context): Promise<Found[]> {
  const listing = await context.git.text(["for-each-ref", "--format=%(refname:short)", "refs/heads"]);
  const local = listing.split("\n").filter((name) => name !== "");
  const overview = await openOverview(context).catch(() => null);
  const saved = overview ? catalog(overview.heads, overview).flatMap((one) => one.newest.entry.br ?? []) : [];
  return [...new Set([...local, ...saved])].map((value) => ({ value, description: "" }));
}

export async function deviceCandidates(context: Context): Promise<Found[]> {
  const { members } = await openOverview(context);
  return [...members.values()]
    .filter((one) => one.type !== "recovery")
    .map(({ name, type }) => ({ value: name, description: type }));
}

export async function remoteCandidates(context: Context): Promise<Found[]> {
  const names = (await context.git.text(["remote"])).split("\n").filter((name) => name !== "");
  return names.map((value) => ({ value, description: "" }));
}

export const agentCandidates = (): Found[] => agentNames.map((value) => ({ value, description: "" }));

export const settingCandidates = (): Found[] =>
  settings.map(({ name, what }) => ({ value: name, description: what }));
