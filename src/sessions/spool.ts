import { randomBytes } from "node:crypto";
import { closeSync, openSync, readSync, unlinkSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MemorySpool, type Spool } from "../domains/spool.ts";
import type { SourceReader } from "../packing/source.ts";

/** Longer streams go to a file, so that memory does not follow the length of a conversation. */
const memoryBytes = 24 << 20;

/** A spool that moves from memory to a file nobody else can open: 0600, and without a name from the start. */
export class FileSpool implements Spool {
  readonly #memory = new MemorySpool();
  #file: number | null = null;
  #length = 0;

  append(bytes: Uint8Array): void {
    if (this.#file === null && this.#length + bytes.length > memoryBytes) this.#spill();
    if (this.#file === null) this.#memory.append(bytes);
    else writeSync(this.#file, bytes, 0, bytes.length, this.#length);
    this.#length += bytes.length;
  }

  get source(): SourceReader {
    const file = this.#file;
    if (file === null) return this.#memory.source;
    const read = (offset: number, count: number): Uint8Array => {
      const buffer = Buffer.allocUnsafe(count);
      for (let done = 0; done < count; ) {
        const got = readSync(file, buffer, done, count - done, offset + done);
        if (got === 0) throw new Error("the spooled stream is shorter than what was written to it");
        done += got;
      }
      return buffer;
    };
    return { length: this.#length, read };
  }

  close(): void {
    this.#memory.close();
    if (this.#file !== null) closeSync(this.#file);
    this.#file = null;
    this.#length = 0;
  }

  #spill(): void {
    const path = join(tmpdir(), `convosync-${randomBytes(12).toString("hex")}`);
    const file = openSync(path, "wx+", 0o600);
    // Windows cannot remove an open file; there the system's clean-up of temporary files does.
    if (process.platform !== "win32") unlinkSync(path);
    const { length, read } = this.#memory.source;
    writeSync(file, read(0, length), 0, length, 0);
    this.#memory.close();
    this.#file = file;
  }
}
