import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { chmod, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { ConvosyncError, Exit } from "../errors.ts";
import { isGone, olderThan } from "../leftovers.ts";
import { homeOf, xdgDirectory } from "../user-directories.ts";
import { readIfPresent, writeAtomic } from "./files.ts";
import { programPath, shellQuote } from "./installation.ts";

/** What the system starts by itself, for one repository or for all that are set up on this device. */
export interface ServiceOf {
  readonly env: NodeJS.ProcessEnv;
  readonly platform: NodeJS.Platform;
  /** The work tree's root; null for all. */
  readonly root: string | null;
}

export interface Service {
  readonly kind: "systemd" | "launchd" | "termux";
  readonly name: string;
  readonly path: string;
  readonly content: string;
  readonly mode: number;
  /** Commands that make the system know it, or forget it; `mayFail` where that is no matter. */
  readonly start: readonly ServiceCommand[];
  readonly stop: readonly ServiceCommand[];
}

interface ServiceCommand {
  readonly argv: readonly [string, ...string[]];
  readonly mayFail?: boolean;
}

/** Variables without which agents' folders, keys or git would not be found where they are now. */
const kept = [
  ...[
    "PATH",
    "CLAUDE_CONFIG_DIR",
    "CODEX_HOME",
    "COPILOT_HOME",
    "GEMINI_CLI_HOME",
    "QWEN_HOME",
    "QWEN_RUNTIME_DIR",
  ],
  ...[
    "XDG_CONFIG_HOME",
    "XDG_STATE_HOME",
    "XDG_CACHE_HOME",
    "XDG_DATA_HOME",
    "SSH_AUTH_SOCK",
    "CONVOSYNC_IDENTITY_FILE",
  ],
];

/** The service as this system would have it. Exit 1 where there is no way to have one. Pure. */
export function describeService(of: ServiceOf): Service {
  const { env, platform, root } = of;
  const home = homeOf(env);
  const name = `convosync-watch-${root === null ? "all" : createHash("sha256").update(root).digest("hex").slice(0, 10)}`;
  const program = [process.execPath, programPath(), "watch", ...(root === null ? ["--all"] : [])];
  const variables = kept.flatMap((one): [string, string][] => (env[one] ? [[one, env[one]]] : []));
  const folder = root ?? home;
  if (env["TERMUX_VERSION"]) {
    const id = String(parseInt(createHash("sha256").update(name).digest("hex").slice(0, 6), 16));
    const path = join(home, ".local/share/convosync", `${name}.sh`);
    const line = [...program, "--once"].map(shellQuote).join(" ");
    // Android lets nothing run for long: a quarter of an hour is the shortest it starts jobs at.
    const every = ["--period-ms", "900000", "--persisted", "true", "--network", "any"] as const;
    return {
      ...{ kind: "termux", name, path, mode: 0o700 },
      content: `#!/data/data/com.termux/files/usr/bin/sh\ncd ${shellQuote(folder)} && exec ${line}\n`,
      start: [{ argv: ["termux-job-scheduler", "--script", path, "--job-id", id, ...every] }],
      stop: [{ argv: ["termux-job-scheduler", "--cancel", "--job-id", id], mayFail: true }],
    };
  }
  if (platform === "darwin") {
    const label = `org.convosync.${name}`;
    const path = join(home, "Library/LaunchAgents", `${label}.plist`);
    const target = `gui/${process.getuid?.() ?? 501}`;
    return {
      ...{ kind: "launchd", name, path, mode: 0o600 },
      content: plist(label, program, folder, variables),
      start: [
        { argv: ["launchctl", "bootout", `${target}/${label}`], mayFail: true },
        { argv: ["launchctl", "bootstrap", target, path] },
      ],
      stop: [{ argv: ["launchctl", "bootout", `${target}/${label}`], mayFail: true }],
    };
  }
  if (platform === "linux") {
    const path = join(xdgDirectory(env, "XDG_CONFIG_HOME", ".config"), "systemd/user", `${name}.service`);
    return {
      ...{ kind: "systemd", name, path, mode: 0o600 },
      content: unit(root, program, folder, variables),
      start: [
        { argv: ["systemctl", "--user", "daemon-reload"] },
        { argv: ["systemctl", "--user", "enable", `${name}.service`] },
        { argv: ["systemctl", "--user", "restart", `${name}.service`] },
      ],
      stop: [
        { argv: ["systemctl", "--user", "disable", "--now", `${name}.service`], mayFail: true },
        { argv: ["systemctl", "--user", "daemon-reload"], mayFail: true },
      ],
    };
  }
  throw new ConvosyncError(
    "no-service",
    Exit.failed,
    `convosync knows no way to start by itself on ${platform}`,
    ["start it yourself, for instance from your session's startup: git convosync watch"],
  );
}

function unit(
  root: string | null,
  program: readonly string[],
  folder: string,
  variables: readonly (readonly [string, string])[],
): string {
  const quote = (text: string): string =>
    `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("%", "%%").replaceAll("$", "$$$$")}"`;
  // Here nothing is quoted, nor are dollars special.
  const plain = folder.replaceAll("\\", "\\\\").replaceAll("%", "%%");
  return [
    "[Unit]",
    `Description=ConvoSync: save conversations as agents write them${root === null ? "" : ` (${plain})`}`,
    "",
    "[Service]",
    `ExecStart=${program.map(quote).join(" ")}`,
    `WorkingDirectory=${plain}`,
    ...variables.map(([key, value]) => `Environment=${quote(`${key}=${value}`).replaceAll("$$", "$")}`),
    "Restart=on-failure",
    "RestartSec=30",
    "Nice=10",
    "",
    "[Install]",
    "WantedBy=default.target",
    "",
  ].join("\n");
}

function plist(
  label: string,
  program: readonly string[],
  folder: string,
  variables: readonly (readonly [string, string])[],
): string {
  const text = (value: string): string =>
    `<string>${value.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")}</string>`;
  const key = (name: string): string => `<key>${name}</key>`;
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
${key("Label")}${text(label)}
${key("ProgramArguments")}<array>${program.map(text).join("")}</array>
${key("WorkingDirectory")}${text(folder)}
${key("EnvironmentVariables")}<dict>${variables.map(([name, value]) => key(name) + text(value)).join("")}</dict>
${key("RunAtLoad")}<true/>
${key("KeepAlive")}<dict>${key("SuccessfulExit")}<false/></dict>
${key("ThrottleInterval")}<integer>30</integer>
${key("ProcessType")}<string>Background</string>
</dict>
</plist>
`;
}

/** Writes the service down and has the system start it, now and at every login. */
export async function installService(of: ServiceOf): Promise<Service> {
  const service = describeService(of);
  await writeAtomic(service.path, service.content, service.mode);
  await chmod(service.path, service.mode);
  try {
    await runAll(service.start, of.env);
  } catch (error) {
    await rm(service.path, { force: true });
    throw error;
  }
  return service;
}

/** Null when none was installed. */
export async function uninstallService(of: ServiceOf): Promise<Service | null> {
  const service = describeService(of);
  if (!(await readIfPresent(service.path))) return null;
  await runAll(service.stop, of.env);
  await rm(service.path, { force: true });
  if (service.kind === "systemd") await runAll(service.stop.slice(1), of.env);
  return service;
}

export async function isServiceInstalled(of: ServiceOf): Promise<boolean> {
  try {
    return (await stat(describeService(of).path)).isFile();
  } catch {
    return false;
  }
}

/** The process that watches a clone, as its lock says; null when none does. */
export async function watcherOf(lock: string): Promise<{ pid: number } | null> {
  const holder = (await readIfPresent(lock))?.toString("utf8") ?? "";
  const pid = Number(/^(\d+)@/.exec(holder)?.[1]);
  return pid > 0 && !isGone(holder) && !olderThan(lock, 3_600_000) ? { pid } : null;
}

async function runAll(commands: readonly ServiceCommand[], env: NodeJS.ProcessEnv): Promise<void> {
  for (const { argv, mayFail } of commands) {
    const [program, ...rest] = argv;
    try {
      await promisify(execFile)(program, rest, { env, timeout: 30_000 });
    } catch (cause) {
      if (mayFail) continue;
      const said = (cause as { stderr?: string }).stderr?.trim().split("\n")[0];
      throw new ConvosyncError(
        "service-failed",
        Exit.failed,
        `${argv.join(" ")}: ${said || (cause as Error).message}`,
        ["start it yourself, for instance from your session's startup: git convosync watch"],
        cause,
      );
    }
  }
}
