import { loadAgent } from "../agents/registry.ts";
import type { StoredSession } from "../domains/reader.ts";
import { ConvosyncError } from "../errors.ts";
import { mainStream, type Snapshot } from "../packing/manifest.ts";
import { catalog, findSnapshotName } from "./catalog.ts";
import { agentOf } from "./choose-session.ts";
import { writeCopy } from "./copy.ts";
import { knownHeads, onNewestHeads } from "./fresh-heads.ts";
import { localDirectory } from "./local-directory.ts";
import { findSnapshot } from "./reading.ts";
import { type Context, withCloneLock } from "./repository.ts";
import { fetchSession } from "./session-fetch.ts";
import { tipsOf } from "./versions.ts";
import { openWorkplace } from "./workplace.ts";

export interface Forked {
  readonly session: string;
  readonly from: string;
  readonly agent: string;
  /** The snapshot it was made of; null for the conversation as it stands. */
  readonly snapshot: Snapshot | null;
  readonly messages: number;
  /** Where the code was. */
  readonly commit: string | null;
  readonly branch: string | null;
  readonly restored: readonly string[];
  readonly resumeCommand: readonly string[];
  readonly workingDirectory: string;
}

/** Makes a session of its own of `<session>` or `<session>@<snapshot>`, in the agent's store. The code stays as it is. */
export async function fork(context: Context, name: string): Promise<Forked> {
  const place = await openWorkplace(context);
  return withCloneLock(context, async () => {
    const { vault, session, at, copies } = await onNewestHeads(
      context,
      await knownHeads(context),
      async ({ vault, heads, remote }) => {
        const { session, at } = findSnapshotName(catalog(heads, vault), name);
        await agentOf(session);
        return { vault, session, at, copies: await fetchSession(context, vault, heads, session, remote) };
      },
    );
    const tips = (await tipsOf(vault, copies)).sort((a, b) => (lastTime(a) < lastTime(b) ? 1 : -1));
    const { stored, snapshot } = at === null ? { stored: tips[0]!, snapshot: null } : snapshotIn(tips, at);
    const agent = await loadAgent(session.agent as Parameters<typeof loadAgent>[0]);
    const cwd = localDirectory(agent, place, stored.manifest.meta.cwd);
    const { id, restored, workingDirectory } = await writeCopy(vault, stored, agent, place, cwd, snapshot);
    const told = snapshot ?? stored.manifest.snapshots.at(-1);
    return {
      session: id,
      from: session.id,
      agent: agent.name,
      snapshot,
      messages: snapshot?.upto["main"]?.[0] ?? mainStream(stored.manifest)?.lines ?? 0,
      commit: told?.commit ?? null,
      branch: told?.branch ?? null,
      restored,
      resumeCommand: agent.resumeCommand(id),
      workingDirectory,
    };
  });
}

const lastTime = ({ manifest }: StoredSession): string => manifest.snapshots.at(-1)?.ts ?? "";

/** The snapshot, in the first version that has it. */
function snapshotIn(
  tips: readonly StoredSession[],
  at: string,
): { stored: StoredSession; snapshot: Snapshot } {
  for (const [index, stored] of tips.entries()) {
    try {
      return { stored, snapshot: findSnapshot(stored.manifest, at) };
    } catch (error) {
      if (!(error instanceof ConvosyncError) || index === tips.length - 1) throw error;
    }
  }
  throw new Error("a session has no version");
}
