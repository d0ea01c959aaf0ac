import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ConvosyncError, Exit } from "../errors.ts";
import { failure, firstComplaint, type Git, type Repository } from "../git/git.ts";
import {
  checkedFiles,
  message,
  type NewCommit,
  nameOfParent,
  type ObjectDatabase,
  type Oid,
  type RefUpdate,
  roundUpToHour,
  signature,
} from "./object-database.ts";
import { LOCAL, ObjectReader } from "./object-reader.ts";
import { foldersIn, parseCommit, parseTree, walkTree } from "./tree.ts";

/**
 * For writing: on disk before a ref says so (git syncs neither loose objects nor refs by default, and an empty ref
 * left by a crash breaks the user's own fetch and gc); no hooks of the user; no reflog, which would keep deleted
 * conversations; no attempt to deflate ciphertext; patience with a lock another process holds for a moment.
 */
const WRITE = [
  ...["-c", "core.fsync=loose-object,reference"],
  ...["-c", "core.hooksPath=/dev/null"],
  ...["-c", "core.logAllRefUpdates=true"],
  ...["-c", "core.compression=0"],
  ...["-c", "core.filesRefLockTimeout=2000"],
  ...["-c", "core.packedRefsTimeout=2000"],
  ...["-c", "reftable.lockTimeout=2000"],
];

const TREE_LIMIT = 4 * 1024 * 1024;
const COMMIT_LIMIT = 64 * 1024;

/** The user's repository, through git itself. */
export function openGitDatabase(git: Git, repository: Repository): ObjectDatabase {
  const objects = new ObjectReader(git, LOCAL);
  const oidBytes = repository.objectFormat === "sha256" ? 32 : 20;

  async function header(commit: Oid) {
    return parseCommit(commit, await objects.read(commit, "commit", COMMIT_LIMIT));
  }

  const entriesOf = async (tree: Oid) => parseTree(await objects.read(tree, "tree", TREE_LIMIT), oidBytes);

  async function commits(list: Commits): Promise<Oid[]> {
    const args = [...WRITE, "fast-import", "--quiet", "--done", "--depth=0"];
    const before = crashReports(repository.gitDir);
    const result = await git
      .runLong(args, { input: importScript(list), env: LOCAL, okCodes: "any" })
      .finally(() => {
        const ours = crashReports(repository.gitDir).filter((report) => !before.includes(report));
        for (const report of ours) rmSync(join(repository.gitDir, report), { force: true });
      });
    if (result.code !== 0) {
      const { lostHere } = await import("./lost-objects.ts");
      throw (await lostHere(git, result.stderr)) ?? failure(args, result);
    }
    return result.stdout.toString().split("\n").slice(0, -1);
  }

  return {
    async refs(...prefixes) {
      const format = "--format=%(objectname) %(refname)";
      const lines = (await git.text(["for-each-ref", format, ...prefixes], { env: LOCAL })).split("\n");
      return new Map(
        lines.filter(Boolean).map((line) => [line.slice(oidBytes * 2 + 1), line.slice(0, oidBytes * 2)]),
      );
    },
    files: async (commit) => walkTree((await header(commit)).tree, entriesOf),
    filesOfTree: (tree) => walkTree(tree, entriesOf),
    folders: async (commit) => foldersIn(await entriesOf((await header(commit)).tree)),
    read: (blob, limit) => objects.read(blob, "blob", limit),
    parents: async (commit) => (await header(commit)).parents,
    commit: async (commit) => (await commits([commit]))[0]!,
    commits,
    async update(updates) {
      if (updates.length === 0) return;
      const args = [...WRITE, "update-ref", "--no-deref", "-z", "--stdin"];
      const input = transaction(updates, oidBytes);
      const write = () => git.run(args, { input, env: LOCAL, okCodes: "any" });
      let result = await write();
      if (result.code !== 0 && (await staleLocksRemoved(git, result.stderr))) result = await write();
      if (result.code !== 0) throw await refusal(git, args, result);
    },
    close: () => objects.close(),
  };
}

