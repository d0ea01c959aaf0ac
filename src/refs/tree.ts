// Git's tree and commit objects, read from their bytes (gitformat: `<mode> SP <name> NUL <oid>`, repeated).

import { badObject, badTree, isName, isOid, type Oid } from "./object-database.ts";

/** Entries in all of one commit's tree: far more than a format-conforming one has. */
const MAX_ENTRIES = 65_536;
const MAX_DEPTH = 8;
const AT_ONCE = 16;

interface TreeEntry {
  readonly name: string;
  readonly kind: "file" | "folder";
  readonly oid: Oid;
}

/** The entries of one tree object; `bad-tree` for anything but plain files and folders with plain names. */
export function parseTree(bytes: Uint8Array, oidBytes: number): TreeEntry[] {
  const text = new TextDecoder("latin1");
  const entries: TreeEntry[] = [];
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at);
    const nul = bytes.indexOf(0, space);
    const end = nul + 1 + oidBytes;
    if (space < 0 || nul < 0 || end > bytes.length) throw badTree("cut short");
    const mode = text.decode(bytes.subarray(at, space));
    const name = text.decode(bytes.subarray(space + 1, nul));
    if (!isName(name)) throw badTree(`the name ${JSON.stringify(name)}`);
    if (mode !== "100644" && mode !== "40000") throw badTree(`mode ${mode}`);
    entries.push({
      name,
      kind: mode === "40000" ? "folder" : "file",
      oid: hex(bytes.subarray(nul + 1, end)),
    });
    at = end;
  }
  return entries;
}

/**
 * Path and blob of every file below a tree. Bounded all the way, because a few small trees that contain each other
 * many times have billions of paths; a handful of trees at a time, which is what a pipelined reader is good at.
 */
export async function walkTree(
  root: Oid,
  entriesOf: (tree: Oid) => Promise<readonly TreeEntry[]>,
): Promise<Map<string, Oid>> {
  const files = new Map<string, Oid>();
  let level = [{ prefix: "", oid: root }];
  let seen = 0;
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH) throw badTree("too deep");
    const below: typeof level = [];
    while (level.length > 0) {
      const some = level.splice(0, AT_ONCE);
      const trees = await Promise.all(
        some.map(async ({ prefix, oid }) => ({ prefix, entries: await entriesOf(oid) })),
      );
      for (const { prefix, entries } of trees) {
        seen += entries.length;
        if (seen > MAX_ENTRIES) throw badTree("too many files");
        const names = new Set<string>();
        for (const { name, kind, oid } of entries) {
          if (names.has(name)) throw badTree(`two entries ${name}`);
          names.add(name);
          if (kind === "file") files.set(prefix + name, oid);
          else below.push({ prefix: `${prefix}${name}/`, oid });
        }
      }
    }
    level = below;
  }
  return files;
}

export function foldersIn(entries: readonly TreeEntry[]): Map<string, Oid> {
  return new Map(entries.filter(({ kind }) => kind === "folder").map(({ name, oid }) => [name, oid]));
}

/** The tree and the parents a commit object names. */
export function parseCommit(oid: Oid, bytes: Uint8Array): { tree: Oid; parents: Oid[] } {
  const header = new TextDecoder("latin1").decode(bytes).split("\n\n", 1)[0] ?? "";
  const [first = "", ...rest] = header.split("\n");
  const tree = first.replace(/^tree /, "");
  if (!isOid(tree)) throw badObject(oid, "commit");
  const end = rest.findIndex((line) => !line.startsWith("parent "));
  const parents = rest.slice(0, end).map((line) => line.slice("parent ".length));
  if (!parents.every(isOid)) throw badObject(oid, "commit");
  return { tree, parents };
}

const digits = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

function hex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += digits[byte];
  return text;
}
