import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ConvosyncError } from "../errors.ts";
import { pushInBackground } from "./background.ts";
import { type HookEvent, lastEvent, newEvents, settleEvents, takeEvents } from "./events.ts";
import { readIfPresent, withLock, writeAtomic } from "./files.ts";
import { healScript } from "./hooks.ts";
import { notifyOthers } from "./notify.ts";
import { openAt, openMain } from "./open-main.ts";
import { receive } from "./receive.ts";
import { type World, withCloneLock } from "./repository.ts";
import { isInBetween, snapshot } from "./snapshot.ts";
import { openVault } from "./vault.ts";
import { reportFailure, reportWork } from "./worker-report.ts";

/** So long nothing may be noted before what was noted is dealt with: a script that commits ten times is one event. */
const quietMs = 2_000;
/** An agent's turn is over when its hook runs, and `watch` has waited already. */
const agentQuietMs = 200;
/** But a script that never pauses must not keep the conversation unsaved. */
const longestQuietMs = 30_000;
/** What fails this often is given up: the conversation itself is still in the agent's store, for the next capture. */
const mostFailures = 5;

/**
 * What hooks start: deals with what they noted until nothing is left, then ends. Only one runs per clone; whoever
 * comes second leaves at once, as the first one sees what is noted meanwhile.
 */
export async function runWorker(world: World, commonDir: string): Promise<void> {
  const cloneDir = join(commonDir, "convosync");
  const env: NodeJS.ProcessEnv = { ...world.env, CONVOSYNC_BACKGROUND: "1" };
  // Of the shell that happened to start us; each event says itself whose it is.
  for (const name of ["CLAUDE_CODE_SESSION_ID", "CODEX_THREAD_ID", "COPILOT_AGENT_SESSION_ID"])
    delete env[name];
  await healScript(cloneDir);
  try {
    await withLock(join(cloneDir, "worker.lock"), 0, () => work({ ...world, env }, commonDir, cloneDir));
  } catch (error) {
    if (!(error instanceof ConvosyncError && error.code === "locked")) throw error;
  }
}

async function work(world: World, commonDir: string, cloneDir: string): Promise<void> {
  const pidPath = join(cloneDir, "worker.pid");
  const mine = `${process.pid}\n`;
  for (;;) {
    // Hooks look here; one that started a second worker in vain has written that one's number.
    if ((await readIfPresent(pidPath))?.toString() !== mine) await writeAtomic(pidPath, mine);
    await untilQuiet(cloneDir);
    const pushed = await dealWith(world, commonDir, cloneDir);
    const due = await send(world, commonDir, pushed);
    if (due) {
      await untilDue(due, cloneDir);
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
  const context = await openAt(world, commonDir, path);
  if (!context) return [];
  try {
    const waits = isInBetween(context)
      ? events.filter(({ kind }) => kind === "commit" || kind === "rewrite")
      : [];
    const now = events.filter((one) => !waits.includes(one));
    const about = now.filter(({ kind }) => kind !== "push" && kind !== "fetch");
    if (about.length > 0) {
      await withCloneLock(context, async () => snapshot(context, await openVault(context), about));
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

/** Sends what waits. Returns when to try again, unless there is nothing to wait for. */
async function send(world: World, commonDir: string, eager: boolean): Promise<Date | null> {
  const context = await openMain(world, commonDir);
  if (!context) return null;
  try {
    const pushed = await pushInBackground(context, { eager });
    if (pushed.status === "pushed") await notifyOthers(context.settings);
    // A pause between pushes is waited out; after a failure the next event, save or sync tries again.
    const soon = pushed.status === "later" && pushed.at.getTime() - Date.now() <= longestQuietMs;
    return soon ? pushed.at : null;
  } catch (error) {
    if (isOver(error)) return null;
    await reportFailure(join(commonDir, "convosync"), world.now(), error);
    return null;
  } finally {
    await context.close();
  }
}