/** What git writes when an import fails; of ours it would hold nothing but names. */
function crashReports(gitDir: string): string[] {
  return readdirSync(gitDir).filter((name) => name.startsWith("fast_import_crash_"));
}

type Commits = Parameters<ObjectDatabase["commits"]>[0];

/** Characters of commands that are written at once. */
const scriptLength = 1 << 15;

/**
 * The commits as a `git fast-import` stream. A commit there needs a branch; `reset` makes the branch forget it
 * again, so no ref is ever written, only objects.
 */
async function* importScript(list: Commits): AsyncGenerator<Uint8Array> {
  const branch = "refs/convosync-scratch/import";
  const marks = new Map<NewCommit, string>();
  for await (const commit of list) {
    const { parents, files, when } = commit;
    const person = `${signature.name} <${signature.email}> ${roundUpToHour(when).getTime() / 1000} +0000`;
    const [first, ...others] = parents.map((parent) => nameOfParent(parent, marks));
    const before = first === undefined ? undefined : commit.before;
    const mark = `:${marks.size + 1}`;
    marks.set(commit, mark);
    let script =
      [
        `commit ${branch}`,
        `mark ${mark}`,
        `author ${person}`,
        `committer ${person}`,
        `data ${message.length}`,
        message,
      ].join("\n") +
      (first === undefined ? "" : `from ${first}\n`) +
      others.map((parent) => `merge ${parent}\n`).join("") +
      (before ? "" : "deleteall\n");
    const paths: string[] = [];
    for await (const { path, content } of checkedFiles(files)) {
      paths.push(path);
      if (typeof content === "string") {
        if (before?.get(path) !== content) script += `M 100644 ${content} ${path}\n`;
        // Many small writes would take longer than all git does with them.
        if (script.length < scriptLength) continue;
        yield Buffer.from(script);
        script = "";
      } else {
        yield Buffer.from(`${script}M 100644 inline ${path}\ndata ${content.length}\n`);
        yield content;
        script = "\n";
      }
    }
    yield Buffer.from(`${script}${removals(before, paths)}reset ${branch}\n\nget-mark ${mark}\n`);
  }
  yield Buffer.from("done\n");
}

/** Commands that take away what was there before and is not among `paths`; a folder in a file's place has done so already. */
function removals(before: ReadonlyMap<string, Oid> | undefined, paths: readonly string[]): string {
  const stay = new Set(paths);
  const gone = [...(before?.keys() ?? [])].filter((path) => !stay.has(path));
  const isFolder = (path: string) => paths.some((one) => one.startsWith(`${path}/`));
  return gone.map((path) => (isFolder(path) ? "" : `D ${path}\n`)).join("");
}

/** `update-ref --stdin -z` input; it counts only when it arrives up to `commit`. */
function transaction(updates: readonly RefUpdate[], oidBytes: number): string {
  const none = "0".repeat(oidBytes * 2);
  const moves = updates.map(({ ref, from, to }) =>
    to === null && from === null
      ? `verify ${ref}\0${none}\0`
      : to === null
        ? `delete ${ref}\0${from}\0`
        : `update ${ref}\0${to}\0${from ?? none}\0`,
  );
  return `start\0${moves.join("")}prepare\0commit\0`;
}

/** What deals with locks is loaded when one is in the way. */
const staleLocksRemoved = async (git: Git, stderr: string): Promise<boolean> =>
  (await import("./ref-locks.ts")).removeStaleLocks(git, stderr);

async function refusal(
  git: Git,
  args: readonly string[],
  result: Parameters<typeof failure>[1],
): Promise<ConvosyncError> {
  const moved =
    /cannot lock ref '(.+?)': (?:is at|reference already exists|unable to resolve|reference is missing)/;
  const ref = moved.exec(result.stderr)?.[1];
  const locked = await (await import("./ref-locks.ts")).refLocked(git, result.stderr);
  if (locked) return locked;
  if (ref === undefined) return failure(args, result);
  const why = firstComplaint(result.stderr);
  return new ConvosyncError(
    "ref-moved",
    Exit.failed,
    `${ref} was changed by another process`,
    ["try again"],
    why,
  );
}
