import { rmSync } from "node:fs";
import { join } from "node:path";
import { integrityError } from "../errors.ts";
import { lostObjects } from "../refs/lost-objects.ts";
import { vaultPrefix } from "../refs/names.ts";
import type { Oid, RefUpdate } from "../refs/object-database.ts";
import { fetch, remoteRefs } from "../refs/transport.ts";
import { type ChosenRemote, unreachable } from "./chosen-remote.ts";
import { dropping } from "./remote.ts";
import type { Context } from "./repository.ts";
import { findVault } from "./vault.ts";

export interface Mended {
  /** Objects that came back. */
  readonly back: number;
  /** Sessions of which something is lost for good. */
  readonly letGo: number;
}

const timeoutMs = 120_000;
/** Objects that are asked for at once: each is an argument. */
const atOnce = 100;

/**
 * Fetches, by their names, the objects of ours that this clone has lost: a disk's fault, a copy of a `.git` that was being
 * written, an eager clean-up. git itself would not ask for them, as it takes whatever its refs reach for there, and the
 * user's own `git gc` fails as long as they are. A session that cannot be made whole is let go of, so that the next save
 * reads it from the agent anew and other devices' are fetched when they are asked for. Exit 6 when an index or the keyring
 * stays broken, exit 8 without the remote.
 */
export async function fetchLost(context: Context, remote: ChosenRemote): Promise<Mended> {
  const { ref: vault } = await findVault(context);
  const prefix = vaultPrefix(vault);
  const refs = await context.db.refs(prefix);
  let lost = await lostObjects(context.git, refs.values());
  if (lost.size === 0) return { back: 0, letGo: 0 };
  // Before anything is moved out of the way.
  const answer = await remoteRefs(context.git, { remote: remote.name, prefix, timeoutMs, prompt: true });
  if (answer.status === "unreachable") throw unreachable(remote, answer.text);
  let back = 0;
  for (let before = Number.POSITIVE_INFINITY; lost.size > 0; ) {
    await refetch(context, remote, refs, lost);
    const left = await lostObjects(context.git, refs.values());
    back += [...lost].filter((oid) => !left.has(oid)).length;
    const known = [...left].filter((oid) => lost.has(oid)).length;
    lost = left;
    // Below what has come back others may be missing; nothing has come back twice in a row: that is all there is.
    if (known === before) break;
    before = known;
  }
  return { back, letGo: lost.size > 0 ? await letGo(context, prefix, refs) : 0 };
}

async function refetch(
  context: Context,
  remote: ChosenRemote,
  refs: ReadonlyMap<string, Oid>,
  lost: ReadonlySet<Oid>,
): Promise<void> {
  // What is left of an object git would take for it.
  const objects = join(context.repo.commonDir, "objects");
  for (const oid of lost) rmSync(join(objects, oid.slice(0, 2), oid.slice(2)), { force: true });
  // git fetches nothing while a ref names what is not there.
  const broken = new Map([...refs].filter(([, oid]) => lost.has(oid)));
  const present = await context.db.refs(...broken.keys());
  await context.db.update(dropping(new Map([...present].filter(([ref]) => broken.has(ref)))));
  const names = [...lost];
  for (let from = 0; from < names.length; from += atOnce) {
    const some = names.slice(from, from + atOnce);
    const together = await fetchNamed(context, remote, some);
    // One that the remote does not have has none of them come.
    if (!together) for (const oid of some) await fetchNamed(context, remote, [oid]);
  }
  const still = await lostObjects(context.git, broken.values());
  const whole = [...broken].filter(([, oid]) => !still.has(oid));
  await context.db.update(whole.map(([ref, to]): RefUpdate => ({ ref, from: null, to })));
}

async function fetchNamed(context: Context, remote: ChosenRemote, names: readonly Oid[]): Promise<boolean> {
  const how = { timeoutMs, prompt: true, sealed: true, whole: true };
  const request = { remote: remote.name, refspecs: names, ...how };
  return fetch(context.git, request).then(
    ({ status }) => status === "ok",
    () => false,
  );
}

/** Takes away the sessions' refs that reach what is lost for good; how many. */
async function letGo(context: Context, prefix: string, refs: ReadonlyMap<string, Oid>): Promise<number> {
  let count = 0;
  for (const [ref, oid] of refs) {
    if ((await lostObjects(context.git, [oid])).size === 0) continue;
    if (!ref.startsWith(`${prefix}session/`)) {
      throw integrityError("missing-object", `what ${ref} holds is lost, here and on the remote`, [
        "look for it in another clone: git convosync verify",
      ]);
    }
    await context.db.update(dropping(await context.db.refs(ref)));
    count++;
  }
  return count;
}
