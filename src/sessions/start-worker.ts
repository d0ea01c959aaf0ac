import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeAtomic } from "./files.ts";
import { programPath } from "./installation.ts";

/** Starts the worker of a clone unless one runs, as hooks do. */
export async function startWorker(commonDir: string, env: NodeJS.ProcessEnv): Promise<void> {
  if (await isWorking(commonDir)) return;
  const pidPath = pidPathIn(commonDir);
  const child = spawn(process.execPath, [programPath(), "hook", "worker", commonDir], {
    cwd: commonDir,
    env,
    stdio: "ignore",
    detached: true,
    windowsHide: true,
  });
  // Nobody waits for it; one that could not be started leaves everything for the next attempt.
  child.on("error", () => undefined);
  child.unref();
  if (child.pid !== undefined) await writeAtomic(pidPath, `${child.pid}\n`);
}

const pidPathIn = (commonDir: string): string => join(commonDir, "convosync", "worker.pid");

/** Whether a worker runs for the clone. */
export async function isWorking(commonDir: string): Promise<boolean> {
  const pid = Number((await readFile(pidPathIn(commonDir), "utf8").catch(() => "")).trim());
  return pid > 0 && (await runs(pid));
}

/** Where it can be seen, another program that was given a dead worker's number is not taken for it. */
async function runs(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  const line = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => null);
  return line === null || /convosync|cli\.js/.test(line);
}
