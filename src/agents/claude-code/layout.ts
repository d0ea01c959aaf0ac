/**
 * Logical names of what belongs to a session, and where they live:
 *
 *   main                              <projects>/<key>/<id>.jsonl                     stream
 *   subagents/**.jsonl                <projects>/<key>/<id>/subagents/**              stream
 *   subagents/** (.meta.json, …)      <projects>/<key>/<id>/subagents/**              file
 *   tool-results/**                   <projects>/<key>/<id>/tool-results/**           file
 *   workflows/**                      <projects>/<key>/<id>/workflows/**              file
 *   file-history/**                   <config>/file-history/<id>/**                   file, always raw
 *   tasks/<n>.json                    <config>/tasks/<id>/<n>.json                    file: what is to be done
 *   plans/<slug>[-agent-<id>].md      <config>/plans/                                 file; records name the slug
 *
 * All else beside a transcript (resume-head.jsonl, .precompact.json, …) belongs to one machine.
 */
import { dirname, join } from "node:path";
import { integrityError } from "../../errors.ts";
import type {
  Destination,
  FileSource,
  FoundSession,
  Inventory,
  StreamSource,
  Target,
  Workplace,
} from "../agent.ts";
import { isFolder } from "../folders.ts";
import { readEnds, windowBytes } from "../glimpse.ts";
import { safeSegments } from "../safe-name.ts";
import { formByName, walk } from "../sidecars.ts";
import { realPath } from "../spellings.ts";
import { validId } from "./sessions.ts";
import { fileHistoryDir, plansDir, projectName, projectsDir, tasksDir } from "./store.ts";

const trees = ["subagents", "tool-results", "workflows", "file-history", "tasks", "plans"] as const;
type Tree = (typeof trees)[number];

/** How names look in folders that the client keeps flat. */
const flat: Partial<Record<Tree, RegExp>> = {
  tasks: /^tasks\/[A-Za-z0-9_-]+\.json$/,
  plans: /^plans\/[a-z0-9-]+(?:-agent-[A-Za-z0-9-]+)?\.md$/,
};

/** Temporaries, locks and speed-up files of the client. */
const isTemporary = (name: string): boolean =>
  name.startsWith(".") || /\.tmp(?:[.-]|$)|\.superseded-|\.lock$|^resume-head\.jsonl$/i.test(name);

export async function inventory(session: FoundSession, place: Workplace): Promise<Inventory> {
  const streams: StreamSource[] = [{ name: "main", path: session.path }];
  const files: FileSource[] = [];
  for (const tree of trees) {
    const named = tree === "plans" ? planOf(session, place) : flat[tree];
    if (named === null) continue;
    const passed = (name: string): boolean => isTemporary(name) || named?.test(`${tree}/${name}`) === false;
    const folder = treeDir(tree, session, place);
    // Plans lie in the store itself, which may be a symlink.
    const from = tree === "plans" ? realPath(folder) : folder;
    for (const { name, path, size } of walk(from, tree, passed)) {
      if (isStream(name)) streams.push({ name, path });
      else files.push({ name, path, size, ...kindOf(name) });
    }
  }
  return { streams, files };
}

/** What the session's plans are called: all plans lie in one folder. Null where it has none. */
function planOf({ path }: FoundSession, place: Workplace): RegExp | null {
  const ends = isFolder(plansDir(place)) ? readEnds(path, windowBytes) : null;
  if (ends === null) return null;
  for (const part of [ends.tail, ends.head]) {
    const slug = [...part.toString("latin1").matchAll(/"slug":"([a-z0-9-]{1,80})"/g)].at(-1)?.[1];
    if (slug !== undefined) return new RegExp(`^plans/${slug}(?:-agent-[A-Za-z0-9-]+)?\\.md$`);
  }
  return null;
}

export function target(
  name: string,
  kind: "stream" | "file",
  session: Destination,
  place: Workplace,
): Target {
  if (!validId(session.id))
    throw integrityError("unsafe-name", `not a Claude Code session id: '${session.id}'`);
  if (name === "main" && kind === "stream") {
    return { path: session.path ?? join(homeDir(session, place), `${session.id}.jsonl`), form: "jsonl" };
  }
  const segments = safeSegments(name);
  const tree = trees.find((one) => one === segments?.[0]);
  const fits = segments !== null && segments.length > 1 && !segments.some(isTemporary);
  const named = tree && flat[tree]?.test(name) !== false;
  if (!named || !fits || isStream(name) !== (kind === "stream")) {
    throw integrityError(
      "unsafe-name",
      `the saved session names a ${kind} Claude Code does not have: '${name}'`,
    );
  }
  return { path: join(treeDir(tree, session, place), ...segments.slice(1)), ...kindOf(name) };
}

const isStream = (name: string): boolean => name.startsWith("subagents/") && name.endsWith(".jsonl");

const kindOf = (name: string): Omit<Target, "path"> =>
  name.startsWith("file-history/") ? { form: "raw", copied: true } : { form: formByName(name) };

/** The project folder that holds the session: where it is, else where the client would put it. */
function homeDir(session: Destination, place: Workplace): string {
  if (session.path !== undefined) return dirname(session.path);
  return join(projectsDir(place), projectName(session.cwd, place));
}

function treeDir(tree: Tree, session: Destination, place: Workplace): string {
  if (tree === "file-history") return join(fileHistoryDir(place), session.id);
  if (tree === "tasks") return join(tasksDir(place), session.id);
  if (tree === "plans") return plansDir(place);
  return join(homeDir(session, place), session.id, tree);
}
