import { Exit } from "../errors.ts";
import { type AgentHooks, agentHooks, hookedAgents } from "../sessions/agent-hooks.ts";
import { type HooksStatus, hooksStatus } from "../sessions/hooks.ts";
import { withRepository } from "../sessions/repository.ts";
import { workerReport } from "../sessions/worker-report.ts";
import { safeText } from "../ui/safe-text.ts";
import type { Terminal } from "../ui/terminal.ts";
import { userStateDir } from "../user-directories.ts";
import type { Invocation } from "../world.ts";

export default async function hooksStatusCommand({ world, terminal }: Invocation): Promise<number> {
  const status = await withRepository(world, (context) => hooksStatus(context));
  const path = status.hooksPath === null ? "" : ` (core.hooksPath = ${safeText(status.hooksPath)})`;
  terminal.print(`git looks for hooks in ${safeText(status.folder)}${path}\n`);
  for (const { event, runs, ours } of status.hooks) {
    const what = {
      current: "runs convosync",
      outdated: "runs convosync of another version",
      ignored: "has convosync, but git passes over it: it is not executable",
      absent: runs === null ? "nothing runs" : "runs without convosync",
      "by-hand": "is the project's own file; convosync's line is not in it",
    }[ours];
    terminal.print(`${terminal.style("bold", event.padEnd(15))}${what}`);
  }
  if (status.hooks.some((one) => one.ours !== "absent") && status.script !== "current") {
    const state = status.script === "absent" ? "missing" : "another version's";
    terminal.print(`\nwhat they run is ${state}`);
  }
  const agents = await allAgents(world.env);
  for (const one of agents.filter((agent) => agent.installed)) {
    terminal.print(`${terminal.style("bold", one.name.padEnd(15))}tells convosync (${one.path})`);
  }
  const report = await withRepository(world, (context) => workerReport(context.cloneDir));
  if (report?.error) terminal.warn(`the last capture failed: ${safeText(report.error.message, 300)}`);
  for (const hint of hintsOf(status)) terminal.hint(hint);
  const worker = report && { at: report.at, failures: report.failures, error: report.error };
  terminal.document({ ...hooksDocument(status), agents: agents.filter((one) => one.installed), worker });
  return Exit.done;
}

function allAgents(env: NodeJS.ProcessEnv): Promise<AgentHooks[]> {
  const place = { env, stateDir: userStateDir(env) };
  return Promise.all(hookedAgents.map((name) => agentHooks(name, place)));
}

function hintsOf(status: HooksStatus): string[] {
  const states = status.hooks.map((one) => one.ours);
  if (states.includes("by-hand")) return handHints(status);
  const sound = states.every((one) => one === "current") && status.script === "current";
  return sound ? [] : ["put that right: git convosync hooks install"];
}

/** What a person has to add to hooks that are files of the project. */
const handHints = (status: HooksStatus): string[] =>
  status.hooks
    .filter((one) => one.ours === "by-hand")
    .map(({ event }) => `add to the project's ${event} hook: ${status.line(event)}`);

export function tellInstalled(terminal: Terminal, status: HooksStatus): void {
  const ours = status.hooks.filter((one) => one.ours === "current");
  if (ours.length === status.hooks.length)
    terminal.step("From now on every commit saves the conversation too");
  else if (ours.length > 0) terminal.step(`Git runs convosync in ${ours.map((one) => one.event).join(", ")}`);
  if (status.hooks.some((one) => one.did === "wrapped"))
    terminal.detail("hooks that are no shell scripts are kept beside ours, and run after it");
  if (status.shared) terminal.detail(`other repositories use ${status.folder} too; there it does nothing`);
  if (status.tracked) {
    terminal.warn(
      `the hooks in ${safeText(status.folder)} are files of the project, which are left as they are`,
    );
    for (const hint of handHints(status)) terminal.hint(hint);
  }
}

export const hooksDocument = (status: HooksStatus): Record<string, unknown> => ({
  folder: status.folder,
  hooksPath: status.hooksPath,
  script: status.script,
  hooks: status.hooks.map(({ event, runs, ours }) => ({ event, runs, ours })),
});
