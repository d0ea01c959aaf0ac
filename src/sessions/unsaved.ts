import { lstatSync } from "node:fs";
import type { Agent, Workplace } from "../agents/agent.ts";
import { buriedAmong, catalog, type Heads } from "./catalog.ts";
import { isAbout, readCursor } from "./cursor.ts";
import type { Context } from "./repository.ts";
import { type ChosenSession, formerSessions } from "./workplace.ts";

/** A conversation that has rested for so long is nobody's present work, and not asked after. */
const recentMs = 12 * 3_600_000;

/**
 * Conversations of this work tree that went on lately and are not saved as they are, newest first: several may be going on
 * at once, and a save means one. Those that were deleted on purpose are not meant to be.
 *
 * @param here the vault's `<vault>` of the ref names, and this device's id
 * @param but those that are not asked after
 */
export async function unsavedSessions(
  context: Context,
  place: Workplace,
  agents: readonly Agent[],
  heads: Heads,
  here: { readonly ref: string; readonly device: string },
  but: readonly ChosenSession[],
): Promise<ChosenSession[]> {
  const since = new Date(context.world.now().getTime() - recentMs);
  const saved = new Set(catalog(heads, here).map(({ key }) => key));
  const unsaved: (ChosenSession & { key: string })[] = [];
  for (const agent of agents) {
    const ids = new Set(but.filter((one) => one.agent === agent).map((one) => one.found.id));
    for (const found of await agent.lately(place, since, ids)) {
      const key = `${agent.name}:${found.id}`;
      if (!saved.has(key) || (await hasGoneOn(context, here.device, { agent, found })))
        unsaved.push({ agent, found, key });
    }
  }
  for (const { agent, found } of await formerSessions(agents, place)) {
    const key = `${agent.name}:${found.id}`;
    if (found.updatedAt < since || [...but, ...unsaved].some((one) => keyOf(one) === key)) continue;
    const cursor = await readCursor(context, here.device, key);
    // What an agent has kept there of a conversation that has gone on elsewhere since is no news.
    const isNews = isAbout(cursor, found.path)
      ? await hasGoneOn(context, here.device, { agent, found })
      : !saved.has(key);
    if (isNews) unsaved.push({ agent, found, key });
  }
  const dead = new Set(buriedAmong(heads, unsaved));
  return unsaved
    .filter((one) => !dead.has(one))
    .sort((a, b) => b.found.updatedAt.getTime() - a.found.updatedAt.getTime());
}

const keyOf = ({ agent, found }: ChosenSession): string => `${agent.name}:${found.id}`;

/** Whether somebody has gone on with it since it was last saved or restored here; not where nobody remembers when. */
export async function hasGoneOn(
  context: Context,
  device: string,
  { agent, found }: ChosenSession,
): Promise<boolean> {
  const { id, path } = found;
  const main = (await readCursor(context, device, `${agent.name}:${id}`)).streams["main"];
  const info = main && lstatSync(path, { throwIfNoEntry: false });
  if (info === undefined || (info.ino === main!.ino && info.size === main!.offset)) return false;
  // Another file, or a shorter one: the agent has rewritten it.
  if (info.ino !== main!.ino || info.size < main!.offset || !agent.reader) return true;
  const [{ isIdleBeyond }, { readWholeLines }] = await Promise.all([
    import("./idle-side.ts"),
    import("../agents/local-files.ts"),
  ]);
  const reader = agent.reader({ line: main!.lines, n: 1, key: null });
  return !(await isIdleBeyond(0, readWholeLines(path, main!.offset), reader));
}
