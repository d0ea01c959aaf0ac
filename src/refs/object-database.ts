// What ConvoSync needs of a git repository: refs and commits below them, as an interface that git itself
// (git-database.ts) and isomorphic-git (iso-database.ts) both fulfil. The contract suite beside it says what holds.

import { integrityError } from "../errors.ts";

/** An object's full name: 40 lower-case hex digits in a SHA-1 repository, 64 in a SHA-256 one. */
export type Oid = string;

/** A file of a new commit: its bytes, or the oid of a blob the repository already has. */
export interface NewFile {
  readonly path: string;
  readonly content: Uint8Array | Oid;
}

export interface NewCommit {
  /**
   * Empty for a re-root; one that is itself new comes before this in the list. The tree does not inherit from them: `files`
   * is all of it.
   */
  readonly parents: readonly (Oid | NewCommit)[];
  readonly files: AsyncIterable<NewFile> | Iterable<NewFile>;
  /** The files of the first parent, from who knows them: what has stayed is not written again. */
  readonly before?: ReadonlyMap<string, Oid>;
  /** The real time; it is stored rounded up to the hour. */
  readonly when: Date;
}

/** Moves `ref` from `from` (null: it must not exist) to `to` (null: delete it). */
export interface RefUpdate {
  readonly ref: string;
  readonly from: Oid | null;
  readonly to: Oid | null;
}

export interface ObjectDatabase {
  /** All refs whose full name starts with one of `prefixes` that ends in a slash, or is one of the others. */
  refs(...prefixes: readonly string[]): Promise<Map<string, Oid>>;
  /** Path and blob of every file of a commit. `bad-tree` when it holds what `NewCommit` cannot make. */
  files(commit: Oid): Promise<Map<string, Oid>>;
  /** The same of a bare tree, such as a folder that was fetched by its name. */
  filesOfTree(tree: Oid): Promise<Map<string, Oid>>;
  /** Name and tree of the folders directly below a commit's root. */
  folders(commit: Oid): Promise<Map<string, Oid>>;
  /**
   * The bytes of a blob. Missing: `missing-object`; more than `limit` bytes: `object-too-large`, found out before
   * they are read. Calls may overlap, and many overlapping calls are the fast way to read many blobs.
   */
  read(blob: Oid, limit: number): Promise<Uint8Array>;
  parents(commit: Oid): Promise<readonly Oid[]>;
  /** Stores a commit that nothing refers to yet; only `update` makes it last (git prunes after two weeks). */
  commit(commit: NewCommit): Promise<Oid>;
  /**
   * Several commits at the price of one; the oids are in the order of the list. Of one that is produced the files of all
   * before have been taken when the next is asked for.
   */
  commits(list: Iterable<NewCommit> | AsyncIterable<NewCommit>): Promise<Oid[]>;
  /** All of the updates, or none and `ref-moved` when one ref is no longer where `from` says. */
  update(updates: readonly RefUpdate[]): Promise<void>;
  close(): Promise<void>;
}

/** Author and committer of every commit, and its message. */
export const signature = { name: "convosync", email: "convosync@invalid" } as const;
export const message = "convosync\n";

const HOUR = 3_600_000;

/**
 * Commit dates tell no more than the hour. Up, never down: a commit older than the code's recent ones makes every
 * push walk the code's history (5.5 s instead of 0.3 s in a large repository).
 */
export function roundUpToHour(when: Date): Date {
  return new Date(Math.ceil(when.getTime() / HOUR) * HOUR);
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

/** One component of a path in our trees: nothing that a file system, git or a quoting rule treats specially. */
export function isName(text: string): boolean {
  return NAME.test(text) && !text.endsWith(".");
}

export function isOid(text: string): boolean {
  return /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(text);
}

export function assertOid(text: string): void {
  if (!isOid(text)) throw new RangeError(`not an object name: ${text}`);
}

/** A parent's own name, or what `made` has for one that is new. RangeError where that does not come before, or no name is. */
export function nameOfParent(parent: Oid | NewCommit, made: ReadonlyMap<NewCommit, string>): string {
  if (typeof parent === "string") {
    assertOid(parent);
    return parent;
  }
  const name = made.get(parent);
  if (name === undefined) throw new RangeError("a parent that is new comes before its child");
  return name;
}

/** Passes the files of a new commit on; RangeError for paths that make no tree, or an oid that is none. */
export async function* checkedFiles(files: NewCommit["files"]): AsyncGenerator<NewFile> {
  const seen = new Map<string, "file" | "folder">();
  for await (const file of files) {
    const names = file.path.split("/");
    if (!names.every(isName) || seen.has(file.path))
      throw new RangeError(`bad path in a commit: ${file.path}`);
    for (let depth = 1; depth < names.length; depth++) {
      const folder = names.slice(0, depth).join("/");
      if (seen.get(folder) === "file") throw new RangeError(`both a file and a folder: ${folder}`);
      seen.set(folder, "folder");
    }
    seen.set(file.path, "file");
    if (typeof file.content === "string") assertOid(file.content);
    yield file;
  }
}

export const missingObject = (oid: Oid, cause?: unknown) =>
  integrityError(
    "missing-object",
    `object ${oid} is missing or damaged here`,
    ["fetch it again with: git convosync doctor --fix"],
    cause,
  );

export const objectTooLarge = (oid: Oid, limit: number) =>
  integrityError("object-too-large", `object ${oid} is larger than ${limit} bytes`);

export const badObject = (oid: Oid, expected: string, cause?: unknown) =>
  integrityError("bad-object", `object ${oid} is not a ${expected}`, [], cause);

export const badTree = (why: string) =>
  integrityError("bad-tree", `a commit's tree is not one of ours: ${why}`);
