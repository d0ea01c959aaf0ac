import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ConvosyncError } from "../errors.ts";
import { operationIn } from "../worktree/code-state.ts";
import { pushInBackground } from "./background.ts";
import { type HookEvent, lastEvent, newEvents, settleEvents, takeEvents } from "./events.ts";
import { readIfPresent, withLock, writeAtomic } from "./files.ts";
import { healScript } from "./hooks.ts";
import { notifyOthers } from "./notify.ts";
import { openAt, openMain } from "./open-main.ts";
import { receive } from "./receive.ts";
import { type Context, type World, withCloneLock } from "./repository.ts";
import { snapshot } from "./snapshot.ts";
import { startWorker } from "./start-worker.ts";
import { reportFailure, reportWork } from "./worker-report.ts";

/** So long nothing may be noted before what was noted is dealt with: a script that commits ten times is one event. */
const quietMs = 2_000;
/** An agent's turn is over when its hook runs, and `watch` has waited already. */
const agentQuietMs = 200;
/** But a script that never pauses must not keep the conversation unsaved. */
const longestQuietMs = 30_000;
/** A network that is away for a moment is waited for this long; after that the next event, save or sync tries again. */
const longestOutageMs = 5 * 60_000;
/** What fails this often is given up: the conversation itself is still in the agent's store, for the next capture. */
const mostFailures = 5;

/**
 * What hooks start: deals with what they noted until nothing is left, then ends. Only one runs per clone; whoever
 * comes second leaves at once, as the first one sees what is noted meanwhile.
 */
export async function runWorker(
  world: World,
  commonDir: string,
  { outageMs = longestOutageMs }: { outageMs?: number } = {},
): Promise<void> {
  if (isGone(commonDir)) return;
  const cloneDir = join(commonDir, "convosync");
  const quiet = { ...world, env: { ...ofNobody(world.env), CONVOSYNC_BACKGROUND: "1" } };
  await healScript(cloneDir);
  await unlessBusy(cloneDir, () => work(quiet, commonDir, cloneDir, outageMs));
}

/**
 * Whether the repository was moved or removed while we waited: where it was nothing must be made anew, least of all a folder
 * that git and the user take for a broken one. What is still to be done is noted in the clone, wherever that is.
 */
const isGone = (commonDir: string): boolean => !existsSync(commonDir);

/** Captures what is noted now, and leaves it to the worker where one is at it. */
export async function captureOnce({ world, repo, cloneDir }: Context): Promise<void> {
  const quiet = { ...world, env: ofNobody(world.env) };
  const idle = await unlessBusy(cloneDir, async () => {
    await dealWith(quiet, repo.commonDir, cloneDir);
    // Of a conversation that has moved on to another work tree it is noted there.
    if (await lastEvent(cloneDir)) await dealWith(quiet, repo.commonDir, cloneDir);
  });
  // What was noted meanwhile started a worker, which saw us at it and left.
  if (idle && (await lastEvent(cloneDir))) await startWorker(repo.commonDir, world.env);
}

/** The environment without the shell's conversation: each event says itself whose it is. */
function ofNobody(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const names = [
    ...["CLAUDE_CODE_SESSION_ID", "CODEX_THREAD_ID", "COPILOT_AGENT_SESSION_ID"],
    "CONVOSYNC_OPENCODE_SESSION",
  ];
  return Object.fromEntries(Object.entries(env).filter(([name]) => !names.includes(name)));
}

/** Whether no other worker was at it, so that the task was done. */
async function unlessBusy(cloneDir: string, task: () => Promise<unknown>): Promise<boolean> {
  try {
    await withLock(join(cloneDir, "worker.lock"), 0, task);
    return true;
  } catch (error) {
    if (!(error instanceof ConvosyncError && error.code === "locked")) throw error;
    return false;
  }
}

async function work(world: World, commonDir: string, cloneDir: string, outageMs: number): Promise<void> {
  const pidPath = join(cloneDir, "worker.pid");
  const mine = `${process.pid}\n`;
  let outageSince: number | null = null;
  while (!isGone(commonDir)) {
    // Hooks look here; one that started a second worker in vain has written that one's number.
    if ((await readIfPresent(pidPath))?.toString() !== mine) await writeAtomic(pidPath, mine);
    await untilQuiet(cloneDir);
    const pushed = await dealWith(world, commonDir, cloneDir);
    const sent = await send(world, commonDir, pushed);
    outageSince = sent.failed ? (outageSince ?? Date.now()) : null;
    const latest = outageSince === null ? Date.now() + longestQuietMs : outageSince + outageMs;
    if (sent.due && sent.due.getTime() <= latest) {
      await untilDue(sent.due, cloneDir);
      continue;
    }
    if (await lastEvent(cloneDir)) continue;
    // In this order: a hook that still saw us has noted its event before we look again.
    await rm(pidPath, { force: true });
    if (!(await lastEvent(cloneDir))) return;
  }
}

