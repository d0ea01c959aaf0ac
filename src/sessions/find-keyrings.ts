import { outgoingRef, parseRef } from "../refs/names.ts";
import type { Oid } from "../refs/object-database.ts";
import { type ChosenRemote, noRemote, unreachable } from "./chosen-remote.ts";
import { dropIncoming, isAncestor, receive } from "./remote.ts";
import type { Context } from "./repository.ts";

const refsTimeoutMs = 60_000;
/** Of a remote that nobody has named for it. */
const glanceMs = 10_000;

/** A vault's keyring in this repository. */
export interface FoundKeyring {
  /** The one to go by. */
  readonly commit: Oid;
  /** What this clone has, and what the remote shows, if it was asked. */
  readonly here: Oid | null;
  readonly there: Oid | null;
}

/**
 * Keyrings of all vaults, here and on the remote, by vault ref; what the remote shows is not believed yet. Who needs the
 * remote goes by what it shows, unless this clone has a newer one: other devices may have joined since.
 */
export async function findKeyrings(
  context: Context,
  remote: ChosenRemote | null,
  needed: boolean,
  { prompt = true }: { readonly prompt?: boolean } = {},
): Promise<Map<string, FoundKeyring>> {
  const found = new Map<string, FoundKeyring>();
  for (const [ref, commit] of await context.db.refs("refs/convosync/")) {
    const name = parseRef(ref);
    if (name?.kind === "keyring") found.set(name.vault, { commit, here: commit, there: null });
  }
  if (!remote) {
    if (needed) throw noRemote();
    return found;
  }
  await dropIncoming(context, "refs/convosync-incoming/");
  const refspecs = ["+refs/convosync/*/keyring:refs/convosync-incoming/*/keyring"];
  const result = await receive(context, remote, refspecs, prompt ? refsTimeoutMs : glanceMs, { prompt });
  if (result.status !== "ok") {
    if (needed) throw unreachable(remote, result.status === "unreachable" ? result.text : "");
    return found;
  }
  for (const [ref, there] of await context.db.refs("refs/convosync-incoming/")) {
    const name = parseRef(outgoingRef(ref));
    if (name?.kind !== "keyring") continue;
    const here = found.get(name.vault)?.here ?? null;
    const keep = here !== null && (!needed || (await isAncestor(context, there, here)));
    found.set(name.vault, { commit: keep ? here : there, here, there });
  }
  return found;
}
