import { placeOf, type Source, type Wanted } from "../completion-engine.ts";
import { Exit } from "../errors.ts";
import {
  agentCandidates,
  branchCandidates,
  deviceCandidates,
  type Found,
  remoteCandidates,
  sessionCandidates,
  settingCandidates,
} from "../sessions/candidates.ts";
import { type Context, withRepository } from "../sessions/repository.ts";
import { safeText } from "../ui/safe-text.ts";
import type { Invocation } from "../world.ts";

const mostCandidates = 200;

/**
 * `__complete -- <words>`: one candidate a line, `value` TAB `description`; a line `:files` asks the shell for file
 * names. The words are those behind the program's name, the last one being typed. Says nothing when it cannot help: a
 * shell that completes must not print errors.
 */
export default async function completeCommand(
  { world, terminal, commandLine }: Invocation,
  words: readonly string[],
): Promise<number> {
  try {
    const { typed, before, wanted } = placeOf(commandLine.tree(words), words);
    for (const one of wanted) {
      if (one.kind === "files") terminal.print(":files");
      else await offer(one);
    }
    async function offer(one: Exclude<Wanted, { kind: "files" }>): Promise<void> {
      const found =
        one.kind === "words"
          ? one.words
          : await withRepository(world, (context) => look(context, one.kind, typed));
      const fitting = found.filter(({ value }) => value.startsWith(typed) && isPlain(value));
      for (const { value, description } of fitting.slice(0, mostCandidates))
        terminal.print(`${before}${value}\t${safeText(description, 60)}`);
    }
  } catch {
    // No repository, no keys, a damaged cache: whatever it is, the command itself will tell.
  }
  return Exit.done;
}

/** A value that shows as it is; any other could hide what the shell is about to run. */
const isPlain = (value: string): boolean => value !== "" && safeText(value, 4096) === value;

async function look(context: Context, source: Source, typed: string): Promise<readonly Found[]> {
  switch (source) {
    case "sessions":
      return sessionCandidates(context, typed);
    case "branches":
      return branchCandidates(context);
    case "devices":
      return deviceCandidates(context);
    case "remotes":
      return remoteCandidates(context);
    case "agents":
      return agentCandidates();
    case "settings":
      return settingCandidates();
    case "templates": {
      const { listTemplates } = await import("../sessions/templates.ts");
      const all = await listTemplates(context);
      return all.map(({ name, template }) => ({ value: name, description: template.prompts[0] ?? "" }));
    }
    case "operations": {
      const { operations } = await import("../sessions/operations.ts");
      const all = (await operations(context)).filter((one) => one.undone === null).reverse();
      return all.map(({ n, kind, at }) => ({ value: String(n), description: `${kind}, ${at.slice(0, 16)}` }));
    }
  }
}
