import { checkAgent } from "../agents/registry.ts";
import { ConvosyncError, Exit } from "../errors.ts";
import { type CatalogEntry, type Copy, catalog, findSession } from "./catalog.ts";
import { currentBranch, findRemote, noRemote } from "./chosen-remote.ts";
import { type Overview, openOverview, overviewOf } from "./overview.ts";
import { type Context, withCloneLock } from "./repository.ts";
import {
  contains,
  currentIndex,
  type Indexed,
  type IndexHit,
  keepIndexed,
  searchIndex,
  type Voice,
} from "./search-index.ts";

export interface SearchOptions {
  readonly text: string;
  readonly regex?: boolean;
  /** Otherwise case counts when the text has capital letters. */
  readonly ignoreCase?: boolean;
  readonly session?: string;
  readonly agent?: string;
  readonly voice?: Voice;
  /** Most results; all are counted. */
  readonly limit: number;
  /** Ask the remote first, and fetch the sessions that are not here. */
  readonly fetch?: boolean;
}

export interface SearchHit extends IndexHit {
  readonly session: CatalogEntry;
}

export interface SearchResult {
  readonly hits: readonly SearchHit[];
  /** All that were found, shown or not. */
  readonly total: number;
  readonly sessions: number;
  /** Sessions that could not be searched because they are not on this device. */
  readonly missing: number;
  readonly offline: string | null;
}

/** Searches the conversations of all devices, the most recently active first. */
export async function search(context: Context, options: SearchOptions): Promise<SearchResult> {
  const pattern = patternOf(options);
  const { overview, offline } = options.fetch
    ? await fetched(context, options)
    : { overview: await openOverview(context), offline: null };
  const all = catalog(overview.heads, overview);
  checkAgent(options.agent, all);
  const repo = overview.heads.all[0]?.head.repo;
  if (repo === undefined) return { hits: [], total: 0, sessions: 0, missing: 0, offline };
  const named = options.session === undefined ? all : [findSession(all, options.session)];
  const wanted = named.filter((one) => options.agent === undefined || one.agent === options.agent);
  const index = await bringUpToDate(context, repo, wanted);
  await keepIndexed(context, repo, new Set(all.map((one) => one.newest.entry.d)));
  const hits: SearchHit[] = [];
  let total = 0;
  let missing = 0;
  for (const session of wanted) {
    const parts = index.get(session) ?? [];
    if (parts.length === 0) missing++;
    const seen = new Set<string>();
    for (const indexed of distinct(parts)) {
      for await (const hit of searchIndex(context, repo, indexed, pattern)) {
        if (options.voice !== undefined && hit.voice !== options.voice) continue;
        const key = `${hit.n} ${hit.voice} ${hit.before}${hit.hit}${hit.after}`;
        if (seen.has(key)) continue;
        seen.add(key);
        total++;
        if (hits.length < options.limit) hits.push({ ...hit, session });
      }
    }
  }
  return { hits, total, sessions: wanted.length - missing, missing, offline };
}

function patternOf({ text, regex, ignoreCase }: SearchOptions): RegExp {
  const folded = ignoreCase === true || (regex ? !/(?<!\\)\p{Lu}/u.test(text) : !/\p{Lu}/u.test(text));
  const flags = `gm${folded ? "i" : ""}`;
  try {
    return new RegExp(
      regex ? text : text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&"),
      regex ? `${flags}u` : flags,
    );
  } catch (cause) {
    const why = cause instanceof Error ? cause.message.replace(/^Invalid regular expression: /, "") : "";
    throw new ConvosyncError("usage", Exit.usage, `'${text}' is not a regular expression: ${why}`, [
      "to search for the text as it is, leave --regex out",
    ]);
  }
}

/** The longest of several copies, and those that it does not begin with. */
function distinct(parts: readonly Indexed[]): Indexed[] {
  const longest = [...parts].sort((a, b) => b.gen - a.gen || b.bytes - a.bytes);
  return longest.filter(
    (one, at) => !longest.slice(0, at).some((other) => contains(other.segments, one.segments)),
  );
}

/** The index of every copy that is here. Nothing is opened where nothing has changed. */
async function bringUpToDate(
  context: Context,
  repo: string,
  sessions: readonly CatalogEntry[],
): Promise<Map<CatalogEntry, Indexed[]>> {
  const found = new Map<CatalogEntry, Indexed[]>();
  const stale: [CatalogEntry, Copy][] = [];
  for (const session of sessions) {
    for (const copy of distinctCopies(session)) {
      const known = await currentIndex(context, repo, copy);
      if (known) found.set(session, [...(found.get(session) ?? []), known]);
      else stale.push([session, copy]);
    }
  }
  if (stale.length === 0) return found;
  const { indexCopies } = await import("./search-update.ts");
  await indexCopies(context, stale, (session, indexed) =>
    found.set(session, [...(found.get(session) ?? []), indexed]),
  );
  return found;
}

/** Copies of equal length that were last written to at the same moment are the same conversation. */
function distinctCopies({ copies }: CatalogEntry): Copy[] {
  const byContent = new Map(copies.map((copy) => [`${copy.entry.b} ${copy.entry.n} ${copy.entry.u}`, copy]));
  return [...byContent.values()];
}

async function fetched(
  context: Context,
  options: SearchOptions,
): Promise<{ overview: Overview; offline: string | null }> {
  const remote = await findRemote(context, await currentBranch(context));
  if (!remote) throw noRemote();
  const [{ openSettled }, { fetchSession }] = await Promise.all([
    import("./fresh-heads.ts"),
    import("./session-fetch.ts"),
  ]);
  return withCloneLock(context, async () => {
    const { vault, heads, ...answer } = await openSettled(context, remote);
    const overview = await overviewOf(context, vault, heads);
    if (answer.status !== "ok") return { overview, offline: answer.text };
    const all = catalog(heads, vault);
    const named = options.session === undefined ? all : [findSession(all, options.session)];
    for (const session of named) {
      if (options.agent === undefined || session.agent === options.agent)
        await fetchSession(context, vault, heads, session, remote);
    }
    return { overview, offline: null };
  });
}
