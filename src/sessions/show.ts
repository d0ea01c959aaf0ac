import { type Places, toLocal } from "../agents/portable-paths.ts";
import { isAgentName, loadAgent } from "../agents/registry.ts";
import { readStream, type StoredSession } from "../domains/reader.ts";
import { currentStreams } from "../packing/manifest.ts";
import { catalog, findSession } from "./catalog.ts";
import { currentBranch, findRemote } from "./chosen-remote.ts";
import { loadHeads } from "./heads.ts";
import { type Context, withCloneLock } from "./repository.ts";
import { fetchSession } from "./session-fetch.ts";
import { openVault } from "./vault.ts";
import { openWorkplace } from "./workplace.ts";

export interface Shown {
  readonly id: string;
  readonly title: string;
  readonly stored: StoredSession;
  /** The main stream as this machine would have it, in whole lines. */
  readonly content: () => AsyncGenerator<Uint8Array>;
}

/** A saved conversation, for reading: from here, or fetched when it is not here yet. */
export function showSession(context: Context, name: string): Promise<Shown> {
  return withCloneLock(context, () => findShown(context, name));
}

async function findShown(context: Context, name: string): Promise<Shown> {
  const vault = await openVault(context);
  const heads = await loadHeads(context, vault);
  const { session } = findSession(catalog(heads, vault), name);
  const remote = await findRemote(context, await currentBranch(context));
  const stored = await fetchSession(context, vault, heads, session, remote);
  const longest = [...stored].sort((a, b) => mainBytes(b) - mainBytes(a))[0]!;
  const place = await openWorkplace(context);
  const places: Places | null = isAgentName(session.agent)
    ? (await loadAgent(session.agent)).places({ cwd: place.root, workTree: place.root }, place)
    : null;
  const record = currentStreams(longest.manifest).find((one) => one.name === "main");
  return {
    id: session.id,
    title: session.newest.entry.t,
    stored: longest,
    content: async function* () {
      if (!record) return;
      for await (const part of readStream(vault, longest, record))
        yield places ? toLocal(part, places, "jsonl") : part;
    },
  };
}

const mainBytes = (one: StoredSession): number =>
  currentStreams(one.manifest).find((stream) => stream.name === "main")?.bytes ?? 0;
