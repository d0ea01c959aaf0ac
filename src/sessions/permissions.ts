import { access, constants, readdir } from "node:fs/promises";
import { join } from "node:path";

/** What below a folder this user may not use. */
export interface Unusable {
  readonly folder: string;
  /** Of folders and files, up to {@link mostNamed}. */
  readonly paths: readonly string[];
  readonly readOnly: boolean;
}

/** Where to look, and how deep: 0 is the folder itself. */
export interface Place {
  readonly folder: string;
  readonly depth: number;
}

const mostNamed = 100;

/**
 * Folders that this user may not write to, and files that may not be read: what `sudo` leaves behind, mostly. A file that
 * can be read need not be writable, as files are replaced as a whole. A folder that is not there is fine.
 */
export async function findUnusable(places: readonly Place[], may = access): Promise<Unusable[]> {
  const found: Unusable[] = [];
  for (const { folder, depth } of places) {
    const paths: string[] = [];
    let readOnly = false;
    const ask = async (path: string, mode: number): Promise<void> => {
      const code = await may(path, mode).then(
        () => null,
        (error: NodeJS.ErrnoException) => error.code,
      );
      if (code === "EROFS") readOnly = true;
      if (code === "EROFS" || code === "EACCES" || code === "EPERM") paths.push(path);
    };
    const look = async (path: string, below: number): Promise<void> => {
      await ask(path, constants.R_OK | constants.W_OK | constants.X_OK);
      const entries = below > 0 ? await readdir(path, { withFileTypes: true }).catch(() => []) : [];
      for (const entry of entries) {
        if (paths.length >= mostNamed) return;
        const inside = join(path, entry.name);
        if (entry.isDirectory()) await look(inside, below - 1);
        else if (entry.isFile()) await ask(inside, constants.R_OK);
      }
    };
    await look(folder, depth);
    if (paths.length > 0) found.push({ folder, paths, readOnly });
  }
  return found;
}
