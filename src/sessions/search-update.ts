import { isAgentName, loadAgent } from "../agents/registry.ts";
import { vaultPrefix } from "../refs/names.ts";
import type { CatalogEntry, Copy } from "./catalog.ts";
import type { Context } from "./repository.ts";
import { type Indexed, updateIndex } from "./search-index.ts";
import { localCopy } from "./session-fetch.ts";
import { openVault } from "./vault.ts";
import { openWorkplace } from "./workplace.ts";

/** Opens copies of sessions, where they are here, and indexes their text. Exit 6 when one is damaged. */
export async function indexCopies(
  context: Context,
  copies: readonly (readonly [CatalogEntry, Copy])[],
  done: (session: CatalogEntry, indexed: Indexed) => void,
): Promise<void> {
  const vault = await openVault(context);
  const refs = await context.db.refs(vaultPrefix(vault.ref));
  const place = context.repo.root ? await openWorkplace(context) : null;
  for (const [session, copy] of copies) {
    const agent = isAgentName(session.agent) ? await loadAgent(session.agent) : null;
    const stored = agent?.reader ? await localCopy(vault, copy, refs) : null;
    if (!agent || !stored) continue;
    const places = place ? agent.places({ cwd: place.root, workTree: place.root }, place) : null;
    const indexed = await updateIndex(context, vault, copy, stored, agent, places);
    if (indexed) done(session, indexed);
  }
}
