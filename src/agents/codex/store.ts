import { randomUUID } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Workplace } from "../agent.ts";

/** `CODEX_HOME`, else `~/.codex`. */
export function codexHome({ env, home, cwd }: Workplace): string {
  const configured = env["CODEX_HOME"];
  return (configured ? resolve(cwd, configured) : join(home, ".codex")).normalize("NFC");
}

export const sessionsDir = (place: Workplace): string => join(codexHome(place), "sessions");

/** Holds `<id>.lock` while a process may write to that session. */
export const locksDir = (place: Workplace): string => join(codexHome(place), "thread-writer-locks");

const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export const validId = (id: string): boolean => uuid.test(id);

const rollout = /^rollout-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-([0-9a-f-]{36})\.jsonl$/;

/** The session a file name stands for; null for other files. */
export function sessionNamed(name: string): string | null {
  const id = rollout.exec(name)?.[1];
  return id !== undefined && validId(id) ? id : null;
}

/**
 * Where a session that is not here yet is put: Codex finds it by the id in the name, wherever below `sessions` it is.
 * Day and time of its start are in the id (UUID version 7, RFC 9562: milliseconds since 1970 first); other ids count as
 * of 1970. The client itself writes its local time there.
 */
export function rolloutPath(id: string, place: Workplace): string {
  const started = new Date(startOf(id));
  const name = `rollout-${started.toISOString().slice(0, 19).replaceAll(":", "-")}-${id}.jsonl`;
  return join(dayFolder(started, place), name);
}

/** The file of a session that Codex has compressed because nobody used it for long; null when there is none. */
export function compressedRollout(id: string, place: Workplace): string | null {
  // Its day is that of the machine's own clock.
  for (const days of [0, -1, 1]) {
    const folder = dayFolder(new Date(startOf(id) + days * 86_400_000), place);
    const names = existsSync(folder) ? readdirSync(folder) : [];
    const name = names.find((one) => one.endsWith(`-${id}.jsonl.zst`));
    if (name !== undefined) return join(folder, name);
  }
  return null;
}

/** The file of a session that was archived (`codex archive`), compressed or not; null when there is none. */
export function archivedRollout(id: string, place: Workplace): string | null {
  const folder = join(codexHome(place), "archived_sessions");
  const names = existsSync(folder) ? readdirSync(folder) : [];
  const name = names.find((one) => /\.jsonl(?:\.zst)?$/.test(one) && one.includes(`-${id}.`));
  return name === undefined ? null : join(folder, name);
}

/** An id as Codex makes them: UUID version 7. */
export function newId(): string {
  const time = Date.now().toString(16).padStart(12, "0");
  const random = randomUUID();
  return `${time.slice(0, 8)}-${time.slice(8)}-7${random.slice(15)}`;
}

const startOf = (id: string): number =>
  id[14] === "7" ? Number.parseInt(id.replace("-", "").slice(0, 12), 16) : 0;

const dayFolder = (at: Date, place: Workplace): string =>
  join(sessionsDir(place), ...at.toISOString().slice(0, 10).split("-"));
