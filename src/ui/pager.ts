import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Terminal } from "./terminal.ts";

/** Where long text goes: a pager, or stdout as it is. */
export interface Output {
  /** Waits while the reader is behind. False when nobody reads any more: the writer may stop. */
  write(text: string | Uint8Array): Promise<boolean>;
  /** Waits until the person has left the pager. */
  end(): Promise<void>;
}

/** Text to a stream that is not ours to close. */
export function plainOutput(stream: NodeJS.WritableStream): Output {
  let broken = false;
  stream.once("error", () => {
    broken = true;
  });
  return {
    async write(text) {
      if (!broken && !stream.write(text)) await once(stream, "drain").catch(() => undefined);
      return !broken;
    },
    end: async () => undefined,
  };
}

/** Starts `git var GIT_PAGER`; null when that is no pager. */
function startPager(command: string, env: NodeJS.ProcessEnv): Output | null {
  if (command === "" || command === "cat") return null;
  const pager = spawn("sh", ["-c", command], {
    stdio: ["pipe", "inherit", "inherit"],
    env: { LESS: "FRX", LV: "-c", ...env },
  });
  const closed = once(pager, "close").catch(() => undefined);
  let gone = false;
  void closed.then(() => {
    gone = true;
  });
  pager.stdin.on("error", () => {
    gone = true;
  });
  return {
    async write(text) {
      if (gone) return false;
      if (!pager.stdin.write(text)) {
        await Promise.race([once(pager.stdin, "drain").catch(() => undefined), closed]);
      }
      return !gone;
    },
    async end() {
      pager.stdin.end();
      await closed;
    },
  };
}

/** Git's pager where a person is at a terminal, else stdout. `pager` is asked only when it is needed. */
export async function openOutput(
  terminal: Terminal,
  env: NodeJS.ProcessEnv,
  pager: () => Promise<string>,
): Promise<Output> {
  const { stdout } = terminal.streams;
  const paged = stdout.isTTY === true && terminal.interactive ? startPager(await pager(), env) : null;
  const output = paged ?? plainOutput(stdout);
  return {
    write: (text) => output.write(typeof text === "string" ? terminal.drawn(text) : text),
    end: () => output.end(),
  };
}

/** Writes part by part until the end, or until nobody reads any more. */
export async function writeAll(output: Output, parts: AsyncIterable<string | Uint8Array>): Promise<void> {
  for await (const part of parts) if (!(await output.write(part))) return;
}
