// What age-encryption uses of the Streams API, whose place this takes in the program (scripts/native.mjs): bytes that are in
// memory go through functions that answer at once. The platform's streams can do more, and are compiled when they are first
// used: 10 ms of a command that opens a dozen objects, and `Response` 15 more.
import { concat } from "../crypto/encoding.ts";

interface Controller<T> {
  enqueue(chunk: T): void;
  close(): void;
}

interface Transformer<T> {
  start?(controller: Controller<T>): void;
  transform?(chunk: T, controller: Controller<T>): void;
  flush?(controller: Controller<T>): void;
}

/** Chunks that are there when it is made, or are made when they are read. One reader follows another. */
export class ReadableStream<T> {
  /** The next chunk; undefined at the end. */
  #next: () => T | undefined;

  constructor({ start }: { start(controller: Controller<T>): void }) {
    const chunks = new Chunks<T>();
    start(chunks);
    this.#next = () => chunks.take();
  }

  getReader() {
    return {
      read: async () => {
        const value = this.#next();
        return { done: value === undefined, value };
      },
      releaseLock() {},
    };
  }

  pipeThrough({ transformer }: TransformStream<T>): ReadableStream<T> {
    const chunks = new Chunks<T>();
    const { start, transform = (chunk: T) => chunks.enqueue(chunk), flush } = transformer;
    start?.(chunks);
    let ended = false;
    const through = new ReadableStream<T>({ start() {} });
    through.#next = () => {
      while (chunks.isEmpty && !ended) {
        const chunk = this.#next();
        ended = chunk === undefined;
        if (chunk === undefined) flush?.(chunks);
        else transform(chunk, chunks);
      }
      return chunks.take();
    };
    return through;
  }
}

export class TransformStream<T> {
  readonly transformer: Transformer<T>;

  constructor(transformer: Transformer<T>) {
    this.transformer = transformer;
  }
}

/** All that a stream of bytes has, as one. */
export class Response {
  readonly #stream: ReadableStream<Uint8Array>;

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#stream = stream;
  }

  async arrayBuffer(): Promise<ArrayBufferLike> {
    const reader = this.#stream.getReader();
    const parts: Uint8Array[] = [];
    for (let { value } = await reader.read(); value; { value } = await reader.read()) parts.push(value);
    return concat(...parts).buffer;
  }
}

/** What was put in and not yet taken out, in order. */
class Chunks<T> implements Controller<T> {
  #all: T[] = [];
  #taken = 0;

  get isEmpty(): boolean {
    return this.#taken === this.#all.length;
  }

  enqueue(chunk: T): void {
    this.#all.push(chunk);
  }

  close(): void {}

  take(): T | undefined {
    const chunk = this.#all[this.#taken++];
    if (this.#taken >= this.#all.length) {
      this.#all = [];
      this.#taken = 0;
    }
    return chunk;
  }
}
