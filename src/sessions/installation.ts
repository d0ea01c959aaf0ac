import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

const scripts = "git-hooks";

/** The folder this program is installed in: the one with its scripts, above whatever file this became part of. */
function installation(): string {
  for (let dir = import.meta.dirname; ; dir = dirname(dir)) {
    if (existsSync(join(dir, scripts))) return dir;
    if (dirname(dir) === dir) throw new Error("convosync is installed without its scripts");
  }
}

/** The program as hooks and services start it. */
export const programPath = (): string => join(installation(), "dist", "cli.js");

/** A script of ours, with `@NAME@` replaced. */
export function shellScript(name: string, values: Readonly<Record<string, string>> = {}): string {
  const text = readFileSync(join(installation(), scripts, name), "utf8").replaceAll("\r\n", "\n");
  return text.replace(/@([A-Z]+)@/g, (whole, key: string) => values[key] ?? whole);
}

/** A script that starts the worker: it knows where Node and this program are, as a desktop program's PATH may not. */
export const startingScript = (name: string): string =>
  shellScript(name, {
    NODE: shellQuote(process.execPath),
    CLI: shellQuote(programPath()),
    WAKE: shellScript("wake.sh"),
  });

/** A word of shell that stands for exactly this text. */
export const shellQuote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
