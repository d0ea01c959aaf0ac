import type { Agent, Workplace } from "../agents/agent.ts";
import { identify, modeOf, RestoreFile } from "../agents/local-files.ts";
import { toLocal } from "../agents/portable-paths.ts";
import { storeAround } from "../agents/spellings.ts";
import { readSidecar, readStream, type StoredSession } from "../domains/reader.ts";
import { ConvosyncError, Exit } from "../errors.ts";
import { currentStreams, type Manifest, type Snapshot, type StreamRecord } from "../packing/manifest.ts";
import { deliver } from "./deliver.ts";
import { settleIn } from "./local-directory.ts";
import type { OpenVault } from "./vault.ts";

export interface Copied {
  readonly id: string;
  readonly restored: readonly string[];
  readonly workingDirectory: string;
}

/**
 * Writes a session, or one of its snapshots, into the agent's store as a session of its own under a new id. Nobody else
 * hears of it before it is saved.
 */
export async function writeCopy(
  vault: OpenVault,
  stored: StoredSession,
  agent: Agent,
  place: Workplace,
  cwd: string,
  snapshot: Snapshot | null,
): Promise<Copied> {
  if (agent.copies === false) throw uncopied(agent, stored.manifest.session);
  const id = agent.newId();
  const { session } = stored.manifest;
  const renamed = (bytes: Uint8Array): Uint8Array => agent.withId?.(bytes, session, id) ?? bytes;
  const places = agent.places({ cwd, workTree: place.root }, place);
  const files: RestoreFile[] = [];
  const open = async (name: string, kind: "stream" | "file", mode?: number): Promise<RestoreFile> => {
    const target = agent.target(name, kind, { id, cwd }, place);
    const store = storeAround(target.path, agent, place);
    const file = await RestoreFile.create(target.path, store, modeOf(target, mode));
    files.push(file);
    return file;
  };
  try {
    for (const record of stored.manifest.files) {
      // What is here already, under an id that is new, is another session's, too: a plan, which has a name of its own.
      if (await identify(agent.target(record.name, "file", { id, cwd }, place).path)) continue;
      const file = await open(record.name, "file", record.mode);
      const bytes = await readSidecar(vault, stored, record);
      await file.write(record.form ? renamed(toLocal(bytes, places, record.form)) : bytes);
    }
    for (const { record, bytes } of streamsAt(stored.manifest, snapshot)) {
      const file = await open(record.name, "stream");
      let left = bytes;
      for await (const part of readStream(vault, stored, record)) {
        const piece = part.subarray(0, Math.max(0, left));
        left -= part.length;
        if (piece.length > 0) await file.write(renamed(toLocal(piece, places, "jsonl")));
      }
    }
    const restored = files.map((file) => file.path);
    await agent.settle?.(cwd, place);
    // The main transcript was written last, so that whoever sees it sees the rest.
    for (let file = files.shift(); file; file = files.shift())
      await file.commit({ backupDir: "", expect: null });
    const { workingDirectory } = settleIn(cwd, place);
    await deliver(agent, { id, cwd }, place);
    return { id, restored, workingDirectory };
  } finally {
    for (const file of files) await file.abort().catch(() => undefined);
  }
}

function uncopied(agent: Agent, session: string): ConvosyncError {
  return new ConvosyncError(
    "not-copied",
    Exit.stopped,
    `a conversation of ${agent.title} cannot be copied: what it goes on with is bound to the conversation itself`,
    [`go on with it as it is: git convosync resume ${session}`, `or read it: git convosync show ${session}`],
  );
}

/** The streams as a snapshot saw them, the main one last. */
function streamsAt(manifest: Manifest, snapshot: Snapshot | null): { record: StreamRecord; bytes: number }[] {
  const streams = currentStreams(manifest).flatMap((record) => {
    if (snapshot === null) return [{ record, bytes: record.bytes }];
    if (record.name === "main") {
      const at = manifest.streams.find((one) => one.name === "main" && one.gen === (snapshot.gen ?? 0));
      return at ? [{ record: at, bytes: snapshot.upto["main"]?.[1] ?? at.bytes }] : [];
    }
    const told = manifest.snapshots.findLast((one) => one.n <= snapshot.n && one.upto[record.name]);
    const bytes = told?.upto[record.name]?.[1] ?? 0;
    return bytes > 0 ? [{ record, bytes }] : [];
  });
  return streams.sort((a, b) => Number(a.record.name === "main") - Number(b.record.name === "main"));
}
