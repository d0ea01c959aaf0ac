import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import type { Settings } from "./repository.ts";

const patienceMs = 5_000;

/**
 * Shows a notice on this desktop by the user's own command, `convosync.notifyCommand`. It is given title and text as
 * two more arguments and in its environment; they come from other devices and are never part of what a shell reads.
 */
export async function notifyHere(
  settings: Settings,
  env: NodeJS.ProcessEnv,
  { title, text }: { readonly title: string; readonly text: string },
): Promise<boolean> {
  const command = settings.get("notifyCommand");
  if (!command) return false;
  return new Promise((done) => {
    const child = spawn("sh", ["-c", `${command} "$@"`, "convosync", title, text], {
      env: { ...env, CONVOSYNC_TITLE: title, CONVOSYNC_TEXT: text, CONVOSYNC_INSIDE: "1" },
      stdio: "ignore",
      timeout: patienceMs,
    });
    child.on("error", () => done(false));
    child.on("close", (code) => done(code === 0));
  });
}

/**
 * Tells whoever listens at `convosync.notifyUrl`, an ntfy topic or the like, that something was saved: nothing but a
 * random id, so that the one who runs it learns no more than when. Failures do not matter. True when it was sent.
 */
export async function notifyOthers(settings: Settings): Promise<boolean> {
  const url = settings.get("notifyUrl");
  if (!url || !/^https?:\/\//.test(url)) return false;
  try {
    const answer = await fetch(url, {
      method: "POST",
      body: randomBytes(16).toString("base64url"),
      headers: { "Content-Type": "text/plain" },
      redirect: "error",
      signal: AbortSignal.timeout(patienceMs),
    });
    await answer.body?.cancel();
    return answer.ok;
  } catch {
    return false;
  }
}
