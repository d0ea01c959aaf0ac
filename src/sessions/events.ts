import { appendFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder } from "../make-folder.ts";
import { readIfPresent, writeAtomic } from "./files.ts";

/**
 * What hooks have noted and no worker has dealt with yet: `<clone>/events`, appended to by shells, one line each.
 *
 *   commit <commit|-> <branch|-> <session|-> <work tree>      - for the commit: whatever HEAD is at
 *   rewrite <old> <new> <session|-> <work tree>
 *   push <work tree>
 *   agent <agent> <event> <session id> <directory>
 *   fetch <work tree>
 */
export type HookEvent =
  | {
      readonly kind: "commit";
      readonly commit: string | null;
      readonly branch: string | null;
      readonly session: string | null;
      readonly path: string;
    }
  | {
      readonly kind: "rewrite";
      readonly from: string;
      readonly to: string;
      readonly session: string | null;
      readonly path: string;
    }
  | { readonly kind: "push" | "fetch"; readonly path: string }
  | {
      readonly kind: "agent";
      readonly event: string;
      /** `<agent>:<id>` */
      readonly session: string;
      readonly path: string;
    };

const oid = "[0-9a-f]{40}(?:[0-9a-f]{24})?";
const name = "[a-z][a-z0-9-]{0,31}:[A-Za-z0-9][A-Za-z0-9._-]{0,127}";
const commitLine = new RegExp(`^commit (${oid}|-) (\\S+) (${name}|-) (.+)$`);
const rewriteLine = new RegExp(`^rewrite (${oid}) (${oid}) (${name}|-) (.+)$`);
const agentLine = /^agent ([a-z][a-z0-9-]{0,31}) ([a-z-]{1,32}) ([A-Za-z0-9][A-Za-z0-9._-]{0,127}) (.+)$/;
const plainLine = /^(push|fetch) (.+)$/;

/** Null for a line that is none of ours: cut short by a crash, or written by something else. */
export function parseEvent(line: string): HookEvent | null {
  const given = (text: string | undefined): string | null =>
    text === undefined || text === "-" ? null : text;
  const commit = commitLine.exec(line);
  if (commit) {
    const [, oid, branch, session, path = ""] = commit;
    return { kind: "commit", commit: given(oid), branch: given(branch), session: given(session), path };
  }
  const rewrite = rewriteLine.exec(line);
  if (rewrite) {
    const [, from = "", to = "", session, path = ""] = rewrite;
    return { kind: "rewrite", from, to, session: given(session), path };
  }
  const agent = agentLine.exec(line);
  if (agent) {
    const [, tool = "", event = "", id = "", path = ""] = agent;
    return { kind: "agent", event, session: `${tool}:${id}`, path };
  }
  const plain = plainLine.exec(line);
  return plain ? { kind: plain[1] as "push" | "fetch", path: plain[2]! } : null;
}

export function formatEvent(event: HookEvent): string {
  const or = (text: string | null): string => text ?? "-";
  switch (event.kind) {
    case "commit":
      return `commit ${or(event.commit)} ${or(event.branch)} ${or(event.session)} ${event.path}`;
    case "rewrite":
      return `rewrite ${event.from} ${event.to} ${or(event.session)} ${event.path}`;
    case "agent":
      return `agent ${event.session.replace(":", ` ${event.event} `)} ${event.path}`;
    default:
      return `${event.kind} ${event.path}`;
  }
}

const eventsPath = (cloneDir: string): string => join(cloneDir, "events");
const movingPath = (cloneDir: string): string => join(cloneDir, "events.moving");
const takenPath = (cloneDir: string): string => join(cloneDir, "events.taken");

/** Notes something, as a hook does. */
export async function noteEvent(cloneDir: string, event: HookEvent): Promise<void> {
  if (event.path.includes("\n")) return;
  makeFolder(cloneDir, 0o700);
  await appendFile(eventsPath(cloneDir), `${formatEvent(event)}\n`, { mode: 0o600 });
}

/** Time of the last line that nobody has taken yet; null when there is none. */
export async function lastEvent(cloneDir: string): Promise<Date | null> {
  const info = await stat(eventsPath(cloneDir)).catch(() => null);
  return info && info.size > 0 ? info.mtime : null;
}

/** Lines that nobody has taken yet, as they stand. */
export async function newEvents(cloneDir: string): Promise<HookEvent[]> {
  return parse(await readIfPresent(eventsPath(cloneDir)));
}

/** Everything that has not been dealt with, taken or not. */
export async function pendingEvents(cloneDir: string): Promise<HookEvent[]> {
  const parts = [takenPath, movingPath, eventsPath].map((path) => readIfPresent(path(cloneDir)));
  return (await Promise.all(parts)).flatMap(parse);
}

/**
 * Takes all lines there are; only whoever holds the worker's lock may. They stay on disk until `settleEvents`: a
 * worker that dies in between leaves them to the next one, and doing them twice changes nothing.
 */
export async function takeEvents(cloneDir: string): Promise<HookEvent[]> {
  const [taken, moving] = [takenPath(cloneDir), movingPath(cloneDir)];
  // Left by a worker that died here.
  await merge(taken, moving);
  const moved = await rename(eventsPath(cloneDir), moving).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return false;
      throw error;
    },
  );
  if (moved) {
    // A shell may have opened the file before it was moved and write only now.
    await new Promise((done) => setTimeout(done, 50));
    await merge(taken, moving);
  }
  return parse(await readIfPresent(taken));
}

async function merge(taken: string, moving: string): Promise<void> {
  const more = await readIfPresent(moving);
  if (!more) return;
  const before = await readIfPresent(taken);
  // A line that a full disk cut short must not swallow the next one.
  const gap = before && before.at(-1) !== 0x0a ? "\n" : "";
  await writeAtomic(taken, before ? Buffer.concat([before, Buffer.from(gap), more]) : more);
  await rm(moving, { force: true });
}

/** What was taken is done, except for these. */
export async function settleEvents(cloneDir: string, left: readonly HookEvent[]): Promise<void> {
  if (left.length === 0) await rm(takenPath(cloneDir), { force: true });
  else await writeAtomic(takenPath(cloneDir), left.map((one) => `${formatEvent(one)}\n`).join(""));
}

function parse(bytes: Buffer | null): HookEvent[] {
  const lines = bytes?.toString("utf8").split("\n") ?? [];
  return lines.map(parseEvent).filter((event) => event !== null);
}
