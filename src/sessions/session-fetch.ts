import { hashOf, readSession, type StoredSession } from "../domains/reader.ts";
import { ConvosyncError, Exit, integrityError } from "../errors.ts";
import { incomingRef, outgoingRef, parseRef, vaultPrefix } from "../refs/names.ts";
import type { Oid, RefUpdate } from "../refs/object-database.ts";
import { fetch } from "../refs/transport.ts";
import type { CatalogEntry, Copy, Heads } from "./heads.ts";
import { type ChosenRemote, dropIncoming } from "./remote.ts";
import type { Context } from "./repository.ts";
import type { OpenVault } from "./vault.ts";

const fetchTimeoutMs = 30 * 60_000;

/**
 * All replicas' copies of a session that this clone can have: what is here already, and for the rest what the
 * remote serves. Each is proved against the index entry that names it before its ref is taken over.
 */
export async function fetchSession(
  context: Context,
  vault: OpenVault,
  heads: Heads,
  session: CatalogEntry,
  remote: ChosenRemote | null,
): Promise<StoredSession[]> {
  const prefix = `${vaultPrefix(vault.ref)}session/${session.newest.entry.d}/`;
  const local = await context.db.refs(prefix);
  const found: StoredSession[] = [];
  const missing: Copy[] = [];
  for (const copy of session.copies) {
    const commit = local.get(copy.ref);
    const stored = commit ? await readCurrent(vault, copy, commit) : null;
    if (stored) found.push(stored);
    else missing.push(copy);
  }
  if (missing.length === 0) return found;
  if (!remote) {
    if (found.length > 0) return found;
    throw new ConvosyncError(
      "session-not-here",
      Exit.remote,
      "the conversation is not on this device yet, and the remote cannot be reached",
      ["try again when it can: git convosync resume"],
    );
  }
  await dropIncoming(context, incomingRef(prefix));
  const own = heads.replica ? [`^${prefix}${heads.replica}`] : [];
  const result = await fetch(context.git, {
    remote: remote.name,
    refspecs: [`+${prefix}*:${incomingRef(prefix)}*`, ...own],
    timeoutMs: fetchTimeoutMs,
    prompt: true,
  });
  try {
    if (result.status !== "ok") {
      throw new ConvosyncError(
        "remote-unreachable",
        Exit.remote,
        `cannot fetch the conversation from '${remote.name}'`,
        [result.status === "unreachable" ? result.text : "the remote does not have it"],
      );
    }
    return [
      ...found,
      ...(await acceptCopies(context, vault, missing, local, await context.db.refs(incomingRef(prefix)))),
    ];
  } finally {
    await dropIncoming(context, incomingRef(prefix));
  }
}

async function acceptCopies(
  context: Context,
  vault: OpenVault,
  missing: readonly Copy[],
  local: ReadonlyMap<string, Oid>,
  incoming: ReadonlyMap<string, Oid>,
): Promise<StoredSession[]> {
  const served = new Map([...incoming].map(([ref, commit]) => [outgoingRef(ref), commit]));
  const accepted: StoredSession[] = [];
  const updates: RefUpdate[] = [];
  for (const copy of missing) {
    const commit = served.get(copy.ref);
    if (!commit || !parseRef(copy.ref)) {
      throw integrityError(
        "session-missing",
        `the remote's index names a copy of ${copy.entry.s} that it does not have`,
        ["the device that saved it may still be pushing; try again in a moment"],
      );
    }
    accepted.push(await readSession(vault, copy.replica, copy.entry, commit));
    updates.push({ ref: copy.ref, to: commit, from: local.get(copy.ref) ?? null });
  }
  await context.db.update(updates);
  return accepted;
}

/** The copy as the local ref has it, or null when the index has moved on from there. */
async function readCurrent(vault: OpenVault, copy: Copy, commit: Oid): Promise<StoredSession | null> {
  const oid = (await vault.db.files(commit)).get("manifest.age");
  if (!oid || (await hashOf(await vault.db.read(oid, 8 << 20))) !== copy.entry.m) return null;
  return readSession(vault, copy.replica, copy.entry, commit);
}
