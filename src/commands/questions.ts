import {
  type About,
  type Branching,
  type Candidate,
  cancelled,
  type Decide,
  type Question,
} from "../sessions/decide.ts";
import { choose, type Option, pick } from "../ui/prompts.ts";
import { safeText } from "../ui/safe-text.ts";
import type { Terminal } from "../ui/terminal.ts";
import { grouped, plural, relativeTime } from "../ui/time.ts";

/** Flags that were given, as answers to questions of a kind. */
export type Answers = Readonly<Partial<Record<About["kind"], string | undefined>>>;

/** Answers questions by the flags that were given; else on the terminal; else each as it says itself. */
export function decider(terminal: Terminal, answers: Answers, asks: boolean, now: Date): Decide {
  return async <Name extends string>({ about, choices, clear, otherwise }: Question<Name>): Promise<Name> => {
    const given = choices.find((name) => name === answers[about.kind]);
    if (given !== undefined) return given;
    if (clear !== undefined) return clear;
    if (asks) return (await onTerminal(terminal, about, choices, now)) as Name;
    if (typeof otherwise === "string") return otherwise;
    throw otherwise;
  };
}

async function onTerminal(
  terminal: Terminal,
  about: About,
  choices: readonly string[],
  now: Date,
): Promise<string> {
  if (about.kind === "session") return pickSession(terminal, about.sessions, now);
  const { title, lines, message, labels } = textOf(about, now);
  const options = choices.map((value): Option => {
    const [label = value, hint] = labels[value] ?? [];
    return { value, label, ...(hint !== undefined && { hint }) };
  });
  const stop: Option = { value: "", label: "Cancel", hint: "change nothing" };
  const all = choices.includes("leave") ? options : [...options, stop];
  const answer = await choose(terminal, { message, flag: "a flag" }, all, { title, lines });
  if (answer === "") throw cancelled();
  return answer;
}

interface Text {
  readonly title: string;
  readonly lines: readonly string[];
  readonly message: string;
  readonly labels: Readonly<Record<string, readonly [label: string, hint?: string]>>;
}

const shown = 8;

function listOf(lines: readonly string[]): string[] {
  const rest = lines.length - shown;
  return [...lines.slice(0, shown).map((line) => `  ${line}`), ...(rest > 0 ? [`  … and ${rest} more`] : [])];
}

const name = (branch: string | null): string =>
  branch === null ? "a detached HEAD" : `'${safeText(branch, 40)}'`;

function textOf(about: Exclude<About, { kind: "session" }>, now: Date): Text {
  switch (about.kind) {
    case "changes":
      return {
        title: "Uncommitted changes",
        lines: [
          ...listOf(about.changes.map(({ path, kind }) => `${safeText(path, 60)} (${kind})`)),
          about.wanted !== null && about.wanted !== about.branch
            ? `The session's code is on ${name(about.wanted)}; you are on ${name(about.branch)}.`
            : "The session's code is another commit.",
        ],
        message: "What about the changes?",
        labels: {
          stash: ["Stash and continue", "git stash; nothing is lost"],
          commit: ["Commit and continue", `on ${name(about.branch)}`],
        },
      };
    case "branch":
      return {
        title: "Branch mismatch",
        lines: [
          `Session is on: ${name(about.wanted)}`,
          `You are on:    ${name(about.branch)}, with ${plural(about.unpushed, "commit")} not pushed`,
        ],
        message: "Which branch?",
        labels: {
          switch: [`Switch to ${name(about.wanted)}`, "recommended; yours stays as it is"],
          stay: [`Stay on ${name(about.branch)}`, "the conversation may not fit the code"],
        },
      };
    case "code":
      return {
        title: "Branch divergence",
        lines: [
          `${name(about.branch)} here and the session's code went on separately.`,
          `Here:    ${plural(about.ours, "commit")} ahead`,
          `Session: ${plural(about.theirs, "commit")} ahead`,
        ],
        message: "How shall they come together?",
        labels: {
          merge: ["Merge", "recommended; both lines of history"],
          theirs: ["Take the session's", "yours is kept under a backup branch"],
          mine: ["Keep mine", "bring back the conversation alone"],
        },
      };
    case "conversation":
      return conversationText(about.versions, now);
    case "open":
      return {
        title: "The conversation is open elsewhere",
        lines: [
          `${safeText(about.device, 40)} has it open since ${relativeTime(about.since, now)}, and goes on with it.`,
        ],
        message: "How do you want to go on?",
        labels: {
          fork: ["With a copy", "a session of its own; to read it only: --read-only"],
          "go-on": ["Here all the same", "if both go on, it can be merged later"],
        },
      };
    case "conflicts":
      return {
        title: "Merge conflicts",
        lines: [...listOf(about.paths.map((path) => safeText(path, 60))), "The conversation is untouched."],
        message: "Resolve them first, then resume.",
        labels: {
          open: ["Open the files", "git mergetool, or your editor"],
          leave: ["Leave it so"],
          abort: ["Give the merge up", "git merge --abort"],
        },
      };
  }
}

function conversationText(versions: readonly Branching[], now: Date): Text {
  const lines = versions.map(({ device, here, messages, own, at }) => {
    const where = here ? `${safeText(device, 24)}, here` : safeText(device, 24);
    return `  ${where}: ${plural(messages, "message")}, ${grouped(own)} of its own, ${relativeTime(at, now)}`;
  });
  return {
    title: "The conversation went on separately",
    lines: [...lines, "All of it is kept, whatever you choose."],
    message: "Which one goes on?",
    labels: {
      merge: ["Merge both", "one conversation; the newest branch goes on"],
      theirs: ["Theirs", "mine stays as a snapshot of the session"],
      mine: ["Mine", "theirs stays as a snapshot of the session"],
      fork: ["Both, apart", "theirs becomes a session of its own"],
    },
  };
}

const icons: Readonly<Record<string, string>> = {
  desktop: "🖥️ ",
  laptop: "💻",
  phone: "📱",
  tablet: "📱",
  server: "🗄️ ",
  ci: "🤖",
};

async function pickSession(terminal: Terminal, sessions: readonly Candidate[], now: Date): Promise<string> {
  const options = sessions.map((one) => {
    const title = safeText(one.message || one.title || "(no title)", 36);
    const where = one.branch
      ? `${safeText(one.branch, 30)}${one.commit ? ` @ ${one.commit.slice(0, 7)}` : ""}`
      : "";
    const icon = terminal.unicode ? `${icons[one.deviceType] ?? "  "} ` : "";
    return {
      value: one.id,
      label: `${icon}${title} · ${safeText(one.device, 16)}, ${relativeTime(one.at, now)}`,
      hint: [where, plural(one.messages, "message")].filter((fact) => fact !== "").join(" · "),
      words: [
        one.id,
        one.device,
        one.deviceType,
        one.message,
        one.title,
        one.branch,
        one.commit,
        one.agent,
      ].join(" "),
    };
  });
  return pick(terminal, { message: "Which session?", flag: "the session's id" }, options);
}
