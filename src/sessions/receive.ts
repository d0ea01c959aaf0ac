import { currentBranch, findRemote } from "./chosen-remote.ts";
import { openWithHeads } from "./remote.ts";
import { type Context, withCloneLock } from "./repository.ts";

/** Takes in what other devices have saved. Does nothing when the remote cannot be reached. */
export async function receive(context: Context): Promise<void> {
  const remote = await findRemote(context, await currentBranch(context));
  if (!remote) return;
  await withCloneLock(context, () => openWithHeads(context, remote));
}
