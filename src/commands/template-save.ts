import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { text as readAll } from "node:stream/consumers";
import { ConvosyncError, Exit } from "../errors.ts";
import { queuedError } from "../sessions/publish.ts";
import { withRepository } from "../sessions/repository.ts";
import { openingOf, saveTemplate } from "../sessions/templates.ts";
import { plural } from "../ui/time.ts";
import type { Invocation } from "../world.ts";

interface Options {
  from?: string;
  prompts?: string;
  file?: string;
  global?: boolean;
}

export default async function templateSaveCommand(
  { world, terminal }: Invocation,
  args: readonly string[],
  options: Options,
): Promise<number> {
  const [name = "", given] = args;
  const sources = [given, options.from, options.file].filter((one) => one !== undefined);
  if (sources.length !== 1)
    throw new ConvosyncError(
      "usage",
      Exit.usage,
      "a template is made of one thing: a text, --from or --file",
      [
        "of a conversation's first prompt: git convosync template save <name> --from <session>",
        'of a text: git convosync template save <name> "Write a component that …"',
      ],
    );
  const count = Number(options.prompts ?? "1");
  if (!Number.isInteger(count) || count < 1 || count > 20)
    throw new ConvosyncError("usage", Exit.usage, `'${options.prompts}' is not a number of prompts`, [
      "from 1 to 20: --prompts 3",
    ]);
  const result = await withRepository(world, async (context) => {
    const template =
      options.from !== undefined
        ? await openingOf(context, options.from, count)
        : { prompts: [await textGiven()], agent: null };
    return { template, ...(await saveTemplate(context, name, template, { user: options.global === true })) };
  });
  const { template, remote, publish } = result;
  terminal.step(`Saved the template '${name}' (${plural(template.prompts.length, "prompt")})`);
  terminal.note(`Start with it: git convosync template start ${name}`);
  terminal.document({
    name,
    scope: options.global ? "user" : "repository",
    prompts: template.prompts.length,
    remote: publish?.status === "pushed" ? (remote?.title ?? null) : null,
  });
  if (publish?.status !== "queued" || !remote) return Exit.done;
  const waiting = queuedError(publish, remote);
  if (!terminal.json) terminal.fail(waiting);
  return waiting.exit;

  async function textGiven(): Promise<string> {
    const { file } = options;
    const raw = given ?? (file === "-" ? await readAll(terminal.streams.stdin) : await fromFile(file!));
    const said = raw.trim();
    if (said === "") throw new ConvosyncError("usage", Exit.usage, "the text is empty", ["give one"]);
    if (said.length > 16_000)
      throw new ConvosyncError("template-too-large", Exit.failed, "a prompt has at most 16,000 characters", [
        "shorten it, or have the agent read a file: it needs to say only which",
      ]);
    return said;
  }

  async function fromFile(path: string): Promise<string> {
    try {
      return await readFile(resolve(world.cwd, path), "utf8");
    } catch (cause) {
      throw new ConvosyncError(
        "unreadable-file",
        Exit.usage,
        `the text cannot be read from ${path}`,
        ["name the file that holds it: --file <path>, or - for the standard input"],
        cause,
      );
    }
  }
}
