// Most of a short command is Node compiling its program: what V8 has made of it is kept between runs, a file for each
// verb with what that verb needed. `status` takes a quarter less with it, a save of nothing new a third.
//
// A file is the SHA-256 of V8's data, and that data: V8 checks that it was made by itself for a source of this length,
// and neither that it is whole nor of which source. So the folder is named after this very build and this very V8.
import { createHash } from "node:crypto";
import {
  closeSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { cachedDataVersionTag } from "node:v8";
import { Script } from "node:vm";
import { makeFolder } from "./make-folder.ts";

/** Another build's files, or another Node's, that nobody has added to for so long are removed. */
const keptForMs = 30 * 86_400_000;
/** Comes first on every machine: what it needed is a beginning for a verb that has nothing yet. */
const firstVerb = "init";

/** A file still being written after so long was left behind. */
const writtenWithinMs = 60_000;

export interface CachedProgram {
  /** What the program exports. */
  readonly exports: unknown;
  /** Keeps what has been compiled by now, unless that was in the cache already. Never throws. */
  keep(): void;
}

/**
 * Runs a CommonJS program of ASCII characters, which is written as the function that takes what such a module has.
 * `folder` is where compiled code is kept, for all builds; null: nowhere. `build` names what is in the file at `path`:
 * the same name, the same bytes. `verb`: what is to be done with it.
 */
export function loadProgram(path: string, build: string, folder: string | null, verb: string): CachedProgram {
  const source = readFileSync(path, "latin1");
  const cache = folder === null ? null : new Cache(folder, build);
  const own = cache?.read(verb);
  const cachedData = own ?? cache?.read(firstVerb);
  const script = new Script(source, { filename: path, ...(cachedData && { cachedData }) });
  const module = { exports: {} };
  const run: unknown = script.runInThisContext();
  if (typeof run !== "function") throw new TypeError(`${path} is no program`);
  run(module, module.exports, createRequire(path), path, dirname(path));
  const known = own !== undefined && script.cachedDataRejected === false;
  return {
    exports: module.exports,
    keep: () => {
      if (!known) cache?.write(verb, () => script.createCachedData());
    },
  };
}

class Cache {
  readonly #all: string;
  readonly #folder: string;

  constructor(folder: string, build: string) {
    const v8 = cachedDataVersionTag().toString(16);
    this.#all = folder;
    this.#folder = join(folder, `${build}-${process.version}-${process.arch}-${v8}`);
  }

  /** Undefined when there is none, when it is damaged, or when another user could have written it: it is code. */
  read(verb: string): Buffer | undefined {
    let file: number | undefined;
    try {
      file = openSync(join(this.#folder, verb), "r");
      const { uid, mode } = fstatSync(file);
      if (process.getuid && (uid !== process.getuid() || (mode & 0o022) !== 0)) return undefined;
      const bytes = readFileSync(file);
      const data = bytes.subarray(hashLength);
      return hashOf(data).equals(bytes.subarray(0, hashLength)) ? data : undefined;
    } catch {
      return undefined;
    } finally {
      if (file !== undefined) closeSync(file);
    }
  }

  /** Costs time, and nothing else, where it does not work: a full disk, a home that may not be written to. */
  write(verb: string, compiled: () => Buffer): void {
    try {
      if (makeFolder(this.#folder, 0o700) !== undefined) this.#removeOld();
      // Whoever holds this file writes the same; whoever died over it is not waited for.
      const path = join(this.#folder, verb);
      const temporary = `${path}.new`;
      if (Date.now() - modified(temporary) > writtenWithinMs) unlinkSync(temporary);
      const file = openSync(temporary, "wx", 0o600);
      try {
        const data = compiled();
        for (const bytes of [hashOf(data), data]) writeAll(file, bytes);
        renameSync(temporary, path);
      } catch {
        unlinkSync(temporary);
      } finally {
        closeSync(file);
      }
    } catch {
      // The next run compiles anew.
    }
  }

  #removeOld(): void {
    for (const name of readdirSync(this.#all)) {
      const path = join(this.#all, name);
      if (path !== this.#folder && Date.now() - statSync(path).mtimeMs > keptForMs)
        rmSync(path, { recursive: true, force: true });
    }
  }
}

const hashLength = 32;
const hashOf = (data: Buffer): Buffer => createHash("sha256").update(data).digest();

function writeAll(file: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
}

/** When a file was last written, in ms; infinitely late for none. */
function modified(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Number.POSITIVE_INFINITY;
}
