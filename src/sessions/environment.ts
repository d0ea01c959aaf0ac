import { join } from "node:path";
import * as v from "valibot";
import { fromUtf8, utf8 } from "../crypto/encoding.ts";
import { sealFor } from "../crypto/keyring.ts";
import { readSealed, type StoredSession } from "../domains/reader.ts";
import { hashOf } from "../domains/sealed-objects.ts";
import { ConvosyncError, Exit, integrityError } from "../errors.ts";
import { filePath } from "../packing/manifest.ts";
import { writeAtomic } from "./files.ts";
import type { Context } from "./repository.ts";
import type { OpenVault } from "./vault.ts";

/**
 * Environment variables that travel in a session, each one asked for by name. Those that decide which programs run, or
 * what they load, are never taken: whoever can set them runs what he likes on the other machine.
 */
const forbidden =
  /^(?:PATH|HOME|USER|LOGNAME|SHELL|PWD|OLDPWD|IFS|TERM|TMPDIR|ENV|BASH_.*|PROMPT_COMMAND|PS\d|LD_.*|DYLD_.*|NODE_.*|NPM_.*|PYTHON.*|PERL.*|RUBY.*|JAVA_TOOL_OPTIONS|_JAVA_OPTIONS|JDK_JAVA_OPTIONS|GIT_.*|SSH_.*|GPG_.*|XDG_.*|EDITOR|VISUAL|PAGER|LESSOPEN|LESSCLOSE|BROWSER|CONVOSYNC_.*|CLAUDE.*|CODEX.*|.*_PROXY)$/i;

const name = v.pipe(v.string(), v.regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/));
const values = v.record(name, v.pipe(v.string(), v.maxLength(32_768), v.regex(/^[^\0]*$/)));
const limit = 1 << 20;

export type Variables = Readonly<Record<string, string>>;

/** The named variables as they are set here. Exit 2 for a name that is never taken, or not set. */
export function chosenVariables(names: readonly string[], env: NodeJS.ProcessEnv): Variables {
  const found: Record<string, string> = {};
  for (const one of names) {
    if (!v.is(name, one) || forbidden.test(one)) {
      throw new ConvosyncError("usage", Exit.usage, `the variable '${one}' is never synced`, [
        "it decides what runs or what is loaded on the other machine",
      ]);
    }
    const value = env[one];
    if (value === undefined)
      throw new ConvosyncError("usage", Exit.usage, `the variable '${one}' is not set here`, [
        "export it first",
      ]);
    found[one] = value;
  }
  return found;
}

export interface SealedVariables {
  readonly file: Uint8Array;
  readonly record: { names: string[]; ct: string; epoch: number };
}

export async function sealVariables(vault: OpenVault, variables: Variables): Promise<SealedVariables> {
  const { file, epoch } = await sealFor(vault.keyring, vault.codec.pack(utf8(JSON.stringify(variables))));
  return { file, record: { names: Object.keys(variables), ct: await hashOf(file), epoch } };
}

/** The variables a session carries; null without. Another device sent them: names are checked again. Exit 6. */
export async function readVariables(vault: OpenVault, stored: StoredSession): Promise<Variables | null> {
  const { env } = stored.manifest;
  if (!env) return null;
  const bytes = await readSealed(
    vault,
    stored,
    { path: filePath(env.ct), ct: env.ct, epoch: env.epoch },
    limit,
  );
  const parsed = v.safeParse(values, JSON.parse(fromUtf8(bytes)) as unknown);
  if (!parsed.success)
    throw integrityError("damaged-environment", "the variables of the session are damaged");
  return Object.fromEntries(Object.entries(parsed.output).filter(([one]) => !forbidden.test(one)));
}

/** Writes the variables where a shell can read them, for this user alone. Returns the file. */
export async function writeVariables(
  context: Context,
  session: string,
  variables: Variables,
): Promise<string> {
  const path = join(context.stateDir, "environment", `${session}.sh`);
  const quoted = (value: string): string => `'${value.replaceAll("'", "'\\''")}'`;
  const lines = Object.entries(variables).map(([one, value]) => `export ${one}=${quoted(value)}\n`);
  await writeAtomic(path, lines.join(""));
  return path;
}
