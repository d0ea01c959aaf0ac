import { existsSync } from "node:fs";
import type { Agent, Destination, Workplace } from "../agents/agent.ts";
import { ConvosyncError, Exit } from "../errors.ts";

/** So long an agent may take for one command; ms. A conversation of 100 MB is many seconds' work for it. */
const patienceMs = 600_000;

/**
 * Makes an agent know of a session whose files were put in place, or taken away, where it does not look at them itself.
 * The files stay as they are when it fails, and the next time goes on from there.
 */
export async function deliver(agent: Agent, session: Destination, place: Workplace): Promise<void> {
  if (!agent.deliver) return;
  const { execa } = await import("execa");
  const cwd = existsSync(session.cwd) ? session.cwd : place.root;
  for await (const [program = "", ...args] of agent.deliver(session, place)) {
    const told = await execa(program, args, {
      cwd,
      env: place.env,
      extendEnv: false,
      stdin: "ignore",
      reject: false,
      timeout: patienceMs,
      maxBuffer: 1 << 20,
    });
    if (told.failed) throw notImported(agent, session.id, program, told);
  }
}

function notImported(
  agent: Agent,
  session: string,
  program: string,
  { code, stderr, stdout }: { code?: string | undefined; stderr: string; stdout: string },
): ConvosyncError {
  const missing = code === "ENOENT";
  const said = [...stderr.split("\n"), ...stdout.split("\n")].map((line) => line.trim()).find(Boolean);
  return new ConvosyncError(
    "not-imported",
    Exit.failed,
    missing
      ? `'${program}' cannot be started, so ${agent.title} does not know the conversation yet`
      : `${agent.title} did not take the conversation in${said ? `: ${said.slice(0, 200)}` : ""}`,
    [
      missing ? "is it installed, and on your PATH?" : `its own words: ${program} import --help`,
      `all of it is kept; once that works: git convosync resume ${session}`,
    ],
  );
}
