import { constants } from "node:fs";
import { open, readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { ConvosyncError, Exit } from "../errors.ts";
import { mayBeCommitted } from "../sessions/code-here.ts";
import { type DeviceType, defaultDeviceName } from "../sessions/enrol.ts";
import { init } from "../sessions/init.ts";
import { queuedError } from "../sessions/publish.ts";
import { withRepository } from "../sessions/repository.ts";
import { confirm, secret, text } from "../ui/prompts.ts";
import { safeText } from "../ui/safe-text.ts";
import type { Terminal } from "../ui/terminal.ts";
import { plural } from "../ui/time.ts";
import { userStateDir } from "../user-directories.ts";
import type { Invocation } from "../world.ts";
import { tellAgent } from "./hooks-install.ts";
import { tellInstalled } from "./hooks-status.ts";

interface Options {
  join?: boolean;
  newVault?: boolean;
  ownVault?: boolean;
  recoveryFile?: string;
  deviceName?: string;
  deviceType?: DeviceType;
  public?: boolean;
  yes?: boolean;
  hooks?: boolean;
  agentHooks?: boolean;
}

export default async function initCommand(
  { world, terminal }: Invocation,
  _args: readonly string[],
  options: Options,
): Promise<number> {
  const file = options.recoveryFile === undefined ? null : resolve(world.cwd, options.recoveryFile);
  let written: string | null = null;
  let isExposed = false;
  const named = options.deviceName ?? (await askName(terminal, options));
  const result = await withRepository(world, (context) =>
    init(
      context,
      {
        ...(options.join && { join: true }),
        ...(options.newVault && { newVault: true }),
        ...(options.ownVault && { ownVault: true }),
        ...(options.public && { public: true }),
        ...(named !== undefined && { deviceName: named }),
        ...(options.deviceType !== undefined && { deviceType: options.deviceType }),
      },
      {
        keepRecoveryCode: async (code) => {
          if (file) {
            await writeSecret(file, `${code}\n`);
            written = file;
            isExposed = await mayBeCommitted(context, file);
            return;
          }
          const question = {
            message: "Have you kept the recovery code where you will find it without this machine?",
            flag: "--recovery-file <path>, a file to write the recovery code to",
          };
          if (terminal.interactive) {
            terminal.note(`\nRecovery code, shown this once:\n\n    ${terminal.style("bold", code)}\n`);
            terminal.note(
              "It opens every conversation when all your devices are lost, and joins the next device.\n",
            );
          }
          if (!(await confirm(terminal, question))) {
            throw new ConvosyncError("cancelled", Exit.cancelled, "cancelled; nothing was set up");
          }
        },
        recoveryCode: async () => {
          if (file) return readSecret(file);
          return secret(terminal, {
            message: "Recovery code of the vault:",
            flag: "--recovery-file <path>, a file that holds the recovery code",
          });
        },
      },
    ),
  );
  const { device, publish } = result;
  if (result.created) terminal.step("Made a vault; its keys never leave your devices unencrypted");
  if (result.apart && result.remote)
    terminal.step(`Found the vault on ${safeText(result.remote.title)}; conversations go there`);
  if (result.joined) terminal.step("Joined the vault");
  if (result.already) terminal.step("This repository was set up already");
  else terminal.step(`This device is '${safeText(device.name)}' (${device.type})`);
  if (written)
    terminal.step(`Wrote the recovery code to ${written}; keep it somewhere safe, away from this machine`);
  if (isExposed)
    terminal.warn("it lies in this repository's work tree, where a commit of yours could take it along");
  if (publish?.status === "pushed") terminal.step(`Pushed the keyring to ${result.remote?.title}`);
  const { sessions } = result;
  if (!result.already && sessions > 0)
    terminal.step(`Found ${plural(sessions, "session")}: git convosync list`);
  const offered = await offerHooks(world, terminal, options);
  if (!result.already && sessions > 0) terminal.note("\nGo on where you left off with: git convosync resume");
  else if (!result.already) terminal.note(`\nSave your first session with: git convosync save "<message>"`);
  terminal.document({
    device,
    vault: result.vault,
    repo: result.repo,
    replica: result.replica,
    created: result.created,
    joined: result.joined,
    sessions,
    recoveryFile: written,
    hooks: offered.hooks,
    agentHooks: offered.agents,
  });
  if (publish?.status === "queued" && result.remote) {
    const waiting = queuedError(publish, result.remote);
    if (!terminal.json) terminal.fail(waiting);
    return waiting.exit;
  }
  return Exit.done;
}

/**
 * Proposes the hooks that make saving happen by itself. With `--yes` they are installed; without a terminal and without
 * it they are not, as they reach beyond what was asked for.
 */
async function offerHooks(
  world: Invocation["world"],
  terminal: Terminal,
  options: Options,
): Promise<{ hooks: string[]; agents: string[] }> {
  const { installHooks } = await import("../sessions/hooks.ts");
  const { agentHooks, hookedAgents, installAgentHooks } = await import("../sessions/agent-hooks.ts");
  const wanted = await withRepository(world, async ({ settings }) => ({
    git: options.hooks !== false && settings.flag("hooks", true),
    agents: options.agentHooks !== false && settings.flag("agentHooks", true),
  }));
  const ask = async (message: string, flag: string): Promise<boolean> =>
    options.yes || (terminal.interactive && confirm(terminal, { message, flag: `--yes or ${flag}` }, true));
  const hooks: string[] = [];
  const agents: string[] = [];
  if (wanted.git && (await ask("Save conversations by themselves whenever you commit here?", "--no-hooks"))) {
    await unlessRefused(terminal, async () => {
      const status = await withRepository(world, (context) => installHooks(context));
      tellInstalled(terminal, status);
      hooks.push(...status.hooks.filter((one) => one.ours === "current").map((one) => one.event));
    });
  }
  for (const name of wanted.agents ? hookedAgents : []) {
    const place = { env: world.env, stateDir: userStateDir(world.env) };
    const found = await agentHooks(name, place);
    // Asked for by name they can be had all the same: hooks install --agent.
    if (!found.present || found.installed) continue;
    const message = `Also after every turn of ${found.title}? (adds hooks to ${found.path})`;
    if (!(await ask(message, "--no-agent-hooks"))) continue;
    await unlessRefused(terminal, async () => {
      tellAgent(terminal, await installAgentHooks(name, place));
      agents.push(name);
    });
  }
  return { hooks, agents };
}

/** That hooks cannot be put where they belong is said, and is no reason to fail. */
async function unlessRefused(terminal: Terminal, install: () => Promise<void>): Promise<void> {
  try {
    await install();
  } catch (error) {
    if (!(error instanceof ConvosyncError)) throw error;
    terminal.warn(safeText(error.message, 300));
    for (const hint of error.hints) terminal.hint(hint);
  }
}

async function readSecret(path: string): Promise<string> {
  try {
    return (await readFile(path, "utf8")).trim();
  } catch (cause) {
    throw new ConvosyncError(
      "unreadable-file",
      Exit.usage,
      `the recovery code cannot be read from ${path}`,
      ["name the file that holds it: --recovery-file <path>"],
      cause,
    );
  }
}

/** A person is asked what to call the machine; a script takes the host's name unless it gives another. */
async function askName(terminal: Terminal, options: Options): Promise<string | undefined> {
  if (options.yes || !terminal.interactive) return undefined;
  const question = { message: "What is this machine called?", flag: "--device-name <name>" };
  return (await text(terminal, question, defaultDeviceName())).trim() || undefined;
}

/** Writes a secret into a file that did not exist and that only its owner can read. */
async function writeSecret(path: string, text: string): Promise<void> {
  const handle = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
      throw new ConvosyncError("file-exists", Exit.usage, `${path} exists already`, [
        "name a new file for the recovery code",
      ]);
    },
  );
  await handle.writeFile(text);
  await handle.sync();
  await handle.close();
}
