import type { PromiseFsClient } from "isomorphic-git";
import { ConvosyncError, Exit } from "../errors.ts";
import {
  assertOid,
  badObject,
  badTree,
  checkedFiles,
  isName,
  message,
  missingObject,
  type NewCommit,
  nameOfParent,
  type ObjectDatabase,
  type Oid,
  objectTooLarge,
  type RefUpdate,
  roundUpToHour,
  signature,
} from "./object-database.ts";
import { foldersIn, walkTree } from "./tree.ts";

type IsomorphicGit = typeof import("isomorphic-git");

interface Folder {
  readonly files: Map<string, Oid>;
  readonly folders: Map<string, Folder>;
}

/**
 * A SHA-1 repository on a file system that nobody else writes to (browser, phone, tests), through isomorphic-git;
 * it is made when it does not exist. Never on the user's repository: isomorphic-git takes no locks and loses
 * updates of others. `read` learns a blob's size only by reading it.
 */
export async function openIsoDatabase(fs: PromiseFsClient, gitdir: string): Promise<ObjectDatabase> {
  const git: IsomorphicGit = (await import("isomorphic-git")).default;
  const store = { fs, gitdir };
  const cached = { ...store, cache: {} };
  if (!(await git.resolveRef({ ...store, ref: "HEAD", depth: 1 }).catch(() => ""))) {
    await git.init({ ...store, bare: true, defaultBranch: "main" });
  }

  /** What isomorphic-git answers about an object, its refusals as ours. */
  async function about<T>(oid: Oid, expected: string, answer: () => Promise<T>): Promise<T> {
    assertOid(oid);
    try {
      return await answer();
    } catch (error) {
      throw error instanceof git.Errors.NotFoundError
        ? missingObject(oid, error)
        : badObject(oid, expected, error);
    }
  }

  const header = (oid: Oid) =>
    about(oid, "commit", async () => (await git.readCommit({ ...cached, oid })).commit);
  const blob = (oid: Oid) => about(oid, "blob", async () => (await git.readBlob({ ...cached, oid })).blob);

  async function entriesOf(oid: Oid) {
    const { tree } = await about(oid, "tree", () => git.readTree({ ...cached, oid }));
    return tree.map(({ path: name, mode, oid: child }) => {
      if (!isName(name)) throw badTree(`the name ${JSON.stringify(name)}`);
      if (mode !== "100644" && mode !== "040000") throw badTree(`mode ${mode}`);
      return { name, kind: mode === "100644" ? ("file" as const) : ("folder" as const), oid: child };
    });
  }

  async function writeFolder({ files, folders }: Folder): Promise<Oid> {
    const tree = [...files].map(([path, oid]) => ({ mode: "100644", path, oid, type: "blob" as const }));
    const below = [];
    for (const [path, folder] of folders) {
      below.push({ mode: "040000", path, oid: await writeFolder(folder), type: "tree" as const });
    }
    return git.writeTree({ ...store, tree: [...tree, ...below] });
  }

  async function write({ parents, files, when }: NewCommit, made: ReadonlyMap<NewCommit, Oid>): Promise<Oid> {
    const parent = parents.map((one) => nameOfParent(one, made));
    await Promise.all(parent.map(header));
    const root: Folder = { files: new Map(), folders: new Map() };
    for await (const { path, content } of checkedFiles(files)) {
      if (typeof content === "string") await blob(content);
      const oid = typeof content === "string" ? content : await git.writeBlob({ ...store, blob: content });
      const names = path.split("/");
      const name = names.pop() ?? "";
      let folder = root;
      for (const step of names) {
        const next = folder.folders.get(step) ?? { files: new Map(), folders: new Map() };
        folder.folders.set(step, next);
        folder = next;
      }
      folder.files.set(name, oid);
    }
    const tree = await writeFolder(root);
    const person = { ...signature, timestamp: roundUpToHour(when).getTime() / 1000, timezoneOffset: 0 };
    return git.writeCommit({
      ...store,
      commit: { tree, parent, author: person, committer: person, message },
    });
  }

  const current = (ref: string) => git.resolveRef({ ...store, ref }).catch(() => null);

  async function update(updates: readonly RefUpdate[]): Promise<void> {
    for (const { ref, from } of updates) {
      if ((await current(ref)) === from) continue;
      throw new ConvosyncError("ref-moved", Exit.failed, `${ref} was changed by another writer`, [
        "try again",
      ]);
    }
    for (const { ref, to } of updates) {
      if (to !== null) await git.writeRef({ ...store, ref, value: to, force: true });
      else if (await current(ref)) await git.deleteRef({ ...store, ref });
    }
  }

  // Nobody else writes here, so taking turns is all that compare-and-swap needs.
  let turn: Promise<void> = Promise.resolve();

  return {
    async refs(...prefixes) {
      const refs = new Map<string, Oid>();
      for (const prefix of prefixes) {
        const one = prefix.endsWith("/") ? null : await current(prefix);
        if (one !== null) refs.set(prefix, one);
        const folder = prefix.replace(/\/$/, "");
        for (const name of await git.listRefs({ ...store, filepath: folder })) {
          const oid = await current(`${folder}/${name}`);
          if (oid !== null) refs.set(`${folder}/${name}`, oid);
        }
      }
      return refs;
    },
    files: async (oid) => walkTree((await header(oid)).tree, entriesOf),
    filesOfTree: (tree) => walkTree(tree, entriesOf),
    folders: async (oid) => foldersIn(await entriesOf((await header(oid)).tree)),
    async read(oid, limit) {
      const bytes = await blob(oid);
      if (bytes.length > limit) throw objectTooLarge(oid, limit);
      return new Uint8Array(bytes);
    },
    parents: async (oid) => (await header(oid)).parent,
    commit: (commit) => write(commit, new Map()),
    async commits(list) {
      const made = new Map<NewCommit, Oid>();
      for await (const one of list) made.set(one, await write(one, made));
      return [...made.values()];
    },
    update(updates) {
      const mine = turn.then(() => update(updates));
      turn = mine.catch(() => {});
      return mine;
    },
    close: async () => {},
  };
}
