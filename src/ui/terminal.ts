import type { ConvosyncError } from "../errors.ts";
import { safeText } from "./safe-text.ts";
import { textWidth, wrapRuns } from "./width.ts";

/**
 * The only door to the terminal. Data goes to stdout; progress, notes, questions and errors go to stderr.
 * With `--json` stdout carries exactly one JSON document. Colours follow, in this order: `--color`,
 * FORCE_COLOR, NO_COLOR, TERM=dumb, whether the stream itself is a terminal (or stdout git's pager).
 */
export interface Streams {
  readonly stdin: NodeJS.ReadableStream & { isTTY?: boolean };
  readonly stdout: NodeJS.WritableStream & { isTTY?: boolean; columns?: number };
  readonly stderr: NodeJS.WritableStream & { isTTY?: boolean; columns?: number };
}

export interface TerminalOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly noInput?: boolean;
  readonly debug?: boolean;
  readonly color?: "always" | "auto" | "never";
}

export type Style = "bold" | "dim" | "italic" | "underline" | "red" | "green" | "yellow" | "cyan";
const codes: Record<Style, readonly [number, number]> = {
  bold: [1, 22],
  dim: [2, 22],
  italic: [3, 23],
  underline: [4, 24],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
};

export class Terminal {
  readonly json: boolean;
  readonly streams: Streams;
  readonly #quiet: boolean;
  readonly #colours: { readonly stdout: boolean; readonly stderr: boolean };
  /** The terminal can show more than ASCII. */
  readonly unicode: boolean;
  readonly #debug: boolean;
  readonly #mayAsk: boolean;

  constructor(streams: Streams, env: NodeJS.ProcessEnv, options: TerminalOptions = {}) {
    this.streams = streams;
    this.json = options.json === true;
    this.#quiet = options.quiet === true;
    this.#debug = options.debug === true || isSet(env["CONVOSYNC_DEBUG"]);
    const { color = "auto" } = options;
    const told = color === "auto" ? toldOfColour(env) : color === "always";
    this.#colours = {
      stdout: told ?? (streams.stdout.isTTY === true || isSet(env["GIT_PAGER_IN_USE"])),
      stderr: told ?? streams.stderr.isTTY === true,
    };
    this.unicode = env["TERM"] !== "linux" && speaksUnicode(env);
    this.#mayAsk =
      streams.stderr.isTTY === true &&
      !isSet(env["CI"]) &&
      env["TERM"] !== "dumb" &&
      env["GIT_TERMINAL_PROMPT"] !== "0" &&
      !isSet(env["CONVOSYNC_NO_INPUT"]) &&
      options.noInput !== true &&
      !this.json;
  }

  /** There is a person who can be asked. */
  get interactive(): boolean {
    return this.#mayAsk && this.streams.stdin.isTTY === true;
  }

  /** Columns for text that is to be wrapped; none where a program reads it, which is not to find lines broken. */
  get width(): number {
    const { isTTY, columns } = this.streams.stdout;
    return isTTY ? (columns ?? 80) : Number.POSITIVE_INFINITY;
  }

  /** Text for stdout in a style, where stdout has any; what of it is said on stderr loses it there where need be. */
  style(style: Style, text: string): string {
    return this.#colours.stdout ? styled(style, text) : text;
  }

  /** Writes data for people to stdout. */
  print(text = ""): void {
    if (this.json) return;
    this.streams.stdout.write(`${this.drawn(text)}\n`);
  }

  /** Text for stdout as a terminal can show it; a program that reads it gets every character as it is. */
  drawn(text: string): string {
    return this.unicode || !this.streams.stdout.isTTY ? text : inAscii(text, this.width);
  }

  /**
   * Writes text beside what stands before it, which takes `columns`: on a terminal in as many lines as it needs, each
   * below the first. What fits is written as it is: a path may have two spaces in a row.
   */
  printBeside(before: string, columns: number, text: string, style?: Style): void {
    const room = Math.max(24, this.width - columns);
    const painted = (line: string): string => (style ? this.style(style, line) : line);
    const fits = textWidth(text) <= room;
    const lines = fits ? [[{ text, style: null }]] : wrapRuns([{ text, style: null }], room);
    for (const [n, runs] of lines.entries()) {
      const line = runs.map((one) => one.text).join("");
      this.print(`${n === 0 ? before : " ".repeat(columns)}${painted(line)}`);
    }
  }

  /** Writes bytes as they are to stdout. */
  write(bytes: Uint8Array): void {
    this.streams.stdout.write(bytes);
  }

  /** The one document of `--json`. */
  document(fields: Record<string, unknown>): void {
    if (this.json) this.streams.stdout.write(`${JSON.stringify({ convosync: 1, ...fields })}\n`);
  }

  /** A finished step. */
  step(text: string): void {
    this.#note(`${styled("green", "✓")} ${text}`);
  }

  detail(text: string): void {
    this.#note(`  ${styled("dim", `→ ${text}`)}`);
  }

  note(text: string): void {
    this.#note(text);
  }

  warn(text: string): void {
    this.#say(`${styled("yellow", "warning:")} ${text}`);
  }

  hint(text: string): void {
    this.#say(`${styled("cyan", "hint:")} ${text}`);
  }

  /** Reports an expected failure; under `--json` as the one document. */
  fail(error: ConvosyncError): void {
    if (this.json) {
      const { code, message, hints, exit } = error;
      this.streams.stdout.write(
        `${JSON.stringify({ convosync: 1, error: { code, message, hints, exit } })}\n`,
      );
    } else {
      this.#say(`${styled("red", "error:")} ${safeText(error.message, 1000)}`);
      for (const hint of error.hints) this.hint(safeText(hint, 1000));
    }
    if (this.#debug)
      this.streams.stderr.write(
        `${error.stack ?? ""}\n${error.cause ? `caused by: ${String(error.cause)}\n` : ""}`,
      );
  }

  #note(text: string): void {
    if (!this.#quiet && !this.json) this.#say(text);
  }

  #say(text: string): void {
    const shown = this.#colours.stderr ? text : withoutStyle(text);
    this.streams.stderr.write(`${this.unicode ? shown : inAscii(shown, this.width)}\n`);
  }
}

