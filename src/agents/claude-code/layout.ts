/**
 * Logical names of what belongs to a session, and where they live:
 *
 *   main                              <projects>/<key>/<id>.jsonl                     stream
 *   subagents/**.jsonl                <projects>/<key>/<id>/subagents/**              stream
 *   subagents/** (.meta.json, …)      <projects>/<key>/<id>/subagents/**              file
 *   tool-results/**                   <projects>/<key>/<id>/tool-results/**           file
 *   file-history/**                   <config>/file-history/<id>/**                   file, always raw
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
import { safeSegments } from "../safe-name.ts";
import { formByName, walk } from "../sidecars.ts";
import { validId } from "./sessions.ts";
import { fileHistoryDir, projectName, projectsDir } from "./store.ts";

const trees = ["subagents", "tool-results", "file-history"] as const;
type Tree = (typeof trees)[number];

/** Temporaries, locks and speed-up files of the client. */
const isTemporary = (name: string): boolean =>
  name.startsWith(".") || /\.tmp(?:[.-]|$)|\.superseded-|\.lock$|^resume-head\.jsonl$/i.test(name);

export async function inventory(session: FoundSession, place: Workplace): Promise<Inventory> {
  const streams: StreamSource[] = [{ name: "main", path: session.path }];
  const files: FileSource[] = [];
  for (const tree of trees) {
    for (const { name, path, size } of walk(treeDir(tree, session, place), tree, isTemporary)) {
      if (isStream(name)) streams.push({ name, path });
      else files.push({ name, path, size, form: formOf(name) });
    }
  }
  return { streams, files };
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
  if (tree === undefined || !fits || isStream(name) !== (kind === "stream")) {
    throw integrityError(
      "unsafe-name",
      `the saved session names a ${kind} Claude Code does not have: '${name}'`,
    );
  }
  return { path: join(treeDir(tree, session, place), ...segments.slice(1)), form: formOf(name) };
}

const isStream = (name: string): boolean => name.startsWith("subagents/") && name.endsWith(".jsonl");

function formOf(name: string): FileSource["form"] {
  return name.startsWith("file-history/") ? "raw" : formByName(name);
}

/** The project folder that holds the session: where it is, else where the client would put it. */
function homeDir(session: Destination, place: Workplace): string {
  if (session.path !== undefined) return dirname(session.path);
  return join(projectsDir(place), projectName(session.cwd, place));
}

function treeDir(tree: Tree, session: Destination, place: Workplace): string {
  if (tree === "file-history") return join(fileHistoryDir(place), session.id);
  return join(homeDir(session, place), session.id, tree);
}
