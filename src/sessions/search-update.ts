import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { open, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Agent } from "../agents/agent.ts";
import { linesOf, type Piece, textOfBlock } from "../agents/conversation.ts";
import { type Places, toLocal } from "../agents/portable-paths.ts";
import { isAgentName, loadAgent } from "../agents/registry.ts";
import { readStream, readStreamFrom, type StoredSession } from "../domains/reader.ts";
import type { Vault } from "../domains/sealed-objects.ts";
import { makeFolder } from "../make-folder.ts";
import { mainStream, type StreamRecord } from "../packing/manifest.ts";
import { vaultPrefix } from "../refs/names.ts";
import type { CatalogEntry, Copy } from "./catalog.ts";
import { readCache, withLock, writeAtomic } from "./files.ts";
import type { Context } from "./repository.ts";
import {
  chunkBytes,
  contains,
  described,
  folderOf,
  type Indexed,
  nameOf,
  recordMark,
  type Voice,
} from "./search-index.ts";
import { localCopy } from "./session-fetch.ts";
import { openVault } from "./vault.ts";
import { openWorkplace } from "./workplace.ts";

/** Opens copies of sessions, where they are here, and indexes their text. Exit 6 when one is damaged. */
export async function indexCopies(
  context: Context,
  copies: readonly (readonly [CatalogEntry, Copy])[],
  done: (session: CatalogEntry, indexed: Indexed) => void,
): Promise<void> {
  const vault = await openVault(context);
  const refs = await context.db.refs(vaultPrefix(vault.ref));
  const place = context.repo.root ? await openWorkplace(context) : null;
  for (const [session, copy] of copies) {
    const agent = isAgentName(session.agent) ? await loadAgent(session.agent) : null;
    const stored = agent?.reader ? await localCopy(vault, copy, refs) : null;
    if (!agent || !stored) continue;
    const places = place ? agent.places({ cwd: place.root, workTree: place.root }, place) : null;
    const indexed = await updateIndex(context, vault, copy, stored, agent, places);
    if (indexed) done(session, indexed);
  }
}

/** Brings the index of a copy up to date; opens only the segments it lacks, where those stand alone. */
async function updateIndex(
  context: Context,
  vault: Vault,
  copy: Copy,
  stored: StoredSession,
  agent: Agent,
  places: Places | null,
): Promise<Indexed | null> {
  const record = mainStream(stored.manifest);
  if (!agent.reader || !record) return null;
  const folder = folderOf(context, vault.repo);
  return withLock(join(folder, `${nameOf(copy)}.lock`), 60_000, async () => {
    const path = join(folder, `${nameOf(copy)}.json`);
    const known = await readCache(path, described);
    const base = known && continues(known, record) ? known : null;
    if (base?.m === copy.entry.m) return base;
    const text = base?.text ?? `${nameOf(copy)}.${randomBytes(6).toString("hex")}.txt`;
    const reader = agent.reader!(base?.place);
    makeFolder(folder, 0o700);
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW;
    const file = await open(join(folder, text), flags, 0o600);
    let bytes = base?.bytes ?? 0;
    try {
      // What a killed run wrote behind the end does not count.
      await file.truncate(bytes);
      let waiting: string[] = [];
      let length = 0;
      const write = async (): Promise<void> => {
        const chunk = Buffer.from(waiting.join(""));
        for (let done = 0; done < chunk.length; )
          done += (await file.write(chunk, done, chunk.length - done, bytes + done)).bytesWritten;
        bytes += chunk.length;
        waiting = [];
        length = 0;
      };
      const from = base?.segments.length ?? 0;
      for await (const line of linesOf(newContent(vault, stored, record, from, places))) {
        const piece = reader.read(line);
        const shown = piece ? recordsOf(piece) : "";
        waiting.push(shown);
        length += shown.length;
        if (length > chunkBytes) await write();
      }
      await write();
    } finally {
      await file.close();
    }
    const indexed: Indexed = {
      v: 1,
      m: copy.entry.m,
      gen: record.gen,
      segments: record.segments.map(({ raw, sha }) => [raw, sha]),
      place: reader.place,
      text,
      bytes,
    };
    await writeAtomic(path, JSON.stringify(indexed));
    if (known && known.text !== text) await rm(join(folder, known.text), { force: true });
    return indexed;
  });
}

/** Whether the stream begins with the segments that are indexed. */
function continues(known: Indexed, record: StreamRecord): boolean {
  return (
    known.gen === record.gen &&
    contains(
      record.segments.map(({ raw, sha }) => [raw, sha]),
      known.segments,
    )
  );
}

async function* newContent(
  vault: Vault,
  stored: StoredSession,
  record: StreamRecord,
  from: number,
  places: Places | null,
): AsyncGenerator<Uint8Array> {
  const alone = record.segments.slice(from).every((part) => part.codec === "gz");
  let skip = alone ? 0 : (record.segments[from]?.off ?? record.bytes);
  const parts = alone ? readStreamFrom(vault, stored, record, from) : readStream(vault, stored, record);
  for await (const part of parts) {
    const rest = part.subarray(Math.min(skip, part.length));
    skip -= part.length - rest.length;
    if (rest.length > 0) yield places ? toLocal(rest, places, "jsonl") : rest;
  }
}

function recordsOf(piece: Piece): string {
  const said = piece.blocks.filter((block) => block.kind !== "tool").map(textOfBlock);
  const done = piece.blocks.filter((block) => block.kind === "tool").map(textOfBlock);
  const results = piece.results.map(({ result }) => result.text);
  const voice = piece.role === "assistant" ? "assistant" : "user";
  return recordText(piece, voice, said) + recordText(piece, "tool", [...done, ...results]);
}

function recordText({ n, at }: Piece, voice: Voice, texts: readonly string[]): string {
  const text = texts.filter((one) => one !== "").join("\n");
  return text === "" ? "" : `${recordMark}${n}\t${voice}\t${at ?? ""}\n${text.replaceAll(recordMark, " ")}\n`;
}
