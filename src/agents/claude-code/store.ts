import { join, resolve, sep } from "node:path";
import type { Workplace } from "../agent.ts";
import { areAlike, folded } from "../spellings.ts";

const longestKey = 200;

/** `CLAUDE_CONFIG_DIR`, else `~/.claude`. */
export function configDir({ env, home, cwd }: Workplace): string {
  const configured = env["CLAUDE_CONFIG_DIR"];
  return (configured ? resolve(cwd, configured) : join(home, ".claude")).normalize("NFC");
}

export const projectsDir = (place: Workplace): string => join(configDir(place), "projects");

export const fileHistoryDir = (place: Workplace): string => join(configDir(place), "file-history");

export const tasksDir = (place: Workplace): string => join(configDir(place), "tasks");

export const plansDir = (place: Workplace): string => join(configDir(place), "plans");

export const liveDir = (place: Workplace): string => join(configDir(place), "sessions");

/**
 * The folder name Claude Code derives from a (real) working directory. Lossy: `a_b` and `a-b` collide. From
 * the client itself, versions 2.1.197 to 2.1.329: per UTF-16 unit, cut at 200 with a 32-bit hash appended.
 */
export function projectKey(directory: string): string {
  const path = directory.normalize("NFC");
  const key = dashed(path);
  if (key.length <= longestKey) return key;
  let hash = 0;
  for (let i = 0; i < path.length; i++) hash = ((hash << 5) - hash + path.charCodeAt(i)) | 0;
  return `${key.slice(0, longestKey)}-${Math.abs(hash).toString(36)}`;
}

const dashed = (path: string): string => path.replace(/[^a-zA-Z0-9]/g, "-");

/** The folder of `<config>/projects` in which sessions started in `directory` are kept. */
export function projectName(directory: string, place: Workplace): string {
  return overriddenName(place) ?? projectKey(directory);
}

/**
 * Whether a folder of `<config>/projects` may hold sessions started in one of the work trees or below. The client names it
 * after the directory as its user typed it, in whatever case the disk lets pass.
 */
export function mayBelong(name: string, place: Workplace): boolean {
  if (name === overriddenName(place)) return true;
  return place.worktrees.some((root) => {
    const below = dashed((root.endsWith(sep) ? root : root + sep).normalize("NFC"));
    return areAlike(name, projectKey(root)) || folded(name).startsWith(folded(below.slice(0, longestKey)));
  });
}

/** Honoured by the client only together with `CLAUDE_CONFIG_DIR`. */
function overriddenName({ env }: Workplace): string | null {
  const name = env["CLAUDE_CODE_PROJECT_DIR_NAME"];
  return env["CLAUDE_CONFIG_DIR"] && name && /^[A-Za-z0-9_-]{1,64}$/.test(name) ? name : null;
}
