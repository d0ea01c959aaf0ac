import { cancelled } from "../sessions/decide.ts";
import { outlook } from "../sessions/outlook.ts";
import { withRepository } from "../sessions/repository.ts";
import { choose, several, text } from "../ui/prompts.ts";
import { safeText } from "../ui/safe-text.ts";
import type { Terminal } from "../ui/terminal.ts";
import { byteSize, plural } from "../ui/time.ts";
import type { CommandWorld } from "../world.ts";

export interface SaveChoice {
  readonly message: string;
  readonly code: boolean;
  readonly includeEnv: readonly string[];
}

/** Shows what a save would take, asks for message and parts, and whether to go on. */
export async function askSave(
  world: CommandWorld,
  terminal: Terminal,
  given: { message: string; stash: boolean; code: boolean; session: string | undefined },
): Promise<SaveChoice> {
  const seen = await withRepository(world, (context) => outlook(context, given.session));
  const message = await text(
    terminal,
    { message: given.stash ? "Message" : "Commit message", flag: "--message <text>" },
    given.message,
  );
  const code = given.stash ? "Uncommitted work (inside the session)" : "Code changes (commit + push)";
  const parts = await several(
    terminal,
    { message: "What to sync", flag: "--no-code, --include-env" },
    [
      { value: "code", label: code, hint: `${seen.modified} modified, ${seen.created} new` },
      { value: "env", label: "Environment variables", hint: "may hold secrets; you name each one" },
    ],
    given.code ? ["code"] : [],
  );
  const names = parts.includes("env")
    ? await text(terminal, { message: "Names of the variables", flag: "--include-env <names>" }, "")
    : "";
  const answer = await choose(
    terminal,
    { message: "Go on?", flag: "no --interactive" },
    [
      { value: "save", label: "Save and sync" },
      { value: "", label: "Cancel", hint: "change nothing" },
    ],
    {
      title: "ConvoSync save session",
      lines: [
        `Message:      ${safeText(message, 50) || "(none)"}`,
        `Branch:       ${safeText(seen.branch ?? "detached", 50)}`,
        `Changes:      ${plural(seen.modified, "file")} modified, ${seen.created.toLocaleString("en")} new`,
        `Conversation: ${safeText(seen.title, 40)} (${byteSize(seen.bytes)})`,
      ],
    },
  );
  if (answer === "") throw cancelled();
  const includeEnv = names.split(/[\s,]+/).filter((one) => one !== "");
  return { message, code: parts.includes("code"), includeEnv };
}
