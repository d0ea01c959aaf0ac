// Made by: git convosync hooks install --agent opencode (convosync/agent.sh)
import { spawn } from "node:child_process";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";

const words = {
  "session.created": "session-start",
  "session.idle": "stop",
  "session.compacted": "pre-compact",
};

export const Convosync = async ({ directory }) => ({
  event: async ({ event }) => {
    const id = event.properties?.sessionID ?? event.properties?.info?.id;
    const word = words[event.type];
    if (!id || !word) return;
    const given = process.env.XDG_STATE_HOME ?? "";
    const state = isAbsolute(given) ? given : join(homedir(), ".local", "state");
    const said = JSON.stringify({ session_id: id, cwd: directory });
    const script = join(state, "convosync", "agent.sh");
    spawn("sh", [script, "opencode", word, said], { stdio: "ignore", detached: true })
      .on("error", () => {})
      .unref();
  },
  // opencode does not tell the commands it runs whose they are.
  "shell.env": async ({ sessionID }, output) => {
    if (sessionID) output.env.CONVOSYNC_OPENCODE_SESSION = sessionID;
  },
});
