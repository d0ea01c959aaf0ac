import { isAbsolute } from "node:path";
import * as v from "valibot";
import type { Agent, Placed, Workplace } from "../agents/agent.ts";
import { parseLine } from "../agents/json-line.ts";
import { readWholeLines } from "../agents/local-files.ts";
import { asBuffer, localLength, type Places, toLocal } from "../agents/portable-paths.ts";
import { readStream, type StoredSession } from "../domains/reader.ts";
import type { Vault } from "../domains/sealed-objects.ts";
import { mainStream } from "../packing/manifest.ts";

// A file of a project that was moved, or of a work tree that was removed, names places that are gone: it is told from there.

/** The root that a file was told from, as its first line with a path says. */
export async function rootOf(
  vault: Vault,
  stored: StoredSession,
  path: string,
  places: Places,
): Promise<string | null> {
  const main = mainStream(stored.manifest);
  if (!main) return null;
  for await (const part of readStream(vault, stored, main)) {
    const before = beforeRoot(part);
    if (before === null) return null;
    const begin = localLength(part.subarray(0, before), places, "jsonl");
    for await (const here of readWholeLines(path, begin))
      return rootTold(firstLine(part.subarray(before)), firstLine(here), places);
  }
  return null;
}

const firstLine = (bytes: Uint8Array): Uint8Array => bytes.subarray(0, bytes.indexOf(0x0a) + 1);

const found = v.object({ root: v.fallback(v.optional(v.string()), undefined) });

const rootToken = Buffer.from("{{CS:ROOT}}");

/** Where the first line begins that names the root; null where none does. */
function beforeRoot(stored: Uint8Array): number | null {
  const text = asBuffer(stored);
  const at = text.indexOf(rootToken);
  return at < 0 ? null : text.lastIndexOf(0x0a, at) + 1;
}

/**
 * The root that a line was told from, as it reads on this machine: the two differ in nothing else. Null where they do, or the
 * line does not say.
 *
 * @param places what else it names
 */
export function rootTold(stored: Uint8Array, local: Uint8Array, places: Places): string | null {
  const [text, line] = [asBuffer(stored), asBuffer(local)];
  const at = text.indexOf(rootToken);
  if (at < 0) return null;
  const rest = text.subarray(at + rootToken.length);
  const next = rest.indexOf("{{CS:");
  const from = localLength(text.subarray(0, at), places, "jsonl");
  const to = line.indexOf(next < 0 ? rest : rest.subarray(0, next), from);
  const { root } = v.parse(
    found,
    to < from ? {} : (parseLine(`{"root":"${line.subarray(from, to)}"}`) ?? {}),
  );
  if (root === undefined || !isAbsolute(root)) return null;
  const told = toLocal(stored, { ...places, root: [root] }, "jsonl");
  return line.equals(told) ? root : null;
}

/**
 * The paths of a session that is told from a work tree which is gone. The one it is in now is another name of the same: what
 * the agent says there of its own accord means that on other machines, too.
 */
export function placesIn(agent: Agent, session: Placed, gone: string, place: Workplace): Places {
  const { workTree } = session;
  const now = agent.places({ ...session, begunIn: workTree }, place);
  const then = agent.places({ ...session, workTree: gone, begunIn: gone }, place);
  return { ...then, root: [...new Set([...then.root, ...now.root])] };
}
