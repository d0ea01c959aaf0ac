import { ConvosyncError, Exit } from "../errors.ts";
import type { Link, Manifest } from "../packing/manifest.ts";
import { vaultPrefix } from "../refs/names.ts";
import type { Oid } from "../refs/object-database.ts";
import { type CatalogEntry, catalog, findSession, type Heads } from "./catalog.ts";
import { type FreshHeads, knownHeads, onNewestHeads } from "./fresh-heads.ts";
import { type CommitFinder, type HowResolved, openCommitFinder } from "./link-resolution.ts";
import { describeCommit, type LinkedCommit } from "./links.ts";
import { openSession, type Reading } from "./reading.ts";
import type { Context } from "./repository.ts";
import { localCopy } from "./session-fetch.ts";
import type { OpenVault } from "./vault.ts";

/** How a commit led to a place in a conversation; `before`: it is the nearest earlier commit that did. */
export type HowReplayed = HowResolved | "before";

export interface LinkHit {
  readonly link: Link;
  readonly how: HowReplayed;
}

export interface Replay extends LinkHit {
  readonly reading: Reading;
  /** The commit that was asked for, as the repository has it; null when it has none of that name any more. */
  readonly commit: Oid | null;
  /** Other sessions that have something at the same commit. */
  readonly others: readonly CatalogEntry[];
}

/** The conversation as it stood at a commit, which may have been rewritten since. Without a name, of any session. */
export async function replay(context: Context, given: string, name: string | undefined): Promise<Replay> {
  return onNewestHeads(context, await knownHeads(context), (now) => replayOn(context, now, given, name));
}

async function replayOn(
  context: Context,
  { vault, heads }: FreshHeads,
  given: string,
  name: string | undefined,
): Promise<Replay> {
  const commit = await commitNamed(context, given);
  const sessions = catalog(heads, vault);
  if (name !== undefined) {
    const session = findSession(sessions, name);
    const whole = await openSession(context, vault, heads, session, null);
    const hit = await hitIn(context, whole.stored.manifest, given, commit);
    if (!hit) throw notLinked(given, session);
    return { ...hit, commit, others: [], reading: await openAt(context, vault, heads, session, hit) };
  }
  const hits = await hitsAnywhere(context, vault, sessions, given, commit);
  const [best, ...others] = hits;
  if (!best) throw notLinked(given, null);
  const reading = await openAt(context, vault, heads, best.session, best);
  const same = others.filter(({ how }) => how !== "before").map(({ session }) => session);
  return { link: best.link, how: best.how, commit, others: same, reading };
}

const openAt = (
  context: Context,
  vault: OpenVault,
  heads: Heads,
  session: CatalogEntry,
  { link }: LinkHit,
): Promise<Reading> =>
  openSession(context, vault, heads, session, () => ({ gen: link.gen ?? 0, lines: link.upto }));

type SessionHit = LinkHit & { readonly session: CatalogEntry };

/** Only what is on this device is asked; the sessions that belong to the commit itself come first. */
async function hitsAnywhere(
  context: Context,
  vault: OpenVault,
  sessions: readonly CatalogEntry[],
  given: string,
  commit: Oid | null,
): Promise<SessionHit[]> {
  const refs = await context.db.refs(vaultPrefix(vault.ref));
  const linked: { session: CatalogEntry; links: readonly Link[] }[] = [];
  for (const session of sessions) {
    const stored = await localCopy(vault, session.newest, refs);
    if (stored) linked.push({ session, links: stored.manifest.links });
  }
  const named = linked.flatMap(({ session, links }): SessionHit[] => {
    const hit = linkNamed(links, given, commit);
    return hit ? [{ ...hit, session }] : [];
  });
  if (named.length > 0 || commit === null) return named;
  const facts = await describeCommit(context.git, commit, null);
  const rewritten = await wasRewritten(context, commit);
  const alike = linked.flatMap(({ session, links }): SessionHit[] => {
    const hit = linkLike(links, facts, rewritten);
    return hit ? [{ ...hit, session }] : [];
  });
  if (alike.length > 0) return alike;
  const finder = await openCommitFinder(
    context.git,
    linked.flatMap(({ links }) => links),
  );
  const found: SessionHit[] = [];
  for (const { session, links } of linked) {
    const hit = await linkResolved(links, commit, finder);
    if (hit) found.push({ ...hit, session });
  }
  const exact = found.filter(({ how }) => how !== "before");
  const before = found.filter(({ how }) => how === "before");
  before.sort((a, b) => Date.parse(b.link.authorDate) - Date.parse(a.link.authorDate));
  return [...exact, ...before];
}

