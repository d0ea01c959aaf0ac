import type { Git } from "../git/git.ts";
import { openCommitFinder } from "./link-resolution.ts";
import type { Reading } from "./reading.ts";

/** A commit of a conversation as it is now. */
export interface LinkedSubject {
  readonly commit: string;
  /** The name it had when the conversation was saved. */
  readonly was: string;
  readonly branch: string | null;
  /** Null when the commit is not in this repository. */
  readonly subject: string | null;
}

/** What the commits of a conversation are called, found again where they were rewritten. Each once, in order. */
export async function subjectsOf(git: Git, { stored, gen, lines }: Reading): Promise<LinkedSubject[]> {
  const links = stored.manifest.links.filter((one) => (one.gen ?? 0) < gen || one.upto <= lines);
  if (links.length === 0) return [];
  const finder = await openCommitFinder(git, stored.manifest.links);
  const found = new Map<string, LinkedSubject>();
  for (const link of links) {
    const now = await finder.resolve(link);
    const commit = now && now.how !== "ancestor" ? now.commit : link.commit;
    if (found.has(commit)) continue;
    const show = ["show", "-s", "--no-show-signature", "--format=%s", commit];
    const subject = now ? await git.run(show, { okCodes: "any" }) : null;
    const text = subject?.code === 0 ? subject.stdout.toString().trim() : null;
    found.set(commit, { commit, was: link.commit, branch: link.branch, subject: text });
  }
  return [...found.values()];
}
