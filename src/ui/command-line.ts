import { realpathSync } from "node:fs";
import { relative, sep } from "node:path";

/** As a shell takes it. */
export const quoted = (word: string): string =>
  /^[A-Za-z0-9_./:=@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;

/**
 * What somebody in `cwd` types to run a command in `directory`: most agents look for a conversation where they are started.
 * Where the directory's name is not to be typed, or cannot be found, the command alone.
 */
export function commandIn(directory: string, cwd: string, command: readonly string[]): string {
  const line = command.map(quoted).join(" ");
  const [there, here] = [realOf(directory), realOf(cwd)];
  if (there === null || here === null || there === here || /\p{C}/u.test(there)) return line;
  const below = relative(here, there);
  return `cd ${quoted(below.startsWith(`..${sep}`) || below === ".." ? directory : below)} && ${line}`;
}

function realOf(path: string): string | null {
  try {
    return realpathSync.native(path);
  } catch {
    return null;
  }
}
