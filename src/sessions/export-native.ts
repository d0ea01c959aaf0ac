import { dirname, join } from "node:path";
import { permitted } from "../agents/local-files.ts";
import { toLocal } from "../agents/portable-paths.ts";
import { isAgentName, loadAgent } from "../agents/registry.ts";
import { safeSegments } from "../agents/safe-name.ts";
import { readSidecar } from "../domains/reader.ts";
import { integrityError } from "../errors.ts";
import { makeFolder } from "../make-folder.ts";
import { streamsOf } from "./bundle.ts";
import { writeParts } from "./files.ts";
import type { Reading } from "./reading.ts";
import type { Context } from "./repository.ts";
import { openWorkplace } from "./workplace.ts";

/**
 * Writes a session's files as its agent keeps them: `<id>.jsonl`, and what belongs to it below `<id>/`. Returns
 * their names.
 */
export async function exportNative(context: Context, reading: Reading, folder: string): Promise<string[]> {
  const { stored, vault, session } = reading;
  const agent = isAgentName(session.agent) ? await loadAgent(session.agent) : null;
  const place = await openWorkplace(context);
  const places = agent?.places({ cwd: place.root, workTree: place.root }, place) ?? null;
  const names: string[] = [];
  const put = async (
    name: string,
    parts: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    mode = 0o600,
  ): Promise<void> => {
    makeFolder(dirname(join(folder, name)));
    await writeParts(join(folder, name), parts, permitted(mode));
    names.push(name);
  };
  const below = (name: string): string => {
    if (safeSegments(name) === null)
      throw integrityError("unsafe-name", `the saved session names a file no disk should have: '${name}'`);
    return `${session.id}/${name}`;
  };
  for (const record of stored.manifest.files) {
    const bytes = await readSidecar(vault, stored, record);
    const content = record.form && places ? toLocal(bytes, places, record.form) : bytes;
    await put(below(record.name), [content], record.mode);
  }
  async function* local(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const part of content) yield places ? toLocal(part, places, "jsonl") : part;
  }
  for (const one of streamsOf(reading).reverse())
    await put(one.name === "main" ? `${session.id}.jsonl` : below(one.name), local(one.content()));
  return names;
}
