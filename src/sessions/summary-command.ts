import { spawn } from "node:child_process";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { ConvosyncError, Exit } from "../errors.ts";

const longestSummary = 1 << 20;

/** Hands a conversation to the user's own command, which answers with its summary on stdout. */
export async function summaryBy(
  command: string,
  conversation: AsyncIterable<string>,
  cwd: string,
  env: NodeJS.ProcessEnv,
): Promise<string> {
  const child = spawn("sh", ["-c", command], { cwd, env, stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise<number>((done, fail) => {
    child.on("error", fail);
    child.on("close", (code) => done(code ?? -1));
  });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    if (text.length < longestSummary) text += chunk;
  });
  try {
    // A command that has read enough may close its input.
    const fed = pipeline(Readable.from(conversation), child.stdin).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE" && error.code !== "ERR_STREAM_PREMATURE_CLOSE") throw error;
    });
    const [code] = await Promise.all([ended, fed]);
    if (code !== 0) throw failed(`ended with status ${code}`);
  } catch (error) {
    child.kill();
    throw error instanceof ConvosyncError
      ? error
      : failed(error instanceof Error ? error.message : "", error);
  }
  return text.slice(0, longestSummary).trim();
}

const failed = (why: string, cause?: unknown): ConvosyncError =>
  new ConvosyncError(
    "summary-failed",
    Exit.failed,
    `the command that summarises did not work: ${why}`,
    [
      "see what it is: git config convosync.summaryCommand",
      "summarise without it: git convosync summary --offline",
    ],
    cause,
  );
