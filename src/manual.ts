import type { Argument, Command, Option } from "commander";
import { type Setting, settings, variableOf } from "./sessions/settings.ts";
import { mark } from "./shells.ts";
import type { CommandLine, Verb } from "./verbs/verb.ts";

/** The manual page and the reference, made from the verb table: what `--help` says, in two more forms. */

/** A verb that can be run, with its options as commander knows them. */
export interface Described {
  /** `save`, `template start`. */
  readonly path: string;
  readonly verb: Verb;
  readonly command: Command;
}

/** All verbs for people, in the order of the overview, those below a verb behind it. */
export function describedVerbs({
  verbs,
  sections,
  tree,
}: CommandLine): { section: string; all: Described[] }[] {
  const program = tree(null);
  return sections
    .map((section) => ({
      section,
      all: verbs
        .filter((verb) => verb.section === section && !verb.hidden)
        .flatMap((verb) => below(verb, program, "")),
    }))
    .filter(({ all }) => all.length > 0);
}

function below(verb: Verb, parent: Command, before: string): Described[] {
  const command = parent.commands.find((one) => one.name() === verb.name)!;
  const path = `${before}${verb.name}`;
  const children = (verb.verbs ?? []).filter((one) => !one.hidden);
  const self = verb.load ? [{ path, verb, command }] : [];
  return [...self, ...children.flatMap((one) => below(one, command, `${path} `))];
}

/** `<session...>`, `[message]` */
const shownArgument = (argument: Argument): string => {
  const name = `${argument.name()}${argument.variadic ? "..." : ""}`;
  return argument.required ? `<${name}>` : `[${name}]`;
};

export function synopsis({ path, command }: Described): string {
  return ["git convosync", path, "[options]", ...command.registeredArguments.map(shownArgument)].join(" ");
}

const common = ["--json", "--quiet", "--input", "--color", "--debug"];

/** Options of the verb's own; those of every verb stand elsewhere. */
export function ownOptions(command: Command): Option[] {
  return command.options.filter(
    (one) => !one.hidden && !common.includes(`--${one.name().replace(/^no-/, "")}`),
  );
}

/** What an option or argument does, with the values it takes. */
function meaning(one: Option | Argument): string {
  return one.argChoices ? `${one.description}: ${one.argChoices.join(", ")}` : one.description;
}

const commonOptions: readonly (readonly [string, string])[] = [
  ["--json", "print one JSON document on stdout, as docs/json.md describes it; nothing asks"],
  ["-q, --quiet", "say only what went wrong"],
  ["--no-input", "never ask; a question is an error that names the flag that answers it"],
  ["--color <when>", "colours: always, auto, never"],
  ["--debug", "show git commands and stack traces"],
  ["-h, --help", "show help"],
];

const exits: readonly (readonly [string, string])[] = [
  ["0", "done"],
  ["1", "failed; the message says why and what to do"],
  ["2", "wrong usage"],
  ["3", "saved here, not pushed: it waits in the queue"],
  ["4", "stopped by a safety check; a flag or an answer is needed"],
  ["5", "code or conversation diverged"],
  ["6", "something was forged, rolled back or damaged"],
  ["7", "no key: this device cannot open the vault"],
  ["8", "the remote cannot be reached or refuses, and the command needed it"],
  ["130", "cancelled by the user"],
];

const environment: readonly (readonly [string, string])[] = [
  ["CONVOSYNC_IDENTITY", "this device's keys themselves, in place of the key file"],
  ["CONVOSYNC_IDENTITY_FILE", "another key file"],
  ["CONVOSYNC_IDENTITY_CMD", "a command that prints this device's keys, such as one of a password manager"],
  ["CONVOSYNC_NO_INPUT", "as --no-input"],
  ["CONVOSYNC_DEBUG", "as --debug, when it is 1"],
  ["NO_COLOR, FORCE_COLOR", "no colours, or colours always"],
];

const files: readonly (readonly [string, string])[] = [
  [
    "$XDG_CONFIG_HOME/convosync/device.txt",
    "this device's keys, readable only by you; usually in ~/.config, on Windows in %APPDATA%",
  ],
  ["$XDG_CONFIG_HOME/convosync/state.json", "what this device remembers against rollbacks"],
  ["$XDG_STATE_HOME/convosync/backup/", "transcripts that resume replaced; usually in ~/.local/state"],
  ["$XDG_CACHE_HOME/convosync/", "caches, which may be removed at any time; usually in ~/.cache"],
  [".git/convosync/", "queue, cursors and locks of a clone"],
];

const introduction =
  "ConvoSync saves a coding agent's conversation with the code: git convosync save commits the code, captures the conversation, encrypts it, and pushes both at once to the git remote the project has. On another machine, git convosync resume brings back the same commit and the same conversation, and the agent's own resume command carries on. Nobody but your devices can read it.";

/** `--days <n>` of a setting: its default, and the variable that wins over it. */
function settingNote(setting: Setting): string {
  const notes = [
    setting.default === null ? null : `default ${setting.default}`,
    setting.type === "choice" ? `one of ${setting.of.join(", ")}` : null,
    setting.env ? `environment: ${variableOf(setting.name)}` : null,
  ].filter((one) => one !== null);
  return notes.length > 0 ? `${setting.what} (${notes.join("; ")})` : setting.what;
}

