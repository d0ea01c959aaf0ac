import { mainStream, type Snapshot } from "../packing/manifest.ts";
import { catalog } from "./catalog.ts";
import { pick } from "./choose-session.ts";
import { currentBranch, findRemote } from "./chosen-remote.ts";
import { freshHeads } from "./fresh-heads.ts";
import { type Context, withCloneLock } from "./repository.ts";
import type { ResumeEvent, ResumeOptions } from "./resume.ts";
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
  options: Pick<ResumeOptions, "session" | "decide">,
  tell: (event: ResumeEvent) => void,
): Promise<Peeked> {
  return withCloneLock(context, async () => {
    const remote = await findRemote(context, await currentBranch(context));
    const { vault, heads, offline } = await freshHeads(context, remote);
    if (remote && offline !== null) tell({ step: "offline", remote: remote.name, text: offline });
    const session = await pick(vault, catalog(heads, vault), options);
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
