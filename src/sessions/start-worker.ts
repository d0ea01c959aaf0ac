import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeAtomic } from "./files.ts";
import { programPath } from "./installation.ts";

/** Starts the worker of a clone unless one runs, as hooks do. */
export async function startWorker(commonDir: string, env: NodeJS.ProcessEnv): Promise<void> {
  const pidPath = join(commonDir, "convosync", "worker.pid");
  const pid = Number((await readFile(pidPath, "utf8").catch(() => "")).trim());
  if (pid > 0 && (await runs(pid))) return;
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
