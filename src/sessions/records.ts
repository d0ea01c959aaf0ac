import { join } from "node:path";
import * as v from "valibot";
import {
  allRecords,
  mergeRecords,
  nextRev,
  parseRecords,
  type RecordDomain,
  readRecords,
  type SmallRecord,
  sealRecords,
} from "../domains/records.ts";
import type { Heads } from "./catalog.ts";
import type { ChosenRemote } from "./chosen-remote.ts";
import { readState, withLock, writeAtomic } from "./files.ts";
import { withFreshHeads } from "./fresh-heads.ts";
import { writeIndex } from "./index-writer.ts";
import type { PublishResult } from "./publish.ts";
import { publishSettled } from "./replica.ts";
import type { Context } from "./repository.ts";
import { type OpenVault, ownReplica } from "./vault.ts";

/**
 * Domains of small records in this repository. One of scope `user` is in every repository of the vault: what this
 * device knows of it lies beside its state, and goes into each repository in which something of it is written.
 */

/** All records of a domain as they are known here, deleted ones too. */
export async function knownRecords<Body>(
  context: Context,
  vault: OpenVault,
  heads: Heads,
  domain: RecordDomain<Body>,
): Promise<Map<string, SmallRecord<Body>>> {
  const stored = await Promise.all(heads.all.map((head) => readRecords(vault, head, domain)));
  const own = domain.scope === "user" ? await userRecords(context, vault, domain) : [];
  return mergeRecords(domain, [...stored.map(allRecords), own]);
}

/** A change of records: null deletes. */
type RecordChanges<Body> = ReadonlyMap<string, Body | null>;

export interface WrittenRecords {
  readonly remote: ChosenRemote | null;
  readonly publish: PublishResult | null;
}

/** Writes records: into this replica's head, with the next push to the remote, and for the user's other repositories. */
export async function writeRecords<Body>(
  context: Context,
  domain: RecordDomain<Body>,
  change: (known: ReadonlyMap<string, SmallRecord<Body>>) => RecordChanges<Body>,
): Promise<WrittenRecords> {
  return withFreshHeads(context, async ({ vault, heads, remote }) => {
    const known = await knownRecords(context, vault, heads, domain);
    const replica = await ownReplica(context, vault);
    const when = context.world.now();
    const rev = nextRev(known, replica);
    const at = when.toISOString();
    const put = [...change(known)].map(
      ([id, body]): SmallRecord<Body> =>
        body === null ? { id, rev, at, deleted: true } : { id, rev, at, body },
    );
    const own = heads.own ? await readRecords(vault, heads.own, domain) : { records: [], pages: [] };
    // The user's records from elsewhere come along, so that whoever has this repository has them too.
    const carried = domain.scope === "user" ? await userRecords(context, vault, domain) : [];
    const { files, hash } = await sealRecords(vault, domain, own, [...carried, ...put]);
    await writeIndex(context, vault, {
      heads,
      replica,
      when,
      change: () => ({ domains: { [domain.name]: hash } }),
      domainFiles: files,
    });
    if (domain.scope === "user")
      await rememberUserRecords(context, vault, domain, [...known.values(), ...put]);
    return { remote, publish: remote && (await publishSettled(context, vault, replica, remote)) };
  });
}

const stored = v.object({ v: v.literal(1), records: v.array(v.unknown()) });

const userPath = (context: Context, vault: OpenVault, name: string): string =>
  join(context.stateDir, "domain", vault.ref, `${name}.json`);

async function userRecords<Body>(
  context: Context,
  vault: OpenVault,
  domain: RecordDomain<Body>,
): Promise<SmallRecord<Body>[]> {
  const known = await readState(userPath(context, vault, domain.name), stored);
  return known ? parseRecords(domain, known.records) : [];
}

async function rememberUserRecords<Body>(
  context: Context,
  vault: OpenVault,
  domain: RecordDomain<Body>,
  records: readonly SmallRecord<Body>[],
): Promise<void> {
  const path = userPath(context, vault, domain.name);
  await withLock(`${path}.lock`, 10_000, async () => {
    const merged = mergeRecords(domain, [await userRecords(context, vault, domain), records]);
    await writeAtomic(path, JSON.stringify({ v: 1, records: [...merged.values()] }));
  });
}

/** Keeps what the repository's replicas say of a user's domain for the user's other repositories. */
export async function learnUserRecords<Body>(
  context: Context,
  vault: OpenVault,
  domain: RecordDomain<Body>,
  known: ReadonlyMap<string, SmallRecord<Body>>,
): Promise<void> {
  const before = mergeRecords(domain, [await userRecords(context, vault, domain)]);
  const news = [...known.values()].some((one) => {
    const old = before.get(one.id);
    return !old || domain.policy.relate(old, one) === "behind";
  });
  if (news) await rememberUserRecords(context, vault, domain, [...known.values()]);
}
