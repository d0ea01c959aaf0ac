import { randomBytes } from "node:crypto";
import { closeSync, openSync, readSync, unlinkSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MemorySpool, type Spool } from "../domains/spool.ts";
import type { SourceReader } from "../packing/source.ts";

/** Longer streams go to a file, so that memory does not follow the length of a conversation. */
const memoryBytes = 24 << 20;

/** A file nobody else can open: 0600, and without a name from the start. */
export function temporaryFile(): number {
  const path = join(tmpdir(), `convosync-${randomBytes(12).toString("hex")}`);
  const file = openSync(path, "wx+", 0o600);
  // Windows cannot remove an open file; there the system's clean-up of temporary files does.
  if (process.platform !== "win32") unlinkSync(path);
  return file;
}

export function writeFully(file: number, bytes: Uint8Array, offset: number): void {
  for (let done = 0; done < bytes.length; )
    done += writeSync(file, bytes, done, bytes.length - done, offset + done);
}

export function readExactly(file: number, offset: number, length: number, room?: Uint8Array): Uint8Array {
  const bytes = room?.subarray(0, length) ?? Buffer.allocUnsafe(length);
  for (let done = 0; done < length; ) {
    const got = readSync(file, bytes, done, length - done, offset + done);
    if (got === 0) throw new Error("a temporary file is shorter than what was written to it");
    done += got;
  }
  return bytes;
}

/** A spool that moves from memory to a temporary file when the stream is long. */
export class FileSpool implements Spool {
  readonly #memory = new MemorySpool();
  #file: number | null = null;
  #length = 0;

  append(bytes: Uint8Array): void {
    if (this.#file === null && this.#length + bytes.length > memoryBytes) {
      this.#file = temporaryFile();
      let at = 0;
      for (const part of this.#memory.parts) {
        writeFully(this.#file, part, at);
        at += part.length;
      }
      this.#memory.close();
    }
    if (this.#file === null) this.#memory.append(bytes);
    else writeFully(this.#file, bytes, this.#length);
    this.#length += bytes.length;
  }

  get source(): SourceReader {
    const file = this.#file;
    if (file === null) return this.#memory.source;
    return { length: this.#length, read: (offset, length, room) => readExactly(file, offset, length, room) };
  }

  close(): void {
    this.#memory.close();
    if (this.#file !== null) closeSync(this.#file);
    this.#file = null;
    this.#length = 0;
  }
}
