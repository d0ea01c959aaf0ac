// How agents write down what is said, as far as a simulation needs it. A text that was said begins with `line <n> on`,
// whatever the agent makes of it, and whatever becomes of it on another machine.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/** The number of each line that was said, in order. */
export const linesOf = (transcript) => [...transcript.matchAll(/"line (\d+) on /g)].map(([, n]) => Number(n));

const idOf = (n) => `${String(n).padStart(8, "0")}-0000-4000-8000-000000000000`;
const keyOf = (path) => path.replace(/[^a-zA-Z0-9]/g, "-");
const json = (record) => `${JSON.stringify(record)}\n`;

/** Files below a folder whose names a session is known by. */
function found(folder, pattern) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: "utf8" }).flatMap((name) => {
    const match = pattern.exec(basename(name));
    return match === null ? [] : [{ id: match[1], path: join(folder, name) }];
  });
}

const uuid = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}";
const last = (text, pattern) => [...text.matchAll(pattern)].at(-1)?.[1] ?? null;

const cwdOf = (text) => JSON.parse(last(text, /"cwd":("(?:[^"\\]|\\.)*")/g) ?? "null");

/** Gemini CLI's folder of a project: each says whose it is. */
function geminiProject({ env, path }) {
  const all = join(env.HOME, ".gemini/tmp");
  const isOurs = (name) => {
    const file = join(all, name, ".project_root");
    return existsSync(file) && readFileSync(file, "utf8") === path;
  };
  const known = existsSync(all) ? readdirSync(all).find(isOurs) : undefined;
  return join(all, known ?? path.split("/").slice(-2).join("-"));
}

/** Each: what a session is begun with, what a line looks like, where its file is, and which there are. */
export const dialects = {
  claude: {
    folder: ({ env, path }) => join(env.HOME, ".claude/projects", keyOf(path)),
    pattern: new RegExp(`^(${uuid})\\.jsonl$`),
    path: (folder, id) => join(folder, `${id}.jsonl`),
    opening: () => "",
    line({ path: cwd }, { n, id, before, type, content, timestamp }) {
      const parentUuid = last(before, /"uuid":"([^"]+)"/g);
      const message = { role: type, content: [{ type: "text", text: content }] };
      return json({ parentUuid, sessionId: id, cwd, uuid: idOf(n), type, timestamp, message });
    },
  },
  qwen: {
    folder: ({ env, path }) => join(env.HOME, ".qwen/projects", keyOf(path), "chats"),
    pattern: new RegExp(`^(${uuid})\\.jsonl$`),
    path: (folder, id) => join(folder, `${id}.jsonl`),
    opening: () => "",
    line({ path: cwd }, { n, id, before, type, content, timestamp }) {
      const parentUuid = last(before, /"uuid":"([^"]+)"/g);
      const message = { role: type === "user" ? "user" : "model", parts: [{ text: content }] };
      return json({
        uuid: idOf(n),
        parentUuid,
        sessionId: id,
        timestamp,
        type,
        cwd,
        version: "0.15.10",
        message,
      });
    },
  },
  codex: {
    folder: ({ env }) => join(env.HOME, ".codex/sessions"),
    pattern: new RegExp(`^rollout-.*-(${uuid})\\.jsonl$`),
    path: (folder, id) => join(folder, "2026/11/20", `rollout-2026-11-20T22-58-31-${id}.jsonl`),
    opening: ({ path: cwd }, id, timestamp) =>
      json({
        ...{ timestamp, ordinal: 0, type: "session_meta" },
        payload: {
          session_id: id,
          id,
          timestamp,
          cwd,
          originator: "codex_cli_rs",
          cli_version: "0.169.0",
          source: "cli",
        },
      }),
    line({ path: cwd }, { before, type, content, timestamp }) {
      let ordinal = before.split("\n").length - 1;
      const kind = type === "user" ? "input_text" : "output_text";
      const payload = { type: "message", role: type, content: [{ type: kind, text: content }] };
      const moved = cwdOf(before) !== cwd;
      const where = moved
        ? json({ timestamp, ordinal: ordinal++, type: "turn_context", payload: { cwd } })
        : "";
      return where + json({ timestamp, ordinal, type: "response_item", payload });
    },
  },
  copilot: {
    folder: ({ env }) => join(env.HOME, ".copilot/session-state"),
    pattern: /^events\.jsonl$/,
    path: (folder, id) => join(folder, id, "events.jsonl"),
    opening: ({ path: cwd }, sessionId, timestamp) =>
      json({
        type: "session.start",
        data: {
          sessionId,
          version: 1,
          copilotVersion: "1.0.102",
          context: { cwd, gitRoot: cwd, branch: "main" },
        },
        ...{ id: sessionId.replace(/^0/, "f"), timestamp, parentId: null },
      }),
    line({ path: cwd }, { n, before, type, content, timestamp }) {
      let parentId = last(before, /"id":"([0-9a-f-]{36})"/g);
      let where = "";
      if (cwdOf(before) !== cwd) {
        const id = idOf(n).replace(/^0/, "e");
        where = json({ type: "session.resume", data: { context: { cwd } }, id, timestamp, parentId });
        parentId = id;
      }
      const data = type === "user" ? { content } : { content, model: "gpt-6", toolRequests: [] };
      return where + json({ type: `${type}.message`, data, id: idOf(n), timestamp, parentId });
    },
  },
  gemini: {
    folder: (device) => join(geminiProject(device), "chats"),
    pattern: /^session-.*\.jsonl$/,
    path: (folder, id) => join(folder, `session-2026-11-20T22-58-${id.slice(0, 8)}.jsonl`),
    opening(device, sessionId, timestamp) {
      const project = geminiProject(device);
      mkdirSync(project, { recursive: true });
      writeFileSync(join(project, ".project_root"), device.path);
      return json({
        sessionId,
        projectHash: "5d06",
        startTime: timestamp,
        lastUpdated: timestamp,
        kind: "main",
      });
    },
    line(_, { n, type, content, timestamp }) {
      const message = { id: idOf(n), timestamp };
      return type === "user"
        ? json({ ...message, type, content: [{ text: content }] })
        : json({ ...message, type: "gemini", content, model: "m1" });
    },
  },
  cursor: {
    folder: ({ env, path }) => join(env.HOME, ".cursor/projects", keyOf(path.slice(1)), "agent-transcripts"),
    pattern: new RegExp(`^(${uuid})\\.jsonl$`),
    path: (folder, id) => join(folder, id, `${id}.jsonl`),
    opening: () => "",
    line: (_, { type, content }) =>
      json({ role: type, message: { content: [{ type: "text", text: content }] } }),
  },
};

/** The sessions of an agent on a device. */
export function sessionsOf(device, agent) {
  const { folder, pattern } = dialects[agent];
  return found(folder(device), pattern).map(({ id, path }) => ({
    agent,
    path,
    id:
      id ??
      (agent === "copilot"
        ? basename(dirname(path))
        : JSON.parse(readFileSync(path, "utf8").split("\n")[0]).sessionId),
  }));
}
