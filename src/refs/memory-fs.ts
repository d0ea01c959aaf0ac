import type { PromiseFsClient } from "isomorphic-git";

/** A file system in memory, as far as isomorphic-git uses one: files and folders, no links, no permissions. */
export function memoryFs(): PromiseFsClient {
  const files = new Map<string, Uint8Array>();
  const folders = new Map<string, Set<string>>([["", new Set()]]);

  const normal = (path: string) =>
    path
      .split("/")
      .filter((name) => name !== "" && name !== ".")
      .join("/");
  const split = (path: string): [folder: string, name: string] => {
    const at = path.lastIndexOf("/");
    return [path.slice(0, Math.max(at, 0)), path.slice(at + 1)];
  };
  const problem = (code: string, path: string) => Object.assign(new Error(`${code}: ${path}`), { code });
  const folderOf = (path: string) => {
    const folder = folders.get(path);
    if (folder === undefined) throw problem(files.has(path) ? "ENOTDIR" : "ENOENT", path);
    return folder;
  };
  const stat = async (path: string) => {
    const at = normal(path);
    const file = files.get(at);
    if (file === undefined) folderOf(at);
    const isFile = file !== undefined;
    const times = { ctimeMs: 0, mtimeMs: 0, dev: 0, ino: 0, uid: 0, gid: 0 };
    return {
      ...{ ...times, mode: isFile ? 0o100644 : 0o040000, size: file?.length ?? 0 },
      ...{ isFile: () => isFile, isDirectory: () => !isFile, isSymbolicLink: () => false },
    };
  };
  const noLinks = async (path: string) => {
    throw problem("ENOSYS", path);
  };

  const promises = {
    async readFile(path: string, options?: string | { encoding?: string }) {
      const bytes = files.get(normal(path));
      if (bytes === undefined) throw problem(folders.has(normal(path)) ? "EISDIR" : "ENOENT", path);
      const encoding = typeof options === "string" ? options : options?.encoding;
      return encoding === undefined ? bytes.slice() : new TextDecoder().decode(bytes);
    },
    async writeFile(path: string, data: Uint8Array | string) {
      const at = normal(path);
      if (folders.has(at)) throw problem("EISDIR", path);
      const [folder, name] = split(at);
      folderOf(folder).add(name);
      files.set(at, typeof data === "string" ? new TextEncoder().encode(data) : data.slice());
    },
    async unlink(path: string) {
      const at = normal(path);
      if (!files.delete(at)) throw problem("ENOENT", path);
      const [folder, name] = split(at);
      folders.get(folder)?.delete(name);
    },
    async mkdir(path: string) {
      const at = normal(path);
      if (files.has(at) || folders.has(at)) throw problem("EEXIST", path);
      const [folder, name] = split(at);
      folderOf(folder).add(name);
      folders.set(at, new Set());
    },
    async rmdir(path: string) {
      const at = normal(path);
      if (folderOf(at).size > 0) throw problem("ENOTEMPTY", path);
      const [folder, name] = split(at);
      folders.delete(at);
      folders.get(folder)?.delete(name);
    },
    readdir: async (path: string) => [...folderOf(normal(path))],
    stat,
    lstat: stat,
    readlink: noLinks,
    symlink: noLinks,
  };
  return { promises };
}
