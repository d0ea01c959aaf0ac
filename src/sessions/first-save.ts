import { ConvosyncError } from "../errors.ts";
import { isBackground } from "../git/environment.ts";
import { catalog } from "./catalog.ts";
import { type FreshHeads, onNewestHeads } from "./fresh-heads.ts";
import type { Context } from "./repository.ts";
import { fetchSession } from "./session-fetch.ts";

/** Whoever saves by hand meanwhile waits for what the background holds. */
const backgroundTimeoutMs = 30_000;

/**
 * Brings here what other replicas have of conversations that this one is about to save for the first time, as after a
 * project was cloned anew while the agent kept them: the save goes on from there. Without it all of the conversation would
 * be stored once more, without its earlier snapshots, and where the agent has rewritten its file, apart from what is
 * there. What cannot be had does not keep the save from being made. The clone must be locked.
 */
export async function fetchContinued(
  context: Context,
  known: FreshHeads,
  keys: readonly string[],
): Promise<FreshHeads> {
  const { remote } = known;
  if (!remote) return known;
  const isFirst = (now: FreshHeads) =>
    catalog(now.heads, now.vault).filter(
      ({ key, copies }) => keys.includes(key) && copies.every(({ replica }) => replica !== now.heads.replica),
    );
  if (isFirst(known).length === 0) return known;
  try {
    return await onNewestHeads(context, known, async (now) => {
      const timeout = isBackground(context.world.env) ? backgroundTimeoutMs : undefined;
      for (const session of isFirst(now))
        await fetchSession(context, now.vault, now.heads, session, remote, timeout);
      return now;
    });
  } catch (error) {
    // Those who read the conversation are told when it is forged; what is saved here is not the worse for it.
    if (error instanceof ConvosyncError) return known;
    throw error;
  }
}
