/**
 * Every setting there is, as data: `config`, `doctor`, completions and the manual are made from this table. Values are
 * kept in git's configuration as `convosync.<name>`.
 */
export type SettingKind =
  | { readonly type: "text" | "url" | "command" | "flag" | "patterns" }
  | { readonly type: "choice"; readonly of: readonly string[] }
  /** A whole number; `never` where 0 means that there is no limit. */
  | { readonly type: "count"; readonly least: number; readonly never?: true };

export type Setting = SettingKind & {
  readonly name: string;
  /** As it would be written; null when there is none. */
  readonly default: string | null;
  /** One line, no full stop. */
  readonly what: string;
  /** Whether an environment variable wins over the configuration. */
  readonly env: boolean;
};

export const settings: readonly Setting[] = [
  {
    name: "remote",
    type: "text",
    default: null,
    what: "the remote that conversations and code go to, by name or URL; else one that has the vault, and code as git pushes it",
    env: true,
  },
  {
    name: "exclude",
    type: "patterns",
    default: null,
    what: "untracked files that save never commits, besides those that look like secrets; may be given several times",
    env: false,
  },
  {
    name: "rawPaths",
    type: "flag",
    default: "false",
    what: "store the paths in conversations as they are",
    env: true,
  },
  {
    name: "codec",
    type: "choice",
    of: ["vcd", "gz"],
    default: "vcd",
    what: "how saves store new lines: vcd as deltas where that is smaller, gz never",
    env: true,
  },
  {
    name: "hotRefs",
    type: "count",
    least: 1,
    default: "160",
    what: "session refs all devices together may have before old sessions are folded into archives",
    env: true,
  },
  {
    name: "retentionDays",
    type: "count",
    least: 0,
    never: true,
    default: "30",
    what: "days after which gc deletes a session that nobody used; 0 or never keeps all",
    env: true,
  },
  {
    name: "maxSessions",
    type: "count",
    least: 0,
    never: true,
    default: "100",
    what: "sessions that gc keeps, the most recently used; pinned ones do not count; 0 or never keeps all",
    env: true,
  },
  {
    name: "summaryCommand",
    type: "command",
    default: null,
    what: "shell command that writes summaries: reads the conversation, prints the summary",
    env: true,
  },
  {
    name: "notifyCommand",
    type: "command",
    default: null,
    what: "shell command that shows a notice when another device saved; gets title and text as arguments",
    env: true,
  },
  {
    name: "notifyUrl",
    type: "url",
    default: null,
    what: "URL that is sent a random id after every push, such as an ntfy topic",
    env: true,
  },
  {
    name: "autoPush",
    type: "flag",
    default: "true",
    what: "push in the background what hooks and watch have saved",
    env: true,
  },
  {
    name: "hooks",
    type: "flag",
    default: "true",
    what: "init offers git hooks",
    env: true,
  },
  {
    name: "agentHooks",
    type: "flag",
    default: "true",
    what: "init offers agent hooks",
    env: true,
  },
];

export const settingNamed = (name: string): Setting | undefined =>
  settings.find((one) => one.name.toLowerCase() === name.replace(/^convosync\./i, "").toLowerCase());

/** The environment variable that wins over `convosync.<name>`. */
export const variableOf = (name: string): string =>
  `CONVOSYNC_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;

/** What is wrong with a value, as a sentence that goes on from the setting's name; null when it is fine. */
export function complaint(setting: Setting, value: string): string | null {
  switch (setting.type) {
    case "flag":
      return flags.has(value.toLowerCase()) ? null : "is true or false";
    case "choice":
      return setting.of.includes(value) ? null : `is one of: ${setting.of.join(", ")}`;
    case "count": {
      if (setting.never && value.toLowerCase() === "never") return null;
      const fits = /^[0-9]{1,9}$/.test(value) && Number(value) >= setting.least;
      return fits
        ? null
        : `is a whole number from ${setting.least}${setting.never ? ", or the word never" : ""}`;
    }
    case "url":
      return /^https?:\/\/[^\s/]+/.test(value) && URL.canParse(value) ? null : "is an http or https URL";
    case "patterns":
    case "command":
    case "text":
      return value.trim() === "" || /[\0\r\n]/.test(value) ? "is one line that is not empty" : null;
  }
}

const flags = new Set(["true", "false", "yes", "no", "on", "off", "1", "0"]);

export const isOn = (value: string): boolean => ["true", "yes", "on", "1"].includes(value.toLowerCase());

/**
 * A limit as a number; null for none. A value that is no number is none either: nothing is deleted over a slip of the
 * pen.
 */
export function limitOf(name: string, value: string | undefined): number | null {
  const setting = settingNamed(name)!;
  const given = value ?? setting.default ?? "never";
  if (complaint(setting, given) !== null || given.toLowerCase() === "never") return null;
  return Number(given) || null;
}