async function hitIn(
  context: Context,
  { links }: Manifest,
  given: string,
  commit: Oid | null,
): Promise<LinkHit | null> {
  const named = linkNamed(links, given, commit);
  if (named || commit === null) return named;
  const facts = await describeCommit(context.git, commit, null);
  const alike = linkLike(links, facts, await wasRewritten(context, commit));
  return alike ?? linkResolved(links, commit, await openCommitFinder(context.git, links));
}

/** The link that bears the name. Of several the first: so the conversation stood when the commit was made. */
export function linkNamed(links: readonly Link[], given: string, commit: Oid | null): LinkHit | null {
  const same = (name: Oid): boolean =>
    name === commit || (commit === null && /^[0-9a-f]{4,64}$/.test(given) && name.startsWith(given));
  const itself = links.find((one) => same(one.commit));
  if (itself) return { link: itself, how: "itself" };
  // Several links may have become one commit: it holds what was talked about for all of them.
  const rewritten = links.findLast((one) => one.rewritten.some(same));
  return rewritten ? { link: rewritten, how: "rewritten" } : null;
}

/** Whether a commit was committed later than it was written: else it is no other under a new name (docs/format.md). */
async function wasRewritten(context: Context, commit: Oid): Promise<boolean> {
  const format = ["show", "--no-patch", "--no-show-signature", "--format=%at %ct", commit];
  const [authored, committed] = (await context.git.text(format)).trim().split(" ");
  return Number(committed) > Number(authored);
}

/**
 * The one link that records the author date, the content or the change of this commit; a squash merge's the last. The
 * author's date says something of a commit that was rewritten only: others are made in the same second.
 */
export function linkLike(
  links: readonly Link[],
  { authorDate, authorEmail, tree, patchId }: LinkedCommit,
  rewritten: boolean,
): LinkHit | null {
  const written = Date.parse(authorDate);
  const author = (one: Link): boolean =>
    rewritten && Date.parse(one.authorDate) === written && one.authorEmail === authorEmail;
  const tests: [HowReplayed, (one: Link) => boolean][] = [
    ["author", author],
    ["tree", (one) => one.tree === tree],
    ["patch", (one) => patchId !== null && one.patchId === patchId],
    ["squash", (one) => patchId !== null && one.cumulativePatchId === patchId],
  ];
  for (const [how, test] of tests) {
    const found = links.filter(test);
    if (new Set(found.map((one) => one.commit)).size === 1) return { link: found[0]!, how };
  }
  return null;
}

/** The last link whose commit is now this one, else the last one whose commit leads to it. */
export async function linkResolved(
  links: readonly Link[],
  commit: Oid,
  finder: CommitFinder,
): Promise<LinkHit | null> {
  let before: Link | null = null;
  for (const link of [...links].reverse()) {
    const now = await finder.resolve(link);
    if (!now || now.how === "ancestor") continue;
    if (now.commit === commit) return { link, how: now.how };
    if (!before && (await finder.leadsTo(now.commit, commit))) before = link;
  }
  return before && { link: before, how: "before" };
}

async function commitNamed(context: Context, given: string): Promise<Oid | null> {
  if (given.startsWith("-")) return null;
  const found = await context.git.run(["rev-parse", "--verify", "--quiet", `${given}^{commit}`], {
    okCodes: "any",
  });
  return found.code === 0 ? found.stdout.toString().trim() : null;
}

function notLinked(given: string, session: CatalogEntry | null): ConvosyncError {
  const whose = session ? `session ${session.id.slice(0, 8)}` : "any session on this device";
  return new ConvosyncError(
    "commit-not-linked",
    Exit.failed,
    `nothing of ${whose} belongs to commit '${given}'`,
    [
      session
        ? `see its snapshots: git convosync log ${session.id.slice(0, 8)}`
        : "fetch what other devices saved: git convosync sync",
    ],
  );
}
