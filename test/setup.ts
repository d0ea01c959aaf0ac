import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";

// Tests never see the developer's own git configuration, keys, agents or terminal.
const home = mkdtempSync(join(tmpdir(), "convosync-home-"));
process.on("exit", () => rmSync(home, { recursive: true, force: true }));
for (const name of Object.keys(process.env)) {
  if (
    /^(GIT_|CONVOSYNC_|CLAUDE|XDG_|SSH_)/.test(name) &&
    ![
      "CONVOSYNC_CORPUS",
      "CONVOSYNC_CLAUDE",
      "CONVOSYNC_CODEX",
      "CONVOSYNC_COPILOT",
      "CONVOSYNC_GEMINI",
      "CONVOSYNC_OPENCODE",
      "CONVOSYNC_QWEN",
    ].includes(name) &&
    name !== "GIT_SSL_CAINFO"
  ) {
    delete process.env[name];
  }
}
Object.assign(process.env, {
  HOME: home,
  TZ: "UTC",
  LC_ALL: "C.UTF-8",
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_CONFIG_GLOBAL: join(home, ".gitconfig"),
  GIT_AUTHOR_NAME: "Test",
  GIT_AUTHOR_EMAIL: "test@example.com",
  GIT_COMMITTER_NAME: "Test",
  GIT_COMMITTER_EMAIL: "test@example.com",
});

// Properties explore anew on every developer's run; continuous integration repeats the same examples, so that a
// change is blamed only for what it broke.
if (process.env["CI"]) fc.configureGlobal({ seed: 20_261_121 });
