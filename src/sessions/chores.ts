/**
 * What only makes a later command faster, and so need not be waited for: it is done while git is busy with a remote, or
 * at the end. Where a process dies before, or one of them fails, the later command does without.
 */
export class Chores {
  readonly #waiting: (() => Promise<unknown>)[] = [];
  #done: Promise<void> = Promise.resolve();

  later(work: () => Promise<unknown>): void {
    this.#waiting.push(work);
  }

  /** Does all that waits, in its order; never rejects. */
  do(): Promise<void> {
    this.#done = this.#done.then(async () => {
      for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
        await next().catch(() => undefined);
      }
    });
    return this.#done;
  }
}
