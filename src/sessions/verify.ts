import { readSidecar, readStream } from "../domains/reader.ts";
import { ConvosyncError, Exit, integrityError } from "../errors.ts";
import { formatRef, incomingRef, outgoingRef, parseRef, vaultPrefix } from "../refs/names.ts";
import { catalog, type Heads, tombstonesOf } from "./catalog.ts";
import { currentBranch, findRemote } from "./chosen-remote.ts";
import { deviceName, loadHeads } from "./heads.ts";
import { noPageCache } from "./page-cache.ts";
import { remoteQueue } from "./queue.ts";
import { dropIncoming, fetchHeads, receive } from "./remote.ts";
import { type Context, withCloneLock } from "./repository.ts";
import { fetchSession, localCopy, lostCopies } from "./session-fetch.ts";
import { type OpenVault, openVault } from "./vault.ts";

export interface Problem {
  readonly code: string;
  readonly where: string;
  readonly message: string;
}

export interface VerifyResult {
  readonly problems: readonly Problem[];
  readonly sessions: number;
  readonly objects: number;
  readonly remote: string | null;
}

/**
 * Proves everything there is: keyring, heads, manifests, and every segment and file of every replica's copy,
 * fetching what is not here. Reports all problems instead of stopping at the first.
 */
export function verify(
  context: Context,
  options: { local?: boolean },
  tell: (session: string) => void,
): Promise<VerifyResult> {
  return withCloneLock(context, async () => {
    const first = await verifyLocked(context, options, tell);
    // Another device may have saved in the meantime; what is wrong is so the second time, too.
    const isOutdated = ({ code }: Problem) => ["manifest-mismatch", "session-missing"].includes(code);
    return first.remote && first.problems.some(isOutdated) ? verifyLocked(context, options, tell) : first;
  });
}

async function verifyLocked(
  context: Context,
  options: { local?: boolean },
  tell: (session: string) => void,
): Promise<VerifyResult> {
  const problems: Problem[] = [];
  const note = (where: string, error: unknown): void => {
    if (!(error instanceof ConvosyncError)) throw error;
    problems.push({ code: error.code, where, message: error.message });
  };
  let vault = await openVault(context);
  let heads = await loadHeads(context, vault);
  const remote = options.local ? null : await findRemote(context, await currentBranch(context));
  if (remote) {
    try {
      const fetched = await fetchHeads(context, vault, remote);
      if (fetched.status !== "ok") {
        throw new ConvosyncError(
          "remote-unreachable",
          Exit.remote,
          `cannot reach '${remote.title}': ${fetched.text}`,
          ["check only what is here: git convosync verify --local"],
        );
      }
      ({ vault, heads } = fetched);
    } catch (error) {
      if (error instanceof ConvosyncError && error.exit === Exit.remote) throw error;
      note(remote.title, error);
    }
    await compareRefs(context, vault, heads, remote, problems);
  }
  let objects = heads.all.length;
  const sessions = catalog(heads, vault);
  const isLost = await lostCopies(context, vault, heads);
  for (const session of sessions) {
    tell(session.id);
    try {
      if (remote) await fetchSession(context, vault, heads, session, remote);
    } catch (error) {
      const isMissing = error instanceof ConvosyncError && error.code === "session-missing";
      const isOnItsWay = session.copies.every(({ replica }) => mayBeSentAgain(heads, session.key, replica));
      if (!isMissing || !isOnItsWay) note(session.id, error);
    }
    for (const copy of session.copies) {
      const where = `${session.id} (${copy.replica})`;
      try {
        const whole = { ...vault, pages: noPageCache };
        const stored = await localCopy(whole, copy, await context.db.refs(copy.ref));
        if (!stored) {
          // Without the remote it is no problem that what another device has saved was not fetched, or an older version.
          if (!remote && copy.replica !== heads.replica) continue;
          if (mayBeSentAgain(heads, session.key, copy.replica) || isLost(copy)) continue;
          throw integrityError("session-missing", "the copy its index names is not there");
        }
        objects++;
        for (const stream of stored.manifest.streams) {
          for await (const _ of readStream(vault, stored, stream)) objects++;
        }
        for (const file of stored.manifest.files) {
          await readSidecar(vault, stored, file);
          objects++;
        }
      } catch (error) {
        note(where, error);
      }
    }
  }
  return { problems, sessions: sessions.length, objects, remote: remote?.title ?? null };
}

/** Whether a deletion elsewhere may have taken a replica's ref from the remote, of which it has not heard since. */
function mayBeSentAgain({ all }: Heads, key: string, replica: string): boolean {
  const heard = all.find((one) => one.replica === replica)?.head.ts ?? "";
  return all.some(({ head }) => head.ts > heard && head.gone.some(([session]) => session === key));
}

/** What the remote shows of this replica must be what it confirmed, and no other replica may have vanished. */
async function compareRefs(
  context: Context,
  vault: OpenVault,
  { all, replica, own: mine, others }: Heads,
  remote: { readonly name: string; readonly key: string },
  problems: Problem[],
): Promise<void> {
  // Whoever deletes a session takes the refs of all replicas from the remote; ours learns of it with the next sync.
  const tombstones = tombstonesOf(all);
  const deleted = new Set(mine?.entries.filter((one) => tombstones.has(one.s)).map((one) => one.d));
  const prefix = vaultPrefix(vault.ref);
  const incoming = incomingRef(prefix);
  const own = replica
    ? [
        `+${prefix}session/*/${replica}:${incoming}session/*/${replica}`,
        `+${prefix}archive/${replica}/*:${incoming}archive/${replica}/*`,
      ]
    : [];
  const refspecs = [`+${prefix}head/*:${incoming}head/*`, ...own];
  const result = await receive(context, remote, refspecs, 120_000);
  if (result.status !== "ok") return;
  try {
    const served = new Map(
      [...(await context.db.refs(incoming))].map(([ref, oid]) => [outgoingRef(ref), oid]),
    );
    const shown = (await context.keys.state()).repos[vault.repo]?.heads ?? {};
    for (const one of others) {
      const ref = formatRef({ kind: "head", vault: vault.ref, replica: one.replica });
      // What another home has written in this very clone may never have been sent.
      if (served.has(ref) || !(one.replica in shown)) continue;
      const whose = deviceName(vault, one.head.device);
      problems.push({
        code: "replica-missing",
        where: ref,
        message: `the remote no longer shows what ${whose} saved`,
      });
    }
    for (const [ref, oid] of Object.entries((await remoteQueue(context, remote.key)).confirmed)) {
      const name = parseRef(ref);
      if (!name || !ref.startsWith(prefix) || !("replica" in name) || name.replica !== replica) continue;
      const there = served.get(ref);
      if (there === oid || (!there && name.kind === "session" && deleted.has(name.dir))) continue;
      problems.push({
        code: there ? "remote-moved" : "remote-lost",
        where: ref,
        message: there
          ? "the remote shows another version than it confirmed"
          : "the remote no longer has what it confirmed",
      });
    }
  } finally {
    await dropIncoming(context, incoming);
  }
}
