import { execa } from "execa";
import { isBackground } from "./environment.ts";
import type { LongRunOptions } from "./git.ts";

type GroupOptions = Omit<LongRunOptions, "env"> & { readonly cwd: string; readonly env: NodeJS.ProcessEnv };

export type Ended =
  | { readonly how: "exit"; readonly code: number; readonly stdout: Buffer; readonly stderr: string }
  | { readonly how: "timeout" }
  | { readonly how: "cancelled" }
  | { readonly how: "not started"; readonly cause: unknown };

/** Milliseconds between asking a group to end and ending it. */
const GRACE = 1000;

/**
 * Runs git as the leader of a process group of its own, so that a timeout or an abort also ends the ssh or the
 * remote helper it started (git alone would leave an ssh behind that still waits for a connection).
 * When git may prompt it stays in our group: a group in the background cannot ask at the terminal.
 */
export async function runGroup(args: readonly string[], options: GroupOptions): Promise<Ended> {
  if (options.signal?.aborted) return { how: "cancelled" };
  let inputError: { cause: unknown } | undefined;
  async function* watched(input: AsyncIterable<Uint8Array>) {
    try {
      yield* input;
    } catch (cause) {
      inputError = { cause };
      throw cause;
    }
  }
  const asks = options.prompt && !isBackground(options.env);
  const detached = !asks && process.platform !== "win32";
  const child = execa("git", args, {
    cwd: options.cwd,
    env: options.env,
    extendEnv: false,
    encoding: "buffer",
    stripFinalNewline: false,
    reject: false,
    detached,
    windowsHide: true,
    stdin: options.input === undefined ? "ignore" : watched(options.input),
    stderr: options.inherit === "stderr" ? "inherit" : "pipe",
  });
  const kill = (signal: NodeJS.Signals) => {
    if (child.pid === undefined) return;
    try {
      process.kill(detached ? -child.pid : child.pid, signal);
    } catch {
      // Already gone.
    }
  };
  let stopped: "timeout" | "cancelled" | undefined;
  let force: NodeJS.Timeout | undefined;
  const stop = (why: "timeout" | "cancelled") => {
    stopped ??= why;
    kill("SIGTERM");
    force = setTimeout(kill, GRACE, "SIGKILL");
  };
  const onAbort = () => stop("cancelled");
  const onExit = () => kill("SIGKILL");
  const timer = options.timeoutMs === undefined ? undefined : setTimeout(stop, options.timeoutMs, "timeout");
  options.signal?.addEventListener("abort", onAbort, { once: true });
  process.once("exit", onExit);
  try {
    const result = await child;
    if (inputError !== undefined) throw inputError.cause;
    if (stopped !== undefined) return { how: stopped };
    if (result.exitCode === undefined && result.signal === undefined)
      return { how: "not started", cause: result };
    return {
      how: "exit",
      code: result.exitCode ?? -1,
      stdout: Buffer.from(result.stdout ?? []),
      stderr: Buffer.from(result.stderr ?? []).toString(),
    };
  } finally {
    clearTimeout(timer);
    clearTimeout(force);
    options.signal?.removeEventListener("abort", onAbort);
    process.removeListener("exit", onExit);
  }
}
