import { isAgentName, loadAgent } from "../agents/registry.ts";
import { type Template, templates } from "../domains/templates.ts";
import { ConvosyncError, Exit } from "../errors.ts";
import { loadHeads } from "./heads.ts";
import { openReading } from "./reading.ts";
import { knownRecords, learnUserRecords, type WrittenRecords, writeRecords } from "./records.ts";
import { type Context, withCloneLock } from "./repository.ts";
import { openVault } from "./vault.ts";

export interface NamedTemplate {
  readonly name: string;
  readonly template: Template;
  /** Whose it is: this repository's, or the user's in all of theirs. */
  readonly scope: "repository" | "user";
  readonly updatedAt: string;
}

/** All templates, by name; the repository's go before the user's of the same name. */
export async function listTemplates(context: Context): Promise<NamedTemplate[]> {
  const vault = await openVault(context);
  const heads = await loadHeads(context, vault);
  const found = new Map<string, NamedTemplate>();
  for (const scope of ["user", "repository"] as const) {
    const known = await knownRecords(context, vault, heads, templates[scope]);
    if (scope === "user") await learnUserRecords(context, vault, templates.user, known);
    for (const { id, at, body } of known.values())
      if (body) found.set(id, { name: id, template: body, scope, updatedAt: at });
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

export async function findTemplate(context: Context, name: string): Promise<NamedTemplate> {
  const found = (await listTemplates(context)).find((one) => one.name === name);
  if (found) return found;
  throw notThere(name);
}

const notThere = (name: string): ConvosyncError =>
  new ConvosyncError("no-such-template", Exit.failed, `there is no template '${name}'`, [
    "see them: git convosync template list",
    "fetch what other devices saved: git convosync sync",
  ]);

const mostBytes = 48_000;

/** Saves a template under a name, in place of one that had it. */
export async function saveTemplate(
  context: Context,
  name: string,
  template: Template,
  options: { user: boolean },
): Promise<WrittenRecords> {
  if (!/^[a-z0-9][a-z0-9._-]{0,63}$/.test(name))
    throw new ConvosyncError("usage", Exit.usage, `'${name}' is not a name for a template`, [
      "small letters, digits, dots, dashes and underscores, at most 64: new-component",
    ]);
  if (Buffer.byteLength(JSON.stringify(template)) > mostBytes)
    throw new ConvosyncError("template-too-large", Exit.failed, "a template holds at most 48 KB of text", [
      "take fewer prompts: --prompts 1",
    ]);
  const domain = templates[options.user ? "user" : "repository"];
  return writeRecords(context, domain, () => new Map([[name, template]]));
}

export async function deleteTemplate(
  context: Context,
  name: string,
): Promise<WrittenRecords & { readonly scope: NamedTemplate["scope"] }> {
  const { scope } = await findTemplate(context, name);
  return { scope, ...(await writeRecords(context, templates[scope], () => new Map([[name, null]]))) };
}

/** The first prompts of a saved conversation. */
export async function openingOf(context: Context, session: string, count: number): Promise<Template> {
  return withCloneLock(context, async () => {
    const reading = await openReading(context, session);
    const prompts: string[] = [];
    for await (const { role, aside, blocks } of reading.pieces()) {
      if (role !== "user" || aside) continue;
      const said = blocks.flatMap((one) => (one.kind === "text" ? [one.text] : [])).join("\n");
      if (said.trim() !== "") prompts.push(said.trim().slice(0, 16_000));
      if (prompts.length === count) break;
    }
    if (prompts.length === 0)
      throw new ConvosyncError("no-prompt", Exit.failed, "nobody says anything in this conversation", [
        "give the text itself: git convosync template save <name> <text>",
      ]);
    return { prompts, agent: reading.session.agent };
  });
}

/** The agent's command that begins a conversation with a template; that of Claude Code where it names none. */
export async function startCommandOf({ template }: NamedTemplate): Promise<readonly string[]> {
  const name = template.agent ?? "claude";
  const agent = isAgentName(name) ? await loadAgent(name) : null;
  const command = agent?.startCommand?.(template.prompts[0]!);
  if (command) return command;
  throw new ConvosyncError("unsupported-agent", Exit.failed, `no way is known to start the agent '${name}'`, [
    "read the text and start the agent yourself: git convosync template show <name>",
  ]);
}