/** True for any value that means yes; `CI=false` and `CI=0` mean no. */
export function isSet(value: string | undefined): boolean {
  return value !== undefined && value !== "" && value !== "0" && value.toLowerCase() !== "false";
}

/** What the environment says of colours; null when it leaves that to the stream. */
function toldOfColour(env: NodeJS.ProcessEnv): boolean | null {
  if (isSet(env["FORCE_COLOR"]) || isSet(env["CLICOLOR_FORCE"])) return true;
  if (env["NO_COLOR"] !== undefined && env["NO_COLOR"] !== "") return false;
  return env["TERM"] === "dumb" ? false : null;
}

/** By the first locale variable that is set, as setlocale(3) takes them; with none it is a system that has no locales. */
function speaksUnicode(env: NodeJS.ProcessEnv): boolean {
  const locale = env["LC_ALL"] || env["LC_CTYPE"] || env["LANG"] || "";
  const charset = /\.([^@]*)/.exec(locale)?.[1];
  return charset === undefined ? !/^(C|POSIX)$/.test(locale) : /^utf-?8$/i.test(charset);
}

function styled(style: Style, text: string): string {
  const [on, off] = codes[style];
  return `\u001b[${on}m${text}\u001b[${off}m`;
}

/** What {@link styled} has put in; text from elsewhere has no escape left. */
const withoutStyle = (text: string): string => text.replace(/\u001b\[\d+m/g, "");

/** Our own marks, for terminals that have none of them. */
const marks: Readonly<Record<string, string>> = { "✓": "*", "→": "-", "·": "-", "…": "~", "–": "-" };

/** Three dots where a line has room for them: one that was cut to the width has not. */
function inAscii(text: string, width: number): string {
  const lines = text.split("\n").map((line) => {
    const dotted = line.replaceAll("…", "...");
    return textWidth(withoutStyle(dotted)) <= width ? dotted : line;
  });
  return lines.join("\n").replace(/[\u2713\u2192\u00b7\u2026\u2013]/g, (mark) => marks[mark]!);
}