async function untilQuiet(cloneDir: string): Promise<void> {
  const begun = Date.now();
  for (let last = await lastEvent(cloneDir); last; last = await lastEvent(cloneDir)) {
    const hasty = (await newEvents(cloneDir)).every(({ kind }) => kind === "agent" || kind === "fetch");
    const wait = last.getTime() + (hasty ? agentQuietMs : quietMs) - Date.now();
    if (wait <= 0 || Date.now() - begun > longestQuietMs) return;
    // The clock may have been set back.
    await sleep(Math.min(wait, quietMs));
  }
}

/** Waits for a push to be allowed, but not while there is something new to capture. */
async function untilDue(due: Date, cloneDir: string): Promise<void> {
  while (Date.now() < due.getTime() && !(await lastEvent(cloneDir))) {
    await sleep(Math.min(250, Math.max(1, due.getTime() - Date.now())));
  }
}

/** Captures what was noted. Returns whether the user has pushed. */
async function dealWith(world: World, commonDir: string, cloneDir: string): Promise<boolean> {
  const events = await takeEvents(cloneDir);
  if (events.length === 0) return false;
  const left: HookEvent[] = [];
  let failure: unknown = null;
  for (const path of new Set(events.map((one) => one.path))) {
    const noted = events.filter((one) => one.path === path);
    try {
      left.push(...(await captureAt(world, commonDir, path, noted)));
    } catch (error) {
      failure = error;
      left.push(...noted);
    }
  }
  if (isGone(commonDir)) return false;
  const failures =
    failure === null
      ? await reportWork(cloneDir, world.now())
      : await reportFailure(cloneDir, world.now(), failure);
  await settleEvents(cloneDir, failures >= mostFailures ? [] : left);
  return events.some((one) => one.kind === "push");
}

/** Deals with what was noted of one work tree. Returns what has to wait for the end of a rebase, a merge, a bisect. */
async function captureAt(
  world: World,
  commonDir: string,
  path: string,
  events: readonly HookEvent[],
): Promise<HookEvent[]> {
  const there = await openAt(world, commonDir, path);
  // Where the project was, or a work tree that was removed since: the conversations that were noted there may have been lost.
  const moved = there === null && !existsSync(path);
  const context = moved ? await openMain(world, commonDir) : there;
  if (!context) return [];
  try {
    // After what the user has begun in this work tree HEAD will be somewhere else.
    const isInBetween = (await operationIn(context.git, context.repo.gitDir)) !== null;
    const waits = isInBetween ? events.filter(({ kind }) => kind === "commit" || kind === "rewrite") : [];
    const ofIts = moved ? events.filter((one) => "session" in one && one.session) : events;
    const now = ofIts.filter((one) => !waits.includes(one));
    const about = now.filter(({ kind }) => kind !== "push" && kind !== "fetch");
    if (about.length > 0) {
      await withCloneLock(context, () => snapshot(context, about));
    }
    if (now.some(({ kind }) => kind === "fetch")) await receive(context);
    return waits;
  } catch (error) {
    if (isOver(error)) return [];
    throw error;
  } finally {
    await context.close();
  }
}

/** Not a failure that a later attempt could mend, nor one that anybody needs to hear of. */
const isOver = (error: unknown): boolean =>
  error instanceof ConvosyncError && ["not-set-up", "bare-repository"].includes(error.code);

interface Sent {
  /** When to try again; null where there is nothing to wait for. */
  readonly due: Date | null;
  /** The last attempt failed. */
  readonly failed: boolean;
}

/** Sends what waits. */
async function send(world: World, commonDir: string, eager: boolean): Promise<Sent> {
  const context = await openMain(world, commonDir);
  if (!context) return { due: null, failed: false };
  try {
    const pushed = await pushInBackground(context, { eager });
    if (pushed.status === "pushed") await notifyOthers(context.settings);
    if (pushed.status === "failed") return { due: pushed.at, failed: true };
    return pushed.status === "later"
      ? { due: pushed.at, failed: pushed.failing }
      : { due: null, failed: false };
  } catch (error) {
    if (!isOver(error) && !isGone(commonDir))
      await reportFailure(join(commonDir, "convosync"), world.now(), error);
    return { due: null, failed: false };
  } finally {
    await context.close();
  }
}
