import { stat } from "node:fs/promises";
import { lookAtCode } from "./code-here.ts";
import type { Context } from "./repository.ts";
import { chooseLocalSessions, openWorkplace } from "./workplace.ts";

/** What a save would find here. Text in it comes from the conversation: hostile. */
export interface Outlook {
  readonly branch: string | null;
  readonly modified: number;
  readonly created: number;
  readonly title: string;
  /** Bytes of the transcript. */
  readonly bytes: number;
}

export async function outlook(context: Context, session: string | undefined): Promise<Outlook> {
  const state = await lookAtCode(context);
  const place = await openWorkplace(context);
  const [chosen] = await chooseLocalSessions(place, session === undefined ? {} : { session });
  return {
    branch: state.branch,
    modified: state.changes.filter((one) => one.tracked).length,
    created: state.changes.filter((one) => !one.tracked).length,
    title: chosen?.found.title ?? "",
    bytes: chosen ? (await stat(chosen.found.path)).size : 0,
  };
}
