import type { Git } from "../git/git.ts";
import { writeAll } from "../git/write-all.ts";
import type { Oid } from "../refs/object-database.ts";

// A patch-id names a change whatever commit carries it. It must not depend on how this user likes diffs shown.

const plainConfig = [
  "-c",
  "core.quotePath=true",
  "-c",
  "diff.orderFile=",
  "-c",
  "diff.suppressBlankEmpty=false",
];
const plainDiff = [
  "-p",
  "-O/dev/null",
  "-U3",
  "--no-renames",
  "--no-color",
  "--no-ext-diff",
  "--no-textconv",
  "--no-relative",
  "--full-index",
  "--diff-algorithm=myers",
  "--indent-heuristic",
  "--src-prefix=a/",
  "--dst-prefix=b/",
  "--ignore-submodules=none",
];

/** A vendored import has no patch-id: it would cost more than ever finding it again is worth. */
const largestDiff = 16 << 20;

/** The id of a commit's own change; null for merges, empty commits and very large ones. */
export async function patchIdOf(git: Git, commit: Oid): Promise<string | null> {
  const found = await patchIds(git, ["diff-tree", "--root", ...plainDiff, commit], largestDiff);
  return found[0]?.[0] ?? null;
}

/** The id of all that changed between two commits, as one change: that of a squash merge. */
export async function cumulativePatchId(git: Git, base: Oid, commit: Oid): Promise<string | null> {
  const found = await patchIds(git, ["diff-tree", ...plainDiff, base, commit], largestDiff);
  return found[0]?.[0] ?? null;
}

/** Change → the commits that make it, among those that `git log` names by these arguments. */
export async function patchIdsOf(git: Git, log: readonly string[]): Promise<Map<string, Oid[]>> {
  const args = ["log", "--no-merges", "--no-show-signature", "--format=commit %H", ...plainDiff, ...log];
  const found = new Map<string, Oid[]>();
  for (const [id, commit] of await patchIds(git, args, Number.POSITIVE_INFINITY)) {
    found.set(id, [...(found.get(id) ?? []), commit]);
  }
  return found;
}

/** Runs a command that prints changes through `git patch-id`; nothing of more than so many bytes. */
async function patchIds(git: Git, diff: readonly string[], most: number): Promise<[string, Oid][]> {
  const changes = git.spawn([...plainConfig, ...diff]);
  const ids = git.spawn(["patch-id", "--stable"]);
  changes.stdin.end();
  let text = "";
  let bytes = 0;
  ids.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  changes.stderr.resume();
  ids.stderr.resume();
  const closed = new Promise((done) => ids.on("close", done));
  async function* bounded(): AsyncGenerator<Buffer> {
    for await (const chunk of changes.stdout as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > most) throw new Error("too large");
      yield chunk;
    }
  }
  try {
    await writeAll(ids.stdin, bounded());
  } catch {
    changes.kill();
    ids.kill();
    return [];
  }
  await closed;
  return text
    .split("\n")
    .map((line) => line.split(" "))
    .flatMap(([id, commit]): [string, Oid][] => (id && commit ? [[id, commit]] : []));
}
