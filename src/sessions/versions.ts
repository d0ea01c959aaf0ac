import { toBase64url } from "../crypto/encoding.ts";
import { merge } from "../domains/domain.ts";
import { readStream, type StoredSession } from "../domains/reader.ts";
import type { Vault } from "../domains/sealed-objects.ts";
import { sessions as sessionsDomain, undetermined, type Version } from "../domains/sessions.ts";
import { currentStreams } from "../packing/manifest.ts";
import { StreamHash } from "../packing/stream-hash.ts";

type Hashes = Map<string, Map<number, string>>;

/**
 * The copies of a session as versions that can be compared. Mostly their segments tell how they relate; only where
 * the same bytes were cut differently, after a repacking, is content read.
 */
export async function comparable(vault: Vault, stored: readonly StoredSession[]): Promise<Version[]> {
  const prefixes = new Map(stored.map((one): [string, Hashes] => [one.replica, new Map()]));
  const versions = stored.map(
    ({ replica, manifest }): Version => ({ replica, manifest, prefixes: prefixes.get(replica)! }),
  );
  for (const a of versions) {
    for (const b of versions) {
      for (const { name, of, upTo } of a === b ? [] : undetermined(a, b)) {
        const from = stored.find((one) => one.replica === of.replica)!;
        const known = prefixes.get(of.replica)!;
        const hashes = known.get(name) ?? new Map<number, string>();
        known.set(name, hashes.set(upTo, await prefixHash(vault, from, name, upTo)));
      }
    }
  }
  return versions;
}

/** The versions that no other one holds. */
export async function tipsOf(vault: Vault, stored: readonly StoredSession[]): Promise<StoredSession[]> {
  const versions = await comparable(vault, stored);
  const { tips } = merge(sessionsDomain.policy, versions, (one: Version) => one.replica);
  return tips.map((tip) => stored.find((one) => one.replica === tip.replica)!);
}

async function prefixHash(vault: Vault, session: StoredSession, name: string, upTo: number): Promise<string> {
  const record = currentStreams(session.manifest).find((one) => one.name === name)!;
  const hash = StreamHash.start();
  let left = upTo;
  for await (const part of readStream(vault, session, record)) {
    if (left > 0) hash.update(part.subarray(0, left));
    left -= part.length;
  }
  return toBase64url(hash.digest());
}
