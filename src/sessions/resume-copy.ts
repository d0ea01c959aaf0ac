import type { Agent, Workplace } from "../agents/agent.ts";
import type { StoredSession } from "../domains/reader.ts";
import { mainStream } from "../packing/manifest.ts";
import type { CatalogEntry } from "./catalog.ts";
import type { ChosenRemote } from "./chosen-remote.ts";
import { bringCode } from "./code-move.ts";
import { codeAfter, placeAfter, planCode } from "./code-plan.ts";
import { type RemoteKnown, surveyCode } from "./code-survey.ts";
import { type Copied, writeCopy } from "./copy.ts";
import { localDirectory } from "./local-directory.ts";
import type { Context } from "./repository.ts";
import type { ResumeEvent, ResumeOptions, ResumeResult } from "./resume.ts";
import { stretchesOf } from "./stretches.ts";
import type { OpenVault } from "./vault.ts";

/** Brings back the code, and of the conversation a copy under an id of its own, which nobody else goes on with. */
export async function resumeCopy(
  context: Context,
  found: {
    readonly vault: OpenVault;
    readonly session: CatalogEntry;
    readonly chosen: StoredSession;
    readonly agent: Agent;
    readonly place: Workplace;
    readonly codeRemote: ChosenRemote | null;
  },
  known: RemoteKnown,
  options: ResumeOptions,
  tell: (event: ResumeEvent) => void,
): Promise<ResumeResult> {
  const { vault, session, chosen, agent, place, codeRemote } = found;
  const { manifest } = chosen;
  const snapshot = manifest.snapshots.at(-1) ?? null;
  const cwd = localDirectory(agent, place, manifest.meta.cwd);
  const survey = await surveyCode(context, manifest, codeRemote, known, options);
  const plan = await planCode(context, manifest, codeRemote, known, options, survey);
  const messages = mainStream(manifest)?.lines ?? 0;
  let copy: Copied = { id: session.id, restored: [], workingDirectory: cwd };
  if (!options.dryRun) {
    await bringCode(context, plan, options, tell);
    copy = await writeCopy(vault, chosen, agent, place, cwd, null);
    tell({ step: "restored", messages, fresh: messages, files: copy.restored.length });
  }
  return {
    session: copy.id,
    agent,
    title: session.newest.entry.t,
    snapshot,
    messages,
    commit: snapshot?.commit ?? null,
    branch: snapshot?.branch ?? null,
    restored: copy.restored,
    resumeCommand: agent.resumeCommand(copy.id),
    workingDirectory: copy.workingDirectory,
    localAhead: false,
    variables: {},
    work: null,
    timeline: stretchesOf(manifest),
    code: codeAfter(plan),
    at: placeAfter(plan, snapshot?.branch ?? null),
    dryRun: options.dryRun === true,
  };
}