/** `man/git-convosync.1` */
export function manPage(commandLine: CommandLine): string {
  const out: string[] = [
    `.\\" ${mark}, from src/verbs by npm run docs: change it there.`,
    '.TH "GIT\\-CONVOSYNC" "1" "" "ConvoSync" "ConvoSync manual"',
    section("Name"),
    `git\\-convosync \\- save a coding agent's conversation with the code`,
    section("Synopsis"),
    "\\fBgit convosync\\fR \\fIcommand\\fR [\\fIoptions\\fR]",
    section("Description"),
    roff(introduction),
    section("Commands"),
    "The same program is also called \\fBconvosync\\fR.",
  ];
  for (const { section: name, all } of describedVerbs(commandLine)) {
    out.push(`.SS "${roff(name)}"`);
    for (const one of all) out.push(...manVerb(one));
  }
  out.push(section("Options of every command"), ...terms(commonOptions));
  out.push(section("Exit status"), ...terms(exits));
  out.push(
    section("Configuration"),
    roff("Settings are git's own: git config convosync.<name> <value>; git convosync config shows them."),
    ...terms(settings.map((one) => [`convosync.${one.name}`, settingNote(one)] as const)),
  );
  out.push(section("Environment"), ...terms(environment), section("Files"), ...terms(files));
  out.push(
    section("See also"),
    "\\fBgit\\fR(1), \\fBage\\fR(1), \\fBgit\\-push\\fR(1), \\fBgit\\-config\\fR(1)",
  );
  return `${out.join("\n")}\n`;
}

function manVerb(one: Described): string[] {
  const { verb, command } = one;
  const out = [".PP", `\\fB${roff(synopsis(one))}\\fR`];
  if (verb.alias) out.push(".br", `\\fB${roff(`git convosync ${verb.alias}`)}\\fR`);
  out.push(".RS 4", `${roff(sentence(verb.summary))}`);
  const args = command.registeredArguments.filter((argument) => argument.description !== "");
  out.push(...terms(args.map((argument) => [shownArgument(argument), meaning(argument)] as const)));
  out.push(...terms(ownOptions(command).map((option) => [option.flags, meaning(option)] as const)));
  out.push(
    ...terms(Object.entries(verb.exits ?? {}).map(([status, what]) => [`Exit ${status}`, what] as const)),
  );
  for (const [line, what] of verb.examples ?? [])
    out.push(".PP", roff(sentence(what)), ".RS 4", ".nf", roff(line), ".fi", ".RE");
  out.push(".RE");
  return out;
}

const section = (name: string): string => `.SH "${name.toUpperCase()}"`;

function terms(list: readonly (readonly [string, string])[]): string[] {
  return list.flatMap(([term, what]) => [".TP", `\\fB${roff(term)}\\fR`, roff(sentence(what))]);
}

/** Text as roff takes it: no escape, no request, hyphens that can be copied. */
function roff(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replace(/^([.'])/gm, "\\&$1");
}

const sentence = (text: string): string => `${text.slice(0, 1).toUpperCase()}${text.slice(1)}.`;

/** `docs/cli.md` */
export function reference(commandLine: CommandLine): string {
  const described = describedVerbs(commandLine);
  const out = [
    "# Commands",
    "",
    "<!-- Made from src/verbs by npm run docs: change it there. -->",
    "",
    "`git convosync <command>`; the same program is also called `convosync`. `git convosync help <command>` says the same",
    "as this page.",
    "",
  ];
  for (const { section: name, all } of described) {
    const links = all.map(({ path }) => `[${path}](#${anchor(path)})`);
    out.push(`- ${name}: ${links.join(" · ")}`);
  }
  for (const { section: name, all } of described) {
    out.push("", `## ${name}`);
    for (const one of all) out.push(...markdownVerb(one));
  }
  out.push("", "## Options of every command", "", ...table("option", "", commonOptions));
  out.push("", "## Exit status", "", ...table("exit", "meaning", exits));
  out.push(
    "",
    "## Settings",
    "",
    "`git config convosync.<name> <value>`, or `git convosync config <name> <value>`, which checks it.",
    "",
    ...table(
      "setting",
      "",
      settings.map((one) => [`convosync.${one.name}`, settingNote(one)] as const),
    ),
    "",
    "## Environment",
    "",
    ...table("variable", "", environment),
  );
  return `${out.join("\n")}\n`;
}

function markdownVerb(one: Described): string[] {
  const { path, verb, command } = one;
  const out = ["", `### ${path}`, "", `${sentence(verb.summary)}`, "", "```", synopsis(one), "```"];
  if (verb.alias) out.push("", `Also: \`git convosync ${verb.alias}\`.`);
  const rows = [
    ...command.registeredArguments
      .filter((argument) => argument.description !== "")
      .map((argument) => [shownArgument(argument), meaning(argument)] as const),
    ...ownOptions(command).map((option) => [option.flags, meaning(option)] as const),
  ];
  if (rows.length > 0) out.push("", ...table("argument or option", "", rows));
  const statuses = Object.entries(verb.exits ?? {});
  if (statuses.length > 0) out.push("", ...table("exit", "here", statuses));
  for (const [line, what] of verb.examples ?? []) out.push("", `${sentence(what)}`, "", "```sh", line, "```");
  return out;
}

const anchor = (path: string): string => path.replaceAll(" ", "-");

function table(left: string, right: string, rows: readonly (readonly [string, string])[]): string[] {
  const cell = (text: string): string => text.replaceAll("|", "\\|");
  return [
    `| ${left} | ${right} |`,
    "| --- | --- |",
    ...rows.map(([a, b]) => `| \`${cell(a)}\` | ${cell(b).replaceAll("<", "&lt;")} |`),
  ];
}
