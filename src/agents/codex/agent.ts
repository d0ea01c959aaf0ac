import { ConvosyncError, Exit, integrityError } from "../../errors.ts";
import type { Agent, Destination, Target, Workplace } from "../agent.ts";
import { currentIn, elsewhereIn, findIn, latelyIn } from "../one-store.ts";
import { replaceId } from "../session-id.ts";
import { placesOf } from "../spellings.ts";
import { conversationReader } from "./conversation.ts";
import { glimpse, metaIn } from "./rollout.ts";
import { live, rolloutStore, watchedFolders } from "./sessions.ts";
import { archivedRollout, codexHome, compressedRollout, newId, rolloutPath, validId } from "./store.ts";

/**
 * OpenAI Codex CLI, from version 0.32 on: one file per session, to which it only appends. What it keeps in databases
 * beside them it makes anew from the files. A session is resumed by its id; its own picker shows it from then on.
 */
export const codex: Agent = {
  name: "codex",
  tool: "codex",
  title: "Codex",
  store: codexHome,
  find: (place, prefix) => findIn(rolloutStore, place, prefix),
  elsewhere: (id, place) => elsewhereIn(rolloutStore, id, place),
  current: (place) => currentIn(rolloutStore, place),
  lately: (place, since, but) => latelyIn(rolloutStore, place, since, but),
  inventory: async ({ path }) => ({ streams: [{ name: "main", path }], files: [] }),
  places: (session, place) => placesOf(session, codexHome(place), place),
  target,
  live,
  describe(head, tail) {
    const meta = metaIn(head);
    const { title, directories, updatedAt } = glimpse(head, tail);
    return {
      title,
      toolVersion: meta?.version ?? null,
      cwd: directories[0] ?? null,
      branch: meta?.branch ?? null,
      updatedAt,
    };
  },
  recognise(head) {
    const id = metaIn(head)?.id;
    return id !== undefined && validId(id) ? { id } : null;
  },
  reader: conversationReader,
  watched: watchedFolders,
  resumeCommand: (sessionId) => ["codex", "resume", sessionId],
  startCommand: (prompt) => ["codex", ...(prompt.startsWith("-") ? ["--"] : []), prompt],
  validId,
  newId,
  withId: replaceId,
};

function target(name: string, kind: "stream" | "file", session: Destination, place: Workplace): Target {
  if (!validId(session.id)) throw integrityError("unsafe-name", `not a Codex session id: '${session.id}'`);
  if (name !== "main" || kind !== "stream")
    throw integrityError("unsafe-name", `the saved session names a ${kind} Codex does not have: '${name}'`);
  if (session.path !== undefined) return { path: session.path, form: "jsonl" };
  // A plain file beside it would hide what is in it, which nobody may have saved.
  const compressed = compressedRollout(session.id, place);
  if (compressed !== null)
    throw new ConvosyncError(
      "compressed-session",
      Exit.stopped,
      `Codex has compressed its copy of this conversation, and it cannot be compared: ${compressed}`,
      [`have Codex unpack it, then run the same again: codex resume ${session.id}`],
    );
  // Codex would not go on with a plain one, and `unarchive` would put the archived one in its place.
  const archived = archivedRollout(session.id, place);
  if (archived !== null)
    throw new ConvosyncError(
      "archived-session",
      Exit.stopped,
      `Codex has this conversation in its archive: ${archived}`,
      [`take it out of there, then run the same again: codex unarchive ${session.id}`],
    );
  return { path: rolloutPath(session.id, place), form: "jsonl" };
}
