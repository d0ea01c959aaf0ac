import { mainStream, type Snapshot } from "../packing/manifest.ts";
import { type Choice, type OfflineEvent, withChosenSession } from "./choose-session.ts";
import type { Context } from "./repository.ts";
import { fetchSession } from "./session-fetch.ts";
import { tipsOf } from "./versions.ts";

export interface Peeked {
  readonly session: string;
  readonly agent: string;
  readonly snapshot: Snapshot | null;
  readonly messages: number;
}

/** Finds a session and brings its copies here, for reading only: nothing is restored and no code moves. */
export async function peek(
  context: Context,
  options: Choice,
  tell: (event: OfflineEvent) => void,
): Promise<Peeked> {
  return withChosenSession(context, options, tell, async ({ vault, heads, remote, offline }, session) => {
    const copies = await fetchSession(context, vault, heads, session, offline === null ? remote : null);
    const lengths = (await tipsOf(vault, copies)).map((one) => ({
      one,
      lines: mainStream(one.manifest)?.lines ?? 0,
    }));
    const { one, lines } = lengths.sort((a, b) => b.lines - a.lines)[0]!;
    return {
      session: session.id,
      agent: session.agent,
      snapshot: one.manifest.snapshots.at(-1) ?? null,
      messages: lines,
    };
  });
}
