import type { ChildProcessWithoutNullStreams } from "node:child_process";
import { ConvosyncError, Exit } from "../errors.ts";
import { type Git, scrubUrl } from "../git/git.ts";
import { badObject, isOid, missingObject, type Oid, objectTooLarge } from "./object-database.ts";

/**
 * Objects are named as they are (no replacement refs) and only local: in a partial clone git must not fetch behind
 * our back. GIT_NO_LAZY_FETCH says so since git 2.45 (2.39.4 in its series); that no protocol is allowed says it to
 * every git.
 */
export const LOCAL = { GIT_NO_REPLACE_OBJECTS: "1", GIT_NO_LAZY_FETCH: "1", GIT_ALLOW_PROTOCOL: "none" };

type ObjectType = "blob" | "tree" | "commit";

interface Request {
  readonly oid: Oid;
  /** Null where any will do. */
  readonly type: ObjectType | null;
  readonly limit: number;
  done(bytes: Uint8Array): void;
  fail(error: unknown): void;
}

/**
 * Objects through one long-lived `git cat-file --batch`, started by the first request: a read costs half a
 * millisecond instead of a process. Requests are answered in order, so overlapping ones form a pipeline. The child ends at
 * an object that is damaged; a new one takes over the requests behind it.
 *
 * The size stands before the bytes: when it is over the limit the child is ended there, too. (`--batch-command` could ask
 * for the size alone, but only since git 2.36.)
 */
export class ObjectReader {
  readonly #git: Git;
  readonly #env: Readonly<Record<string, string>>;
  #child: ChildProcessWithoutNullStreams | undefined;
  readonly #waiting: Request[] = [];
  #closing = false;

  constructor(git: Git, env: Readonly<Record<string, string>>) {
    this.#git = git;
    this.#env = env;
  }

  read(oid: Oid, type: ObjectType | null, limit: number): Promise<Uint8Array> {
    if (!isOid(oid)) return Promise.reject(new RangeError(`not an object name: ${oid}`));
    return new Promise((done, fail) => {
      this.#waiting.push({ oid, type, limit, done, fail });
      if (this.#child === undefined) this.#start();
      else this.#child.stdin.write(`${oid}\n`);
    });
  }

  /** Ends the child; requests still open fail. */
  async close(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.#closing = true;
    const gone = new Promise((done) => child.once("close", done));
    child.stdin.end();
    await gone;
    this.#closing = false;
  }

  #start(): void {
    const child = this.#git.spawn(["cat-file", "--batch"], { env: this.#env });
    this.#child = child;
    let stderr = "";
    let failure: unknown;
    child.on("error", (error) => {
      failure = error;
    });
    child.stdin.on("error", () => {});
    child.stderr.on("data", (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    child.on("close", () => {
      if (this.#child !== child) return;
      this.#child = undefined;
      const first = this.#waiting.shift();
      first?.fail(explain(first.oid, stderr, failure));
      if (this.#waiting.length === 0) return;
      if (first !== undefined && stderr.includes(first.oid) && !this.#closing) return this.#start();
      for (const request of this.#waiting.splice(0)) request.fail(explain(request.oid, "", failure));
    });
    const parser = new BatchParser(this.#waiting, () => {
      this.#child = undefined;
      child.stdout.removeAllListeners("data");
      child.kill();
      if (this.#waiting.length > 0) this.#start();
    });
    child.stdout.on("data", (chunk: Buffer) => parser.push(chunk));
    child.stdin.write(this.#waiting.map(({ oid }) => `${oid}\n`).join(""));
  }
}

function explain(oid: Oid, stderr: string, cause: unknown): ConvosyncError {
  // A partial clone would fetch it, which reading must not do; of one whose bytes are damaged git tells the name.
  if (/promisor|unable to read|bad object/.test(stderr) || stderr.includes(oid))
    return missingObject(oid, new Error(scrubUrl(stderr)));
  return new ConvosyncError(
    "git-failed",
    Exit.failed,
    `git cat-file: ended before it gave ${oid}`,
    [],
    cause ?? stderr,
  );
}

/** Cuts the output of `cat-file --batch` (`<oid> SP <type> SP <size> LF <bytes> LF`) into answers. */
class BatchParser {
  readonly #waiting: Request[];
  readonly #tooLarge: () => void;
  #line = "";
  #body: { bytes: Uint8Array; filled: number; type: string } | undefined;

  constructor(waiting: Request[], tooLarge: () => void) {
    this.#waiting = waiting;
    this.#tooLarge = tooLarge;
  }

  push(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; ) {
      if (this.#body === undefined) {
        const end = chunk.indexOf(0x0a, at);
        this.#line += chunk.toString("latin1", at, end < 0 ? chunk.length : end);
        if (end < 0) return;
        at = end + 1;
        if (!this.#header()) return;
        continue;
      }
      const { bytes, filled } = this.#body;
      // The line feed behind the bytes is consumed as the answer's last step.
      const part = chunk.subarray(at, at + bytes.length - filled);
      bytes.set(part, filled);
      this.#body.filled += part.length;
      at += part.length;
      if (this.#body.filled === bytes.length && at < chunk.length) {
        at += 1;
        this.#answer(bytes, this.#body.type);
      }
    }
  }

  /** False when the rest of the output is not to be read. */
  #header(): boolean {
    const [, type = "", size] = this.#line.split(" ");
    this.#line = "";
    const request = this.#waiting[0];
    if (size === undefined) {
      this.#waiting.shift();
      request?.fail(missingObject(request.oid));
    } else if (request !== undefined && Number(size) > request.limit) {
      this.#waiting.shift();
      request.fail(objectTooLarge(request.oid, request.limit));
      this.#tooLarge();
      return false;
    } else {
      this.#body = { bytes: new Uint8Array(Number(size)), filled: 0, type };
    }
    return true;
  }

  #answer(bytes: Uint8Array, type: string): void {
    this.#body = undefined;
    const request = this.#waiting.shift();
    if (request === undefined) return;
    if (request.type === null || type === request.type) request.done(bytes);
    else request.fail(badObject(request.oid, request.type));
  }
}
