import { lstat, readFile } from "node:fs/promises";
import { uptime } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { isRunning } from "../../leftovers.ts";
import type { LiveSession, Workplace } from "../agent.ts";
import { listed } from "../folders.ts";
import { parseLine } from "../json-line.ts";
import { liveDir } from "./store.ts";

const entry = v.object({
  pid: v.pipe(v.number(), v.integer(), v.minValue(1)),
  sessionId: v.string(),
  cwd: v.string(),
  startedAt: v.fallback(v.optional(v.number()), undefined),
  updatedAt: v.fallback(v.optional(v.number()), undefined),
});
type Entry = v.InferOutput<typeof entry>;

/** The client's registry of running processes, `<config>/sessions/<pid>.json`: those that run, latest first. */
export async function liveSessions(place: Workplace): Promise<Entry[]> {
  const directory = liveDir(place);
  const live: Entry[] = [];
  for (const name of listed(directory)) {
    if (!/^[0-9]+\.json$/.test(name)) continue;
    const found = await readEntry(join(directory, name));
    if (found !== null && name === `${found.pid}.json` && isAlive(found)) live.push(found);
  }
  return live.sort((a, b) => activity(b) - activity(a));
}

export async function live(sessionId: string, place: Workplace): Promise<LiveSession | null> {
  const found = (await liveSessions(place)).find((one) => one.sessionId === sessionId);
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

/** An entry from before the last boot was left by a crash, and its pid is another process now. */
function isAlive({ pid, startedAt }: Entry): boolean {
  const booted = Date.now() - uptime() * 1000;
  return (startedAt === undefined || startedAt >= booted - 60_000) && isRunning(pid);
}
