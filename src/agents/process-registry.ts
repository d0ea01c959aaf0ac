import { lstat, readFile } from "node:fs/promises";
import { uptime } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { isRunning } from "../leftovers.ts";
import type { LiveSession } from "./agent.ts";
import { listed } from "./folders.ts";
import { parseLine } from "./json-line.ts";

// The list that Claude Code and Qwen Code keep of their running processes, each with the session it has open.

const entry = v.object({
  pid: v.pipe(v.number(), v.integer(), v.minValue(1)),
  sessionId: v.string(),
  cwd: v.string(),
  procStart: v.fallback(v.optional(v.string()), undefined),
  startedAt: v.fallback(v.optional(v.number()), undefined),
  updatedAt: v.fallback(v.optional(v.number()), undefined),
});
type Entry = v.InferOutput<typeof entry>;

/** The processes of `<directory>/<pid>.json` that run, the last active first. */
export async function runningIn(directory: string): Promise<Entry[]> {
  const live: Entry[] = [];
  for (const name of listed(directory)) {
    if (!/^[0-9]+\.json$/.test(name)) continue;
    const found = await readEntry(join(directory, name));
    if (found !== null && name === `${found.pid}.json` && isAlive(found)) live.push(found);
  }
  return live.sort((a, b) => activity(b) - activity(a));
}

/** The process that has a session open. */
export async function liveIn(directory: string, sessionId: string): Promise<LiveSession | null> {
  const found = (await runningIn(directory)).find((one) => one.sessionId === sessionId);
  if (found === undefined) return null;
  const since = new Date(found.startedAt ?? Number.NaN);
  return { pid: found.pid, cwd: found.cwd, since: Number.isNaN(since.getTime()) ? null : since };
}

const activity = (one: Entry): number => one.updatedAt ?? one.startedAt ?? 0;

async function readEntry(path: string): Promise<Entry | null> {
  const stat = await lstat(path).catch(() => null);
  if (!stat?.isFile() || stat.size > 65_536) return null;
  const text = await readFile(path, "utf8").catch(() => "");
  const parsed = v.safeParse(entry, parseLine(text.trim()));
  return parsed.success ? parsed.output : null;
}

/**
 * An entry that a crash left behind has the number of another process now, or soon: it is told by when that began, on
 * Linux, or by being from before the last boot. `procStart` ends in the ticks since then there, in both clients; Qwen Code
 * puts the boot's id before them. Looked at with Claude Code 2.1.332 and Qwen Code 0.24.4.
 */
function isAlive({ pid, startedAt, procStart }: Entry): boolean {
  const booted = Date.now() - uptime() * 1000;
  const began = /^(?:[0-9a-f-]{36}:)?([0-9]+)$/.exec(procStart ?? "")?.[1];
  return (startedAt === undefined || startedAt >= booted - 60_000) && isRunning(pid, began);
}
