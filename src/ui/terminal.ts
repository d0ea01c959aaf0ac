import type { ConvosyncError } from "../errors.ts";
import { safeText } from "./safe-text.ts";

/**
 * The only door to the terminal. Data goes to stdout; progress, notes, questions and errors go to stderr.
 * With `--json` stdout carries exactly one JSON document. Colours follow, in this order: `--color`,
 * FORCE_COLOR, NO_COLOR, TERM=dumb, whether stderr (or git's pager) is a terminal.
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
  readonly interactive: boolean;
  readonly streams: Streams;
  readonly #quiet: boolean;
  readonly #colour: boolean;
  /** The terminal can show more than ASCII. */
  readonly unicode: boolean;
  readonly #debug: boolean;

  constructor(streams: Streams, env: NodeJS.ProcessEnv, options: TerminalOptions = {}) {
    this.streams = streams;
    this.json = options.json === true;
    this.#quiet = options.quiet === true;
    this.#debug = options.debug === true || isSet(env["CONVOSYNC_DEBUG"]);
    this.#colour =
      options.color === undefined || options.color === "auto"
        ? wantsColour(streams, env)
        : options.color === "always";
    this.unicode =
      env["TERM"] !== "linux" && !/^(C|POSIX)$/.test(env["LC_ALL"] ?? env["LC_CTYPE"] ?? env["LANG"] ?? "");
    this.interactive =
      streams.stdin.isTTY === true &&
      streams.stderr.isTTY === true &&
      !isSet(env["CI"]) &&
      env["TERM"] !== "dumb" &&
      env["GIT_TERMINAL_PROMPT"] !== "0" &&
      !isSet(env["CONVOSYNC_NO_INPUT"]) &&
      options.noInput !== true &&
      !this.json;
  }

  /** Columns for text that is to be wrapped; none where a program reads it, which is not to find lines broken. */
  get width(): number {
    const { isTTY, columns } = this.streams.stdout;
    return isTTY ? (columns ?? 80) : Number.POSITIVE_INFINITY;
  }

  style(style: Style, text: string): string {
    const [on, off] = codes[style];
    return this.#colour ? `\u001b[${on}m${text}\u001b[${off}m` : text;
  }

  /** Writes data for people to stdout. */
  print(text = ""): void {
    if (!this.json) this.streams.stdout.write(`${text}\n`);
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
    this.#note(`${this.style("green", this.unicode ? "✓" : "*")} ${text}`);
  }

  detail(text: string): void {
    this.#note(`  ${this.style("dim", `${this.unicode ? "→" : "-"} ${text}`)}`);
  }

  note(text: string): void {
    this.#note(text);
  }

  warn(text: string): void {
    this.streams.stderr.write(`${this.style("yellow", "warning:")} ${text}\n`);
  }

  hint(text: string): void {
    this.streams.stderr.write(`${this.style("cyan", "hint:")} ${text}\n`);
  }

  /** Reports an expected failure; under `--json` as the one document. */
  fail(error: ConvosyncError): void {
    if (this.json) {
      const { code, message, hints, exit } = error;
      this.streams.stdout.write(
        `${JSON.stringify({ convosync: 1, error: { code, message, hints, exit } })}\n`,
      );
    } else {
      this.streams.stderr.write(`${this.style("red", "error:")} ${safeText(error.message, 1000)}\n`);
      for (const hint of error.hints) this.hint(safeText(hint, 1000));
    }
    if (this.#debug)
      this.streams.stderr.write(
        `${error.stack ?? ""}\n${error.cause ? `caused by: ${String(error.cause)}\n` : ""}`,
      );
  }

  #note(text: string): void {
    if (!this.#quiet && !this.json) this.streams.stderr.write(`${text}\n`);
  }
}

/** True for any value that means yes; `CI=false` and `CI=0` mean no. */
export function isSet(value: string | undefined): boolean {
  return value !== undefined && value !== "" && value !== "0" && value.toLowerCase() !== "false";
}

function wantsColour(streams: Streams, env: NodeJS.ProcessEnv): boolean {
  if (isSet(env["FORCE_COLOR"]) || isSet(env["CLICOLOR_FORCE"])) return true;
  if (env["NO_COLOR"] !== undefined && env["NO_COLOR"] !== "") return false;
  if (env["TERM"] === "dumb") return false;
  return streams.stdout.isTTY === true || isSet(env["GIT_PAGER_IN_USE"]);
}
