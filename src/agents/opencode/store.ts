import { join } from "node:path";
import { userStateDir, xdgDirectory } from "../../user-directories.ts";
import type { Workplace } from "../agent.ts";

/** Where opencode keeps its database, and what it has cut off from the output of tools. */
export const dataDir = ({ home, env }: Workplace): string =>
  join(xdgDirectory({ ...env, HOME: home }, "XDG_DATA_HOME", ".local/share"), "opencode");

export const databasePath = (place: Workplace): string => join(dataDir(place), "opencode.db");

/** Where its conversations stand as files. */
export const mirrorDir = ({ home, env }: Workplace): string =>
  join(userStateDir({ ...env, HOME: home }), "opencode");

export const talkDir = (id: string, place: Workplace): string => join(mirrorDir(place), id);

/** Twelve hexadecimal digits that tell the time, and fourteen letters and digits by chance. */
const idOf = (kind: string): RegExp => new RegExp(`^${kind}_[0-9a-f]{12}[0-9A-Za-z]{14}$`);

const session = idOf("ses");

export const validId = (id: string): boolean => session.test(id);
