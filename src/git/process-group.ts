import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Writable } from "node:stream";
import { isBackground } from "./environment.ts";
import type { LongRunOptions } from "./git.ts";
import { writeAll } from "./write-all.ts";

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
 *
 * Node's own spawn, because every save and resume comes through here and a library for it takes longer to load than
 * git takes to start.
 */
export async function runGroup(args: readonly string[], options: GroupOptions): Promise<Ended> {
  if (options.signal?.aborted) return { how: "cancelled" };
  const asks = options.prompt && !isBackground(options.env);
  const detached = !asks && process.platform !== "win32";
  const child = spawn("git", args, {
    cwd: options.cwd,
    env: options.env,
    detached,
    windowsHide: true,
    stdio: [
      options.input === undefined ? "ignore" : "pipe",
      "pipe",
      options.inherit === "stderr" ? "inherit" : "pipe",
    ],
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

  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout?.on("data", (chunk: Buffer) => out.push(chunk));
  child.stderr?.on("data", (chunk: Buffer) => err.push(chunk));
  const feeding = feed(child.stdin, options.input, kill);
  try {
    const [code, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
    const inputError = await feeding;
    if (inputError !== null) throw inputError.cause;
    if (stopped !== undefined) return { how: stopped };
    const stderr = Buffer.concat(err).toString();
    return {
      how: "exit",
      code: code ?? -1,
      stdout: Buffer.concat(out),
      stderr: signal ? `${stderr}ended by ${signal}` : stderr,
    };
  } catch (cause) {
    if (child.pid === undefined) return { how: "not started", cause };
    throw cause;
  } finally {
    clearTimeout(timer);
    clearTimeout(force);
    options.signal?.removeEventListener("abort", onAbort);
    process.removeListener("exit", onExit);
  }
}

/**
 * Streams `input` to the child. What goes wrong on our side ends the child and is the answer; a child that ends
 * without reading all of it is judged by its exit status.
 */
async function feed(
  stdin: Writable | null,
  input: AsyncIterable<Uint8Array> | undefined,
  kill: (signal: NodeJS.Signals) => void,
): Promise<{ cause: unknown } | null> {
  if (stdin === null || input === undefined) return null;
  try {
    await writeAll(stdin, input);
    return null;
  } catch (cause) {
    kill("SIGKILL");
    return { cause };
  }
}
