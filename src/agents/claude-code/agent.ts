import { randomUUID } from "node:crypto";
import { basename, dirname } from "node:path";
import type { Agent } from "../agent.ts";
import { liveIn } from "../process-registry.ts";
import { placesOf } from "../spellings.ts";
import { conversationReader } from "./conversation.ts";
import { joinTranscripts } from "./join.ts";
import { inventory, target } from "./layout.ts";
import { current, find, lately, validId, watchedFolders } from "./sessions.ts";
import { configDir, liveDir, projectName } from "./store.ts";
import { glimpse, sessionOf } from "./transcript.ts";

export const claudeCode: Agent = {
  name: "claude",
  tool: "claude-code",
  title: "Claude Code",
  store: configDir,
  find,
  current,
  lately,
  inventory,
  places: (session, place) =>
    placesOf(
      session,
      configDir(place),
      place,
      (directory) => projectName(directory, place),
      session.path && basename(dirname(session.path)),
    ),
  target,
  live: (id, place) => liveIn(liveDir(place), id),
  describe(head, tail) {
    const { title, version, directories, branch, updatedAt } = glimpse(head, tail);
    return { title, toolVersion: version, cwd: directories[0] ?? null, branch, updatedAt };
  },
  recognise(head) {
    const id = sessionOf(head);
    return id !== null && validId(id) ? { id } : null;
  },
  reader: conversationReader,
  watched: watchedFolders,
  resumeCommand: (sessionId) => ["claude", "--resume", sessionId],
  startCommand: (prompt) => ["claude", ...(prompt.startsWith("-") ? ["--"] : []), prompt],
  validId,
  joinLogs: joinTranscripts,
  newId: randomUUID,
};
