import { homedir } from "node:os";
import { basename, isAbsolute, join } from "node:path";

/** The home directory as agents find it: HOME, on Windows USERPROFILE, else what the system says. */
export function homeOf(env: NodeJS.ProcessEnv): string {
  return (process.platform === "win32" ? env["USERPROFILE"] : env["HOME"]) || homedir();
}

/** A path as a person writes it: `~` at its beginning is the home directory. */
export const expandHome = (path: string, home: string): string =>
  path === "~" || path.startsWith("~/") ? join(home, path.slice(1)) : path;

/** Where what is not of one repository, and may be lost without harm, is kept. */
export const userStateDir = (env: NodeJS.ProcessEnv): string =>
  userDirectory(env, "XDG_STATE_HOME", ".local/state");

/** Where what can be made again is kept. */
export const userCacheDir = (env: NodeJS.ProcessEnv): string =>
  userDirectory(env, "XDG_CACHE_HOME", ".cache");

function userDirectory(env: NodeJS.ProcessEnv, variable: string, usual: string): string {
  if (process.platform === "win32" && env["LOCALAPPDATA"])
    return join(env["LOCALAPPDATA"], "convosync", basename(usual));
  return join(xdgDirectory(env, variable, usual), "convosync");
}

/**
 * A base directory that a variable names, else the usual one below the home directory. One that is relative is to be ignored
 * (XDG Base Directory Specification): it would lead into whatever folder we are in.
 */
export function xdgDirectory(env: NodeJS.ProcessEnv, variable: string, usual: string): string {
  const given = env[variable] ?? "";
  return isAbsolute(given) ? given : join(homeOf(env), usual);
}
